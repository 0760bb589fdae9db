"""Where the log does not keep up, exchanges stop; they go on by themselves, and nothing is lost."""

import contextlib
import threading
import time
from uuid import UUID

import psycopg
import pytest

from audit import EntryDraft, EntryKind, append, append_many
from audit.backlog import Acceptance, await_acceptance, is_behind
from audit.checking.verification import verify_installation
from audit.errors import LogBehind
from audit.publishing.sequencer import Sequencer
from foundation.database import Role
from foundation.installation import Installation
from web.problems import problem_of


def view():
    return EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test")


def exchange():
    return EntryDraft(kind=EntryKind.SYNC_STARTED, provider="a", consumer="b", datasets=("a/b",))


def write(installation, *drafts):
    """One transaction; the ids of what it committed."""
    with installation.database.connect(Role.INGEST) as connection:
        return [promise.entry_id for promise in append_many(connection, drafts)]


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextlib.contextmanager
def sequencing(installation):
    stop = threading.Event()
    running = threading.Thread(target=Sequencer(installation).run, args=(stop,))
    running.start()
    try:
        yield
    finally:
        stop.set()
        running.join()


def refused(installation):
    try:
        write(installation, exchange())
    except LogBehind:
        return True
    return False


@pytest.fixture
def impatient(installation):
    """Exchanges go on for one second after the sequencer was heard last."""
    return Installation.open(installation.settings.model_copy(update={"log_backlog_seconds": 1}))


def logged(installation):
    with installation.database.connect(Role.AUDITOR) as connection:
        return [row[0] for row in connection.execute("SELECT entry_id FROM audit.entries")]


def test_exchanges_stop_with_the_sequencer_and_go_on_with_it(impatient):
    with sequencing(impatient):
        written = write(impatient, exchange())
        wait_for(lambda: logged(impatient) == written)
        time.sleep(1.5)
        written += write(impatient, exchange())
    with impatient.database.connect(Role.INGEST, autocommit=True) as connection:
        wait_for(lambda: is_behind(connection))
    wait_for(lambda: refused(impatient))
    waiting = len(logged(impatient))
    for attempt in (append, lambda c, d: append_many(c, [view(), d])):
        with impatient.database.connect(Role.API) as connection, pytest.raises(LogBehind) as caught:
            attempt(connection, exchange())
    told = problem_of(caught.value)
    assert (told.status, told.code, told.headers) == (503, "log-behind", {"Retry-After": "5"})
    written += write(impatient, view(), view())  # a refusal or a withdrawal must be possible still
    assert len(logged(impatient)) == waiting
    with sequencing(impatient):
        wait_for(lambda: not refused(impatient))
    assert set(written) <= set(logged(impatient))
    assert verify_installation(impatient).intact


def test_exchanges_stop_while_too_many_entries_wait(installation):
    write(installation, *[view() for _ in range(60)])
    acceptance = Acceptance(50, 60)
    with (
        Sequencer(installation) as sequencer,
        installation.database.connect(Role.SEQUENCER, autocommit=True) as connection,
    ):
        acceptance.tell(connection, caught_up=False)
        wait_for(lambda: refused(installation))
        before = len(logged(installation))
        assert sequencer.settle() >= 60
        acceptance.tell(connection, caught_up=True)
        assert not refused(installation)
        sequencer.settle()
    with installation.database.connect(Role.AUDITOR) as connection:
        assert len(logged(installation)) > before
        assert not is_behind(connection)


def test_exchanges_go_on_again_only_when_half_of_the_limit_waits(installation):
    acceptance = Acceptance(50, 60)
    with installation.database.connect(Role.SEQUENCER, autocommit=True) as connection:

        def told(waiting):
            connection.execute("DELETE FROM audit.outbox")
            write(installation, *[view() for _ in range(waiting)])
            acceptance._looked_at = 0
            acceptance.tell(connection, caught_up=False)
            return is_behind(connection)

        assert [told(waiting) for waiting in (50, 51, 40, 26, 25, 50)] == [
            False, True, True, True, False, False,
        ]  # fmt: skip


def test_before_any_sequencer_has_worked_what_waits_is_counted(installation):
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.backlog SET most_entries = 3")
    write(installation, view(), view(), exchange())
    write(installation, view())
    wait_for(lambda: refused(installation))


def test_where_the_outbox_cannot_be_written_nothing_happens(installation):
    with (
        installation.database.connect(Role.MIGRATOR) as locking,
        installation.database.connect(Role.API) as connection,
    ):
        locking.execute("LOCK TABLE audit.outbox")
        connection.execute("SET LOCAL lock_timeout = '50ms'")
        connection.execute("INSERT INTO audit.sealed VALUES (%s, 'what the entry is about')", (UUID(int=1),))
        with pytest.raises(psycopg.errors.LockNotAvailable):
            append(connection, exchange())
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM audit.sealed").fetchone() == (0,)


def test_who_is_in_no_hurry_waits_until_exchanges_are_accepted(installation):
    acceptance = Acceptance(1, 60)
    write(installation, view(), view())
    with (
        installation.database.connect(Role.SEQUENCER, autocommit=True) as told,
        installation.database.connect(Role.INGEST, autocommit=True) as connection,
    ):
        acceptance.tell(told, caught_up=False)
        with pytest.raises(LogBehind):
            await_acceptance(connection, seconds=0.05)
        soon = threading.Timer(0.2, acceptance.tell, args=(told,), kwargs={"caught_up": True})
        soon.start()
        await_acceptance(connection, seconds=20)
        soon.join()
        assert not is_behind(connection)
