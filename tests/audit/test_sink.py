"""The copy of the log in another failure domain: exact, whole after crashes, a witness of old backups."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audit import EntryDraft, EntryKind, append_many
from audit.errors import LogRolledBack
from audit.publishing.published import PublishedCheckpoint
from audit.publishing.sequencer import Sequencer
from audit.sink import following, verify_sink
from audit.sink.errors import SinkContradictsLog, SinkUnwritable
from audit.sink.segments import segments_in
from foundation.database import Role
from foundation.installation import Installation

PROCESS = Path(__file__).with_name("sequencer_process.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "copy"
    made.mkdir()
    return made


@pytest.fixture
def copied(installation, folder):
    """An installation whose log is copied into a folder."""
    return with_settings(installation, log_sink=folder)


def with_settings(installation, **changes):
    return Installation.open(installation.settings.model_copy(update=changes))


def write(installation, count):
    with installation.database.connect(Role.API) as connection:
        append_many(connection, [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(count)])


def write_and_settle(installation, count):
    write(installation, count)
    with Sequencer(installation) as sequencer:
        return sequencer.settle()


def query(installation, text):
    with installation.database.connect(Role.MIGRATOR) as connection:
        return connection.execute(text).fetchall()


def lines(folder, origin):
    return [line for segment in segments_in(folder) for line in segment.lines(origin)]


def whole(installation):
    """The copy holds the log, all of it."""
    report = verify_sink(installation)
    assert report.intact, report.findings
    assert report.behind == 0
    return report


@contextlib.contextmanager
def no_file_longer_than(size):
    """A full disk, as far as this process can tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def roll_back(installation):
    """As if an empty backup had been restored, and the published checkpoint with it."""
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DELETE FROM audit.entries")
        connection.execute("DELETE FROM audit.tiles")
        connection.execute("DELETE FROM audit.checkpoints")
        connection.execute("UPDATE audit.log_state SET tree_size = 0, frontier = ''")
    PublishedCheckpoint.of(installation).file.unlink()


def test_the_copy_holds_the_exact_bytes_and_the_signed_checkpoints(copied, folder):
    assert write_and_settle(copied, 300) == 300
    write_and_settle(copied, 5)
    found = lines(folder, copied.settings.log_origin)
    entries = query(copied, "SELECT entry_index, entry FROM audit.entries ORDER BY 1")
    assert [(line.index, line.content) for line in found if line.index is not None] == entries
    notes = query(copied, "SELECT note FROM audit.checkpoints ORDER BY tree_size")
    assert [(line.content.decode(),) for line in found if line.index is None] == notes
    assert whole(copied).checkpoints == 2
    assert len(segments_in(folder)) == 2, "no process goes on in a segment of another"


def test_a_copy_that_is_asked_for_later_begins_with_what_is_there(installation, folder):
    write_and_settle(installation, 20)
    write_and_settle(with_settings(installation, log_sink=folder), 1)
    assert whole(with_settings(installation, log_sink=folder)).first == 0


def test_a_line_that_was_cut_short_stays_and_the_next_segment_begins_with_it(copied, folder):
    write_and_settle(copied, 3)
    segment = segments_in(folder)[0].path
    cut = segment.read_bytes()
    segment.write_bytes(cut[: cut.index(b"\n2 ") + 30])
    write_and_settle(copied, 2)
    assert [each.first for each in segments_in(folder)] == [0, 2]
    report = whole(copied)
    assert (report.covered, report.cut) == (5, 1)


def test_a_restored_backup_is_refused_by_the_copy_alone(copied):
    write_and_settle(copied, 4)
    roll_back(copied)
    write(copied, 9)
    with Sequencer(copied) as sequencer, pytest.raises(SinkContradictsLog, match="only 0 entries"):
        sequencer.settle()
    assert query(copied, "SELECT count(*) FROM audit.checkpoints") == [(0,)]
    assert not verify_sink(copied).intact


def test_a_restored_backup_that_has_grown_again_is_refused_as_well(copied, installation):
    write_and_settle(copied, 4)
    roll_back(copied)
    write_and_settle(installation, 9)
    with Sequencer(copied) as sequencer, pytest.raises(SinkContradictsLog, match="not that of the database"):
        sequencer.settle()


def test_segments_without_a_line_do_not_hide_what_was_copied_before(copied, folder, installation):
    """A disk that stays full leaves some at each attempt."""
    write_and_settle(copied, 4)
    for part in range(3):
        (folder / f"{4:020d}-{part:06d}.log").touch()
    roll_back(copied)
    write_and_settle(installation, 9)
    with Sequencer(copied) as sequencer, pytest.raises(SinkContradictsLog, match="not that of the database"):
        sequencer.settle()


def test_the_published_checkpoint_is_asked_first(copied):
    write_and_settle(copied, 4)
    published = PublishedCheckpoint.of(copied).file.read_bytes()
    roll_back(copied)
    PublishedCheckpoint.of(copied).file.write_bytes(published)
    with Sequencer(copied) as sequencer, pytest.raises(LogRolledBack):
        sequencer.settle()


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (b'"actor":"test"', b'"actor":"tost"', "entry 0 of the copy is not that of the database"),
        (b"checkpoint b", b"checkpoint d", "not signed by this log"),
        (b"\n1 {", b"\n7 {", "database has only 3 entries"),
    ],
)
def test_a_changed_copy_is_found(copied, folder, old, new, finding):
    write_and_settle(copied, 3)
    segment = segments_in(folder)[0].path
    segment.write_bytes(segment.read_bytes().replace(old, new, 1))
    report = verify_sink(copied)
    assert any(finding in each for each in report.findings), report.findings


def test_a_lost_segment_is_found(copied, folder, monkeypatch):
    monkeypatch.setattr(following, "SEGMENT_BYTES", 1)
    for _ in range(3):
        write_and_settle(copied, 3)
    assert len(segments_in(folder)) == 6, "a segment for each drain, and one for each checkpoint"
    whole(copied)
    for each in segments_in(folder):
        if each.first == 3:
            each.path.unlink()
    assert any("from 3 to before 6 are missing" in each for each in verify_sink(copied).findings)


def test_a_copy_that_lost_what_it_once_held_is_found(copied, folder):
    for _ in range(2):
        write_and_settle(copied, 3)
    last = segments_in(folder)[-1].path
    content = last.read_bytes()
    last.write_bytes(content[: content.index(b"\n4 ") + 1])
    write(copied, 2)
    assert "ends before entry 4, but 6 entries stood in it" in " ".join(verify_sink(copied).findings)
    last.write_bytes(content)
    assert verify_sink(copied).intact


def test_where_the_copy_is_only_wished_for_a_full_disk_does_not_stop_the_log(copied, folder):
    write_and_settle(copied, 3)
    with no_file_longer_than(4_000):
        assert write_and_settle(copied, 60) == 60
    assert query(copied, "SELECT max(tree_size) FROM audit.checkpoints") == [(63,)]
    ((kept, trouble),) = query(copied, "SELECT kept, trouble FROM audit.sink")
    assert kept == 3
    assert "File too large" in trouble
    write_and_settle(copied, 1)
    assert whole(copied).cut == 1
    assert query(copied, "SELECT kept, trouble FROM audit.sink") == [(64, None)]


def test_where_the_copy_is_required_nothing_is_signed_that_does_not_stand_in_it(copied):
    required = with_settings(copied, log_sink_required=True)
    write_and_settle(required, 3)
    assert query(required, "SELECT max(tree_size) FROM audit.checkpoints") == [(3,)]
    write(required, 60)
    with no_file_longer_than(4_000), Sequencer(required) as sequencer:
        with pytest.raises(SinkUnwritable):
            sequencer.settle()
        with pytest.raises(SinkUnwritable):
            sequencer.settle()
    assert query(required, "SELECT max(tree_size) FROM audit.checkpoints") == [(3,)]
    write_and_settle(required, 1)
    assert query(required, "SELECT max(tree_size) FROM audit.checkpoints") == [(64,)]
    whole(required)


def test_what_was_pruned_before_it_was_copied_is_told(installation, copied):
    write_and_settle(copied, 3)
    write_and_settle(installation, 3)
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DELETE FROM audit.entries WHERE entry_index < 5")
    write_and_settle(copied, 1)
    ((kept, trouble),) = query(copied, "SELECT kept, trouble FROM audit.sink")
    assert kept == 3
    assert "not in the database any more. Not all from 3 to before 7 are there" in trouble


def test_a_folder_that_is_empty_all_at_once_is_not_begun_anew(copied, folder):
    """A disk that is not mounted leaves an empty folder on the very disk that the copy must not be on."""
    write_and_settle(copied, 3)
    aside = folder.rename(folder.with_name("unmounted"))
    folder.mkdir()
    write_and_settle(copied, 2)
    assert not list(folder.iterdir())
    assert "empty" in query(copied, "SELECT trouble FROM audit.sink")[0][0]
    folder.rmdir()
    write_and_settle(copied, 2)
    assert "reached" in query(copied, "SELECT trouble FROM audit.sink")[0][0]
    aside.rename(folder)
    write_and_settle(copied, 2)
    assert whole(copied).covered == 9


def test_a_new_folder_that_was_named_before_it_was_made_is_begun_all_the_same(copied, folder):
    write_and_settle(copied, 3)
    other = with_settings(copied, log_sink=folder.with_name("other"))
    write_and_settle(other, 2)
    folder.with_name("other").mkdir()
    write_and_settle(other, 2)
    assert whole(other).covered == 7


def test_where_the_copy_is_only_wished_for_a_disk_that_hangs_stops_no_sequencer(copied, folder, monkeypatch):
    """A network disk that is away lets its readers wait for ever, as a pipe without a writer does."""
    for patience in ("_PATIENCE_SECONDS", "_LONGEST_COMPARING"):
        monkeypatch.setattr(following, patience, 0.2, raising=False)
    pipe = folder / f"{0:020d}-000000.log"
    os.mkfifo(pipe)
    write(copied, 3)
    stop = threading.Event()
    worker = threading.Thread(target=Sequencer(copied).run, args=(stop,), daemon=True)
    worker.start()
    try:
        wait_for(lambda: query(copied, "SELECT max(tree_size) FROM audit.checkpoints") == [(3,)], 10)
        assert "does not answer" in query(copied, "SELECT trouble FROM audit.sink")[0][0]
    finally:
        stop.set()
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        worker.join(20)


def test_a_sequencer_that_is_killed_again_and_again_leaves_no_gap_in_the_copy(copied, folder, no_leaks):
    required = with_settings(copied, log_sink_required=True)
    stop = threading.Event()

    def keep_writing():
        while not stop.wait(0.005):
            write(required, random.randrange(1, 40))

    writer = threading.Thread(target=keep_writing)
    writer.start()
    environment = {**os.environ, **required.settings.as_environment(), "PYTHONPATH": str(ROOT)}
    for _ in range(3):
        begun = len(segments_in(folder))
        process = subprocess.Popen([sys.executable, str(PROCESS), "50"], env=environment)
        wait_for(lambda begun=begun: len(segments_in(folder)) > begun)
        time.sleep(random.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    stop.set()
    writer.join()
    write_and_settle(required, 1)
    assert whole(required).segments == 4
    size, signed = query(
        required, "SELECT tree_size, (SELECT max(tree_size) FROM audit.checkpoints) FROM audit.log_state"
    )[0]
    assert size == signed


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
