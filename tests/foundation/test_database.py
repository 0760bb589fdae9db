import traceback

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from foundation.database import (
    ConstraintViolated,
    Database,
    DatabaseBusy,
    DatabaseName,
    DatabaseUnavailable,
    PermissionMissing,
    Role,
    SchemaOutdated,
    ValueNotStorable,
    map_database_error,
    translated,
)
from foundation.database_errors import DatabaseFailed
from foundation.errors import FixInstallation, LintasError
from foundation.external_server import checked_url
from foundation.settings import Settings

VAULT_ROLES = {Role.MIGRATOR, Role.API, Role.DISPATCHER, Role.STEWARD}


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.AIRFLOW])
def test_the_vault_opens_only_to_those_who_need_it(installation, role):
    database = installation.database
    with database.connect(role) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (role.value,)
    if role in VAULT_ROLES:
        database.connect(role, DatabaseName.VAULT).close()
    else:
        with pytest.raises(PermissionMissing):
            database.connect(role, DatabaseName.VAULT)


def test_airflow_owns_its_database_and_sees_no_other(installation_template):
    database = installation_template.database
    with database.connect(Role.AIRFLOW, DatabaseName.AIRFLOW) as connection:
        connection.execute("CREATE TABLE probe ()")
        connection.execute("DROP TABLE probe")
    for other in (DatabaseName.LINTAS, DatabaseName.VAULT):
        with pytest.raises(PermissionMissing):
            database.connect(Role.AIRFLOW, other)
    with pytest.raises(PermissionMissing):
        database.connect(Role.API, DatabaseName.AIRFLOW)


@pytest.mark.parametrize("role", [Role.INGEST, Role.API, Role.SEQUENCER, Role.STEWARD, Role.AUDITOR])
def test_a_role_starts_with_no_rights_at_all(installation, role):
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("CREATE SCHEMA fresh")
        connection.execute("CREATE TABLE fresh.thing (id int)")
        connection.execute("CREATE FUNCTION public.answer() RETURNS int LANGUAGE sql RETURN 42")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    attempts = [
        "CREATE TABLE public.mine ()",
        "CREATE SCHEMA mine",
        "SELECT * FROM fresh.thing",
        "SELECT public.answer()",
        "SELECT rolpassword FROM pg_authid",
        "CREATE ROLE mine",
        "SET ROLE lintas_migrator",
        "ALTER SYSTEM SET log_statement = 'all'",
        "SET log_min_messages = 'debug5'",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
    ]
    with installation.database.connect(role, autocommit=True) as connection:
        for attempt in attempts:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(attempt)


def test_only_roles_of_ours_can_log_in_and_none_is_superuser(installation):
    with installation.database.admin() as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls "
            "FROM pg_roles WHERE rolcanlogin AND rolname <> current_user"
        ).fetchall()
    assert dict(rows) == {role.value: False for role in Role}


def test_ensuring_again_changes_nothing(installation):
    database = installation.database
    before = database.password(Role.API)
    template = Database(installation.settings)
    template.create()
    assert template.password(Role.API) == before
    database.connect(Role.API).close()


def test_a_lost_password_file_is_replaced_by_a_new_password(session_directory, postgres_server):
    settings = Settings(
        home=session_directory / "lost", postgres_directory=postgres_server.directory, database_name="lost"
    )
    database = Database(settings)
    database.create()
    file = database.password_directory / "lintas_auditor.password"
    before = file.read_text()
    file.unlink()
    with pytest.raises(FixInstallation, match="lintas init"):
        database.connect(Role.AUDITOR)
    database.create()
    assert file.read_text() != before
    database.connect(Role.AUDITOR).close()


def test_an_external_server_is_used_by_its_admin_url(installation, session_directory, postgres_server):
    url = (
        f"postgresql://{postgres_server.superuser}:{postgres_server.admin_password}@/postgres"
        f"?host={postgres_server.socket_directory}&port={postgres_server.port}"
    )
    home = session_directory / "external"
    roles = home / "database-roles"
    roles.mkdir(parents=True)
    for role in Role:
        file = roles / f"{role.value}.password"
        file.write_text(installation.database.password(role))
        file.chmod(0o600)
    settings = Settings(home=home, database_url=SecretStr(url), database_name="external")
    database = Database(settings)
    try:
        database.ensure()
        assert database.server is None
        with database.connect(Role.API) as connection:
            found = connection.execute("SELECT current_user, current_database()").fetchone()
            assert found == ("lintas_api", "external")
        assert "hidden" not in repr(settings)
        assert postgres_server.admin_password not in f"{settings!r} {database.url(Role.API)!r}"
    finally:
        with database.admin() as connection:
            for name in ("external", "external_vault", "external_airflow"):
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_a_url_that_is_none_is_named_without_repeating_it(session_directory):
    settings = Settings(home=session_directory / "x", database_url=SecretStr("mysql://me:hunter2@db"))
    with pytest.raises(FixInstallation) as caught:
        Database(settings).create()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db.example/postgres",
        "postgresql://me:hunter2@db.example/postgres?sslmode=prefer",
        "postgresql+psycopg://me:hunter2@10.0.0.7:5432/postgres?sslmode=require",
        "postgresql://me:hunter2@127.0.0.1,db.example/postgres?sslmode=verify-ca",
        "postgresql://me:hunter2@localhost/postgres?hostaddr=10.0.0.7",
        "service=elsewhere password=hunter2",
    ],
)
def test_another_machine_is_reached_only_under_verified_tls(session_directory, url):
    settings = Settings(home=session_directory / "x", database_url=SecretStr(url))
    with pytest.raises(FixInstallation) as caught:
        Database(settings).create()
    assert caught.value.code == "database-url-unprotected"
    assert "verify-full" in caught.value.remedy
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@/postgres?host=/run/postgresql",
        "postgresql://me@127.0.0.1:5432/postgres",
        "postgresql://me@[::1]/postgres",
        "postgresql://me@localhost/postgres",
        "postgresql://me@db.example/postgres?sslmode=verify-full",
    ],
)
def test_this_machine_and_verified_tls_are_accepted(url):
    assert checked_url(url) == url


def test_a_tcp_server_keeps_its_tls_parameters(session_directory):
    settings = Settings(
        home=session_directory / "tcp",
        database_url=SecretStr("postgresql://admin:x@db.example:6432/postgres?sslmode=verify-full"),
    )
    database = Database(settings)
    database.password_directory.mkdir(parents=True)
    file = database.password_directory / "lintas_api.password"
    file.write_text("secret")
    file.chmod(0o600)
    url = database.url(Role.API)
    assert (url.host, url.port, url.query) == ("db.example", 6432, {"sslmode": "verify-full"})
    assert "sslmode=verify-full" in database.conninfo(Role.API)


def test_a_pool_hands_out_connections_of_its_role_and_closes_clean(installation, no_leaks):
    opened = installation.database.pool(Role.API, max_size=3, autocommit=True)
    with opened as pool, pool.connection() as first, pool.connection() as second:
        assert first.execute("SELECT current_user").fetchone() == ("lintas_api",)
        assert first is not second


def test_an_engine_hides_parameters(installation, canary):
    engine = installation.database.engine(Role.API)
    with pytest.raises(DBAPIError) as caught, engine.connect() as connection:
        connection.execute(text("SELECT * FROM nowhere WHERE nik = :nik"), {"nik": canary.nik})
    engine.dispose()
    assert canary.found_in(str(caught.value)) == []


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO t.person VALUES (%(nik)s, %(name)s)", ConstraintViolated),
        ("INSERT INTO t.person VALUES (%(name)s, NULL)", ConstraintViolated),
        ("SELECT %(name)s::int", ValueNotStorable),
        ("SELECT %(nik)s FROM t.nowhere", SchemaOutdated),
        ("SELECT nothing, %(nik)s FROM t.person", SchemaOutdated),
        ("SELECT %(nik)s FROM t.person WHERE 1 / 0 = 1", ValueNotStorable),
        ("SELECT %(nik)s; SELECT 1", DatabaseFailed),
    ],
)
def test_an_error_of_the_database_names_the_rule_and_never_the_value(installation, canary, statement, error):
    values = {"nik": canary.nik, "name": canary.name}
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("CREATE SCHEMA t CREATE TABLE person (nik text PRIMARY KEY, name text NOT NULL)")
        connection.execute("INSERT INTO t.person VALUES (%(nik)s, %(name)s)", values)
        with pytest.raises(error) as caught, translated():
            connection.execute(statement, values)
        connection.rollback()
    shown = f"{caught.value} {caught.value.as_dict()} {caught.value!r}"
    assert canary.found_in(shown) == []
    printed = "".join(traceback.format_exception(caught.value)) + str(caught.value.__context__)
    assert canary.found_in(printed) == []


def test_a_server_that_is_gone_is_worth_a_retry(session_directory):
    database = Database(Settings(home=session_directory / "gone", database_url=SecretStr("host=/nowhere")))
    with pytest.raises(DatabaseUnavailable):
        database.create()


def test_two_transactions_in_each_others_way_are_worth_a_retry(installation):
    with installation.database.connect(Role.MIGRATOR) as first:
        first.execute("CREATE TABLE busy ()")
        first.commit()
        first.execute("LOCK busy")
        with installation.database.connect(Role.MIGRATOR, options="-c lock_timeout=10ms") as second:
            with pytest.raises(DatabaseBusy), translated():
                second.execute("LOCK busy")
            second.rollback()


def _subclasses(kind):
    return {kind, *(each for child in kind.__subclasses__() for each in _subclasses(child))}


@pytest.mark.parametrize("kind", sorted(_subclasses(psycopg.Error), key=lambda kind: kind.__name__))
def test_every_error_of_psycopg_has_one_of_ours(kind):
    mapped = map_database_error(kind("Key (nik)=(3576024107850099) already exists"))
    assert isinstance(mapped, LintasError)
    assert mapped.remedy
    assert "3576" not in str(mapped)
