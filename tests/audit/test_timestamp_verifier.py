"""What an auditor finds with tokens, public keys and roots alone: since when a log existed."""

import json
import shutil
import subprocess
import sys
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from audit import EntryDraft, EntryKind, append_many
from audit.checkpoints.keys import log_verifier_keys
from audit.errors import ReceiptNotReady
from audit.publishing.export import export_log
from audit.publishing.receipt import receipt
from audit.publishing.sequencer import Sequencer
from audit.subject_view import Reader
from audit.timestamps import Stamper
from audit.verifier import lintas_timestamps, lintas_verify
from foundation import clock
from foundation.database import Role
from foundation.installation import Installation
from lintas.cli import app
from lintas.status import gather
from tests.audit.timestamp_server import Pki, TimestampServer

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is the timestamping authority: apt-get install openssl"
)
MONTH = timedelta(days=30)


@pytest.fixture
def server(stamping):
    made = TimestampServer(stamping.reply)
    yield made
    made.stop()


@pytest.fixture
def make(make_installation, pki, server, tmp_path):
    """Installations of one log: they have the same key, as an operator who starts anew would."""

    def made():
        file = pki.describe(tmp_path / "authorities.yaml", server)
        settings = make_installation().settings
        return Installation.open(settings.model_copy(update={"timestamp_authorities": file}))

    return made


def write(installation, count=300):
    with installation.database.connect(Role.API) as connection:
        drafts = [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(count)]
        promises = append_many(connection, drafts)
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    return promises


def stamp(installation):
    with Stamper(installation) as stamper:
        (done,) = stamper.stamp_now()
    assert done.trouble is None


def export(installation, folder):
    with installation.database.connect(Role.AUDITOR) as connection:
        export_log(connection, folder, Reader(actor="auditor-1", reason="check"))
    keys = folder / "keys"
    keys.write_text("".join(f"{key}\n" for key in log_verifier_keys(installation)))
    return folder


@pytest.fixture
def honest(make, tmp_path):
    """A log, stamped at 300 of its 350 entries, and what an auditor took of it."""
    installation = make()
    with clock.shifted(-timedelta(minutes=6)):
        promises = write(installation)
    stamp(installation)
    write(installation, 50)
    return installation, promises, export(installation, tmp_path / "honest")


def check(pki, capsys, path, *words, keys=None):
    arguments = [str(path), "--keys", str(keys or path / "keys"), "--roots", str(pki.roots)]
    code = lintas_timestamps.main([*arguments, *(str(word) for word in words)])
    return code, capsys.readouterr().out


def test_an_auditor_sees_since_when_the_log_existed_and_what_is_not_stamped(honest, pki, capsys):
    code, said = check(pki, capsys, honest[2], "--within", "1")
    assert code == 0, said
    assert "proven: the tree of 300 entries existed on" in said
    assert "CN=Practice TSA" in said
    assert "not stamped: the entries from 300 to 349" in said
    assert "the longest delay: entry 0 was stamped 0.1 hours after" in said


def test_a_log_rewritten_with_its_real_key_does_not_fit_the_tokens_that_were_kept(
    honest, make, pki, tmp_path, capsys
):
    rewritten = make()
    with clock.shifted(-MONTH):
        write(rewritten)
    stamp(rewritten)
    forged = export(rewritten, tmp_path / "forged")
    assert (forged / "keys").read_text() == (honest[2] / "keys").read_text()
    assert lintas_verify.main(["log", str(forged), "--keys", str(forged / "keys")]) == 0
    shutil.copytree(honest[2] / "timestamps", forged / "timestamps", dirs_exist_ok=True)
    code, said = check(pki, capsys, forged)
    assert code == 1
    assert "300.tsa-1.tst: the token stamps something else than this checkpoint" in said


def test_a_log_rewritten_with_its_real_key_gets_no_time_from_before(make, pki, tmp_path, capsys):
    rewritten = make()
    with clock.shifted(-MONTH):
        write(rewritten)
    stamp(rewritten)
    forged = export(rewritten, tmp_path / "forged")
    code, said = check(pki, capsys, forged)
    assert code == 0
    assert "was stamped 720.0 hours after the time that it states" in said
    code, said = check(pki, capsys, forged, "--within", "24")
    assert code == 1
    assert "FALSE: entry 0 was stamped 720.0 hours after" in said


def test_an_entry_dated_after_its_own_timestamp_is_false(make, pki, tmp_path, capsys):
    installation = make()
    with clock.shifted(MONTH):
        write(installation, 3)
    stamp(installation)
    code, said = check(pki, capsys, export(installation, tmp_path / "export"))
    assert code == 1
    assert "FALSE: entry 0 is dated" in said


def flip_token(folder):
    file = folder / "timestamps" / "300.tsa-1.tst"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(bytes(changed))


DAMAGES = {
    "changed token": (flip_token, 2, "not checked: 300.tsa-1.tst"),
    "no token": (lambda d: shutil.rmtree(d / "timestamps"), 2, "NOT CHECKED: no token"),
    "malformed token": (lambda d: (d / "timestamps/300.tsa-1.tst").write_bytes(b"0" * 200), 1, "malformed"),
    "token without its checkpoint": (
        lambda d: (d / "timestamps/300.tsa-1.tst").rename(d / "timestamps/299.tsa-1.tst"), 2, "NOT CHECKED"
    ),
    "token under another checkpoint": (
        lambda d: (d / "timestamps/300.tsa-1.tst").rename(d / "timestamps/350.tsa-1.tst"), 1, "something else"
    ),
    "stray file": (lambda d: (d / "timestamps/x.tst").write_bytes(b""), 1, "not named after a tree size"),
    "changed entry": (
        lambda d: (d / "tile/entries/000").write_bytes(
            (d / "tile/entries/000").read_bytes().replace(b'"test"', b'"tost"', 1)
        ), 1, "is not the one that was logged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_exit_code_tells_what_is_false_from_what_cannot_be_checked(honest, pki, damage, capsys):
    change, expected, told = DAMAGES[damage]
    change(honest[2])
    code, said = check(pki, capsys, honest[2])
    assert (code, told in said) == (expected, True), said


def test_tokens_of_nobody_whom_the_auditor_trusts_prove_nothing(honest, tmp_path, capsys):
    other = Pki(tmp_path)
    code, said = check(other, capsys, honest[2])
    assert code == 2
    assert "not checked: 300.tsa-1.tst: Error while verifying certificates" in said


def test_a_receipt_and_its_token_tell_since_when_its_entry_existed(honest, pki, tmp_path, capsys):
    installation, promises, folder = honest
    with installation.database.connect(Role.AUDITOR) as connection:
        (tmp_path / "one.tlog-proof").write_text(str(receipt(connection, promises[7].entry_id)))
    token = folder / "timestamps" / "300.tsa-1.tst"
    keys = folder / "keys"
    code, said = check(pki, capsys, tmp_path / "one.tlog-proof", "--token", token, keys=keys)
    assert code == 0, said
    assert "proven: the tree of 300 entries of" in said
    assert check(pki, capsys, folder / "checkpoints" / "300", "--token", token, keys=keys)[0] == 0
    assert check(pki, capsys, folder / "checkpoints" / "350", "--token", token, keys=keys)[0] == 1
    assert check(pki, capsys, folder / "checkpoints" / "300", keys=keys)[0] == 2


def test_the_verifier_runs_beside_the_other_alone(honest, pki, tmp_path):
    for module in (lintas_verify, lintas_timestamps):
        shutil.copy(module.__file__, tmp_path)
    command = [sys.executable, "lintas_timestamps.py", str(honest[2])]
    command += ["--keys", str(honest[2] / "keys"), "--roots", str(pki.roots)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "proven: the tree of 300 entries" in done.stdout


@pytest.fixture
def run(honest, monkeypatch):
    monkeypatch.setattr("foundation.installation.load_settings", lambda: honest[0].settings)

    def ran(*words, code=0):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    return ran


def test_the_commands_stamp_list_and_verify(run, honest, pki, server):
    (kept,) = json.loads(run("audit", "timestamps", "--json"))
    assert (kept["entries"], kept["authority"], kept["trouble"]) == (300, "tsa-1", None)
    (done,) = json.loads(run("audit", "timestamp", "--json"))
    assert (done["entries"], done["trouble"]) == (350, None)
    assert "350" in run("audit", "timestamps")
    checked = json.loads(run("audit", "verify-timestamps", honest[2], "--roots", pki.roots, "--json"))
    assert checked["whole"] is True
    run("audit", "verify-timestamps", honest[2], "--roots", pki.roots, "--within", "0.05", code=1)
    run("audit", "verify", "--files", honest[2], "--keys", honest[2] / "keys")


def test_a_receipt_is_written_under_a_stamped_checkpoint_with_its_tokens(run, honest, pki, tmp_path, capsys):
    first, last = honest[1][0].entry_id, one_entry_after(honest[0], 300)
    file = tmp_path / "one.tlog-proof"
    run("audit", "prove", first, "--to", file, "--timestamped")
    token = tmp_path / "one.tlog-proof.tsa-1.tst"
    code, said = check(pki, capsys, file, "--token", token, keys=honest[2] / "keys")
    assert code == 0, said
    done = CliRunner().invoke(app, ["audit", "prove", last, "--to", str(file), "--timestamped"])
    assert isinstance(done.exception, ReceiptNotReady)
    run("audit", "timestamp")
    run("audit", "prove", last, "--to", file, "--timestamped")
    assert check(pki, capsys, file, "--token", token, keys=honest[2] / "keys")[0] == 0


def one_entry_after(installation, index):
    with installation.database.connect(Role.AUDITOR) as connection:
        query = "SELECT entry_id::text FROM audit.entries WHERE entry_index = %s"
        return connection.execute(query, (index,)).fetchone()[0]


def test_an_authority_that_is_away_is_told_by_the_commands_and_by_the_status(run, honest, server):
    assert gather(honest[0]).timestamping.problems == []
    server.stop()
    write(honest[0], 3)
    run("audit", "timestamp", code=75)
    rows = json.loads(run("audit", "timestamps", "--json"))
    assert rows[-1]["trouble"] == "agency-unreachable"
    (trouble,) = [each for each in gather(honest[0]).troubles if each.next == "lintas audit timestamps"]
    assert "the timestamping authority tsa-1: agency-unreachable since" in trouble.what
    honest[0].settings.timestamp_authorities.write_text("authorities: []")
    assert any("no checkpoint is stamped" in each for each in gather(honest[0]).timestamping.problems)
