"""Fixtures of all rooms: one throw-away PostgreSQL a session, fresh databases a test, leak checks."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg import sql

from foundation.database import Database, DatabaseName
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


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No LINTAS_* variable of the machine reaches a test."""
    for key in list(os.environ):
        if key.startswith("LINTAS_"):
            monkeypatch.delenv(key)


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


@pytest.fixture
def make_installation(
    session_directory: Path, postgres_server: EmbeddedPostgres, installation_template: Installation
) -> Iterator[Callable[[], Installation]]:
    """Make as many fresh installations as a test needs (each: two copied databases, copied keys)."""
    made: list[Installation] = []

    def make() -> Installation:
        name = f"t_{uuid.uuid4().hex[:12]}"
        copied = Installation.open(_settings(session_directory / name, postgres_server, name))
        shutil.copytree(installation_template.home, copied.home)
        made.append(copied)
        _copy_databases(installation_template.database, copied.database)
        return copied

    yield make
    gc.collect()
    for installation in made:
        _drop_databases(installation.database)
        shutil.rmtree(installation.home, ignore_errors=True)


@pytest.fixture
def installation(make_installation: Callable[[], Installation]) -> Installation:
    """A fresh, migrated installation."""
    return make_installation()


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail when a test leaves child processes or open file descriptors behind."""
    gc.collect()
    process = psutil.Process()
    before, children = process.num_fds(), {child.pid for child in process.children(recursive=True)}
    yield
    gc.collect()
    left = [child for child in process.children(recursive=True) if child.pid not in children]
    assert not left, f"left running: {left}"
    assert process.num_fds() <= before, f"file descriptors grew from {before} to {process.num_fds()}"


def _settings(home: Path, server: EmbeddedPostgres, name: str) -> Settings:
    return Settings(
        home=home, postgres_directory=server.directory, database_name=name, postgres_durable=False
    )


def _copy_databases(template: Database, target: Database) -> None:
    with target.admin() as connection:
        for database in _SHARED:
            names = [database.on_server(each.settings) for each in (target, template)]
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER lintas_migrator TEMPLATE {}").format(
                    *map(sql.Identifier, names)
                )
            )
            target.grant_connect(connection, database, names[0])


def _drop_databases(database: Database) -> None:
    with database.admin() as connection:
        for each in _SHARED:
            name = sql.Identifier(each.on_server(database.settings))
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def _sweep_dead_sessions() -> None:
    """Remove what test sessions left that were killed before they could clean up."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            with contextlib.suppress(Exception):
                EmbeddedPostgres(directory / "postgres").remove()
            shutil.rmtree(directory, ignore_errors=True)
