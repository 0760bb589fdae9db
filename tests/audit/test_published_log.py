"""A published log, in files and over HTTP: each class of tampering is named with its entry, by two verifiers.

The second one is `lintas_verify.py`, which shares no code with the first.
"""

import http.server
import threading
from contextlib import contextmanager
from functools import partial

import pytest

from audit.checking.damage import DamageKind
from audit.checking.followed import FollowedLog
from audit.checking.kept_progress import Begin, KeptProgress
from audit.checking.log_files import FolderFiles, ServedFiles
from audit.checking.published_log import verify_followed, verify_published
from audit.errors import LogDamaged, LogFileMissing, LogForked, ProgressFalse
from audit.verifier import lintas_verify
from foundation.errors import RetryLater
from foundation.http import AccessRefused, AgencyUnreachable
from tests.audit.published_folder import SIZE, JsonLog, bundle, flip, flip_hash, publish, write_bundles

LOG = JsonLog()


def edited(index, old=b"test", new=b"tost"):
    entries = list(LOG.entries)
    entries[index] = entries[index].replace(old, new)
    return entries


def swapped(one, other):
    entries = list(LOG.entries)
    entries[one], entries[other] = entries[other], entries[one]
    return entries


def rewritten(folder):
    """Entry, tiles and all, but the checkpoint: that takes the key."""
    other = JsonLog()
    other.entries = edited(450)
    other.rehash()
    note = (folder / "checkpoint").read_bytes()
    publish(other, folder)
    (folder / "checkpoint").write_bytes(note)
    for size in (400, 600):
        (folder / "checkpoints" / str(size)).write_text(LOG.note(size))


def falsely_signed(folder):
    text, signature = LOG.note(600).split("\n\n")[0], LOG.note(400).split("\n\n")[1]
    (folder / "checkpoint").write_text(f"{text}\n\n{signature}")


def bundles(change):
    return lambda folder: write_bundles(folder, change())


def lengthen(file):
    last = LOG.entries[599]
    before = file.read_bytes()[: -len(last) - 2]
    file.write_bytes(before + (len(last) + 1).to_bytes(2, "big") + last)


def call_pruned(folder, minimum):
    """Whoever can write into the folder can write this file, too; only an entry is the log's word."""
    write_bundles(folder, edited(300))
    (folder / "minimum-index").write_text(f"{minimum}\n")


def without(*gone):
    return [entry for index, entry in enumerate(LOG.entries) if index not in gone]


def with_another(place):
    return [*LOG.entries[:place], b'{"kind":"never"}', *LOG.entries[place:]]


CASES = {
    "an entry edited": (bundles(lambda: edited(300)), 300, DamageKind.ENTRY_EDITED),
    "the last entry edited": (bundles(lambda: edited(599)), 599, DamageKind.ENTRY_EDITED),
    "an entry backdated": (
        bundles(lambda: edited(5, b"2026-11-22", b"2026-11-21")),
        5,
        DamageKind.ENTRY_EDITED,
    ),
    "an entry dropped, the rest moved up": (bundles(lambda: without(123)), 123, DamageKind.ENTRY_DROPPED),
    "an entry dropped from its bundle": (
        lambda folder: (folder / "tile/entries/000").write_bytes(bundle(without(7)[:255])),
        7,
        DamageKind.ENTRY_DROPPED,
    ),
    "the last entry of a bundle dropped": (
        lambda folder: (folder / "tile/entries/000").write_bytes(bundle(LOG.entries[:255])),
        255,
        DamageKind.ENTRY_DROPPED,
    ),
    "an entry inserted": (bundles(lambda: with_another(200)), 200, DamageKind.ENTRY_INSERTED),
    "an entry inserted at the end": (bundles(lambda: with_another(600)), 600, DamageKind.ENTRY_INSERTED),
    "two entries reordered": (bundles(lambda: swapped(50, 57)), 50, DamageKind.ENTRIES_REORDERED),
    "neighbours reordered": (bundles(lambda: swapped(50, 51)), 50, DamageKind.ENTRIES_REORDERED),
    "the tail truncated": (bundles(lambda: LOG.entries[:590]), 590, DamageKind.TAIL_TRUNCATED),
    "the tail's file removed": (
        lambda folder: (folder / "tile/entries/002.p/88").unlink(),
        512,
        DamageKind.TAIL_TRUNCATED,
    ),
    "a false length before the last entry": (
        lambda folder: lengthen(folder / "tile/entries/002.p/88"),
        599,
        DamageKind.ENTRY_EDITED,
    ),
    "an entry edited, and called pruned": (
        lambda folder: call_pruned(folder, 512),
        0,
        DamageKind.ENTRY_DROPPED,
    ),
    "all entries edited, and called pruned": (
        lambda folder: call_pruned(folder, 1_024),
        0,
        DamageKind.ENTRY_DROPPED,
    ),
    "a bit of a leaf tile flipped": (
        lambda folder: flip_hash(folder / "tile/0/001", 2),
        258,
        DamageKind.TILE_EDITED,
    ),
    "a leaf tile cut": (
        lambda folder: (folder / "tile/0/001").write_bytes(LOG.hashes(0, 1, 10)),
        266,
        DamageKind.TILE_EDITED,
    ),
    "a bit of an upper tile flipped": (
        lambda folder: flip_hash(folder / "tile/1/000.p/2", 1),
        256,
        DamageKind.TILE_EDITED,
    ),
    "the checkpoint's signature false": (
        falsely_signed,
        600,
        DamageKind.CHECKPOINT_FALSE,
    ),
    "an old checkpoint changed": (
        lambda folder: flip(folder / "checkpoints/400", 30),
        400,
        DamageKind.CHECKPOINT_FALSE,
    ),
    "history rewritten, tiles and all": (rewritten, 400, DamageKind.HISTORY_REWRITTEN),
    "rolled back to an older checkpoint": (
        lambda folder: publish(LOG, folder, 400),
        400,
        DamageKind.TAIL_TRUNCATED,
    ),
}
SAID = {  # by the stand-alone verifier, in other words
    "an entry inserted at the end": "entry 600 was added",
    "an entry edited, and called pruned": "entry 0 is missing: no entry says",
    "all entries edited, and called pruned": "entry 0 is missing: no entry says",
    "the last entry of a bundle dropped": "entry 255 is missing",
    "the tail truncated": "entry 590 is missing",
    "the tail's file removed": "entry 512 is missing",
    "a bit of a leaf tile flipped": "the tile with entry 258",
    "a leaf tile cut": "tile 1 of level 0 does not hold 256 hashes",
    "a bit of an upper tile flipped": "tile 0 of level 1",
    "the checkpoint's signature false": "a false signature in the name",
    "an old checkpoint changed": "the checkpoint 400: ",
    "history rewritten, tiles and all": "an entry from 400 to 599",
    "rolled back to an older checkpoint": "the log ends at entry 400, but a checkpoint of 600 was signed",
}
# A server shows its newest checkpoint alone; a bundle that is missing is the server's refusal, no finding.
NOT_SERVED = (
    "an old checkpoint changed",
    "history rewritten, tiles and all",
    "rolled back to an older checkpoint",
    "the tail's file removed",
)


@pytest.fixture
def folder(tmp_path):
    return publish(LOG, tmp_path / "log")


@contextmanager
def serving(folder):
    handler = partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/log"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def translate_path(self, path):
        return super().translate_path(path.removeprefix("/log"))

    def do_GET(self):
        if "entries" in self.path and self.headers.get("Authorization") != "Bearer the-token":
            self.send_error(403 if "wrong" in self.headers.get("Authorization", "") else 401)
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@contextmanager
def served(folder, token="the-token"):
    with serving(folder) as url:
        token_file = folder.parent / "token"
        token_file.write_text(token or "")
        files = ServedFiles(url, token_file=token_file if token else None)
        try:
            yield files
        finally:
            files.close()


def alone(folder, capsys):
    code = lintas_verify.main(["log", str(folder), "--keys", str(folder / "keys")])
    return code, capsys.readouterr().out


def test_an_untouched_log_is_whole_to_every_verifier(folder, capsys):
    report = verify_published(FolderFiles(folder), [LOG.key])
    assert report.intact, report.damages
    assert (report.entries, report.tree_size, report.checkpoints, report.taken) == (SIZE, SIZE, 2, None)
    assert "0 independent witnesses" in report.not_proven[0]
    with served(folder) as files:
        assert verify_published(files, [LOG.key]).intact
    assert alone(folder, capsys)[0] == 0


@pytest.mark.parametrize("case", CASES)
def test_tampering_with_files_is_named_with_its_entry_by_both_verifiers(case, folder, capsys):
    change, index, kind = CASES[case]
    change(folder)
    first = verify_published(FolderFiles(folder), [LOG.key]).first
    assert first is not None
    assert (first.index, first.kind) == (index, kind), first
    code, said = alone(folder, capsys)
    assert (code, said.startswith("FALSE: ")) == (1, True)
    assert SAID.get(case, f"entry {index} is not the one that was logged") in said


@pytest.mark.parametrize("case", [case for case in CASES if case not in NOT_SERVED])
def test_tampering_behind_a_server_is_named_with_its_entry(case, folder):
    change, index, kind = CASES[case]
    change(folder)
    with served(folder) as files:
        first = verify_published(files, [LOG.key]).first
    assert first is not None
    assert (first.index, first.kind) == (index, kind), first


def test_many_false_checkpoints_do_not_hide_which_entry_is_bad_first(tmp_path):
    folder = publish(LOG, tmp_path, signed=range(400, 430))
    for size in range(400, 430):
        flip(folder / "checkpoints" / str(size), 30)
    (folder / "tile/entries/000").write_bytes(bundle(without(7)[:255]))
    report = verify_published(FolderFiles(folder), [LOG.key])
    assert (report.first.index, report.first.kind) == (7, DamageKind.ENTRY_DROPPED)
    (folder / "tile/entries/000").write_bytes(bundle(LOG.entries[:255]))
    report = verify_published(FolderFiles(folder), [LOG.key])
    assert (report.first.index, report.first.kind) == (255, DamageKind.ENTRY_DROPPED)
    assert len(report.damages) == 20


def test_without_a_token_only_hashes_are_checked_and_it_says_so(folder):
    write_bundles(folder, edited(3))
    with served(folder, token=None) as files:
        report = verify_published(files, [LOG.key])
    assert (report.intact, report.entries) == (True, 0)
    assert "only their hashes" in report.not_proven[0]


def test_what_a_server_does_not_show_is_not_checked_rather_than_damaged(folder):
    with served(folder, token="wrong") as files, pytest.raises(AccessRefused):
        verify_published(files, [LOG.key])
    (folder / "tile/0/001").unlink()
    with served(folder) as files, pytest.raises(LogFileMissing):
        verify_published(files, [LOG.key])
    with pytest.raises(LogFileMissing):
        verify_published(FolderFiles(folder), [LOG.key])


def test_a_token_that_runs_out_is_read_anew(folder):
    with served(folder, token="old") as files:
        files.read("checkpoint")
        (folder.parent / "token").write_text("the-token\n")
        assert verify_published(files, [LOG.key]).entries == SIZE


def test_a_file_that_is_too_large_is_refused_before_it_is_looked_at(folder):
    (folder / "checkpoint").write_bytes(b"x" * 1_000_001)
    with pytest.raises(LogDamaged):
        verify_published(FolderFiles(folder), [LOG.key])


# --- followed over time ---------------------------------------------------------------------------------


def followed(tmp_path, log=LOG):
    return FollowedLog.at(tmp_path / "seen", [log.key])


def test_a_followed_log_may_show_an_older_checkpoint_of_the_same_tree_for_a_moment(folder, tmp_path):
    with served(folder) as files:
        assert verify_followed(files, followed(tmp_path)).tree_size == SIZE
        (folder / "checkpoint").write_text(LOG.note(400))
        report = verify_followed(files, followed(tmp_path))
    assert (report.intact, report.tree_size) == (True, SIZE)


def test_a_followed_log_that_is_rolled_back_or_forked_is_named(tmp_path):
    with served(publish(LOG, tmp_path / "first")) as files:
        assert verify_followed(files, followed(tmp_path)).intact
    with served(publish(LOG, tmp_path / "older", 400)) as files:
        first = verify_followed(files, followed(tmp_path)).first
        assert (first.index, first.kind) == (400, DamageKind.TAIL_TRUNCATED)
    fork = JsonLog()
    fork.entries = edited(20)
    fork.rehash()
    with served(publish(fork, tmp_path / "fork")) as files:
        first = verify_followed(files, followed(tmp_path)).first
    assert (first.index, first.kind) == (SIZE, DamageKind.HISTORY_REWRITTEN)


def test_a_followed_log_that_cannot_be_reached_has_not_been_forked(tmp_path):
    """A network error is a network error: nothing is believed, nothing is accused, nothing is kept."""
    log = followed(tmp_path)
    log.observe(LOG.note(400), LOG)

    class Unreachable:
        def hashes(self, *_):
            raise AgencyUnreachable("The log cannot be reached")

    class Missing:
        def hashes(self, *_):
            raise LogFileMissing("The tile is not shown")

    with pytest.raises(RetryLater):
        log.observe(LOG.note(600), Unreachable())
    with pytest.raises(LogFileMissing):
        log.observe(LOG.note(600), Missing())
    assert log.seen().size == 400
    log.observe(LOG.note(600), LOG)
    with pytest.raises(LogForked):  # it went back, and has not even the tiles that it signed
        log.observe(LOG.note(400), Missing())


def test_a_kept_checkpoint_that_was_changed_is_not_passed_over(folder, tmp_path):
    (tmp_path / "seen").write_text(LOG.note(400).replace("400", "300"))
    with served(folder) as files, pytest.raises(ProgressFalse):
        verify_followed(files, followed(tmp_path))


# --- going on -------------------------------------------------------------------------------------------


def keeping(tmp_path, source="the log", key=b"k" * 32):
    return KeptProgress(tmp_path / "progress", key, source, seconds=0)


def walk(folder, kept, begin=Begin.LAST):
    return verify_published(FolderFiles(folder), [LOG.key], kept=kept, begin=begin)


def test_a_later_walk_goes_on_where_the_last_one_stopped_when_asked(tmp_path):
    kept = keeping(tmp_path)
    assert walk(publish(LOG, tmp_path / "log", 400), kept).taken is None
    grown = publish(LOG, tmp_path / "log", signed=(300, 400))
    report = walk(grown, kept)
    assert (report.intact, report.taken.size, report.entries) == (True, 256, SIZE - 256)
    assert walk(grown, kept, Begin.INTERRUPTED).taken is None, "a finished walk is not interrupted"
    assert walk(grown, kept, Begin.START).entries == SIZE


def test_what_was_walked_must_stand_in_the_log_still(tmp_path):
    """The same key signs another history: only whoever has walked the first one can tell."""
    kept = keeping(tmp_path)
    walk(publish(LOG, tmp_path / "log"), kept)
    fork = JsonLog()
    fork.entries = edited(20)
    fork.rehash()
    first = walk(publish(fork, tmp_path / "fork"), kept, Begin.LAST).first
    assert first is not None
    assert (first.index, first.kind) == (512, DamageKind.HISTORY_REWRITTEN)
    assert walk(tmp_path / "fork", kept, Begin.START).first is not None
    shorter = walk(publish(LOG, tmp_path / "shorter", 400, signed=()), kept).first
    assert (shorter.index, shorter.kind) == (400, DamageKind.TAIL_TRUNCATED)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"size": 512', '"size": 256'),
        lambda text: text.replace('"finished": true', '"finished": false'),
        lambda text: "not JSON",
        lambda text: "{}",
    ],
)
def test_a_changed_progress_is_a_finding_and_hides_nothing(change, folder, tmp_path):
    kept = keeping(tmp_path)
    walk(folder, kept)
    kept.file.write_text(change(kept.file.read_text()))
    write_bundles(folder, edited(3))
    damages = walk(folder, kept).damages
    assert [(d.index, d.kind) for d in damages][:2] == [
        (0, DamageKind.PROGRESS_FALSE),
        (3, DamageKind.ENTRY_EDITED),
    ]


def test_progress_of_another_log_or_another_auditor_is_refused(folder, tmp_path):
    walk(folder, keeping(tmp_path))
    for other in (keeping(tmp_path, source="another"), keeping(tmp_path, key=b"x" * 32)):
        with pytest.raises(ProgressFalse):
            other.read()


def test_a_walk_with_findings_is_not_gone_on_with(folder, tmp_path):
    kept = keeping(tmp_path)
    write_bundles(folder, edited(3))
    for _ in range(2):
        assert walk(folder, kept).first.index == 3
    assert not kept.file.exists()
