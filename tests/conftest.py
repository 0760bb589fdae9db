"""Fixtures of all rooms: one throw-away PostgreSQL a session, fresh databases a test, leak checks."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import tempfile
import threading
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg import sql

from foundation.database import Database, DatabaseName
from foundation.errors import LintasError
from foundation.installation import Installation
from foundation.postgres import EmbeddedPostgres, ServerTuning
from foundation.settings import Settings

hypothesis_settings.register_profile(
    "lintas", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
hypothesis_settings.load_profile("lintas")

_PREFIX = "lintas-tests-"
_SHARED = (DatabaseName.LINTAS, DatabaseName.VAULT)


@dataclass(frozen=True)
class Canary:
    """A person whose identifiers must appear in no log, URL, trace or error."""

    nik: str = "3576024107850099"
    family_card_number: str = "3576020101100099"
    npwp: str = "3576024107850099"
    name: str = "Kenarikuning Qwzxyvbn Tandasuara"
    birth_date: date = date(1985, 7, 1)

    def found_in(self, text: str) -> list[str]:
        """Return the canary's values (or telling parts of them) that a text holds."""
        telling = [self.nik, self.family_card_number, "Kenarikuning", "Qwzxyvbn", "Tandasuara"]
        return [value for value in telling if value.casefold() in text.casefold()]


def pytest_configure() -> None:
    """No LINTAS_* variable of the machine reaches a test; a session that is ended still cleans up."""
    for key in list(os.environ):
        if key.startswith("LINTAS_"):
            del os.environ[key]
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """A connection that a stopped practice server leaves to the collector at the very end fails no run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what their module sets up go to one worker, so that it is set up once."""
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs.values()
        shared = any(fixture.scope == "module" for found in fixtures for fixture in found)
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture
def canary() -> Canary:
    return Canary()


@pytest.fixture(scope="session")
def session_directory() -> Iterator[Path]:
    """A folder that the database server's account may walk through, removed at the end."""
    _sweep_dead_sessions()
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(session_directory: Path) -> Iterator[EmbeddedPostgres]:
    """The session's own PostgreSQL; it is stopped and removed whatever happens."""
    server = EmbeddedPostgres(
        session_directory / "postgres", tuning=ServerTuning(shared_buffers_mb=128, durable=False)
    )
    server.start()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def installation_template(session_directory: Path, postgres_server: EmbeddedPostgres) -> Installation:
    """A prepared installation that tests copy: its databases are templates, its keys are copied."""
    settings = _settings(session_directory / "template", postgres_server, "lintas_template")
    return Installation.open(settings).prepare()


@pytest.fixture
def settings(session_directory: Path, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of a fresh home of its own; no server is started for them."""
    home = session_directory / f"home-{uuid.uuid4().hex[:8]}"
    yield Settings(home=home, postgres_durable=False)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def database_copies(installation_template: Installation) -> DatabaseCopies:
    return DatabaseCopies(installation_template.database)


@pytest.fixture
def make_installation(
    session_directory: Path,
    installation_template: Installation,
    database_copies: DatabaseCopies,
) -> Iterator[Callable[[], Installation]]:
    """Make as many fresh installations as a test needs (each: two copied databases, copied keys)."""
    copies = InstallationCopies(installation_template, session_directory, database_copies)
    with contextlib.ExitStack() as made:
        yield lambda: made.enter_context(copies.copy())


@pytest.fixture
def installation(make_installation: Callable[[], Installation]) -> Installation:
    """A fresh, migrated installation."""
    return make_installation()


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail when a test leaves child processes, sockets, pipes or open files behind.

    What ends needs a moment to be gone, and libraries open things of their own once in a process (an event
    queue, the random device), so only what stays, and only sockets, pipes and files on disk, are leaks.
    """
    gc.collect()
    children, opened = _children(), _opened()
    yield
    deadline = time.monotonic() + 10
    while True:
        gc.collect()
        left = _started_since(children)
        grown = _opened() - opened
        if not (left or grown):
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert not left, f"left running: {left}"
    assert not grown, f"left open: {sorted(grown.elements())}"


def _started_since(before: dict[int, psutil.Process]) -> list[psutil.Process]:
    """New children, but for what a process that was there before started itself.

    A shared PostgreSQL server starts backends and autovacuum workers whenever it likes.
    """
    started = {pid: child for pid, child in _children().items() if pid not in before}
    left = []
    for child in started.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.ppid() not in before:
                left.append(child)
    return left


def _children() -> dict[int, psutil.Process]:
    return {child.pid: child for child in psutil.Process().children(recursive=True)}


def _opened() -> Counter[str]:
    """How many sockets and pipe ends this process has open, and which files on disk."""
    found: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(descriptor)
            kind, _, inode = target.partition(":[")
            if inode and kind in {"socket", "pipe"}:
                found[kind] += 1
            elif target.startswith("/") and not target.startswith(("/dev/", "/proc/")):
                found[target] += 1
    return found


def _settings(home: Path, server: EmbeddedPostgres, name: str) -> Settings:
    return Settings(
        home=home,
        postgres_directory=server.directory,
        database_name=name,
        postgres_durable=False,
        log_backlog_seconds=86_400,  # most tests run a sequencer once, or never
    )


class DatabaseCopies:
    """Copies of the template databases; one whose tables a test left as they were is cleaned and reused."""

    def __init__(self, template: Database) -> None:
        self._template = template
        self._free: list[str] = []
        self._fresh: dict[DatabaseName, _Snapshot] = {}
        for each in _SHARED:
            with template.admin(each.on_server(template.settings)) as connection:
                self._fresh[each] = _Snapshot.of(connection)

    def take(self) -> str:
        """Return the name of a clean copy."""
        if self._free:
            return self._free.pop()
        name = f"t_{uuid.uuid4().hex[:12]}"
        with self._template.admin() as connection:
            for each in _SHARED:
                copy, template = self._name(each, name), each.on_server(self._template.settings)
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER lintas_migrator TEMPLATE {} STRATEGY FILE_COPY").format(
                        sql.Identifier(copy), sql.Identifier(template)
                    )
                )
                self._template.grant_connect(connection, each, copy)
        return name

    def give_back(self, name: str) -> None:
        """Clean a copy for the next test, or drop it when its tables are not as they were."""
        if all(self._clean(each, self._name(each, name)) for each in _SHARED):
            self._free.append(name)
            return
        with self._template.admin() as connection:
            for each in _SHARED:
                identifier = sql.Identifier(self._name(each, name))
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))

    def _name(self, database: DatabaseName, name: str) -> str:
        return database.on_server(Settings(database_name=name))

    def _clean(self, database: DatabaseName, name: str) -> bool:
        fresh = self._fresh[database]
        try:
            with self._template.admin(name) as connection:
                connection.execute(_END_OTHERS)
                if connection.execute(_SHAPE).fetchall() != fresh.shape:
                    return False
                with connection.transaction():
                    connection.execute(_EMPTY)
                    fresh.restore(connection)
        except LintasError:
            return False
        return True


@dataclass(frozen=True)
class InstallationCopies:
    """Copies of a prepared installation, so that each test begins in a fresh one at once."""

    template: Installation
    directory: Path
    databases: DatabaseCopies

    def keep(self) -> Installation:
        """A copy that stays to the end of the session."""
        name = self.databases.take()
        home = self.directory / f"{name}-{uuid.uuid4().hex[:8]}"
        shutil.copytree(self.template.home, home)
        changes = {"home": home, "database_name": name}
        return Installation.open(self.template.settings.model_copy(update=changes))

    @contextlib.contextmanager
    def copy(self) -> Iterator[Installation]:
        """A copy, taken back at the end."""
        copied = self.keep()
        try:
            yield copied
        finally:
            gc.collect(1)  # a connection left open is reported by the test that left it
            self.databases.give_back(copied.settings.database_name)
            shutil.rmtree(copied.home, ignore_errors=True)


@dataclass(frozen=True)
class _Snapshot:
    """What a fresh database looks like: its catalogue, the rows that migrations wrote, its sequences."""

    shape: list[tuple[object, ...]]
    rows: dict[str, bytes]
    sequences: list[tuple[str, int, bool]]

    @classmethod
    def of(cls, connection: psycopg.Connection) -> _Snapshot:
        rows = {}
        for (table,) in connection.execute(_TABLES).fetchall():
            with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
                content = b"".join(bytes(part) for part in copy)
            if content:
                rows[table] = content
        names = [row[0] for row in connection.execute(_SEQUENCES).fetchall()]
        sequences = [
            (name, *connection.execute(f"SELECT last_value, is_called FROM {name}").fetchone())
            for name in names
        ]
        return cls(connection.execute(_SHAPE).fetchall(), rows, sequences)

    def restore(self, connection: psycopg.Connection) -> None:
        for table, content in self.rows.items():
            with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                copy.write(content)
        for sequence in self.sequences:
            connection.execute("SELECT setval(%s::regclass, %s, %s)", sequence)


_OURS = "schema_name NOT LIKE 'pg\\_%' AND schema_name <> 'information_schema'"
_TABLES = f"""
    SELECT format('%I.%I', schema_name, tablename)
    FROM (SELECT relnamespace::regnamespace::text AS schema_name, relname AS tablename
          FROM pg_class WHERE relkind = 'r') AS t WHERE {_OURS}
"""
_SEQUENCES = f"""
    SELECT format('%I.%I', schema_name, sequencename)
    FROM (SELECT schemaname AS schema_name, sequencename FROM pg_sequences) AS s WHERE {_OURS}
"""
_CATALOGUES = [
    *["pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_trigger", "pg_rewrite"],
    *["pg_proc", "pg_type", "pg_namespace", "pg_policy", "pg_default_acl", "pg_statistic_ext"],
]
_SHAPE = " UNION ALL ".join(
    f"SELECT '{catalogue}', count(*), max(xmin::text::bigint) FROM {catalogue}" for catalogue in _CATALOGUES
)
_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTY = f"""
    DO $$ DECLARE each text; BEGIN
        SET LOCAL session_replication_role = replica;  -- no triggers, no foreign keys
        FOR each IN {_TABLES} LOOP EXECUTE 'DELETE FROM ' || each; END LOOP;
    END $$
"""


def _sweep_dead_sessions() -> None:
    """Remove what test sessions left that were killed before they could clean up."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            with contextlib.suppress(Exception):
                EmbeddedPostgres(directory / "postgres").remove()
            shutil.rmtree(directory, ignore_errors=True)
