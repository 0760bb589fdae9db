"""The practice civil registry: a PostgreSQL server of its own, reached over TLS like an agency's."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from foundation.files import read_private, write_private
from foundation.postgres import EmbeddedPostgres, ServerTuning
from foundation.tls import LocalAuthority
from sandbox.population import Population
from sandbox.tls_front import TlsFront

DATABASE = "siak"
READER = "lintas_reader"
HOST = "localhost"

_SCHEMA = """
CREATE TABLE biodata_wni (
    nik varchar(16), no_kk varchar(16), nama_lgkp varchar(60), tmpt_lhr varchar(60), tgl_lhr date,
    jenis_klmin smallint, stat_kwn smallint, stat_hbkel smallint, nik_ibu varchar(16), nik_ayah varchar(16),
    alamat varchar(120), no_rt varchar(3), no_rw varchar(3),
    no_prop smallint, no_kab smallint, no_kec smallint, no_kel integer, last_sync timestamptz NOT NULL
);
CREATE TABLE kematian (
    no_akta varchar(30), nik varchar(16), tgl_mati date, tgl_lapor date, no_prop smallint, no_kab smallint,
    no_kec smallint, last_sync timestamptz NOT NULL
);
"""
_INDEXES = """
CREATE INDEX biodata_wni_nik ON biodata_wni (nik);
CREATE INDEX biodata_wni_last_sync ON biodata_wni (last_sync, nik);
CREATE INDEX kematian_nik ON kematian (nik);
CREATE INDEX kematian_last_sync ON kematian (last_sync, nik);
ANALYZE;
"""


class CivilRegistry:
    """Persons and deaths in two tables, and one account that may only read them."""

    def __init__(self, directory: Path, authority: LocalAuthority) -> None:
        self.directory = directory
        self.authority = authority
        self.server = EmbeddedPostgres(
            directory / "postgres",
            superuser="siak_admin",
            tuning=ServerTuning(shared_buffers_mb=128, max_connections=40, durable=False),
        )
        self._front: TlsFront | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port at which clients find the registry."""
        return self._port

    @property
    def endpoint_url(self) -> str:
        """Where the registry is, without credentials."""
        return f"postgresql://{HOST}:{self._port}/{DATABASE}"

    @property
    def password(self) -> str:
        """Password of the reading account."""
        return read_private(self.directory / "reader.password").decode().strip()

    def start(self, port: int = 0) -> None:
        """Start the server and its TLS front; the tables are made when they are missing."""
        self.server.start()
        self._prepare()
        self._port = port
        self.listen()

    def stop(self) -> None:
        """Stop the front and the server; what the tables hold is kept."""
        self.hang_up()
        self.server.stop()

    def listen(self) -> None:
        """Let clients in, at the same port as before."""
        if self._front is not None:
            return
        certificate, key = self.authority.issue("civil-registry", [HOST, "127.0.0.1"])
        socket = self.server.socket_directory / f".s.PGSQL.{self.server.port}"
        self._front = TlsFront(certificate, key, socket)
        self._front.start(self._port)
        self._port = self._front.port

    def hang_up(self) -> None:
        """Be unreachable, as an agency whose line is down."""
        if self._front is not None:
            self._front.stop()
            self._front = None

    def cut_connections(self) -> None:
        """Cut the connections that are open; new ones are welcome."""
        if self._front is not None:
            self._front.cut_connections()

    def change_password(self, password: str | None = None) -> str:
        """Give the reading account another password, which the bus does not know yet."""
        password = password or secrets.token_urlsafe(24)
        with self.administrator() as connection:
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(READER), password))
        write_private(self.directory / "reader.password", f"{password}\n".encode())
        return password

    @contextmanager
    def administrator(self) -> Iterator[psycopg.Connection]:
        """A connection of the registry's own administrator; committed at the end."""
        with psycopg.connect(self.administrator_conninfo()) as connection:
            yield connection

    def administrator_conninfo(self, database: str = DATABASE) -> str:
        """How the registry's own administrator connects."""
        server = self.server
        return make_conninfo(**server.conninfo(server.superuser, server.admin_password, database))

    def load(self, population: Population) -> None:
        """Put a population into the tables, in place of what they hold."""
        with self.administrator() as connection:
            connection.execute("DROP TABLE IF EXISTS biodata_wni, kematian CASCADE")
            connection.execute(_SCHEMA)
            copy_in(connection, "biodata_wni", population.persons)
            copy_in(connection, "kematian", population.deaths.drop("nomor"))
            connection.execute(_INDEXES)
            connection.execute(
                sql.SQL("GRANT SELECT ON biodata_wni, kematian TO {}").format(sql.Identifier(READER))
            )

    @property
    def is_loaded(self) -> bool:
        """Whether the tables are there."""
        with self.administrator() as connection:
            found = connection.execute("SELECT to_regclass('biodata_wni') IS NOT NULL").fetchone()
        return bool(found and found[0])

    def _prepare(self) -> None:
        if not (self.directory / "reader.password").exists():
            write_private(self.directory / "reader.password", f"{secrets.token_urlsafe(24)}\n".encode())
        with psycopg.connect(self.administrator_conninfo("postgres"), autocommit=True) as connection:
            reader = sql.Identifier(READER)
            with suppress(psycopg.errors.DuplicateObject):
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(reader))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(reader, self.password))
            with suppress(psycopg.errors.DuplicateDatabase):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def copy_in(connection: psycopg.Connection, table: str, frame: pl.DataFrame) -> None:
    """Append a frame to a table of the same columns."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL '\\N')").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(
            frame.write_csv(include_header=False, null_value="\\N", quote_style="non_numeric").encode()
        )
