"""The three databases, the roles that may touch them, and connections in those roles.

Every process connects as the one role that its work needs. Roles are made here; what each may do is
granted by the migrations of the rooms that own the tables. Passwords are generated, sent to the server
only as SCRAM verifiers, and kept one file per role, so that a process can be given just its own.
"""

from __future__ import annotations

import secrets
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo as libpq
from psycopg import sql

from foundation.database_errors import (
    ConstraintViolated,
    DatabaseBusy,
    DatabaseFailed,
    DatabaseUnavailable,
    PermissionMissing,
    SchemaOutdated,
    ValueNotStorable,
    map_database_error,
    translated,
)
from foundation.external_server import checked_url
from foundation.fast_connection import FastConnection
from foundation.files import make_private_directory, read_private, write_once
from foundation.postgres import EmbeddedPostgres, ServerTuning
from foundation.settings import Settings

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool
    from sqlalchemy import URL, Engine

__all__ = [
    "ConstraintViolated",
    "Database",
    "DatabaseBusy",
    "DatabaseFailed",
    "DatabaseName",
    "DatabaseUnavailable",
    "PermissionMissing",
    "Role",
    "SchemaOutdated",
    "ValueNotStorable",
    "map_database_error",
    "translated",
]

_ENSURE_LOCK = 0x6C696E746173  # "lintas"


class Role(StrEnum):
    """Database roles: each process has the one it needs, and nothing more."""

    MIGRATOR = "lintas_migrator"
    INGEST = "lintas_ingest"
    API = "lintas_api"
    SEQUENCER = "lintas_sequencer"
    DISPATCHER = "lintas_dispatcher"
    STEWARD = "lintas_steward"
    AUDITOR = "lintas_auditor"
    MONITOR = "lintas_monitor"
    AIRFLOW = "lintas_airflow"


class DatabaseName(StrEnum):
    """The three databases; their names on the server follow from the settings."""

    LINTAS = "lintas"
    VAULT = "vault"
    AIRFLOW = "airflow"

    def on_server(self, settings: Settings) -> str:
        """Return the name of this database on the server."""
        names = {
            DatabaseName.LINTAS: settings.database_name,
            DatabaseName.VAULT: settings.vault_database_name,
            DatabaseName.AIRFLOW: settings.airflow_database_name,
        }
        return names[self]


_OWNERS = {
    DatabaseName.LINTAS: Role.MIGRATOR,
    DatabaseName.VAULT: Role.MIGRATOR,
    DatabaseName.AIRFLOW: Role.AIRFLOW,
}

#: Who may connect at all; a bulk sync (ingest) and the sequencer never need the identifier map.
_MAY_CONNECT = {
    DatabaseName.LINTAS: [
        Role.MIGRATOR,
        Role.INGEST,
        Role.API,
        Role.SEQUENCER,
        Role.DISPATCHER,
        Role.STEWARD,
        Role.AUDITOR,
        Role.MONITOR,
    ],
    DatabaseName.VAULT: [Role.MIGRATOR, Role.API, Role.DISPATCHER, Role.STEWARD],
    DatabaseName.AIRFLOW: [Role.AIRFLOW],
}


class Database:
    """The bus's databases on an embedded or an external server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server: EmbeddedPostgres | None = None
        if settings.embedded:
            tuning = ServerTuning(durable=settings.postgres_durable)
            self.server = EmbeddedPostgres(settings.postgres_home, tuning=tuning)

    def start(self) -> None:
        """Start the embedded server; an external one is expected to run."""
        if self.server is not None:
            self.server.start()

    def stop(self) -> None:
        """Stop the embedded server; an external one is left alone."""
        if self.server is not None:
            self.server.stop()

    def ensure(self) -> None:
        """Start, then create roles and databases and migrate them: safe to repeat, and to race."""
        from foundation.migrations.runner import migrate

        self.start()
        self.create()
        migrate(self)

    def create(self) -> None:
        """Create the roles and databases that are missing."""
        with self.admin() as connection, _exclusively(connection):
            for role in Role:
                self._ensure_role(connection, role)
            for database in DatabaseName:
                self._ensure_database(connection, database)

    def connect(
        self,
        role: Role,
        database: DatabaseName = DatabaseName.LINTAS,
        *,
        autocommit: bool = False,
        fast: bool = False,
        **options: Any,
    ) -> psycopg.Connection[Any]:
        """Open a connection in a role; use it in a ``with`` block, which commits and closes it.

        A `fast` one is as those of a pool: its statements cost less, and may travel together.

        Raises:
            DatabaseUnavailable: When the server does not answer.
        """
        with translated():
            kind: type[psycopg.Connection[Any]] = FastConnection if fast else psycopg.Connection
            return kind.connect(self.conninfo(role, database), autocommit=autocommit, **options)

    def pool(
        self,
        role: Role,
        database: DatabaseName = DatabaseName.LINTAS,
        *,
        min_size: int = 1,
        max_size: int = 8,
        autocommit: bool = False,
        plans_once: bool = False,
        **options: Any,
    ) -> ConnectionPool[Any]:
        """Open a pool of connections in a role; close it with ``.close()`` or a ``with`` block.

        With `plans_once` a prepared statement keeps the plan of its first use: for look-ups by key, whose
        planning costs more than their work.
        """
        from psycopg_pool import ConnectionPool

        return ConnectionPool(
            self.conninfo(role, database),
            connection_class=FastConnection,
            min_size=min_size,
            max_size=max_size,
            kwargs={"autocommit": autocommit, **options},
            check=_check_if_it_speaks,
            configure=_plan_once if plans_once else None,
            name=f"{role.value}-{database.value}",
            open=True,
        )

    def conninfo(self, role: Role, database: DatabaseName = DatabaseName.LINTAS) -> str:
        """Return the libpq connection string of a role (it holds the password: never log it)."""
        parameters = self._server_parameters()
        parameters |= {
            "user": role.value,
            "password": self.password(role),
            "dbname": database.on_server(self.settings),
            "application_name": f"lintas {role.value.removeprefix('lintas_')}",
        }
        return libpq.make_conninfo(**parameters)

    def url(self, role: Role, database: DatabaseName = DatabaseName.LINTAS) -> URL:
        """Return the SQLAlchemy URL of a role (its ``repr`` masks the password)."""
        from sqlalchemy import URL

        parameters: dict[str, Any] = self._server_parameters()
        host, port = str(parameters.pop("host", "")), parameters.pop("port", None)
        query = {name: str(value) for name, value in parameters.items()}
        on_socket = host.startswith("/")
        if on_socket:
            query |= {"host": host} | ({"port": str(port)} if port else {})
        return URL.create(
            "postgresql+psycopg",
            username=role.value,
            password=self.password(role),
            host=None if on_socket else host,
            port=int(port) if port and not on_socket else None,
            database=database.on_server(self.settings),
            query=query,
        )

    def engine(self, role: Role, database: DatabaseName = DatabaseName.LINTAS, **options: Any) -> Engine:
        """Return a SQLAlchemy engine whose errors and logs hide parameters; dispose of it after use."""
        from sqlalchemy import create_engine

        return create_engine(self.url(role, database), hide_parameters=True, **options)

    @contextmanager
    def admin(self, database: str | None = None) -> Iterator[psycopg.Connection[Any]]:
        """Open an administrator connection in autocommit, for creating and dropping databases."""
        with translated():
            connection = psycopg.connect(self._admin_conninfo(database), autocommit=True)
        try:
            with translated():
                yield connection
        finally:
            connection.close()

    def password(self, role: Role) -> str:
        """Return a role's password from its own private file."""
        return read_private(self._password_file(role)).decode().strip()

    @property
    def password_directory(self) -> Path:
        """Folder of the roles' password files."""
        if self.server is not None:
            return self.server.directory / "roles"
        return self.settings.home / "database-roles"

    def _password_file(self, role: Role) -> Path:
        return self.password_directory / f"{role.value}.password"

    def _server_parameters(self) -> dict[str, Any]:
        """Return where the server is, without who connects."""
        if self.server is not None:
            return {"host": str(self.server.socket_directory), "port": self.server.port}
        parameters = dict(libpq.conninfo_to_dict(self._external_url()))
        for name in ("user", "password", "dbname", "application_name"):
            parameters.pop(name, None)
        return parameters

    def _admin_conninfo(self, database: str | None) -> str:
        if self.server is not None:
            user, password = self.server.superuser, self.server.admin_password
            return libpq.make_conninfo(**self.server.conninfo(user, password, database or "postgres"))
        given: dict[str, Any] = dict(libpq.conninfo_to_dict(self._external_url()))
        given["dbname"] = database or given.get("dbname") or "postgres"
        if file := self.settings.database_password_file:
            given["password"] = read_private(file).decode().strip()
        return libpq.make_conninfo(**given)

    def _external_url(self) -> str:
        url = self.settings.database_url
        assert url is not None
        return checked_url(url.get_secret_value())

    def _ensure_role(self, connection: psycopg.Connection[Any], role: Role) -> None:
        make_private_directory(self.password_directory)
        fresh = write_once(self._password_file(role), f"{secrets.token_urlsafe(32)}\n".encode())
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role.value]).fetchone()
        if known and not fresh:
            return
        verifier = connection.pgconn.encrypt_password(
            self.password(role).encode(), role.value.encode(), b"scram-sha-256"
        ).decode()
        verb = "ALTER" if known else "CREATE"
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}").format(
                sql.SQL(verb), sql.Identifier(role.value), sql.Literal(verifier)
            )
        )
        superuser = connection.info.parameter_status("is_superuser") == "on"
        if not superuser:
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role.value)))

    def _ensure_database(self, connection: psycopg.Connection[Any], database: DatabaseName) -> None:
        name = database.on_server(self.settings)
        identifier = sql.Identifier(name)
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            owner = sql.Identifier(_OWNERS[database].value)
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
                    identifier, owner
                )
            )
        self.grant_connect(connection, database, name)

    def grant_connect(self, connection: psycopg.Connection[Any], database: DatabaseName, name: str) -> None:
        """Let only the roles that need a database connect to it (a copied database forgets this)."""
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(identifier))
        roles = sql.SQL(", ").join(sql.Identifier(role.value) for role in _MAY_CONNECT[database])
        connection.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(identifier, roles))


def _check_if_it_speaks(connection: psycopg.Connection[Any]) -> None:
    """Check a pooled connection whose server has sent something unasked, as one that ends does.

    An idle connection is silent, so a look at its socket tells as much as a question, without the way there
    and back.
    """
    from psycopg_pool import ConnectionPool

    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    if socket.poll(0):
        ConnectionPool.check_connection(connection)


def _plan_once(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SET plan_cache_mode = force_generic_plan")
    if not connection.autocommit:
        connection.commit()


@contextmanager
def _exclusively(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the server-wide lock under which roles and databases are made."""
    connection.execute("SELECT pg_advisory_lock(%s)", [_ENSURE_LOCK])
    try:
        yield
    finally:
        with suppress(psycopg.Error):
            connection.execute("SELECT pg_advisory_unlock(%s)", [_ENSURE_LOCK])
