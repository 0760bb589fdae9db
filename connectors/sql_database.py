"""Connections to an agency's SQL database: read-only, bounded in time, and over verified TLS."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, MetaData, Table, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from connectors.configuration import SqlConfiguration
from connectors.endpoint import SqlEndpoint
from connectors.sql_errors import reading, refused_at_login

_APPLICATION = "lintas"
_LOCK_MILLISECONDS = 10_000


class SqlDatabase:
    """A pool of connections (one, unless told otherwise), made when it is first needed."""

    def __init__(
        self,
        configuration: SqlConfiguration,
        endpoint: SqlEndpoint,
        password: SecretStr,
        *,
        connections: int = 1,
    ) -> None:
        self.configuration = configuration
        self.endpoint = endpoint
        self._connections = connections
        self._password = password
        self._opening = Lock()
        self._engine: Engine | None = None
        self._ca_file: Path | None = None

    @property
    def schema_name(self) -> str | None:
        """The schema, if the contract names one."""
        schema, _, _ = self.configuration.table.rpartition(".")
        return schema or None

    @property
    def table_name(self) -> str:
        """The table without its schema."""
        return self.configuration.table.rpartition(".")[2]

    def table(self, connection: Connection) -> Table:
        """The table as the source describes it.

        Raises:
            NoSuchTableError: When it is not there; `reading` gives it a name.
        """
        return Table(
            self.table_name,
            MetaData(),
            schema=self.schema_name,
            autoload_with=connection,
            resolve_fks=False,
        )

    @contextmanager
    def reading(self, dataset: str, *, seconds: float | None = None) -> Iterator[Connection]:
        """A read-only transaction, rolled back at the end; the database's errors leave it with a name.

        Args:
            dataset: What is read, for errors.
            seconds: Longest that a statement may take; as the contract says when None.
        """
        with reading(dataset):
            connection = self._connect()
            try:
                if self.endpoint.is_postgresql:
                    self._restrict(connection, seconds or self.configuration.statement_timeout_seconds)
                yield connection
            finally:
                with suppress(DBAPIError):
                    connection.rollback()
                connection.close()

    def close(self) -> None:
        """Give back every connection, and remove the certificate's file."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._ca_file is not None:
            self._ca_file.unlink(missing_ok=True)
            self._ca_file = None

    def _connect(self) -> Connection:
        with self._opening:
            if self._engine is None:
                self._engine = self._open()
        try:
            return self._engine.connect()
        except DBAPIError as error:
            if self.endpoint.is_postgresql and getattr(error.orig, "sqlstate", None) is None:
                self.endpoint.line.resolve()
                self.endpoint.line.secure()
                raise refused_at_login(error.orig) from None
            raise

    def _open(self) -> Engine:
        if not self.endpoint.is_postgresql:
            engine = create_engine(self.endpoint.url, hide_parameters=True)
            event.listen(engine, "connect", _only_read_sqlite)
            return engine
        url = self.endpoint.url.set(drivername="postgresql+psycopg")
        return create_engine(
            url,
            connect_args=self._arguments(),
            hide_parameters=True,
            pool_size=self._connections,
            max_overflow=1,
            pool_timeout=self.configuration.connect_timeout_seconds,
            pool_pre_ping=True,
        )

    def _arguments(self) -> dict[str, Any]:
        return {
            "user": self.configuration.username,
            "password": self._password.get_secret_value(),
            "sslmode": "verify-full",
            "sslnegotiation": self.endpoint.negotiation,
            "sslrootcert": self._trusted(),
            "gssencmode": "disable",
            "connect_timeout": self.configuration.connect_timeout_seconds,
            "application_name": _APPLICATION,
            "client_encoding": "UTF8",
            "keepalives_idle": 30,
            "tcp_user_timeout": 60_000,
            "passfile": os.devnull,
        }

    def _trusted(self) -> str:
        """A file with the registered CA, or the word for the machine's own authorities."""
        if self.endpoint.ca_pem is None:
            return "system"
        descriptor, name = tempfile.mkstemp(prefix="lintas-ca-", suffix=".pem")
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(self.endpoint.ca_pem)
        self._ca_file = Path(name)
        return name

    def _restrict(self, connection: Connection, seconds: float) -> None:
        """Bound the transaction, in one journey to the source."""
        timeout = max(1, int(seconds * 1000))
        connection.exec_driver_sql(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;"
            f"SET LOCAL statement_timeout = {timeout};"
            f"SET LOCAL lock_timeout = {min(timeout, _LOCK_MILLISECONDS)};"
            f"SET LOCAL idle_in_transaction_session_timeout = {timeout};"
            "SET LOCAL datestyle = 'ISO, YMD';"
            "SET LOCAL timezone = 'UTC'"
        )


def _only_read_sqlite(connection: Any, _: object) -> None:
    connection.execute("PRAGMA query_only = ON")
