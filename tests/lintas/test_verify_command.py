"""`lintas audit verify` as an auditor runs it: what it says, and an exit code that can be trusted."""

import json
import sys

import pytest

from audit import EntryDraft, EntryKind, append_many
from audit.publishing.sequencer import Sequencer
from foundation.database import Role
from lintas import cli
from tests.audit.published_folder import JsonLog, publish, write_bundles

LOG = JsonLog()


@pytest.fixture
def verify(monkeypatch, capsys, tmp_path):
    """Run the command; return its exit code, what it said, and what it said on standard error."""
    monkeypatch.setenv("LINTAS_HOME", str(tmp_path / "home"))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lintas", "audit", "verify", *map(str, words)])
        capsys.readouterr()  # what was said before
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def folder(tmp_path):
    return publish(LOG, tmp_path / "log")


def test_what_holds_ends_with_0_and_says_what_is_not_proven(verify, folder):
    code, said, _ = verify("--files", folder)
    assert code == 0
    assert "the log is whole: 600 entries, 2 signed checkpoints" in said
    assert "not proven: that these are the log's keys: they came with the files" in said
    assert "not proven: self-consistent only: 0 independent witnesses" in said


def test_what_is_false_ends_with_70_and_names_the_entry(verify, folder):
    write_bundles(folder, [*LOG.entries[:300], b"{}", *LOG.entries[301:]])
    code, said, _ = verify("--files", folder)
    assert code == 70
    assert said.startswith("the log was changed: entry 300: entry edited")
    code, said, _ = verify("--files", folder, "--json")
    assert (code, json.loads(said)["exit_code"]) == (70, 70)
    assert json.loads(said)["damages"][0]["entry"] == 300


def test_keys_of_somebody_else_prove_nothing(verify, folder, tmp_path):
    (tmp_path / "keys").write_text(f"{JsonLog(seed=2).key}\n")
    assert verify("--files", folder, "--keys", tmp_path / "keys")[0] == 70


def test_what_could_not_be_checked_ends_with_75(verify, folder, tmp_path):
    (tmp_path / "none").write_text("# nobody\n")
    (tmp_path / "mangled").write_text("log+00000000+AAAA\n")
    for keys in ("none", "mangled", "missing"):
        code, _, trouble = verify("--files", folder, "--keys", tmp_path / keys)
        assert (code, "next" in trouble) == (75, True)
    (folder / "tile/0/001").unlink()
    code, _, trouble = verify("--files", folder, "--json")
    assert (code, json.loads(trouble)["code"]) == (75, "log-file-missing")
    assert verify("--files", tmp_path)[0] == 75
    nowhere = ("--url", "http://127.0.0.1:9", "--keys", folder / "keys")
    assert verify(*nowhere)[0] == 75


def test_a_home_that_cannot_be_written_is_said_not_passed_over(verify, folder, tmp_path):
    (tmp_path / "home").write_text("a file where the home should be")
    code, _, trouble = verify("--files", folder)
    assert (code, "progress of the verification cannot be kept" in trouble) == (75, True)
    (tmp_path / "home").unlink()
    code, _, trouble = verify("--files", folder, "--state", tmp_path)
    assert (code, "progress of the verification cannot be kept" in trouble) == (75, True)


def test_a_url_beyond_this_machine_must_be_https_and_no_metadata_service(verify, folder):
    for url in ("http://log.example.go.id", "https://169.254.169.254/log"):
        code, _, trouble = verify("--url", url, "--keys", folder / "keys", "--json")
        assert (code, json.loads(trouble)["code"]) in {(75, "address-refused"), (75, "agency-unreachable")}


@pytest.mark.parametrize(
    "words",
    [
        ("--since-last", "--from-start"),
        ("--files", "a", "--url", "https://b"),
        ("--url", "https://b"),
        ("--url", "b.example", "--keys", "a"),
        ("--url", "https://b:99999", "--keys", "a"),
        ("--url", "https://who:secret@b", "--keys", "a"),
        ("--keys", "a"),
        ("--files", "a", "--ca", "b"),
        ("--nothing-like-it",),
    ],
)
def test_a_wrong_command_line_ends_with_2(verify, words):
    assert verify(*words)[0] == 2


def test_a_later_walk_says_what_it_took_from_the_one_before(verify, folder, tmp_path):
    assert verify("--files", folder, "--state", tmp_path / "state")[0] == 0
    code, said, _ = verify("--files", folder, "--state", tmp_path / "state", "--since-last")
    assert code == 0
    assert "taken from the kept progress: entries 0 to 511 were checked until" in said
    assert "walked now: entries 512 to 599" in said
    state = tmp_path / "state"
    state.write_text(state.read_text().replace("512", "256"))
    code, said, _ = verify("--files", folder, "--state", state, "--since-last")
    assert code == 70
    assert "kept progress false" in said


def test_the_database_is_verified_and_kept_like_files(verify, installation, monkeypatch):
    for name, value in installation.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    with installation.database.connect(Role.API) as connection:
        append_many(connection, [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(300)])
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    assert json.loads(verify("--json")[1])["entries"] == 300
    found = json.loads(verify("--since-last", "--json")[1])
    assert (found["entries"], found["walked_from"], found["taken"]["entries"]) == (44, 256, 256)
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.entries SET outcome = 'x' WHERE entry_index = 7")
    code, said, _ = verify()
    assert (code, "entry 7: search column edited" in said) == (70, True)
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.entries SET outcome = NULL; DELETE FROM audit.checkpoints")
    (installation.home / "log" / f"{installation.settings.database_name}.checkpoint").unlink()
    (progress,) = (installation.home / "verified").glob("*.progress")
    progress.unlink()
    code, said, _ = verify()
    assert (code, "no checkpoint of this log is signed" in said) == (75, True)
