"""The search index gives way while the log is busy, but not for ever."""

import threading
import time

import pytest

from audit import EntryDraft, EntryKind, append_many
from audit.publishing.sequencer import Sequencer
from audit.search import Indexer, indexer
from foundation.database import Role


def write(installation, count):
    with installation.database.connect(Role.API) as connection:
        append_many(connection, [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(count)])


def indexed_to(installation):
    with installation.database.connect(Role.AUDITOR) as connection:
        return connection.execute("SELECT indexed_to FROM audit.search_state").fetchone()[0]


@pytest.fixture
def following(installation, monkeypatch):
    """An indexer at work on a log of 256 entries, while ten more wait for their number."""
    monkeypatch.setattr(indexer, "_MANY_WAITING", 10)
    monkeypatch.setattr(indexer, "IDLE_SECONDS", 0.01)
    write(installation, 256)
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    write(installation, 10)
    stop = threading.Event()
    running = threading.Thread(target=Indexer(installation).run, args=(stop,))
    running.start()
    yield
    stop.set()
    running.join()


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_the_index_waits_until_the_log_has_caught_up(installation, following):
    time.sleep(0.3)
    assert indexed_to(installation) == 0
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    wait_for(lambda: indexed_to(installation) == 256)


def test_the_index_does_not_wait_for_ever(installation, following, monkeypatch):
    monkeypatch.setattr(indexer, "GIVE_WAY_SECONDS", 0.2)
    wait_for(lambda: indexed_to(installation) == 256)


def test_the_log_is_busy_while_it_grows_by_many_a_second(installation, monkeypatch):
    monkeypatch.setattr(indexer, "_MANY_A_SECOND", 100)
    with Indexer(installation) as follower, Sequencer(installation) as sequencer:
        assert not follower._log_is_busy(0.0)
        write(installation, 300)
        sequencer.settle()
        assert not follower._log_is_busy(4.0)
        write(installation, 300)
        sequencer.settle()
        assert follower._log_is_busy(6.0)
        assert not follower._log_is_busy(7.0)
