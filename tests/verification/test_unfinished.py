"""Live questions that nobody saw the end of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from uuid import uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from foundation import clock
from foundation.database import Role
from lintas.cli import app
from verification.unfinished import count_unfinished, unfinished

PERSONS = "dukcapil-mojokerto/persons"


class Log:
    """Entries as the sequencer leaves them, as far as look-ups go."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._numbers = count()

    def write(self, kind: str, lookup: str, at: datetime) -> None:
        number = next(self._numbers)
        details = {"lookup": lookup, "service": "skck", "budget_milliseconds": 2_000}
        entry = {"kind": kind, "datasets": [PERSONS], "details": details}
        self.connection.execute("SELECT audit.ensure_partitions(%s)", [number])
        self.connection.execute(
            "INSERT INTO audit.entries VALUES (%s, %s, %s, %s, 'dukcapil-mojokerto', 'polres-mojokerto',"
            " 'police-certificate', 'requested', %s)",
            [number, uuid4(), kind, at, json.dumps(entry).encode()],
        )

    def waits(self) -> None:
        self.connection.execute(
            "INSERT INTO audit.outbox (entry_id, kind, occurred_at, entry) VALUES (%s, 'x', now(), '{}')",
            [uuid4()],
        )

    def found(self) -> list[str]:
        listed = [each.lookup for each in unfinished(self.connection)]
        assert count_unfinished(self.connection) == len(listed)
        return listed


@pytest.fixture
def log(installation) -> Iterator[Log]:
    with installation.database.connect(Role.MIGRATOR) as connection:
        yield Log(connection)


def test_a_look_up_that_was_never_completed_is_found_after_its_budget(log: Log) -> None:
    now = clock.now()
    log.write("lookup.requested", "ended", now - timedelta(minutes=5))
    log.write("lookup.completed", "ended", now - timedelta(minutes=5))
    log.write("lookup.requested", "lost", now - timedelta(minutes=5))
    log.write("lookup.requested", "running", now - timedelta(seconds=10))
    assert log.found() == ["lost"]
    (one,) = unfinished(log.connection)
    assert (one.dataset, one.service, one.consumer) == (PERSONS, "skck", "polres-mojokerto")


def test_only_the_time_that_is_asked_for_is_looked_at(log: Log) -> None:
    log.write("lookup.requested", "old", clock.now() - timedelta(days=3))
    assert log.found() == []
    assert [each.lookup for each in unfinished(log.connection, back=timedelta(days=4))] == ["old"]


def test_while_entries_wait_nothing_is_said_about_what_they_may_hold(log: Log) -> None:
    log.write("lookup.requested", "perhaps", clock.now() - timedelta(minutes=5))
    log.waits()
    assert log.found() == []


def test_the_command_lists_them(installation, monkeypatch: pytest.MonkeyPatch) -> None:
    with installation.database.connect(Role.MIGRATOR) as connection:
        Log(connection).write("lookup.requested", "lost", clock.now() - timedelta(minutes=5))
    monkeypatch.setattr("foundation.installation.load_settings", lambda: installation.settings)
    said = CliRunner().invoke(app, ["lookups", "unfinished", "--json"])
    assert [each["lookup"] for each in json.loads(said.stdout)] == ["lost"]
