import threading

import pytest
from sqlalchemy import text

from foundation.database import DatabaseName, Role
from foundation.migrations import MigrationsBroken, downgrade, migrate, present_revisions, runner


def version(installation, database=DatabaseName.LINTAS):
    with installation.database.connect(Role.MIGRATOR, database) as connection:
        return [row[0] for row in connection.execute("SELECT version_num FROM alembic_version").fetchall()]


def tables(installation):
    with installation.database.connect(Role.MIGRATOR) as connection:
        return connection.execute(
            """
            SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
            WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3
            """
        ).fetchall()


def test_the_chain_is_one_line_from_the_foundation_on():
    assert present_revisions()[:2] == ["0001_foundation", "0002_participants"]
    assert present_revisions() == sorted(present_revisions())


def test_a_fresh_installation_is_at_the_newest_revision(installation):
    assert version(installation) == [present_revisions()[-1]]


def test_going_down_and_up_again_leaves_the_same_tables(installation):
    before = tables(installation)
    downgrade(installation.database, "base")
    left = {schema for schema, *_ in tables(installation)}
    assert left <= {"public"}
    migrate(installation.database)
    assert tables(installation) == before


def test_processes_that_migrate_at_once_do_not_disturb_each_other(installation):
    downgrade(installation.database, "base")
    failures = []

    def run():
        try:
            migrate(installation.database)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert version(installation) == [present_revisions()[-1]]


def test_a_database_of_a_newer_release_is_left_alone(installation):
    engine = installation.database.engine(Role.MIGRATOR)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))
    engine.dispose()
    with pytest.raises(MigrationsBroken, match="newer release"):
        migrate(installation.database)


def _step(folder, name, before):
    (folder / f"{name}.py").write_text(f"revision = {name!r}\ndown_revision = {before!r}\n")


def test_steps_that_are_no_line_are_named(tmp_path):
    _step(tmp_path, "0001_first", None)
    _step(tmp_path, "0003_third", "0002_second")
    with pytest.raises(MigrationsBroken, match="0002_second"):
        runner.check_line(runner.Chain("lintas", (str(tmp_path),)).steps())
    _step(tmp_path, "0002_second", "0001_first")
    runner.check_line(runner.Chain("lintas", (str(tmp_path),)).steps())


def test_a_file_is_named_after_its_revision(tmp_path):
    (tmp_path / "0001_first.py").write_text("revision = 'other'\ndown_revision = None\n")
    with pytest.raises(MigrationsBroken, match="other"):
        runner.Chain("lintas", (str(tmp_path),)).steps()
