"""The stand-alone file that counts witnesses: it agrees with ours, and runs where nothing of Lintas is."""

import itertools
import shutil
import subprocess
import sys

import pytest

from audit.checkpoints.cosignatures import Cosigner, with_signatures
from audit.checkpoints.notes import NoteSignature, SignedNote
from audit.checkpoints.policy import Policy
from audit.errors import PolicyInvalid
from audit.publishing.proofs import TlogProof
from audit.tree.merkle import root_of
from audit.verifier import lintas_verify, lintas_witnesses
from foundation import clock
from tests.audit.practice_log import PracticeLog

LOG = PracticeLog()
WITNESSES = {
    "kpk-1": Cosigner("kpk.example/w1", 0x04, bytes([51]) * 32),
    "kpk-2": Cosigner("KPK.example/w2", 0x06, bytes([52]) * 32),
    "uni-1": Cosigner("unair.example/w", 0x04, bytes([53]) * 32),
    "uni-2": Cosigner("its.example/w", 0x06, bytes([54]) * 32),
    "own": Cosigner("lintas.example/w", 0x04, bytes([55]) * 32),
}
POLICY = (
    f"# whom we trust\nlog {LOG.key}\n"
    + "".join(f"witness {name} {each.key} https://{name}.example\n" for name, each in WITNESSES.items())
    + "group kpk any kpk-1 kpk-2\ngroup universities all uni-1 uni-2\n"
    + "group q 2 kpk universities own\nquorum q\n"
)


def cosigned(*names, size=5):
    text = LOG.checkpoint(size).text()
    return with_signatures(LOG.note(size), [WITNESSES[name].cosign(text, clock.now()) for name in names])


@pytest.fixture
def policy(tmp_path):
    file = tmp_path / "policy"
    file.write_text(POLICY)
    return file


def run(path, policy, capsys):
    code = lintas_witnesses.main([str(path), "--policy", str(policy)])
    return code, capsys.readouterr().out


def test_it_counts_as_the_log_does_whoever_has_signed():
    ours, theirs = Policy.parse(POLICY), lintas_witnesses.read_policy(POLICY)
    for count in range(len(WITNESSES) + 1):
        for names in itertools.combinations(WITNESSES, count):
            note = cosigned(*names)
            standing = ours.evaluate(note)
            found, origin, size = lintas_witnesses.cosigners(note, theirs)
            assert (sorted(found), size) == (sorted(standing.cosigned_by), 5)
            assert lintas_witnesses.quorum_is_met(theirs, found) == standing.quorum_met
            assert lintas_witnesses.independent(theirs, found, origin) == standing.independent


def test_a_receipt_with_a_quorum_is_proven_and_one_without_is_not(policy, tmp_path, capsys):
    file = tmp_path / "one.tlog-proof"
    file.write_text(str(TlogProof(0, (), cosigned("kpk-2", "uni-1", "uni-2"))))
    code, said = run(file, policy, capsys)
    assert code == 0
    assert "2 independent witnesses stand behind 5 entries of lintas.example/log" in said
    file.write_text(cosigned("kpk-1", "uni-1"))
    code, said = run(file, policy, capsys)
    assert code == 1
    assert "FALSE: the quorum of the policy stands behind none of it" in said


def test_of_an_exported_log_the_newest_checkpoint_with_a_quorum_is_named(policy, tmp_path, capsys):
    export = tmp_path / "export"
    (export / "checkpoints").mkdir(parents=True)
    (export / "checkpoint").write_text(cosigned("own", size=9))
    for size in (5, 7):
        (export / "checkpoints" / str(size)).write_text(cosigned("own", "kpk-1", size=size))
    code, said = run(export, policy, capsys)
    assert code == 0
    assert "1 independent witnesses stand behind 7 entries" in said


def test_a_false_cosignature_is_named(policy, tmp_path, capsys):
    line = WITNESSES["kpk-2"].cosign(LOG.checkpoint(5).text(), clock.now())
    for signature in (bytes(len(line.signature)), line.signature[:-1], b"\xff" + line.signature[1:]):
        false = NoteSignature(line.name, line.key_id, signature)
        (tmp_path / "checkpoint").write_text(with_signatures(cosigned("own"), [false]))
        code, said = run(tmp_path / "checkpoint", policy, capsys)
        assert (code, "false cosignature in the name of KPK.example/w2" in said) == (1, True)


@pytest.mark.parametrize(
    "change",
    [
        ("quorum q\n", ""), ("quorum q", "quorum r"), ("2 kpk", "4 kpk"), ("2 kpk", "0 kpk"),
        ("log ", "lag "), ("any kpk-1 kpk-2", "any kpk-1 kpk-1"), ("witness own", "witness uni-1"),
        ("+", "+00000000+"),
        ("all uni-1", "all kpk-1"),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_read_checks_nothing(change, tmp_path, capsys):
    (tmp_path / "policy").write_text(POLICY.replace(*change, 1))
    (tmp_path / "checkpoint").write_text(cosigned("own", "kpk-1"))
    assert run(tmp_path / "checkpoint", tmp_path / "policy", capsys)[0] == 2


WITNESS_LINE = f"witness own {WITNESSES['own'].key}"


@pytest.mark.parametrize(
    "change",
    [
        (WITNESS_LINE, WITNESS_LINE.replace(" own", " none")),
        ("group kpk", "group none"),
        ("group kpk", "group q"),
        ("\n", "\r\n"),
        ("# whom", "# \x7f"),
        ("log ", f"log {LOG.key}\nlog "),
        (WITNESS_LINE, f"{WITNESS_LINE}\nwitness again {WITNESSES['own'].key}"),
        (WITNESS_LINE, f"{WITNESS_LINE}\nwitness x {Cosigner('x.example/w', 0x04, bytes([55]) * 32).key}"),
        ("2 kpk", "02 kpk"),
        ("quorum q", "quorum q\nquorum none"),
        ("https://own.example", "https://own.example # comment"),
    ],
)
def test_what_tlog_policy_forbids_checks_nothing(change, tmp_path, capsys):
    text = POLICY.replace(*change)
    assert text != POLICY
    with pytest.raises(PolicyInvalid):
        Policy.parse(text)
    (tmp_path / "policy").write_bytes(text.encode())
    (tmp_path / "checkpoint").write_text(cosigned("own", "kpk-1", "uni-1", "uni-2"))
    assert run(tmp_path / "checkpoint", tmp_path / "policy", capsys)[0] == 2


def test_names_are_opaque_octets(tmp_path, capsys):
    (tmp_path / "policy").write_bytes(POLICY.encode().replace(b"kpk-1", b"kpk-\x80"))
    (tmp_path / "checkpoint").write_text(cosigned("kpk-1", "own"))
    code, said = run(tmp_path / "checkpoint", tmp_path / "policy", capsys)
    assert (code, "kpk-?" in said) == (0, True)


def test_a_log_that_signs_with_ml_dsa_is_read_without_extension_lines(tmp_path, capsys):
    log = Cosigner(LOG.origin, 0x06, bytes(32))
    (tmp_path / "policy").write_text(f"log {log.key}\nquorum none\n")
    for extension, expected in (("", 0), ("extension\n", 1)):
        text = LOG.checkpoint(5).text() + extension
        (tmp_path / "checkpoint").write_text(str(SignedNote(text, (log.cosign(text, clock.now()),))))
        assert run(tmp_path / "checkpoint", tmp_path / "policy", capsys)[0] == expected


def test_two_files_run_alone(policy, tmp_path):
    for module in (lintas_verify, lintas_witnesses):
        shutil.copy(module.__file__, tmp_path)
    (tmp_path / "checkpoint").write_text(cosigned("own", "kpk-2"))
    command = [sys.executable, str(tmp_path / "lintas_witnesses.py"), str(tmp_path / "checkpoint")]
    done = subprocess.run(
        [*command, "--policy", str(policy)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert root_of(LOG.leaves[:5]) == LOG.checkpoint(5).root
