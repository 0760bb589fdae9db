"""Exported files check with tools that share no code with us: tlog-scales, and the one-file verifier."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audit import EntryDraft, EntryKind, append_many
from audit.checkpoints.keys import log_verifier_keys
from audit.publishing.export import export_log, tiles_of
from audit.publishing.receipt import receipt
from audit.publishing.sequencer import Sequencer
from audit.subject_view import Reader
from audit.verifier import lintas_verify
from foundation.database import Role

READER = Reader(actor="auditor-1", reason="yearly check")
COUNT = 700


@pytest.fixture
def log(installation):
    with Sequencer(installation) as sequencer:
        for count in (300, COUNT - 300):
            with installation.database.connect(Role.INGEST) as connection:
                drafts = [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(count)]
                promises = append_many(connection, drafts)
            sequencer.settle()
    return installation, promises


@pytest.fixture
def exported(log, tmp_path):
    installation, promises = log
    folder = tmp_path / "export"
    with installation.database.connect(Role.AUDITOR) as connection:
        report = export_log(connection, folder, READER)
        (tmp_path / "one.tlog-proof").write_text(str(receipt(connection, promises[17].entry_id)))
    assert (report.tree_size, report.tiles, report.bundles, report.checkpoints) == (COUNT, 4, 3, 2)
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{key}\n" for key in log_verifier_keys(installation)))
    return folder, keys


def run(*arguments, capsys):
    code = lintas_verify.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_an_independent_reader_verifies_our_tiles_checkpoint_and_proofs(log, exported):
    from tlog_scales.backend import LocalBackend
    from tlog_scales.reader import TilesReader
    from tlog_scales.signing import Vkey
    from tlog_scales.tiles import leaf_hash

    reader = TilesReader(LocalBackend(exported[0]))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(str(log_verifier_keys(log[0])[0])))
    assert reader.calculate_root_hash() == checkpoint.root_hash
    for index in (0, 255, 256, 511, 512, 699):
        entry = reader.get_entry(index)
        reader.get_inclusion_proof(index, COUNT).check(leaf_hash(entry), checkpoint.root_hash)
    earlier = reader.get_checkpoint().from_text((exported[0] / "checkpoints" / "300").read_text())
    reader.get_consistency_proof(300, COUNT).check(earlier.root_hash, checkpoint.root_hash)


def test_the_export_is_itself_an_entry(log, exported):
    with log[0].database.connect(Role.API) as connection:
        assert connection.execute("SELECT count(id) FROM audit.outbox").fetchone() == (1,)


def test_the_verifier_is_one_file_that_runs_alone(exported, tmp_path):
    alone = shutil.copy(lintas_verify.__file__, tmp_path / "verify.py")
    command = [sys.executable, "-I", alone, "log", str(exported[0]), "--keys", str(exported[1])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"checked: {COUNT} entries and 2 checkpoints" in done.stdout
    assert "self-consistent only: 0 independent witnesses" in done.stdout
    imported = {
        line.split()[1].split(".")[0]
        for line in Path(alone).read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_verifier_checks_a_receipt(exported, tmp_path, capsys):
    code, said = run("receipt", tmp_path / "one.tlog-proof", "--keys", exported[1], capsys=capsys)
    assert code == 0
    assert "proven: this entry" in said
    assert "0 independent witnesses" in said


def test_an_export_of_hashes_alone_says_that_entries_were_not_checked(exported, capsys):
    shutil.rmtree(exported[0] / "tile" / "entries")
    code, said = run("log", exported[0], "--keys", exported[1], capsys=capsys)
    assert code == 0
    assert "only hashes" in said


def flip(file, position=100):
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(bytes(data))


DAMAGES = {
    "entry": (lambda d: flip(d / "tile/entries/001"), "entry 256 is not the one that was logged"),
    "last entry": (lambda d: flip(d / "tile/entries/002.p/188", -1), "entry 699 is not the one"),
    "leaf tile": (lambda d: flip(d / "tile/0/001"), "the tile with entry 259 was changed"),
    "upper tile": (lambda d: flip(d / "tile/1/000.p/2", 0), "tile 0 of level 1"),
    "short tile": (lambda d: (d / "tile/0/000").write_bytes(b"x" * 32), "does not hold 256 hashes"),
    "cut bundle": (lambda d: (d / "tile/entries/000").write_bytes(b"\0"), "entry 0 is not the one"),
    "checkpoint": (lambda d: flip(d / "checkpoint", 40), ""),
    "old checkpoint": (lambda d: flip(d / "checkpoints/300", 40), ""),
    "rolled back": (
        lambda d: shutil.copy(d / "checkpoints/300", d / "checkpoint"), "but a checkpoint of 700 was signed"
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_verifier_names_what_is_false_and_exits_with_1(exported, damage, capsys):
    change, expected = DAMAGES[damage]
    change(exported[0])
    code, said = run("log", exported[0], "--keys", exported[1], capsys=capsys)
    assert code == 1
    assert said.startswith("FALSE: ")
    assert expected in said


def test_what_cannot_be_checked_exits_with_2(exported, tmp_path, capsys):
    (exported[0] / "tile/0/001").unlink()
    assert run("log", exported[0], "--keys", exported[1], capsys=capsys)[0] == 2
    (tmp_path / "none").write_text("# nobody\n")
    assert run("log", exported[0], "--keys", tmp_path / "none", capsys=capsys)[0] == 2


def test_a_log_that_is_behind_a_checkpoint_one_kept_is_false(exported, tmp_path, capsys):
    kept = tmp_path / "kept"
    shutil.copy(exported[0] / "checkpoint", kept)
    shutil.copy(exported[0] / "checkpoints" / "300", exported[0] / "checkpoint")
    shutil.rmtree(exported[0] / "checkpoints")
    code, said = run("log", exported[0], "--keys", exported[1], "--seen", kept, capsys=capsys)
    assert code == 1
    assert "700" in said


def test_the_walk_over_tiles_lists_what_the_specification_lists():
    found = [address.path() for address in tiles_of(70_000)]
    assert len(found) == 273 + 1 + 1 + 1 + 1
    assert {"tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"} <= set(found)
