"""Killed at any point, the sequencer leaves the old state or the new one; another one takes over."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from audit import EntryDraft, EntryKind, append, append_many
from audit.checking.verification import verify_installation
from audit.errors import LogRolledBack
from audit.publishing.receipt import await_receipt
from audit.publishing.sequencer import Sequencer
from foundation.database import Role
from foundation.errors import LintasError
from foundation.installation import Installation
from foundation.settings import Settings

PROCESS = Path(__file__).with_name("sequencer_process.py")
ROOT = Path(__file__).parents[2]


def draft():
    return EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test")


@contextlib.contextmanager
def sequencer(installation, limit=4096):
    environment = {**os.environ, **installation.settings.as_environment(), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, str(PROCESS), str(limit)], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ids(installation, query):
    with installation.database.connect(Role.MIGRATOR) as connection:
        return [row[0] for row in connection.execute(query).fetchall()]


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_killing_the_sequencer_again_and_again_loses_and_doubles_nothing(installation, no_leaks):
    """Entries keep coming, from transactions that commit and from some that roll back, all the while."""
    committed, stop = [], threading.Event()

    def write():
        with installation.database.connect(Role.API) as connection:
            while not stop.is_set():
                promises = append_many(connection, [draft() for _ in range(random.randrange(1, 60))])
                if random.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    committed.extend(promise.entry_id for promise in promises)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for _ in range(8):
        with sequencer(installation, limit=50) as process:
            time.sleep(random.uniform(0.5, 1.1))
            process.send_signal(signal.SIGKILL)
    stop.set()
    for writer in writers:
        writer.join()
    with Sequencer(installation) as last:
        last.settle()
    logged = ids(installation, "SELECT entry_id FROM audit.entries ORDER BY entry_index")
    assert len(logged) == len(set(logged))
    assert set(logged) == set(committed)
    assert len(ids(installation, "SELECT tree_size FROM audit.checkpoints")) >= 2
    report = verify_installation(installation)
    assert report.intact, report.damages
    assert report.signed_size == len(committed)


def test_another_sequencer_takes_over_within_five_seconds(installation):
    with sequencer(installation) as first, installation.database.connect(Role.API, autocommit=True) as api:
        await_receipt(api, append(api, draft()).entry_id, 20)
        with sequencer(installation):
            time.sleep(1.5)
            first.kill()
            started = time.monotonic()
            await_receipt(api, append(api, draft()).entry_id, 20)
            assert time.monotonic() - started < 5


def test_a_sequencer_that_stands_still_is_relieved(installation):
    """A frozen process keeps its lock for as long as its session lives, so the server ends the session."""
    with sequencer(installation) as first, installation.database.connect(Role.API, autocommit=True) as api:
        await_receipt(api, append(api, draft()).entry_id, 20)
        first.send_signal(signal.SIGSTOP)
        with sequencer(installation):
            await_receipt(api, append(api, draft()).entry_id, 15)
            first.send_signal(signal.SIGCONT)
            time.sleep(1)
            await_receipt(api, append(api, draft()).entry_id, 15)
    assert verify_installation(installation).intact


def test_of_two_sequencers_one_works(installation):
    with installation.database.connect(Role.API) as connection:
        append(connection, draft())
    with Sequencer(installation) as one, Sequencer(installation) as other:
        assert one.drain_once() == 1
        with installation.database.connect(Role.API) as connection:
            append(connection, draft())
        assert other.drain_once() == 0
        one.close()
        wait_for(lambda: other.drain_once() == 1)


def test_a_row_that_commits_late_is_drained_late_and_not_lost(installation):
    with installation.database.connect(Role.API) as slow, Sequencer(installation) as sequencer_:
        late = append(slow, draft())
        with installation.database.connect(Role.API) as fast:
            early = append(fast, draft())
        assert sequencer_.drain_once() == 1
        slow.commit()
        assert sequencer_.drain_once() == 1
    logged = ids(installation, "SELECT entry_id FROM audit.entries ORDER BY entry_index")
    assert logged == [early.entry_id, late.entry_id]


def test_the_receipt_is_there_within_a_second_and_a_half_of_the_commit(installation):
    stop = threading.Event()
    running = threading.Thread(target=Sequencer(installation).run, args=(stop,))
    running.start()
    try:
        with installation.database.connect(Role.API, autocommit=True) as api:
            waits = []
            for _ in range(6):
                promise = append(api, draft())
                started = time.monotonic()
                await_receipt(api, promise.entry_id, 5)
                waits.append(time.monotonic() - started)
        assert sorted(waits)[len(waits) // 2] < 1.5, waits
    finally:
        stop.set()
        running.join()


def test_a_clean_end_leaves_nothing_unsigned(installation):
    stop = threading.Event()
    running = threading.Thread(target=Sequencer(installation).run, args=(stop,))
    running.start()
    with installation.database.connect(Role.API, autocommit=True) as api:
        await_receipt(api, append(api, draft()).entry_id, 20)
        append(api, draft())
        stop.set()
        running.join()
    report = verify_installation(installation)
    assert report.signed_size == report.tree_size == 2


def test_a_database_that_was_rolled_back_signs_nothing_more(installation):
    with Sequencer(installation) as sequencer_:
        for _ in range(2):
            with installation.database.connect(Role.API) as connection:
                append(connection, draft())
            sequencer_.settle()
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DELETE FROM audit.entries")
        connection.execute("DELETE FROM audit.tiles")
        connection.execute("DELETE FROM audit.checkpoints")
        connection.execute("UPDATE audit.log_state SET tree_size = 0, frontier = ''")
    with Sequencer(installation) as restored, pytest.raises(LogRolledBack):
        restored.drain_once()


def test_a_restored_backup_that_grew_again_is_still_refused(installation):
    """The size alone does not tell: the published root must be in the tree."""
    with Sequencer(installation) as sequencer_:
        with installation.database.connect(Role.API) as connection:
            append_many(connection, [draft() for _ in range(3)])
        sequencer_.settle()
    from audit.tree.merkle import Frontier, leaf_hash
    from audit.tree.tiles import grow

    leaves = [leaf_hash(b"another history %d" % number) for number in range(5)]
    frontier = Frontier()
    frontier.extend(leaves)
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.tiles SET hashes = %s", (grow({}, 0, leaves)[0, 0],))
        connection.execute("UPDATE audit.log_state SET tree_size = 5, frontier = %s", (frontier.to_bytes(),))
    with Sequencer(installation) as restored, pytest.raises(LogRolledBack):
        restored.drain_once()


def test_a_killed_database_comes_back_with_every_committed_entry(session_directory):
    """Its own durable PostgreSQL is killed while entries are written and sequenced."""
    settings = Settings(home=session_directory / "killed", log_level="ERROR")
    own = Installation.open(settings).prepare()
    committed = []
    try:
        for _ in range(3):
            stop = threading.Event()
            running = threading.Thread(target=Sequencer(own, drain_limit=20).run, args=(stop,))
            running.start()
            killer = threading.Timer(random.uniform(0.3, 0.9), own.database.server.kill)
            killer.start()
            with (
                contextlib.suppress(psycopg.Error, LintasError),
                own.database.connect(Role.API) as connection,
            ):
                while True:
                    promises = [append(connection, draft()) for _ in range(5)]
                    doubtful = [promise.entry_id for promise in promises]
                    connection.commit()
                    committed += doubtful
                    doubtful = []
            killer.join()
            own.database.start()
            stop.set()
            running.join()
        with Sequencer(own) as last:
            last.settle()
        logged = ids(own, "SELECT entry_id FROM audit.entries ORDER BY entry_index")
        assert len(logged) == len(set(logged))
        assert set(committed) <= set(logged)
        assert len(committed) > 20
        assert verify_installation(own).intact
    finally:
        own.database.stop()
