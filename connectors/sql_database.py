"""Connections to an agency's SQL database: read-only, bounded in time, and over verified TLS."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from connectors.configuration import SqlConfiguration
from connectors.endpoint import SqlEndpoint
from connectors.sql_errors import reading, refused_at_login

_APPLICATION = "lintas"


class SqlDatabase:
    """A pool of one connection, made when it is first needed."""

    def __init__(self, configuration: SqlConfiguration, endpoint: SqlEndpoint, password: SecretStr) -> None:
        self.configuration = configuration
        self.endpoint = endpoint
        self._password = password
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

    @contextmanager
    def reading(self, dataset: str) -> Iterator[Connection]:
        """A read-only transaction, rolled back at the end; the database's errors leave it with a name."""
        with reading(dataset):
            connection = self._connect()
            try:
                if self.endpoint.is_postgresql:
                    self._restrict(connection)
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
            pool_size=1,
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

    def _restrict(self, connection: Connection) -> None:
        timeout = self.configuration.statement_timeout_seconds * 1000
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {timeout}")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {timeout}")
        connection.exec_driver_sql("SET LOCAL datestyle = 'ISO, YMD'")
        connection.exec_driver_sql("SET LOCAL timezone = 'UTC'")


def _only_read_sqlite(connection: Any, _: object) -> None:
    connection.execute("PRAGMA query_only = ON")
