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
from sandbox.access_log import AccessLog
from sandbox.address import LOCALHOST, listening_on
from sandbox.datasets import CIVIL_REGISTRY
from sandbox.population import Population
from sandbox.tls_front import TlsFront

DATABASE = "siak"
READER = "lintas_reader"

#: What the reading account may see: two tables, and the views of the feed of events.
PERSONS, FAMILIES, BIRTHS, DEATHS, MOVES = (
    "biodata_wni",
    "data_keluarga",
    "kelahiran",
    "kematian",
    "perpindahan",
)
_READABLE = (PERSONS, FAMILIES, BIRTHS, DEATHS, MOVES)
_FEED = "peristiwa"
_KINDS = {BIRTHS: "LAHIR", DEATHS: "MATI", MOVES: "PINDAH"}
#: How the columns of a view are called in the feed.
_IN_THE_FEED = {"tgl_daftar": "tgl_lapor", "no_pindah": "no_akta", "last_sync": "dicatat_pada"}
_TABLES = """
CREATE TABLE biodata_wni (
    nik varchar(16), no_kk varchar(16), nama_lgkp varchar(60), tmpt_lhr varchar(60), tgl_lhr date,
    jenis_klmin smallint, stat_kwn smallint, stat_hbkel smallint, nik_ibu varchar(16), nik_ayah varchar(16),
    alamat varchar(120), no_rt varchar(3), no_rw varchar(3),
    no_prop smallint, no_kab smallint, no_kec smallint, no_kel integer, last_sync timestamptz NOT NULL
);
CREATE TABLE data_keluarga (
    no_kk varchar(16), nik_kepala varchar(16), nama_kep varchar(60), alamat varchar(120), no_rt varchar(3),
    no_rw varchar(3), no_prop smallint, no_kab smallint, no_kec smallint, no_kel integer,
    jumlah_anggota smallint, tgl_terbit date, last_sync timestamptz NOT NULL
);
CREATE TABLE peristiwa (
    nomor bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    jenis varchar(6) NOT NULL CHECK (jenis IN ('LAHIR', 'MATI', 'PINDAH')),
    no_akta varchar(40), nik varchar(16), nama_lgkp varchar(60), tgl_lhr date, tmpt_lhr varchar(60),
    jenis_klmin smallint, nik_ibu varchar(16), nik_ayah varchar(16), tgl_mati date, tgl_pindah date,
    tgl_lapor date, asal_prop smallint, asal_kab smallint, asal_kec smallint,
    no_prop smallint, no_kab smallint, no_kec smallint, dicatat_pada timestamptz NOT NULL DEFAULT now()
);
CREATE VIEW kelahiran AS
    SELECT nomor, jenis, no_akta, nik, nama_lgkp, tgl_lhr, tmpt_lhr, jenis_klmin, nik_ibu, nik_ayah,
           tgl_lapor AS tgl_daftar, no_prop, no_kab, no_kec, dicatat_pada AS last_sync
    FROM peristiwa WHERE jenis = 'LAHIR';
CREATE VIEW kematian AS
    SELECT nomor, jenis, no_akta, nik, tgl_mati, tgl_lapor, no_prop, no_kab, no_kec, dicatat_pada AS last_sync
    FROM peristiwa WHERE jenis = 'MATI';
CREATE VIEW perpindahan AS
    SELECT nomor, jenis, no_akta AS no_pindah, nik, tgl_pindah, asal_prop, asal_kab, asal_kec,
           no_prop, no_kab, no_kec, dicatat_pada AS last_sync
    FROM peristiwa WHERE jenis = 'PINDAH';
ALTER VIEW kelahiran ALTER COLUMN jenis SET DEFAULT 'LAHIR';
ALTER VIEW kematian ALTER COLUMN jenis SET DEFAULT 'MATI';
ALTER VIEW perpindahan ALTER COLUMN jenis SET DEFAULT 'PINDAH';
"""
# Events are numbered in the order in which they become visible: who writes, waits for whoever writes already.
# Otherwise a reader who has seen number 8 would never see a 7 that is committed later.
_INDEXES_AND_RULES = """
CREATE INDEX ON biodata_wni (nik);
CREATE INDEX ON biodata_wni (last_sync, nik);
CREATE INDEX ON data_keluarga (no_kk);
CREATE INDEX ON data_keluarga (last_sync, no_kk);
CREATE INDEX ON peristiwa (jenis, nomor);
CREATE INDEX ON peristiwa (jenis, dicatat_pada, nomor);
CREATE INDEX ON peristiwa (nik);
SELECT setval(
    pg_get_serial_sequence('peristiwa', 'nomor'), (SELECT coalesce(max(nomor), 0) + 1 FROM peristiwa), false
);
CREATE OR REPLACE FUNCTION peristiwa_bergiliran() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(7357); RETURN NULL; END $$;
CREATE OR REPLACE FUNCTION peristiwa_tetap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'peristiwa hanya bertambah: tulis baris baru dengan no_akta yang sama'; END $$;
CREATE TRIGGER bergiliran BEFORE INSERT ON peristiwa
    FOR EACH STATEMENT EXECUTE FUNCTION peristiwa_bergiliran();
CREATE TRIGGER tetap BEFORE UPDATE OR DELETE OR TRUNCATE ON peristiwa
    FOR EACH STATEMENT EXECUTE FUNCTION peristiwa_tetap();
ANALYZE;
"""
_FORGET = """
DROP TABLE IF EXISTS biodata_wni, data_keluarga, peristiwa CASCADE;
DROP TABLE IF EXISTS kematian;
"""


class CivilRegistry:
    """Persons and families in two tables, a feed of events behind views, and one account that may only read.

    Invariant: an event is never changed; a correction is a new event of the same deed, and the latest counts.
    """

    def __init__(self, directory: Path, authority: LocalAuthority, *, host: str = LOCALHOST) -> None:
        self.directory = directory
        self.host = host
        self.authority = authority
        self.server = EmbeddedPostgres(
            directory / "postgres",
            superuser="siak_admin",
            tuning=ServerTuning(shared_buffers_mb=128, max_connections=40, durable=False),
        )
        self.served = AccessLog(directory, CIVIL_REGISTRY)
        self._front: TlsFront | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port at which clients find the registry."""
        return self._port

    @property
    def endpoint_url(self) -> str:
        """Where the registry is, without credentials."""
        return f"postgresql://{self.host}:{self._port}/{DATABASE}"

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
        certificate, key = self.authority.issue("civil-registry", sorted({self.host, LOCALHOST, "127.0.0.1"}))
        socket = self.server.socket_directory / f".s.PGSQL.{self.server.port}"
        self._front = TlsFront(certificate, key, socket, host=listening_on(self.host), served=self.served)
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
            connection.execute(_FORGET)
            connection.execute(_TABLES)
            copy_in(connection, PERSONS, population.persons)
            copy_in(connection, FAMILIES, population.families)
            events = {BIRTHS: population.births, DEATHS: population.deaths, MOVES: population.moves}
            for view, frame in events.items():
                copy_in(connection, _FEED, _as_events(frame, _KINDS[view]))
            connection.execute(_INDEXES_AND_RULES)
            connection.execute(
                sql.SQL("GRANT SELECT ON {} TO {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, _READABLE)), sql.Identifier(READER)
                )
            )

    @property
    def is_loaded(self) -> bool:
        """Whether the tables are there."""
        with self.administrator() as connection:
            found = connection.execute("SELECT to_regclass('peristiwa') IS NOT NULL").fetchone()
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


def _as_events(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Rows of a view as rows of the feed."""
    return frame.rename(_IN_THE_FEED, strict=False).with_columns(jenis=pl.lit(kind))


def copy_in(connection: psycopg.Connection, table: str, frame: pl.DataFrame) -> None:
    """Append a frame to a table of the same columns."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL '\\N')").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(
            frame.write_csv(include_header=False, null_value="\\N", quote_style="non_numeric").encode()
        )
