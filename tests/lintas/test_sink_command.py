"""`lintas audit sink verify` and the status: how the copy of the log stands, in words and exit codes."""

import json

import pytest
from typer.testing import CliRunner

from audit import EntryDraft, EntryKind, append_many
from audit.publishing.sequencer import Sequencer
from audit.sink.segments import segments_in
from foundation.database import Role
from foundation.installation import Installation
from lintas.cli import app
from lintas.status import gather


@pytest.fixture
def copied(installation, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    folder.mkdir()
    changes = {"log_sink": folder, "log_sink_required": True}
    settings = type(installation.settings)(**installation.settings.model_dump() | changes)
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    return Installation.open(settings)


def write_and_settle(installation):
    with installation.database.connect(Role.API) as connection:
        append_many(connection, [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(3)])
    with Sequencer(installation) as sequencer:
        sequencer.settle()


def verify(*words, code):
    done = CliRunner().invoke(app, ["audit", "sink", "verify", *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_a_copy_that_agrees_ends_with_0_and_one_that_differs_with_70(copied):
    write_and_settle(copied)
    assert "the copy agrees with the log: entries 0 to before 3" in " ".join(verify(code=0).split())
    (segment,) = segments_in(copied.settings.log_sink)
    segment.path.write_bytes(segment.path.read_bytes().replace(b'"actor":"test"', b'"actor":"tost"', 1))
    found = json.loads(verify("--json", code=70))
    assert found["intact"] is False
    assert "entry 0 of the copy is not that of the database" in found["findings"][0]


def test_without_a_copy_the_command_says_how_to_keep_one(copied, monkeypatch):
    monkeypatch.delenv("LINTAS_LOG_SINK")
    done = CliRunner().invoke(app, ["audit", "sink", "verify"])
    assert done.exit_code != 0
    assert "LINTAS_LOG_SINK" in str(done.exception)


def test_the_status_says_how_far_the_copy_reaches_and_what_hinders_it(copied):
    write_and_settle(copied)
    found = gather(copied)
    assert (found.sink.kept, found.sink.required, found.sink.problem) == (3, True, None)
    copied.settings.log_sink.rename(copied.settings.log_sink.with_name("away"))
    with pytest.raises(Exception, match="cannot be reached"):
        write_and_settle(copied)
    told = [each.what for each in gather(copied).troubles if "copy of the log" in each.what]
    assert told == [
        "the copy of the log: The copy of the log cannot be reached. No such file or directory;"
        " nothing is signed and exchanges stop"
    ]
