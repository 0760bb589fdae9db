"""A witness answers as tlog-witness says, and never cosigns two histories of one log."""

import dataclasses
import itertools
import random
import re
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.checkpoints.checkpoint import sign_checkpoint
from audit.checkpoints.cosignatures import Cosigner, cosigned_at, true_cosignatures, with_signatures
from audit.checkpoints.notes import NoteSignature, SignedNote
from audit.errors import NoteInvalid, WitnessUnfit
from audit.tree.merkle import verify_consistency
from audit.tree.tiles import consistency_proof
from audit.witnesses.folder import WitnessFolder, origin_hash
from audit.witnesses.witness import MAXIMUM_REQUEST_BYTES, AddCheckpoint, Witness
from foundation import clock
from tests.audit.practice_log import PracticeLog

LOG = PracticeLog()
FORK = PracticeLog(history=b"another")
COSIGNER = Cosigner("kpk.example/witness", 0x04, bytes([9]) * 32)


def made(path, *cosigners, logs=(LOG.key,)):
    folder = WitnessFolder.make(path, cosigners or [COSIGNER], host="127.0.0.1", port=0)
    for key in logs:
        folder.trust(key)
    return folder


@pytest.fixture
def folder(tmp_path):
    return made(tmp_path / "witness")


@pytest.fixture
def witness(folder):
    return Witness(folder)


def test_a_first_checkpoint_and_what_appends_to_it_are_cosigned(witness):
    for old, size in ((0, 5), (5, 5), (5, 256), (256, 600)):
        reply = witness.add_checkpoint(LOG.body(old, size))
        assert reply.status == 200
        (line,) = true_cosignatures(LOG.checkpoint(size).text(), reply.body, [COSIGNER.key])
        assert cosigned_at(line) is not None
    assert witness.newest(origin_hash(LOG.origin)).body.startswith(LOG.note(600))


def test_a_witness_with_keys_of_both_kinds_answers_with_both(tmp_path):
    other = Cosigner("kpk.example/witness", 0x06, bytes([9]) * 32)
    reply = Witness(made(tmp_path / "w", COSIGNER, other)).add_checkpoint(LOG.body(0, 3))
    found = true_cosignatures(LOG.checkpoint(3).text(), reply.body, [COSIGNER.key, other.key])
    assert [len(each.signature) for each in found] == [72, 2428]


def test_an_unknown_log_is_answered_404(witness):
    assert witness.add_checkpoint(PracticeLog("other.example/log").body(0, 1)).status == 404


def test_a_checkpoint_that_no_known_key_signed_is_answered_403(witness):
    stranger = PracticeLog(seed=2)
    assert witness.add_checkpoint(stranger.body(0, 1)).status == 403
    false = NoteSignature(LOG.origin, LOG.key.key_id, bytes(64))
    for lines in ((false,), (SignedNote.parse(LOG.note(1)).signatures[0], false)):
        note = str(SignedNote(LOG.checkpoint(1).text(), lines))
        assert witness.add_checkpoint(f"old 0\n\n{note}".encode()).status == 403


def test_further_signatures_by_unknown_keys_are_ignored_and_not_kept(witness):
    stranger = Cosigner("stranger.example/w", 0x04, bytes(32))
    line = stranger.cosign(LOG.checkpoint(3).text(), clock.now())
    body = f"old 0\n\n{with_signatures(LOG.note(3), [line])}".encode()
    assert witness.add_checkpoint(body).status == 200
    assert "stranger" not in witness.newest(origin_hash(LOG.origin)).body


@pytest.mark.parametrize("old", [0, 4, 6, 7])
def test_an_old_size_other_than_what_was_seen_is_answered_409_with_that_size(witness, old):
    witness.add_checkpoint(LOG.body(0, 5))
    reply = witness.add_checkpoint(LOG.body(old, 7))
    assert (reply.status, reply.body, reply.content_type) == (409, "5\n", "text/x.tlog.size")


def test_another_root_of_the_size_that_was_seen_is_answered_409_and_kept_as_evidence(witness, folder):
    witness.add_checkpoint(LOG.body(0, 5))
    reply = witness.add_checkpoint(FORK.body(5, 5))
    assert reply.status == 409
    assert reply.content_type != "text/x.tlog.size"  # a client would take it for stale, and try again
    (kept,) = (folder.path / "evidence").iterdir()
    assert kept.read_text() == FORK.note(5)


def test_a_history_that_does_not_contain_what_was_seen_is_answered_422_and_kept(witness, folder):
    witness.add_checkpoint(LOG.body(0, 5))
    assert witness.add_checkpoint(FORK.body(5, 9)).status == 422
    assert len(list((folder.path / "evidence").iterdir())) == 1
    assert folder.seen(LOG.origin)[0] == LOG.checkpoint(5)


def test_an_old_size_beyond_the_checkpoint_is_answered_400(witness):
    assert witness.add_checkpoint(LOG.body(6, 5)).status == 400


@given(st.data())
@settings(max_examples=15)
def test_a_mangled_proof_is_never_cosigned(tmp_path_factory, data):
    witness = Witness(made(tmp_path_factory.mktemp("w") / "w"))
    old = data.draw(st.integers(1, 300))
    new = data.draw(st.integers(old, 600))
    witness.add_checkpoint(LOG.body(0, old))
    proof = list(LOG.request(old, new).proof)
    spoiled = data.draw(
        st.sampled_from([[*proof, bytes(32)], [bytes(32), *proof], proof[:-1], proof[1:], proof[::-1]])
    )
    reply = witness.add_checkpoint(str(AddCheckpoint(old, tuple(spoiled), LOG.note(new))).encode())
    assert reply.status == (200 if spoiled == proof else 422)


BODIES = {
    "nothing": b"",
    "no old": f"\n{LOG.note(1)}".encode(),
    "old with zeros": f"old 00\n\n{LOG.note(1)}".encode(),
    "negative": f"old -1\n\n{LOG.note(1)}".encode(),
    "two spaces": f"old  0\n\n{LOG.note(1)}".encode(),
    "carriage return": f"old 0\r\n\r\n{LOG.note(1)}".encode(),
    "proof not base64": f"old 0\nAAA\n\n{LOG.note(1)}".encode(),
    "proof too short": f"old 0\nAAAA\n\n{LOG.note(1)}".encode(),
    "64 proof lines": ("old 0\n" + ("A" * 43 + "=\n") * 64 + f"\n{LOG.note(1)}").encode(),
    "no checkpoint": b"old 0\n\n",
    "no signature": f"old 0\n\n{LOG.checkpoint(1).text()}\n".encode(),
    "not UTF-8": b"old 0\n\n\xff",
    "a note that is no checkpoint": "old 0\n\ntext\n\n— a.example AAAAAAAA\n".encode(),
    "the note cut": LOG.body(0, 1)[:-1],
}


@pytest.mark.parametrize("case", BODIES)
def test_a_malformed_request_is_answered_400(witness, case):
    assert witness.add_checkpoint(BODIES[case]).status == 400


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_answered_400(witness, garbage):
    assert witness.add_checkpoint(garbage).status == 400


def test_a_proof_from_nothing_must_be_empty(witness):
    request = dataclasses.replace(LOG.request(0, 5), proof=(bytes(32),))
    assert witness.add_checkpoint(str(request).encode()).status == 422


def test_an_empty_log_is_cosigned_and_binds_to_nothing(witness):
    assert witness.add_checkpoint(LOG.body(0, 0)).status == 200
    assert witness.add_checkpoint(LOG.body(0, 4)).status == 200
    assert witness.add_checkpoint(LOG.body(0, 0)).body == "4\n"


def test_an_empty_log_with_the_root_of_another_tree_is_answered_422(witness):
    def body(log):
        head = dataclasses.replace(log.checkpoint(0), root=bytes(32))
        return f"old 0\n\n{sign_checkpoint(head, log.private)}".encode()

    assert witness.add_checkpoint(body(LOG)).status == 422
    assert witness.add_checkpoint(body(PracticeLog(seed=2))).status == 403
    assert witness.add_checkpoint(body(PracticeLog("other.example/log"))).status == 404
    assert witness.add_checkpoint(LOG.body(0, 0)).status == 200


def test_a_log_that_signs_with_ml_dsa_is_witnessed(tmp_path):
    key = Cosigner("pq.example/log", 0x06, bytes(32))
    witness = Witness(made(tmp_path / "w", logs=[key.key]))
    head = dataclasses.replace(LOG.checkpoint(3), origin=key.name)
    note = str(SignedNote(head.text(), (key.cosign(head.text(), clock.now()),)))
    assert witness.add_checkpoint(f"old 0\n\n{note}".encode()).status == 200


def test_what_was_seen_outlives_the_process(folder):
    Witness(folder).add_checkpoint(LOG.body(0, 5))
    assert Witness(WitnessFolder(folder.path)).add_checkpoint(FORK.body(0, 9)).status == 409


@pytest.mark.parametrize("damage", ["lost", "edited", "of another log", "empty"])
def test_a_witness_that_lost_what_it_saw_cosigns_nothing(folder, damage):
    witness = Witness(folder)
    witness.add_checkpoint(LOG.body(0, 5))
    file = folder.path / "seen" / origin_hash(LOG.origin)
    if damage == "lost":
        file.unlink()
    elif damage == "of another log":
        other = PracticeLog("other.example/log")
        note = with_signatures(other.note(5), [COSIGNER.cosign(other.checkpoint(5).text(), clock.now())])
        file.write_text(note)
    else:
        file.write_bytes(file.read_bytes().replace(b"\n5\n", b"\n4\n") if damage == "edited" else b"")
    assert witness.add_checkpoint(LOG.body(5, 6)).status == 503
    with pytest.raises(WitnessUnfit):
        Witness(folder)


def test_a_log_changes_its_key_by_a_further_line_and_the_running_witness_follows(witness, folder):
    witness.add_checkpoint(LOG.body(0, 5))
    rolled = PracticeLog(seed=2)
    request = AddCheckpoint(
        5, tuple(consistency_proof(LOG, 5, 7)), sign_checkpoint(LOG.checkpoint(7), rolled.private)
    )
    assert witness.add_checkpoint(str(request).encode()).status == 403
    folder.trust(rolled.key)
    folder.trust(rolled.key)
    assert witness.add_checkpoint(str(request).encode()).status == 200
    assert folder.logs() == [LOG.key, rolled.key]
    with pytest.raises(NoteInvalid):
        folder.trust(COSIGNER.key)


def test_a_clock_that_is_set_back_does_not_set_back_the_time_of_cosignatures(witness):
    def moment(size):
        reply = witness.add_checkpoint(LOG.body(size - 1, size))
        return cosigned_at(NoteSignature.parse(reply.body.rstrip("\n")))

    first = moment(1)
    with clock.shifted(timedelta(days=-1)):
        assert moment(2) >= first


def test_a_folder_holds_one_witness(folder):
    with pytest.raises(WitnessUnfit):
        made(folder.path)
    assert (folder.path / "keys").stat().st_mode & 0o777 == 0o600
    (folder.path / "keys").chmod(0o644)
    with pytest.raises(WitnessUnfit):
        Witness(folder)


def test_of_requests_at_the_same_time_no_two_that_contradict_are_cosigned(witness):
    """Every thread pushes one of two histories; whatever was cosigned is one history, in one order."""
    cosigned, lock = [], threading.Lock()

    def push(number):
        chosen = random.Random(number)
        seen = 0
        for _ in range(12):
            log = chosen.choice([LOG, FORK])
            size = min(600, seen + chosen.randrange(1, 40))
            reply = witness.add_checkpoint(log.body(seen, size))
            if reply.status == 200:
                with lock:
                    cosigned.append(log.checkpoint(size))
                seen = size
            elif reply.content_type == "text/x.tlog.size":
                seen = int(reply.body)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cosigned) > 5
    assert_one_history(cosigned)


def assert_one_history(checkpoints):
    log = LOG if all(c == LOG.checkpoint(c.size) for c in checkpoints) else FORK
    ordered = sorted(checkpoints, key=lambda each: each.size)
    for one, other in itertools.pairwise(ordered):
        proof = consistency_proof(log, one.size, other.size)
        verify_consistency(one.size, other.size, proof, one.root, other.root)


KILLED = """
import os, sys, threading, random
from pathlib import Path
from audit.witnesses.witness import Witness
from audit.witnesses.folder import WitnessFolder
from tests.audit.practice_log import PracticeLog
logs = [PracticeLog(), PracticeLog(history=b"another")]
witness = Witness(WitnessFolder(Path(sys.argv[1])))
seen = answered = 0
while True:
    answered += 1
    if answered == 4:
        threading.Timer(random.uniform(0.0, 0.05), os._exit, [9]).start()
    log = random.choice(logs)
    size = min(600, seen + random.randrange(1, 3))
    reply = witness.add_checkpoint(log.body(seen, size))
    if reply.status == 200:
        seen = size
        os.write(1, f"\\ngiven {size} {log.checkpoint(size).root.hex()}\\n".encode())
    elif reply.content_type == "text/x.tlog.size":
        seen = int(reply.body)
"""


def test_killed_at_any_moment_a_witness_has_kept_what_it_gave_out(folder):
    """Two histories compete; after every kill the witness goes on from what it had cosigned."""
    given = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder.path)],
            capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.returncode == 9, done.stderr
        for size, root in re.findall(r"^given (\d+) (\w{64})$", done.stdout, re.MULTILINE):
            given.append(dataclasses.replace(LOG.checkpoint(int(size)), root=bytes.fromhex(root)))
        seen = WitnessFolder(folder.path).seen(LOG.origin)[0]
        assert seen.size >= max((each.size for each in given), default=0)
    assert given
    assert_one_history([*given, seen])
    assert len(list(folder.path.glob(".*"))) == 0
    assert MAXIMUM_REQUEST_BYTES > 16 * 5_000 + 63 * 45  # what the specifications let a client send
