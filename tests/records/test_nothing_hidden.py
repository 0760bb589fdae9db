"""Nothing can be hidden from the person whom it concerns: their key and salts find what an index left out."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

import audit.verifier
from audit import EntryDraft, EntryKind, append
from audit.publishing.sequencer import Sequencer
from foundation.database import Role
from lintas.cli import app
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole

from .world import PERSONS, World, nik_of, person


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout


@pytest.fixture
def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[World, list[str]]:
    """A person in two batches, about whom two entries tell."""
    settings = world.installation.settings.model_copy(update={"officer": "auditor-01"})
    monkeypatch.setattr("foundation.installation.load_settings", lambda: settings)
    with world.installation.database.connect(Role.STEWARD) as connection:
        register_agency(connection, Agency("operator", "Operator", "operator"))
        auditor = Officer("auditor-01", "operator", "auditor-01", frozenset({OfficerRole.AUDITOR}))
        register_officer(connection, auditor)
    people = [person(number) for number in range(1, 31)]
    world.sync(PERSONS, people)
    world.sync(PERSONS, [*people[:6], person(7, alamat="JL. BARU 9"), *people[7:]])
    promises = []
    with world.vault() as vault, world.api() as connection:
        keys = vault.handle_for("nik", nik_of(7))
        for purpose in ("aid", "curiosity"):
            draft = EntryDraft(
                kind=EntryKind.EXCHANGE_ANSWERED, consumer="office", purpose=purpose, decision_id=uuid4(),
                outcome="verified", subject=keys, fields=(f"{PERSONS}:name",),
            )  # fmt: skip
            promises.append(append(connection, draft))
    settle(world)
    return world, [str(promise.entry_id) for promise in promises]


def settle(world: World) -> None:
    with Sequencer(world.installation) as sequencer:
        sequencer.settle()


def hide(world: World, entry: str) -> None:
    """Take an entry out of the index, as whoever owns the server can."""
    with world.installation.database.admin(world.installation.settings.database_name) as connection:
        connection.execute("DELETE FROM audit.subject_index WHERE entry_id = %s", [entry])


def handed_over(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The view, the key and the export that a person is given."""
    nik, view, key, folder = (tmp_path / name for name in ("nik", "view.json", "my.key", "export"))
    nik.write_text(f"{nik_of(7)}\n", encoding="utf-8")
    code, shown = run("audit", "subject", "--nik-file", nik, "--json")
    assert code == 0
    view.write_text(shown, encoding="utf-8")
    for words in (
        ("subject-key", key, "--nik-file", nik, "--reason", "citizen asked"),
        ("export", folder),
        ("manifests", folder),
    ):
        assert run("audit", *words)[0] == 0
    return view, key, folder


def test_a_person_finds_all_their_entries_and_records_offline(
    asked: tuple[World, list[str]], tmp_path: Path
) -> None:
    world, _ = asked
    view, key, folder = handed_over(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    script = Path(audit.verifier.__file__).with_name("lintas_subject.py")
    arguments = [folder, "--keys", folder / "keys", "--subject-key", key, "--view", view]
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "found: 2 entries about you, and 2 of your record versions in 2 batches" in done.stdout
    assert "exchange.answered, office, curiosity" in done.stdout
    assert "proven: no other entry in this log carries your tag" in done.stdout
    (given,) = [each for each in world.entries("audit.") if each["kind"] == "audit.key-given"]
    assert (given["details"]["records"], len(given["subjects"])) == (2, 1)
    assert nik_of(7) not in folder.joinpath("checkpoint").read_text() + key.read_text()


def test_what_the_index_left_out_of_a_view_is_named(asked: tuple[World, list[str]], tmp_path: Path) -> None:
    world, (_, hidden) = asked
    with world.vault() as vault, world.api() as connection:
        draft = EntryDraft(
            kind=EntryKind.AUDIT_VIEWED, actor="officer-1", subject=vault.handle_for("nik", nik_of(7))
        )
        append(connection, draft)
    settle(world)
    hide(world, hidden)
    view, key, folder = handed_over(tmp_path)
    assert hidden not in {row["entry_id"] for row in json.loads(view.read_text())}
    code, said = run("audit", "verify-subject", folder, "--subject-key", key, "--view", view)
    assert code == 1
    assert "not shown to you: entry" in said
    assert "office, curiosity" in said
    assert "FALSE: entries about you were left out of what you were shown" in said
    assert run("audit", "verify-subject", folder, "--subject-key", key)[0] == 0


def test_a_changed_manifest_and_a_record_outside_of_its_batch_are_false(
    asked: tuple[World, list[str]], tmp_path: Path
) -> None:
    _, key, folder = handed_over(tmp_path)
    content = json.loads(key.read_text())
    content["records"][0]["leaf_salt"] = "00" * 16
    other = tmp_path / "other.key"
    other.write_text(json.dumps(content), encoding="utf-8")
    code, said = run("audit", "verify-subject", folder, "--subject-key", other)
    assert (code, "is not in the batch that is said to hold it" in said) == (1, True)
    manifest = max((folder / "batches").iterdir(), key=lambda file: file.stat().st_size)
    leaves = manifest.read_bytes()
    manifest.write_bytes(leaves[32:])
    code, said = run("audit", "verify-subject", folder, "--subject-key", key)
    assert (code, "is not the one that was logged" in said) == (1, True)
    manifest.unlink()
    code, said = run("audit", "verify-subject", folder, "--subject-key", key)
    assert (code, "not checked: 1 batches whose manifests were not exported" in said) == (0, True)
    other.write_text("{}", encoding="utf-8")
    assert run("audit", "verify-subject", folder, "--subject-key", other)[0] == 2


def test_only_the_steward_reads_salts(asked: tuple[World, list[str]]) -> None:
    world, _ = asked
    with world.installation.database.connect(Role.AUDITOR) as connection:
        row = connection.execute(
            "SELECT has_table_privilege('lintas_auditor', 'records.person_v1', 'SELECT')"
        ).fetchone()
    assert row == (False,)
