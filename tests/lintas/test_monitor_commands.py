"""What the operator and auditors do with streams and flags: by name, in the log, and only what is theirs."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from audit import EntryDraft, EntryKind, append
from audit.attention import Watch
from audit.publishing.sequencer import Sequencer
from audit.streaming.errors import StreamInvalid, StreamUnknown
from foundation.database import Role
from foundation.tls import LocalAuthority
from lintas.access import OPERATOR
from lintas.cli import app
from lintas.errors import NotAnAuditor
from lintas.heartbeat import Heartbeat
from participants.errors import NotASteward
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole
from tests.audit.syslog_receiver import SyslogReceiver, server_context
from verification.working_days import is_working_day


@pytest.fixture
def run(installation, monkeypatch):
    for name, value in installation.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    with installation.database.connect(Role.STEWARD) as connection:
        register_agency(connection, Agency(OPERATOR, "Diskominfo", "operator"))
        for pseudonym, role in (("walidata-01", OfficerRole.STEWARD), ("auditor-01", OfficerRole.AUDITOR)):
            register_officer(connection, Officer(pseudonym, OPERATOR, pseudonym, frozenset({role})))
    return lambda *words: CliRunner().invoke(app, list(words), catch_exceptions=True)


def told(result):
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def look_up_without_a_case(installation):
    with installation.database.connect(Role.STEWARD) as connection:
        append(
            connection,
            EntryDraft(
                kind=EntryKind.EXCHANGE_ANSWERED,
                consumer=OPERATOR,
                system="portal",
                actor="petugas-01",
                purpose="aid",
                decision_id="d",
                outcome="verified",
                details={"case": False},
            ),
        )
    with Sequencer(installation) as sequencer:
        sequencer.settle()


def test_a_stream_is_added_tried_out_watched_and_removed(run, installation, tmp_path):
    authority = LocalAuthority(tmp_path / "authority")
    by = ("--officer", "walidata-01")
    with SyslogReceiver(server_context(authority)) as receiver:
        words = ("audit", "streams", "add", "soc", "--format", "cef", "--to", receiver.url)
        words += ("--ca", str(authority.ca_path), "--kind", "exchange.*", "--since", "0")
        added = told(run(*words, *by, "--json"))
        assert (added["filter"], added["ca_pinned"]) == ("kinds exchange.*", True)
        assert told(run("audit", "streams", "test", "soc", *by, "--json"))["acknowledged"] is True
        assert len(receiver.messages) == 1
    failed = run("audit", "streams", "test", "soc", *by)
    assert failed.exception.code == "stream-unreachable"
    assert told(run("audit", "streams", "list", "--json"))[0]["to"] == receiver.url
    assert told(run("audit", "streams", "status", "--json"))[0]["state"] == "well"
    assert told(run("audit", "streams", "remove", "soc", *by, "--json"))["status"] == "removed"
    assert isinstance(run("audit", "streams", "remove", "soc", *by).exception, StreamUnknown)
    assert isinstance(run(*words, "--officer", "auditor-01").exception, NotASteward)
    wrong = run("audit", "streams", "add", "soc", "--format", "leef", "--to", "https://x/", *by)
    assert isinstance(wrong.exception, StreamInvalid)
    with installation.database.connect(Role.MIGRATOR) as connection:
        query = "SELECT outcome FROM audit.outbox WHERE kind = 'stream.changed' ORDER BY id"
        assert [row[0] for row in connection.execute(query)] == ["added", "tested", "tested", "removed"]


def test_a_flag_is_listed_shown_and_judged_by_an_auditor(run, installation):
    look_up_without_a_case(installation)
    with installation.database.connect(Role.MONITOR, autocommit=True) as connection:
        Watch(installation, is_working_day).turn(connection)
    by = ("--officer", "auditor-01")
    troubles = [each["what"] for each in told(run("status", "--json"))["troubles"]]
    assert "1 flags wait for an auditor" in troubles
    (waiting,) = told(run("audit", "attention", "list", "--rule", "no-case", *by, "--json"))
    assert waiting["who"] == "officer:petugas-01"
    shown = told(run("audit", "attention", "show", waiting["flag"], *by, "--json"))
    assert shown["entry_numbers"] == [0]
    words = ("audit", "attention", "judge", waiting["flag"], "justified", "--reason", "a hotline", "--json")
    assert isinstance(run(*words, "--officer", "walidata-01").exception, NotAnAuditor)
    assert "from 2" in told(run(*words, *by))["learned"]
    figures = {each["rule"]: each for each in told(run("audit", "attention", "rules", "--json"))}
    assert (figures["no-case"]["justified"], figures["no-case"]["lessons"]) == (1, 1)
    assert figures["rate"]["open"] == 0


def test_a_relative_is_noted_by_a_key_and_taken_back(run, installation, tmp_path, canary):
    with installation.database.connect(Role.STEWARD) as connection:
        register_officer(connection, Officer("o-7", OPERATOR, "petugas-07"))
    nik = tmp_path / "nik"
    nik.write_text(canary.nik)
    of = ("petugas-07", "--agency", OPERATOR, "--officer", "auditor-01", "--json")
    noted = told(run("audit", "attention", "relate", *of, "--relation", "family", "--nik-file", str(nik)))
    assert noted["status"] == "noted"
    with installation.database.connect(Role.MIGRATOR) as connection:
        rows = connection.execute("SELECT * FROM audit.attention_related").fetchall()
        entries = connection.execute("SELECT entry FROM audit.outbox").fetchall()
    assert not canary.found_in(str(rows) + str(entries))
    assert told(run("audit", "attention", "unrelate", *of))["relations"] == 1


def test_the_monitor_runs_as_a_process_flags_and_ends_when_asked(run, installation):
    look_up_without_a_case(installation)
    process = subprocess.Popen([sys.executable, "-m", "lintas", "monitor"], env=dict(os.environ))
    try:
        deadline = time.monotonic() + 60
        with installation.database.connect(Role.AUDITOR, autocommit=True) as connection:
            query = "SELECT count(*) FROM audit.attention_flag WHERE rule = 'no-case'"
            while connection.execute(query).fetchone()[0] == 0:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert Heartbeat(installation.home, "monitor").age() < 10
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
