"""The fixtures of all tests: a database that is used again must be as good as a new one."""

import pytest

from foundation.database import Role
from foundation.keyring import Keyring
from participants import registry

TABLES = """
    SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
"""
SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences"


def dump(name, template):
    with template.admin(name) as connection:
        tables = [row[0] for row in connection.execute(TABLES).fetchall()]
        rows = {
            table: connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall()
            for table in tables
        }
        return rows, dict(connection.execute(SEQUENCES).fetchall())


def test_a_copy_that_was_written_to_is_clean_when_it_is_taken_again(database_copies, installation_template):
    template = installation_template.database
    fresh = dump(template.settings.database_name, template)
    name = database_copies.take()
    assert dump(name, template) == fresh
    with template.admin(name) as connection:
        registry.register_agency(connection, registry.Agency("a", "A"))
        connection.execute("SET session_replication_role = replica")
        for sequence in fresh[1]:
            connection.execute(f"SELECT nextval('{sequence}')")
        for table in fresh[0]:
            connection.execute(f"DELETE FROM {table} WHERE '{table}' <> 'participants.agency'")
    assert dump(name, template) != fresh
    database_copies.give_back(name)
    assert database_copies.take() == name
    assert dump(name, template) == fresh
    database_copies.give_back(name)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more ()",
        "ALTER TABLE participants.agency ADD COLUMN more int",
        "GRANT DELETE ON participants.agency TO lintas_api",
        "CREATE SCHEMA more",
        "DROP INDEX participants.system_agency",
        "ALTER TABLE participants.agency DROP COLUMN name",
    ],
)
def test_a_copy_whose_tables_were_changed_is_not_used_again(database_copies, installation_template, change):
    name = database_copies.take()
    with installation_template.database.admin(name) as connection:
        connection.execute(change)
    database_copies.give_back(name)
    with installation_template.database.admin() as connection:
        assert not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()


def test_each_installation_has_keys_it_may_change(make_installation):
    first, second = make_installation(), make_installation()
    first.keyring.roll("bus")
    assert second.keyring.versions("bus") == [1]
    assert isinstance(second.keyring, Keyring)
    with first.database.connect(Role.STEWARD) as connection:
        registry.register_agency(connection, registry.Agency("a", "A"))
    with second.database.connect(Role.STEWARD) as connection:
        assert registry.agencies(connection) == []
