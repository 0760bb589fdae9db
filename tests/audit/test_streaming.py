"""Streaming out: every entry reaches every receiver that asked for it, at least once."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import structlog
from jsonschema import Draft202012Validator

from audit import EntryDraft, EntryKind, SubjectHandle, SubjectKeys, append_many
from audit.publishing.sequencer import Sequencer
from audit.streaming import Destination, StreamFilter, Streams
from audit.streaming.cef import cef
from audit.streaming.destination import StreamFormat, add, find, listed, remove, states
from audit.streaming.errors import StreamInvalid, StreamUnknown
from audit.streaming.fhir import DISCLOSURE_PROFILE
from audit.streaming.logged import LoggedEntry, Origin
from audit.streaming.runner import BackOff, Turn
from audit.streaming.trial import send_trial
from foundation import clock
from foundation.database import Role
from foundation.errors import LintasError
from foundation.tls import LocalAuthority
from tests.audit.syslog_receiver import SyslogReceiver, read_cef, server_context
from tests.foundation.https_server import HttpsServer, reply

PROCESS = Path(__file__).with_name("monitor_process.py")
ROOT = Path(__file__).parents[2]
OPERATOR = "operator-contoh"
ORIGIN = Origin("lintas.contoh.go.id/log", "https://lintas.contoh.go.id", "1.0")


@pytest.fixture
def authority(tmp_path):
    made = LocalAuthority(tmp_path / "authority")
    made.ensure()
    return made


@pytest.fixture
def syslog(authority):
    with SyslogReceiver(server_context(authority)) as receiver:
        yield receiver


@pytest.fixture
def https(authority):
    with HttpsServer(server_context(authority)) as server:
        yield server


class Log:
    """A log, its streams, and whoever serves them."""

    def __init__(self, installation, authority):
        self.installation, self.authority = installation, authority
        self.streams = Streams(installation, OPERATOR, batch=50, back_off=BackOff(60, 60))

    def write(self, *drafts):
        with self.installation.database.connect(Role.STEWARD) as connection:
            append_many(connection, drafts)
        with Sequencer(self.installation) as sequencer:
            sequencer.settle()

    def send_to(self, url, kind=StreamFormat.OCSF, name="soc", since=None, **options):
        options = {"ca_pem": self.authority.ca_pem} | options
        destination = Destination(name=name, format=kind, url=url, **options)
        with self.installation.database.connect(Role.STEWARD) as connection:
            add(connection, destination, by="operator-01", since=since)
        return destination

    def turn(self):
        with self.installation.database.connect(Role.MONITOR, autocommit=True) as connection:
            return self.streams.turn(connection)

    def send_all(self):
        while self.turn() is not Turn.NOTHING_DUE:
            pass

    def state(self):
        with self.installation.database.connect(Role.STEWARD) as connection:
            return states(connection)[0]

    def ids(self, where="true"):
        query = f"SELECT entry_id::text FROM audit.entries WHERE {where} ORDER BY entry_index"
        with self.installation.database.connect(Role.AUDITOR) as connection:
            return [row[0] for row in connection.execute(query)]


@pytest.fixture
def log(installation, authority):
    made = Log(installation, authority)
    yield made
    made.streams.close()


def keys():
    return SubjectKeys(SubjectHandle(__import__("uuid").uuid4()), os.urandom(32), os.urandom(32))


def answered(**changes):
    values = {
        "kind": EntryKind.EXCHANGE_ANSWERED,
        "provider": "dinkes-contoh",
        "consumer": "diskop-contoh",
        "system": "portal-contoh",
        "actor": "petugas-07",
        "purpose": "social-assistance",
        "legal_basis": "public-task",
        "decision_id": "d-1",
        "outcome": "verified",
        "datasets": ("dinkes-contoh/immunizations",),
        "fields": ("dinkes-contoh/immunizations:status",),
        "subject": keys(),
    }
    return EntryDraft(**values | changes)


def viewed():
    return EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="auditor-01", details={"view": "a|b=c\\d"})


def test_cef_reaches_a_syslog_receiver_over_tls_and_moves_on_after_its_last_word(log, syslog):
    log.send_to(syslog.url, StreamFormat.CEF, since=0)
    log.write(*(answered() for _ in range(120)))
    log.send_all()
    parsed = syslog.parsed
    assert [read_cef(each["text"])[1]["externalId"] for each in parsed] == log.ids()
    assert syslog.connections == 3
    numbers = [int(each["data"].split('"')[1]) for each in parsed]
    assert numbers == list(range(1, len(parsed) + 1))
    first = parsed[1]
    assert (first["app"], first["kind"]) == ("lintas", "exchange.answered")
    assert int(first["priority"]) == 13 * 8 + 6
    head, said = read_cef(first["text"])
    assert head[:3] == ["CEF:0", "Kota Mojokerto", "Lintas"]
    assert (said["suser"], said["cs2"], said["cn1"]) == ("petugas-07", "diskop-contoh", "1")
    assert log.state().position == log.state().size


@pytest.mark.parametrize("manners", ["rude", "deaf"])
def test_without_the_receivers_last_word_nothing_counts_as_delivered(log, syslog, manners):
    log.send_to(syslog.url, StreamFormat.CEF, since=0)
    log.write(answered())
    syslog.manners = manners
    assert log.turn() is Turn.POSTPONED
    failing = log.state()
    assert (failing.position, failing.failures, failing.is_failing) == (0, 1, True)
    assert failing.problem in {"stream-not-acknowledged", "stream-unreachable"}
    assert log.turn() is Turn.NOTHING_DUE
    syslog.manners = "polite"
    with clock.shifted(timedelta(minutes=2)):
        assert log.turn() is Turn.SENT
    assert len(syslog.messages) == 2
    assert not log.state().is_failing


def test_a_receiver_whose_certificate_is_not_trusted_gets_nothing(log, syslog, tmp_path):
    stranger = LocalAuthority(tmp_path / "stranger")
    stranger.ensure()
    log.send_to(syslog.url, StreamFormat.CEF, since=0, ca_pem=stranger.ca_pem)
    log.write(answered())
    assert log.turn() is Turn.POSTPONED
    assert log.state().problem == "stream-tls-refused"
    assert syslog.messages == []


def test_a_receiver_may_want_our_certificate(log, authority, installation):
    folder = installation.settings.home / "secrets" / OPERATOR
    folder.mkdir(parents=True)
    certificate, key = authority.issue("lintas-client", ["lintas"])
    (folder / "soc.pem").write_bytes(certificate.read_bytes())
    (folder / "soc.key").write_bytes(key.read_bytes())
    log.write(answered())
    with SyslogReceiver(server_context(authority, client_ca=authority.ca_path)) as receiver:
        bare = log.send_to(receiver.url, StreamFormat.CEF, name="bare", since=0)
        assert log.turn() is Turn.POSTPONED
        with installation.database.connect(Role.STEWARD) as connection:
            remove(connection, bare.name, by="operator-01")
        log.send_to(receiver.url, StreamFormat.CEF, client="soc", since=0)
        assert log.turn() is Turn.SENT
        assert len(receiver.messages) == 1


@pytest.mark.parametrize("text", ["a|b", "a\\b", "a=b", "a\nb", "\\|=\\n", "x" * 3000])
def test_what_cef_escapes_reads_back(text):
    entry = {
        "id": "i",
        "kind": "audit.viewed",
        "time": "2026-03-01T00:00:00.5Z",
        "purpose": text,
        "actor": text,
    }
    line = cef(LoggedEntry(3, entry), Origin("log", "u", text))
    assert "\n" not in line
    head, said = read_cef(line)
    assert len(head) == 7
    expected = text if len(text) < 1000 else f"{text[:996]} ..."
    assert (said["cs3"], said["suser"], said["cn1"]) == (expected, expected, "3")
    assert head[3] == " ".join(text.split())


def test_ocsf_goes_as_json_with_the_entrys_id_number_and_nothing_besides_the_entry(log, https, installation):
    secrets = installation.settings.home / "secrets" / OPERATOR
    secrets.mkdir(parents=True)
    (secrets / "soc-token").write_text("Bearer from-a-file")
    (secrets / "soc-token").chmod(0o600)
    log.send_to(f"{https.url}/ingest", since=0, credential="file:soc-token")
    refused = EntryDraft(kind=EntryKind.EXCHANGE_REFUSED, outcome="refused", consumer="diskop-contoh")
    log.write(answered(), refused, viewed())
    log.send_all()
    (received,) = https.received
    assert received.headers["authorization"] == "Bearer from-a-file"
    events = json.loads(received.body)
    for event in events:
        assert_ocsf(event)
    assert [event["metadata"]["uid"] for event in events] == log.ids()
    assert [event["metadata"]["sequence"] for event in events] == [0, 1, 2, 3]
    classes = [(event["class_uid"], event["activity_id"], event["status_id"]) for event in events]
    assert classes == [(3004, 3, 1), (6003, 2, 1), (6003, 2, 2), (6003, 2, 1)]
    assert events[1]["actor"]["user"]["name"] == "petugas-07"
    assert events[1]["resources"][0]["name"] == "dinkes-contoh/immunizations"


@cache
def ocsf_class(number):
    """The schema of a class of OCSF 1.6.0, as its maintainers publish it: unknown fields are errors."""
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.6.0"))
    return Draft202012Validator(schema.get_class_schema(schema.lookup_class_name_from_uid(number)))


def assert_ocsf(event):
    ocsf_class(event["class_uid"]).validate(event)
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["metadata"].keys() >= {"version", "product", "uid", "log_name"}


EVERYTHING = {
    "provider": "dinkes-contoh", "consumer": "diskop-contoh", "system": "palapa", "actor": "petugas-07",
    "purpose": "aid", "legal_basis": "consent", "outcome": "refused", "datasets": ["a/b"],
    "fields": ["a/b:c"], "decision": "0197f000-0000-7000-8000-000000000000", "rules": ["x.y"], "run": "r",
    "batch": {"read": 3}, "details": {"reason": "x", "count": 3}, "subjects": ["ab" * 16], "trace": "t",
}  # fmt: skip


@pytest.mark.parametrize("content", [{}, EVERYTHING], ids=["bare", "full"])
@pytest.mark.parametrize("kind", list(EntryKind))
def test_every_kind_of_entry_has_its_place_in_every_format(kind, content):
    from fhir.resources.R4B.auditevent import AuditEvent

    from audit.streaming.fhir import audit_events
    from audit.streaming.ocsf import ocsf
    from audit.streaming.syslog import message
    from tests.audit.syslog_receiver import MESSAGE

    data = {"v": 1, "id": "0197f000-0000-7000-8000-000000000000", "kind": str(kind)}
    data |= {"time": "2026-03-01T00:00:00.123456Z", **content}
    entry = LoggedEntry(9, data)
    assert_ocsf(ocsf(entry, ORIGIN))
    assert MESSAGE.fullmatch(message(entry, ORIGIN, 1).decode())
    for event in audit_events(entry, ORIGIN):
        AuditEvent.model_validate(event)


def fhir_reply(connection, received):
    parts = json.loads(received.body)["entry"]
    body = {"resourceType": "Bundle", "entry": [{"response": {"status": "201 Created"}} for _ in parts]}
    connection.sendall(reply(200, json.dumps(body).encode()))


def test_health_exchanges_become_fhir_audit_events_after_balp(log, https):
    from fhir.resources.R4B.auditevent import AuditEvent
    from fhir.resources.R4B.bundle import Bundle

    https.replies = [fhir_reply]
    health = StreamFilter(kinds=("exchange.*",), datasets=("dinkes-contoh/*",))
    log.send_to(f"{https.url}/fhir", StreamFormat.FHIR, since=0, filter=health)
    child = keys()
    other = answered(datasets=("kpp-contoh/standing",), fields=())
    log.write(
        answered(also_about=(child,)), other, answered(kind=EntryKind.EXCHANGE_REFUSED, outcome="refused")
    )
    log.send_all()
    sent = json.loads(https.received[0].body)
    Bundle.model_validate(sent)
    events = [part["resource"] for part in sent["entry"]]
    for event in events:
        AuditEvent.model_validate(event)
    assert len(events) == 3, "one for each person of the first exchange, and the refusal"
    assert [part["request"]["url"] for part in sent["entry"]] == [f"AuditEvent/{e['id']}" for e in events]
    disclosed, about_the_child, refused = events
    assert disclosed["meta"]["profile"] == [DISCLOSURE_PROFILE]
    assert_disclosure(disclosed)
    assert_disclosure(about_the_child)
    assert (refused["outcome"], "meta" in refused) == ("4", False)
    tags = [each["entity"][0]["what"]["identifier"]["value"] for each in events[:2]]
    assert len(set(tags)) == 2


def assert_disclosure(event):
    """What BALP's profile of a disclosure at its source asks for."""
    assert event["type"]["code"] == "110106"
    assert event["action"] == "R"
    assert "disclose" in [each["code"] for each in event["subtype"]]
    agents = {each["type"]["coding"][0]["code"]: each for each in event["agent"]}
    assert agents.keys() >= {"110153", "110152"}
    assert agents["110153"]["who"] == event["source"]["observer"]
    assert all(agents[code]["network"]["address"] for code in ("110153", "110152"))
    kinds = [each["type"]["code"] for each in event["entity"]]
    assert kinds.count("1") == 1
    assert "2" in kinds


def test_a_bundle_of_which_one_part_was_not_taken_is_sent_again(log, https):
    refusal = {"entry": [{"response": {"status": "422"}}]}
    https.replies = [reply(200, json.dumps(refusal).encode()), fhir_reply]
    health = StreamFilter(kinds=("exchange.*",), datasets=("dinkes-contoh/*",))
    log.send_to(f"{https.url}/fhir", StreamFormat.FHIR, since=0, filter=health)
    log.write(answered())
    assert log.turn() is Turn.POSTPONED
    assert log.state().problem == "stream-not-acknowledged"
    with clock.shifted(timedelta(minutes=2)):
        assert log.turn() is Turn.SENT
    first, second = https.received
    assert first.body == second.body


def test_each_receiver_gets_what_its_filter_says_from_where_it_was_told(log, https, syslog):
    log.write(answered(), viewed())
    log.send_to(https.url, name="views", filter=StreamFilter(kinds=("audit.*",)), since=0)
    log.send_to(syslog.url, StreamFormat.CEF, name="new-ones")
    log.write(viewed(), answered())
    log.send_all()
    got = [event["metadata"]["uid"] for each in https.received for event in json.loads(each.body)]
    assert got == log.ids("kind = 'audit.viewed'")
    told = [read_cef(each["text"])[1]["externalId"] for each in syslog.parsed]
    assert told == log.ids("entry_index >= 2")


def test_a_failing_receiver_alerts_backs_off_and_holds_up_nobody_else(log, https, syslog):
    https.replies = [reply(503)]
    log.send_to(https.url, name="broken", since=0)
    log.send_to(syslog.url, StreamFormat.CEF, name="well", since=0)
    with structlog.testing.capture_logs() as said:
        log.write(answered())
        log.send_all()
    (alert,) = [each for each in said if each["event"] == "stream.failing"]
    assert (alert["log_level"], alert["stream"], alert["failures"]) == ("error", "broken", 1)
    broken, well = states_of(log)
    assert (broken.failures, broken.waiting > 0) == (1, True)
    assert (well.failures, well.waiting) == (0, 0)
    pauses = [BackOff(1, 300).pause(failures).total_seconds() for failures in range(12)]
    assert pauses[3] > pauses[0]
    assert max(pauses) <= 300
    assert BackOff(1, 300).pause(0, 900).total_seconds() == 900


def test_an_entry_that_was_damaged_stops_the_streams_that_meet_it_aloud_and_no_other(log, https, syslog):
    log.write(answered())
    with log.installation.database.admin(log.installation.settings.database_name) as connection:
        connection.execute("UPDATE audit.entries SET entry = 'no entry' WHERE entry_index = 0")
    log.send_to(https.url, name="meets-it", since=0)
    log.send_to(syslog.url, StreamFormat.CEF, name="begins-later", since=1)
    log.write(answered())
    log.send_all()
    later, meets = sorted(states_of(log), key=lambda each: each.name)
    assert (meets.failures, later.failures, later.waiting) == (1, 0, 0)


def states_of(log):
    with log.installation.database.connect(Role.STEWARD) as connection:
        return states(connection)


def test_what_a_receiver_cannot_take_is_found_by_smaller_batches(log, https):
    def choosy(connection, received):
        is_poisoned = any(event["metadata"]["sequence"] == 7 for event in json.loads(received.body))
        connection.sendall(reply(400 if is_poisoned else 200))

    https.replies = [choosy]
    log.send_to(https.url, since=0)
    log.write(*(answered() for _ in range(20)))
    with clock.shifted(timedelta()):
        for minutes in range(1, 14):
            with clock.shifted(timedelta(hours=minutes)):
                log.turn()
    state = log.state()
    assert state.position == 7
    assert state.problem == "request-refused"


def test_nobody_adds_a_stream_that_cannot_be_one(log, installation):
    good = {"name": "soc", "format": StreamFormat.OCSF, "url": "https://siem.contoh.go.id/in"}
    wrong = [
        {"name": "So C"},
        {"url": "http://siem.contoh.go.id/in"},
        {"url": "https://user:word@siem.contoh.go.id/in"},
        {"url": "https://siem.contoh.go.id/in?token=1"},
        {"url": "https://siem.contoh.go.id:x/in"},
        {"url": "https://siem.contoh.go.id/3576014403910003"},
        {"format": StreamFormat.CEF},
        {"format": StreamFormat.CEF, "url": "syslog+tls://s", "credential": "file:x"},
        {"format": StreamFormat.FHIR},
        {"credential_header": "A B"},
        {"client": "../elsewhere"},
    ]
    with installation.database.connect(Role.STEWARD) as connection:
        for changes in wrong:
            with pytest.raises(StreamInvalid):
                add(connection, Destination(**good | changes), by="operator-01")
        with pytest.raises(LintasError):
            add(connection, Destination(**good, credential="the secret itself"), by="operator-01")
        add(connection, Destination(**good), by="operator-01")
        with pytest.raises(StreamInvalid):
            add(connection, Destination(**good), by="operator-01")
        assert [each.name for each in listed(connection)] == ["soc"]
        remove(connection, "soc", by="operator-01")
        with pytest.raises(StreamUnknown):
            find(connection, "soc")


def test_a_trial_goes_all_the_way_and_stands_under_no_number(log, syslog, installation):
    destination = log.send_to(syslog.url, StreamFormat.CEF)
    sent = send_trial(destination, installation.settings, OPERATOR, "operator-01")
    (received,) = syslog.parsed
    assert read_cef(received["text"])[1]["externalId"] == sent
    assert log.ids() == []


@contextlib.contextmanager
def monitor(installation, batch):
    environment = {**os.environ, **installation.settings.as_environment(), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, str(PROCESS), str(batch)], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_killed_again_and_again_every_entry_still_arrives_in_order_under_one_id(log, https, installation):
    """Each reply comes late, so that kills fall before, during and after a batch."""
    arrived, counted = [], threading.Condition()

    def late(connection, received):
        events = [event["metadata"]["uid"] for event in json.loads(received.body)]
        with counted:
            arrived.append(events)
            counted.notify_all()
        time.sleep(random.uniform(0, 0.03))
        connection.sendall(reply(200))

    https.replies = [late]
    log.send_to(f"{https.url}/in", since=0)
    log.write(*(viewed() for _ in range(150)))
    expected = log.ids()
    for _ in range(2):
        with monitor(installation, 10) as process, counted:
            goal = len(arrived) + 4
            assert counted.wait_for(lambda goal=goal: len(arrived) >= goal, 60)
            process.send_signal(signal.SIGKILL)
    with monitor(installation, 10), counted:
        assert counted.wait_for(lambda: arrived and arrived[-1][-1] == expected[-1], 60)
    flat = [uid for events in arrived for uid in events]
    assert list(dict.fromkeys(flat)) == expected
    assert len(flat) - len(expected) <= 2 * 10, "at most one batch comes twice for each kill"


def test_the_monitor_can_read_entries_and_move_streams_on_and_nothing_else(log, installation):
    import psycopg

    log.send_to("https://siem.contoh.go.id/in")
    with installation.database.connect(Role.MONITOR) as connection:
        for statement in (
            "SELECT * FROM audit.sealed",
            "UPDATE audit.stream SET url = 'https://elsewhere.example/'",
            "DELETE FROM audit.stream",
            "DELETE FROM audit.entries",
            "SELECT * FROM records.batch",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()
