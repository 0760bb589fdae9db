"""The publisher: checkpoints are cosigned, a fork is never signed, a missing quorum stops exchanges."""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from audit import EntryDraft, EntryKind, append, append_many
from audit.checking.verification import verify_installation
from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.policy import Policy
from audit.errors import LogForked, LogRolledBack, PolicyInvalid, QuorumMissing
from audit.publishing.export import export_log
from audit.publishing.found_forks import FoundForks
from audit.publishing.publisher import Publisher
from audit.publishing.receipt import await_receipt, receipt, verify_receipt
from audit.publishing.sequencer import Sequencer
from audit.subject_view import Reader
from audit.tree.merkle import Frontier, leaf_hash, verify_consistency
from audit.tree.tiles import DatabaseTiles, consistency_proof, grow
from foundation import clock
from foundation.database import Role
from foundation.installation import Installation
from tests.audit.practice_log import PracticeLog
from tests.audit.witness_server import ServedWitness, served
from web.problems import problem_of
from web.routes.log import _LATEST

PROCESS = Path(__file__).with_name("sequencer_process.py")
ROOT = Path(__file__).parents[2]


def draft(kind=EntryKind.AUDIT_VIEWED):
    return EntryDraft(kind=kind, actor="test")


def exchange():
    return EntryDraft(
        kind=EntryKind.LOOKUP_REQUESTED, provider="dukcapil-mojokerto", consumer="dpmptsp-mojokerto",
        purpose="test", datasets=("dukcapil-mojokerto/persons",), outcome="requested",
    )  # fmt: skip


def write(installation, count=1, a_draft=draft):
    with installation.database.connect(Role.API) as connection:
        return append_many(connection, [a_draft() for _ in range(count)])


def one(installation, query):
    with installation.database.connect(Role.MIGRATOR) as connection:
        return connection.execute(query).fetchone()


@pytest.fixture
def witnesses(installation, tmp_path):
    keys = log_verifier_keys(installation)
    made = [
        ServedWitness(tmp_path / "kpk", "kpk.example/witness", keys),
        ServedWitness(tmp_path / "bpk", "bpk.example/witness", keys, 0x06),
        ServedWitness(tmp_path / "own", f"{installation.settings.log_origin.split('/')[0]}/w", keys),
    ]
    with served(*made):
        yield made


@pytest.fixture
def witnessed(installation, witnesses, tmp_path):
    """The installation with a policy: two of three witnesses."""
    policy = tmp_path / "policy"
    log = "".join(f"log {key}\n" for key in log_verifier_keys(installation))
    lines = witnesses[0].line("kpk") + witnesses[1].line("bpk") + witnesses[2].line("own")
    policy.write_text(f"{log}{lines}group two 2 kpk bpk own\nquorum two\n")
    return with_settings(installation, log_policy=policy)


def with_settings(installation, **changed):
    return Installation.open(installation.settings.model_copy(update=changed))


def test_each_signed_checkpoint_gets_the_cosignatures_of_the_witnesses(witnessed, witnesses, no_leaks):
    with Sequencer(witnessed) as sequencer:
        for count in (3, 300):
            write(witnessed, count)
            sequencer.settle()
    note, independent, quorum_met = one(
        witnessed,
        "SELECT note, independent, quorum_met FROM audit.cosigned_checkpoints WHERE tree_size = 303",
    )
    assert (independent, quorum_met) == (2, True)
    assert one(witnessed, _LATEST) == (note,)
    keys = log_verifier_keys(witnessed)
    assert open_checkpoint(note, [*keys, *(each.cosigner.key for each in witnesses)]).size == 303
    assert all(each.folder.seen(witnessed.settings.log_origin)[0].size == 303 for each in witnesses)
    report = verify_installation(witnessed)
    assert report.intact
    assert not any("self-consistent only" in each for each in report.not_proven)


def test_a_receipt_carries_the_cosigned_checkpoint_and_says_how_many_witnesses_stand_behind_it(witnessed):
    with Sequencer(witnessed) as sequencer:
        (promise,) = write(witnessed)
        sequencer.settle()
    with witnessed.database.connect(Role.API) as connection:
        given = receipt(connection, promise.entry_id)
    assert given.witnesses == 2
    keys, policy = log_verifier_keys(witnessed), Policy.load(witnessed.settings.log_policy)
    verified = verify_receipt(str(given), keys, policy=policy)
    assert (verified.witnesses, verified.quorum_met) == (2, True)
    assert verified.not_proven == ("that nothing else was left unlogged",)
    without = verify_receipt(str(given), keys)
    assert (without.witnesses, without.quorum_met) == (0, None)


def test_an_independent_reader_verifies_an_export_with_cosignatures(witnessed, tmp_path):
    from tlog_scales.backend import LocalBackend
    from tlog_scales.reader import TilesReader
    from tlog_scales.signing import Vkey

    with Sequencer(witnessed) as sequencer:
        write(witnessed, 300)
        sequencer.settle()
    with witnessed.database.connect(Role.AUDITOR) as connection:
        export_log(connection, tmp_path / "export", Reader(actor="auditor-1", reason="check"))
    reader = TilesReader(LocalBackend(tmp_path / "export"))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(str(log_verifier_keys(witnessed)[0])))
    assert reader.calculate_root_hash() == checkpoint.root_hash
    assert (tmp_path / "export" / "checkpoint").read_text().count("\n— ") == 4


def test_without_a_quorum_the_log_goes_on_and_receipts_say_so(witnessed, witnesses):
    for each in witnesses[1:]:
        each.stop()
    with Sequencer(witnessed) as sequencer:
        (promise,) = write(witnessed, 1, exchange)
        sequencer.settle()
    with witnessed.database.connect(Role.API) as connection:
        given = receipt(connection, promise.entry_id)
    assert given.witnesses == 1
    policy = Policy.load(witnessed.settings.log_policy)
    verified = verify_receipt(str(given), [], policy=policy)
    assert (verified.witnesses, verified.quorum_met) == (1, False)
    assert "self-consistent only: 1 independent witnesses" in verified.not_proven
    assert "NOT met" in one(witnessed, "SELECT trouble FROM audit.quorum")[0]


def test_after_the_set_time_without_a_quorum_exchanges_stop_and_everything_else_goes_on(witnessed, witnesses):
    with Sequencer(witnessed) as sequencer:
        write(witnessed, 1, exchange)
        sequencer.settle()
        for each in witnesses[1:]:
            each.stop()
        with clock.shifted(timedelta(hours=3, minutes=59)):
            write(witnessed, 1, exchange)
            sequencer.settle()
        with clock.shifted(timedelta(hours=4, minutes=1)):
            for attempt in (append, lambda c, d: append_many(c, [draft(), d])):
                with (
                    witnessed.database.connect(Role.INGEST) as connection,
                    pytest.raises(QuorumMissing, match="too few witnesses") as caught,
                ):
                    attempt(connection, exchange())
                told = problem_of(caught.value)
                assert (told.status, told.code, told.headers) == (
                    503,
                    "quorum-missing",
                    {"Retry-After": "60"},
                )
            write(witnessed)
            assert sequencer.settle() == 1
            witnesses[1].start()
            wait_for(lambda: sequencer._publisher.publish().quorum_met)
            write(witnessed, 1, exchange)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_witness_whose_name_is_no_utf_8_counts_and_stops_nothing(witnessed):
    policy = witnessed.settings.log_policy
    policy.write_bytes(policy.read_bytes().replace(b" kpk ", b" kp\xff "))
    write(witnessed, 3)
    with Sequencer(witnessed) as sequencer:
        sequencer.settle()
    assert one(witnessed, "SELECT independent FROM audit.cosigned_checkpoints WHERE tree_size = 3") == (2,)
    assert one(witnessed, "SELECT min(tree_size) FROM audit.witnesses WHERE name = 'kp\\xff'") == (3,)


def test_a_policy_that_is_taken_away_stops_nothing(witnessed, installation):
    with Sequencer(witnessed) as sequencer:
        sequencer.settle()
    assert one(installation, "SELECT refused_after FROM audit.quorum")[0] is not None
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    assert one(installation, "SELECT refused_after FROM audit.quorum")[0] is None


def test_a_policy_that_cannot_be_read_starts_no_sequencer(installation, tmp_path):
    """Nor one that names another log: whoever trusts it would trust nothing that is signed here."""
    another = "log other.example/log+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\nquorum none\n"
    for text in ("quorum nobody\n", another, f"log {PracticeLog().key}\nquorum none\n"):
        (tmp_path / "policy").write_text(text)
        with pytest.raises(PolicyInvalid):
            Sequencer(with_settings(installation, log_policy=tmp_path / "policy"))


def roll_back(installation, *, with_files=True):
    """What restoring an old backup does: database and home are as they were before the first entry."""
    with installation.database.connect(Role.MIGRATOR) as connection:
        for table in ("entries", "tiles", "checkpoints", "cosigned_checkpoints", "witnesses"):
            connection.execute(f"DELETE FROM audit.{table}")
        connection.execute("UPDATE audit.log_state SET tree_size = 0, frontier = ''")
    if with_files:
        shutil.rmtree(installation.home / "log")


@pytest.mark.parametrize("grown", [0, 2, 9])
def test_a_restored_backup_signs_nothing_because_a_witness_is_ahead_of_it(witnessed, grown):
    """Whether nothing, less or more was written since: no second history is signed."""
    with Sequencer(witnessed) as sequencer:
        write(witnessed, 5)
        sequencer.settle()
    roll_back(witnessed)
    if grown:
        write(witnessed, grown)
    with Sequencer(witnessed) as restored, pytest.raises(LogForked, match="is ahead of this log") as caught:
        restored.settle()
    assert "witness" in caught.value.remedy
    assert one(witnessed, "SELECT count(*) FROM audit.checkpoints") == (0,)
    assert "ahead" in one(witnessed, "SELECT trouble FROM audit.quorum")[0]


def test_another_history_of_the_same_size_is_signed_no_further(witnessed):
    """The database was rewritten and signed with the real key; the witnesses hold the first history."""
    with Sequencer(witnessed) as sequencer:
        write(witnessed, 5)
        sequencer.settle()
    leaves = [leaf_hash(b"another history %d" % number) for number in range(5)]
    frontier = Frontier()
    frontier.extend(leaves)
    with Sequencer(witnessed) as forger:
        note = forger_note(forger, frontier)
    with witnessed.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.tiles SET hashes = %s", (grow({}, 0, leaves)[0, 0],))
        connection.execute("UPDATE audit.log_state SET frontier = %s", (frontier.to_bytes(),))
        connection.execute("UPDATE audit.checkpoints SET root = %s, note = %s", (frontier.root(), note))
        connection.execute("DELETE FROM audit.cosigned_checkpoints")
    shutil.rmtree(witnessed.home / "log")
    write(witnessed, 3)
    with Sequencer(witnessed) as restored, pytest.raises(LogForked, match="another history"):
        restored.settle()
    assert one(witnessed, "SELECT max(tree_size) FROM audit.checkpoints") == (5,)


def forger_note(sequencer, frontier):
    from audit.checkpoints.checkpoint import sign_checkpoint

    return sign_checkpoint(Checkpoint(sequencer._origin, frontier.size, frontier.root()), sequencer._key)


def test_a_fork_that_is_found_while_the_sequencer_works_stops_its_next_signature(witnessed, witnesses):
    with Sequencer(witnessed) as sequencer:
        write(witnessed, 2)
        sequencer.settle()
        other = PracticeTwin(witnessed)
        for each in witnesses:
            assert other.show(each, old=2, size=9) == 422
        for each in witnesses:
            seen = each.folder.path / "seen"
            shutil.rmtree(seen)
            seen.mkdir()
            each.folder.trust(log_verifier_keys(witnessed)[0])
            (each.folder.path / "logs").write_text("")
            each.folder.trust(log_verifier_keys(witnessed)[0])
            assert other.show(each, old=0, size=9) == 200
        write(witnessed)
        with pytest.raises(LogForked):
            sequencer.settle()
        signed = one(witnessed, "SELECT max(tree_size) FROM audit.checkpoints")
        write(witnessed)
        with pytest.raises(LogForked):
            sequencer.drain_once()
        assert one(witnessed, "SELECT max(tree_size) FROM audit.checkpoints") == signed


def test_a_fork_outlives_a_restart_while_the_witness_is_away(witnessed, witnesses, installation):
    """A supervisor starts the sequencer again at once; the witness that knows better may be slow by then."""
    with Sequencer(witnessed) as sequencer:
        write(witnessed, 5)
        sequencer.settle()
    roll_back(witnessed)
    write(witnessed, 2)
    with Sequencer(witnessed) as restored, pytest.raises(LogForked):
        restored.settle()
    for each in witnesses:
        each.stop()
    with Sequencer(witnessed) as again, pytest.raises(LogForked, match="is ahead of this log") as caught:
        again.settle()
    assert "lintas audit lift-fork" in caught.value.remedy
    assert one(witnessed, "SELECT count(*) FROM audit.checkpoints") == (0,)
    assert "ahead" in one(witnessed, "SELECT trouble FROM audit.quorum")[0]
    with Sequencer(installation) as without_policy:  # every witness that reported it has left
        without_policy.settle()
    assert one(witnessed, "SELECT max(tree_size) FROM audit.checkpoints") == (2,)


def test_a_fork_is_on_disk_before_anything_else_is_done_about_it(witnessed, monkeypatch):
    with Sequencer(witnessed) as sequencer:
        write(witnessed, 5)
        sequencer.settle()
    roll_back(witnessed)

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("audit.quorum.quorum_is_missing", crash)
    with Sequencer(witnessed) as restored, pytest.raises(KeyboardInterrupt):
        restored.settle()
    assert list(FoundForks.of(witnessed).read())


def test_a_fork_that_a_full_disk_could_not_take_is_not_forgotten(witnessed, monkeypatch):
    with Sequencer(witnessed) as sequencer:
        write(witnessed, 5)
        sequencer.settle()
    roll_back(witnessed)
    publisher = Publisher(witnessed)

    def is_full(*_):
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as changed:
        changed.setattr("audit.publishing.found_forks.write_private", is_full)
        with pytest.raises(OSError, match="no space left"):
            publisher.publish()
        with pytest.raises(OSError, match="no space left"):
            publisher.refuse_fork()
    with pytest.raises(LogForked):
        publisher.refuse_fork()
    assert FoundForks.of(witnessed).read()
    publisher.close()


def test_a_fork_is_lifted_when_the_witness_that_reported_it_answers_consistently(witnessed, witnesses):
    with Sequencer(witnessed) as sequencer:
        write(witnessed, 5)
        sequencer.settle()
    forks, key = FoundForks.of(witnessed), str(witnesses[0].cosigner.key)
    forks.note(LogForked("The witness kpk is ahead of this log.", witness="kpk", witness_key=key))
    witnesses[0].stop()
    write(witnessed)
    with Sequencer(witnessed) as restored, pytest.raises(LogForked):
        restored.settle()  # the others answer, but it was not they who reported it
    witnesses[0].start()
    with Sequencer(witnessed) as restored:
        assert restored.settle() == 1
    assert forks.read() == {}
    assert not forks.file.exists()


def test_a_damaged_file_of_forks_stands_for_a_fork(witnessed):
    forks = FoundForks.of(witnessed)
    for content in (b"", b"[]", b'{"a": 1}', b"\xff", b"{}"):
        forks.file.write_bytes(content)
        with Sequencer(witnessed) as sequencer, pytest.raises(LogForked, match="cannot be read"):
            sequencer.settle()
    assert forks.lift(forks.read()) == ["unreadable"]
    with Sequencer(witnessed) as sequencer:
        sequencer.settle()


class PracticeTwin:
    """Somebody with the log's real key and another history."""

    def __init__(self, installation):
        from audit.checkpoints.keys import log_private_key

        self.log = PracticeLog(installation.settings.log_origin, history=b"twin")
        self.log.private = log_private_key(installation)

    def show(self, witness, old, size):
        from audit.witnesses.witness import Witness

        return Witness(witness.folder).add_checkpoint(self.log.body(old, size)).status


def test_a_checkpoint_that_an_auditor_kept_stops_a_database_that_does_not_contain_it(installation):
    with Sequencer(installation) as sequencer:
        write(installation, 5)
        sequencer.settle()
    kept = one(installation, "SELECT note FROM audit.checkpoints")[0]
    roll_back(installation)
    seen = installation.home / "log" / "seen"
    seen.mkdir(parents=True)
    (seen / "from-the-auditor").write_text(kept)
    with Sequencer(installation) as restored, pytest.raises(LogRolledBack):
        restored.settle()


@contextlib.contextmanager
def sequencer_process(installation):
    environment = {**os.environ, **installation.settings.as_environment(), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, str(PROCESS)], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_killed_sequencers_and_witnesses_never_make_two_histories(witnessed, witnesses):
    """Both are killed and started again while entries come; all that was ever cosigned is one history."""
    stop, cosigned = threading.Event(), []

    def keep_writing():
        while not stop.is_set():
            write(witnessed, random.randrange(1, 9))
            stop.wait(0.02)

    def keep_looking():
        while not stop.wait(0.05):
            cosigned.extend(each.folder.seen(witnessed.settings.log_origin)[0] for each in witnesses)

    threads = [threading.Thread(target=keep_writing), threading.Thread(target=keep_looking)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2):
            with sequencer_process(witnessed) as process:
                wait_for(lambda: grown(witnessed, beyond=len(cosigned) and cosigned[-1].size), 30)
                witnesses[number].stop()
                time.sleep(random.uniform(0.2, 0.8))
                process.send_signal(signal.SIGKILL)
            witnesses[number].start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with Sequencer(witnessed) as last:
        last.settle()
        assert last._publisher.publish().independent == 2
    assert verify_installation(witnessed).intact
    newest = open_checkpoint(
        one(witnessed, "SELECT note FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1")[0],
        log_verifier_keys(witnessed),
    )
    with witnessed.database.connect(Role.AUDITOR) as connection:
        tiles = DatabaseTiles(connection)
        for size, root in {(each.size, each.root) for each in cosigned if each.size}:
            proof = consistency_proof(tiles, size, newest.size)
            verify_consistency(size, newest.size, proof, root, newest.root)
    assert len({each.size for each in cosigned}) > 2


def grown(installation, beyond):
    return one(installation, "SELECT coalesce(max(tree_size), 0) FROM audit.cosigned_checkpoints")[0] > beyond


def test_cosignatures_come_by_themselves_while_the_sequencer_runs(witnessed):
    stop = threading.Event()
    running = threading.Thread(target=Sequencer(witnessed).run, args=(stop,))
    running.start()
    try:
        with witnessed.database.connect(Role.API, autocommit=True) as api:
            promise = append(api, draft())
            await_receipt(api, promise.entry_id, 20)
            wait_for(lambda: receipt(api, promise.entry_id).witnesses == 2)
    finally:
        stop.set()
        running.join()
