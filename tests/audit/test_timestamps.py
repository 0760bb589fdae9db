"""Timestamps: what is due gets a verified token in time or later, and nothing else is kept."""

import re
import shutil
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from audit import EntryDraft, EntryKind, append_many
from audit.checking.damage import DamageKind
from audit.checking.verification import verify_installation
from audit.checkpoints.checkpoint import sign_checkpoint
from audit.checkpoints.keys import log_private_key
from audit.checkpoints.tree_head import Checkpoint
from audit.publishing.export import export_log
from audit.publishing.sequencer import Sequencer
from audit.streaming.runner import BackOff
from audit.subject_view import Reader
from audit.timestamps import Stamper, TimestampSettings, open_token, queue
from audit.timestamps.authorities import Authority
from audit.timestamps.errors import Flaw, TimestampInvalid, TimestampMisconfigured
from audit.timestamps.token import stamped_bytes
from foundation import clock
from foundation.database import Role
from foundation.installation import Installation
from foundation.tls import LocalAuthority
from tests.audit.timestamp_server import STAMPING, Certified, Stamping, TimestampServer, sequence

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is the timestamping authority: apt-get install openssl"
)
SHA256, SHA3_256 = bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040208")
HOUR = timedelta(hours=1)


@pytest.fixture
def server(stamping):
    made = TimestampServer(stamping.reply)
    yield made
    made.stop()


@pytest.fixture
def describe(installation, pki, tmp_path):
    """The installation with the authorities of a file."""

    def described(*servers, **options):
        file = pki.describe(tmp_path / "authorities.yaml", *servers, **options)
        return Installation.open(installation.settings.model_copy(update={"timestamp_authorities": file}))

    return described


@pytest.fixture
def stamped(describe, server):
    """An installation that one authority stamps."""
    return describe(server)


def grow(installation, count=3):
    with installation.database.connect(Role.API) as connection:
        append_many(connection, [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(count)])
    with Sequencer(installation) as sequencer:
        sequencer.settle()


def steps(installation, **options):
    """Everything that is due now, done by a stamper of its own, as after a restart."""
    found = []
    with Stamper(installation, **options) as stamper:
        while (done := stamper.step()) is not None:
            found.append(done)
    return found


def kept(installation):
    with installation.database.connect(Role.AUDITOR) as connection:
        return queue.stored(connection)


def state(installation, number=0):
    with installation.database.connect(Role.STEWARD) as connection:
        return queue.states(connection)[number]


def waiting(installation):
    with installation.database.connect(Role.STEWARD) as connection:
        rows = connection.execute("SELECT tree_size FROM audit.timestamp_requests ORDER BY tree_size")
        return [row[0] for row in rows.fetchall()]


def trust(pki, **changes):
    return Authority("tsa-1", (pki.root.certificate,), **changes)


def test_a_changed_checkpoint_is_stamped_and_the_token_verifies_offline(stamped, pki, no_leaks):
    grow(stamped)
    (done,) = steps(stamped)
    (token,) = kept(stamped)
    assert (done.authority, done.tree_size, done.trouble) == ("tsa-1", 3, None)
    assert abs(token.generated_at - datetime.now(UTC)) < timedelta(seconds=30)
    found = open_token(token.token, stamped_bytes(token.note), trust(pki))
    assert (found.generated_at, found.imprint, found.policy) == (
        token.generated_at, token.imprint, "1.2.3.4.1"
    )  # fmt: skip
    with pytest.raises(TimestampInvalid) as caught:
        open_token(token.token, stamped_bytes(token.note) + b"x", trust(pki))
    assert caught.value.attributes["flaw"] == Flaw.WRONG_IMPRINT
    assert (state(stamped).waiting, state(stamped).trouble) == (0, None)


def test_the_token_of_an_export_verifies_with_openssl_alone(stamped, pki, tmp_path):
    grow(stamped)
    steps(stamped)
    with stamped.database.connect(Role.AUDITOR) as connection:
        report = export_log(connection, tmp_path / "export", Reader(actor="auditor-1", reason="check"))
    assert report.timestamps == 1
    note = (tmp_path / "export" / "checkpoints" / "3").read_bytes()
    (tmp_path / "signed-text").write_bytes(note.partition(b"\n\n")[0] + b"\n")
    command = ["openssl", "ts", "-verify", "-token_in", "-in", "export/timestamps/3.tsa-1.tst"]
    command += ["-data", "signed-text", "-CAfile", str(pki.roots)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "signed-text").write_bytes(note.replace(b"\n3\n", b"\n4\n").partition(b"\n\n")[0] + b"\n")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def flipped(query, position):
    changed = bytearray(query)
    changed[position] ^= 1
    return bytes(changed)


def wrong_imprint(stamping, query, pki):
    return stamping.reply(flipped(query, query.index(b"\x04\x20") + 2))


def wrong_nonce(stamping, query, pki):
    return stamping.reply(flipped(query, -4))  # the last octet before `certReq TRUE`


def no_nonce(stamping, query, pki):
    info = stamping.info(stamping.reply(query))
    start = query.index(b"\x04\x20") + 34  # after the imprint
    nonce = query[start : start + 2 + query[start + 1]]
    assert info.count(nonce) == 1
    return stamping.signed(sequence(content_of(info).replace(nonce, b"")), pki.signer)


def content_of(info):
    return info[2 if info[1] < 128 else 3 :]


def time_in(info):
    """Where the digits of the time stand."""
    return re.search(rb"\x18\x0f(\d{14})Z", info).start(1)


def another_hash(stamping, query, pki):
    return stamping.signed(stamping.info(stamping.reply(query)).replace(SHA256, SHA3_256), pki.signer)


def by_signer(**options):
    def made(stamping, query, pki):
        signer = Certified("Another", pki.below, **options)
        return stamping.signed(stamping.info(stamping.reply(query)), signer)

    return made


def by_unknown_root(stamping, query, pki):
    root = Certified("Practice Root")
    folder = stamping.folder / "other"
    return Stamping(folder, Certified("Practice TSA", root, usages=STAMPING), [root]).reply(query)


def unnamed_signer(stamping, query, pki):
    info = stamping.info(stamping.reply(query))
    return stamping.signed(info, Certified("Another", pki.below, usages=STAMPING), names_signer=False)


def changed_time(stamping, query, pki):
    reply = stamping.reply(query)
    return flipped(reply, time_in(reply) + 13)


def fraction_of_a_second(stamping, query, pki):
    info = stamping.info(stamping.reply(query))
    start = time_in(info)
    longer = info[: start - 2] + b"\x18\x12" + info[start : start + 14] + b".25Z" + info[start + 15 :]
    return stamping.signed(sequence(content_of(longer)), pki.signer)


def unknown_version(stamping, query, pki):
    reply = stamping.reply(query)
    version = b"\xa0\x03\x02\x01\x02"  # X.509 v3
    assert version in reply
    return reply.replace(version, version[:-1] + b"\x47")


def cut(stamping, query, pki):
    return stamping.reply(query)[:-10]


def with_trailing_data(stamping, query, pki):
    return stamping.reply(query) + b"\x00"


BAD = {
    "wrong imprint": (wrong_imprint, "wrong-imprint"),
    "another hash of the same length": (another_hash, "wrong-imprint"),
    "wrong nonce": (wrong_nonce, "wrong-nonce"),
    "no nonce": (no_nonce, "wrong-nonce"),
    "expired certificate": (by_signer(usages=STAMPING, days=(-30, -2)), "certificate-expired"),
    "not for timestamping": (by_signer(usages=()), "certificate-unfit"),
    "for timestamping and more": (
        by_signer(usages=(*STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)), "certificate-unfit"
    ),
    "usage not critical": (by_signer(usages=STAMPING, critical=False), "certificate-unfit"),
    "unknown root": (by_unknown_root, "untrusted"),
    "signer not named": (unnamed_signer, "signer-unnamed"),
    "time changed after signing": (changed_time, "untrusted"),
    "signed, but no timestamp": (lambda s, _, pki: s.signed(b"hello", pki.signer), "malformed"),
    "certificates of no known version": (unknown_version, "malformed"),
    "garbage": (lambda *_: b"<html>busy</html>", "malformed"),
    "empty": (lambda *_: b"", "malformed"),
    "cut": (cut, "malformed"),
    "trailing data": (with_trailing_data, "malformed"),
    "giant": (lambda *_: b"\x30" * 3_000_000, "body-too-large"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_verify_is_refused_by_name_and_the_request_waits(stamped, server, stamping, pki, case):
    answer, expected = BAD[case]
    grow(stamped)
    server.answer = lambda query: answer(stamping, query, pki)
    (done,) = steps(stamped)
    assert (done.trouble, done.generated_at) == (expected, None)
    assert kept(stamped) == []
    assert (state(stamped).trouble, state(stamped).failures, waiting(stamped)) == (expected, 1, [3])


def test_a_refused_request_and_a_server_error_are_told_apart(describe, pki, tmp_path):
    picky = pki.stamping(tmp_path / "picky", digests="sha512")
    server = TimestampServer(picky.reply)
    try:
        installation = describe(server)
        grow(installation)
        assert steps(installation)[0].trouble == "timestamp-declined"
        server.status = 503
        with clock.shifted(HOUR):
            assert steps(installation)[0].trouble == "agency-failing"
    finally:
        server.stop()


def test_granted_with_modifications_is_taken_when_all_else_is_right(stamped, server, stamping):
    grow(stamped)

    def modified(query):
        reply = stamping.reply(query)
        assert reply.count(b"\x30\x03\x02\x01\x00") == 1
        return reply.replace(b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01\x01")

    server.answer = modified
    assert steps(stamped)[0].generated_at is not None


def test_a_time_with_a_fraction_of_a_second_is_taken(stamped, server, stamping, pki):
    grow(stamped)
    server.answer = lambda query: fraction_of_a_second(stamping, query, pki)
    assert steps(stamped)[0].generated_at is not None


def test_a_policy_that_was_not_agreed_is_refused(describe, server):
    for policy, expected in (("1.2.3.4.2", "wrong-policy"), ("1.2.3.4.1", None)):
        installation = describe(server, policy=policy)
        grow(installation)
        with clock.shifted(2 * HOUR if expected is None else timedelta(0)):
            assert steps(installation)[0].trouble == expected


def test_while_the_authority_is_away_requests_wait_and_are_made_later_the_newest_first(stamped, server):
    server.stop()
    for hour in range(4):
        with clock.shifted(hour * HOUR):
            grow(stamped)
            assert {each.trouble for each in steps(stamped)} <= {"agency-unreachable"}
    assert (waiting(stamped), kept(stamped)) == ([3, 6, 9, 12], [])
    away = state(stamped)
    assert away.failures >= 4
    assert away.trouble == "agency-unreachable"
    server.start()
    with clock.shifted(5 * HOUR):
        done = steps(stamped)
    assert [each.tree_size for each in done] == [12, 3, 6, 9]
    assert [each.tree_size for each in kept(stamped)] == [3, 6, 9, 12]
    back = state(stamped)
    assert (back.failures, back.failing_since, back.trouble, back.waiting) == (0, None, None, 0)


def test_an_authority_that_fails_is_left_alone_longer_each_time(stamped, server):
    server.status = 500
    grow(stamped)
    pauses = []
    for _ in range(4):
        with clock.fixed(state(stamped).next_at if pauses else clock.now()) as moment:
            (failed,) = steps(stamped, back_off=BackOff(first=10.0, longest=60.0))
            assert failed.trouble is not None
            assert steps(stamped) == []
        pauses.append((state(stamped).next_at - moment).total_seconds())
    assert [5 <= pauses[0] <= 10, 10 <= pauses[1] <= 20, 20 <= pauses[2] <= 40] == [True] * 3
    assert 30 <= pauses[3] <= 60
    assert len(server.asked) == 4


def test_a_checkpoint_is_stamped_once_and_the_next_one_when_its_time_has_come(stamped, server):
    grow(stamped)
    assert len(steps(stamped)) == 1
    assert steps(stamped) == []
    with clock.shifted(30 * timedelta(minutes=1)):
        grow(stamped)
        assert steps(stamped) == []
    with clock.shifted(61 * timedelta(minutes=1)):
        assert [each.tree_size for each in steps(stamped)] == [6]
    with clock.shifted(5 * HOUR):
        assert steps(stamped) == []
    assert len(server.asked) == 2


def test_a_request_older_than_a_week_gives_way_to_a_newer_one(stamped, server):
    server.stop()
    for days in (0, 1, 9):
        with clock.shifted(timedelta(days=days)):
            grow(stamped)
            steps(stamped)
    assert waiting(stamped) == [9]


def test_each_authority_has_its_own_queue(describe, server, stamping):
    other = TimestampServer(stamping.reply)
    try:
        installation = describe(server, other)
        server.status = 500
        grow(installation)
        assert {(each.authority, each.trouble is None) for each in steps(installation)} == {
            ("tsa-1", False), ("tsa-2", True)
        }  # fmt: skip
        assert [each.authority for each in kept(installation)] == ["tsa-2"]
    finally:
        other.stop()


def test_a_time_that_differs_from_ours_is_kept_and_flagged(stamped, server, stamping, pki):
    from lintas.timestamp_status import timestamping

    def slow(query):
        info = stamping.info(stamping.reply(query))
        start = time_in(info)
        shown = datetime.strptime(info[start : start + 15].decode(), "%Y%m%d%H%M%S%z")
        earlier = (shown - 2 * HOUR).strftime("%Y%m%d%H%M%SZ").encode()
        return stamping.signed(info[:start] + earlier + info[start + 15 :], pki.signer)

    server.answer = slow
    grow(stamped)
    assert steps(stamped)[0].trouble is None
    assert -7_230 < state(stamped).ahead_seconds < -7_190
    with stamped.database.connect(Role.STEWARD) as connection:
        problems = timestamping(connection, stamped.settings).problems
    assert any("tsa-1" in each and "behind" in each for each in problems)


def test_of_several_stampers_one_asks(stamped, server):
    grow(stamped)
    with Stamper(stamped) as first, Stamper(stamped) as second:
        assert first.step() is not None
        with clock.shifted(2 * HOUR):
            grow(stamped)
            assert second.step() is None
            assert first.step() is not None
        first.close()
        with clock.shifted(4 * HOUR):
            grow(stamped)
            assert second.step() is not None
    assert len(server.asked) == 3


def test_the_stamper_runs_until_it_is_stopped_and_without_authorities_ends_at_once(
    stamped, installation, server, no_leaks
):
    stop = threading.Event()
    Stamper(installation).run(stop)
    grow(stamped)
    answer, answered = server.answer, threading.Event()

    def told(query):
        answered.set()
        return answer(query)

    server.answer = told
    thread = threading.Thread(target=Stamper(stamped).run, args=(stop,))
    thread.start()
    assert answered.wait(20)
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert len(kept(stamped)) == 1


def test_the_server_is_asked_over_tls_by_our_authority_alone_and_with_our_password(
    describe, stamping, tmp_path, server
):
    tls = LocalAuthority(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls.issue("server", ["localhost"]))
    (tmp_path / "password").write_text("kata-sandi\n")
    (tmp_path / "password").chmod(0o600)
    secured = TimestampServer(stamping.reply, context)
    try:
        login = {"user": "lintas", "password_file": "password"}
        known = describe(secured, tls_authority=str(tls.ca_path), **login)
        grow(known)
        assert steps(known)[0].generated_at is not None
        assert secured.credentials == ["Basic bGludGFzOmthdGEtc2FuZGk="]
        unknown = describe(secured)
        grow(unknown)
        with clock.shifted(2 * HOUR):
            assert steps(unknown)[0].trouble == "tls-refused"
    finally:
        secured.stop()


WRONG = {
    "not there": None,
    "no yaml": "{",
    "nobody": "authorities: []",
    "unknown key": "every_hours: 2\nauthorities: [{name: a, url: 'https://a.example/', roots: roots.pem}]",
    "plain http beyond this machine": "authorities: [{name: a, url: 'http://a.example/', roots: roots.pem}]",
    "no url": "authorities: [{name: a, url: 'tsa.example', roots: roots.pem}]",
    "password without user": (
        "authorities: [{name: a, url: 'https://a.example/', roots: roots.pem, password_file: p}]"
    ),
    "no certificates": "authorities: [{name: a, url: 'https://a.example/', roots: authorities.yaml}]",
    "only intermediates": "authorities: [{name: a, url: 'https://a.example/', roots: below.pem}]",
    "one name twice": (
        "authorities: [{name: a, url: 'https://a.example/', roots: roots.pem},"
        " {name: a, url: 'https://b.example/', roots: roots.pem}]"
    ),
    "a name that cannot stand in a file name": (
        "authorities: [{name: ../a, url: 'https://a.example/', roots: roots.pem}]"
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_of_authorities_that_cannot_be_used_is_refused(tmp_path, pki, case):
    shutil.copy(pki.roots, tmp_path)
    (tmp_path / "below.pem").write_bytes(pki.below.pem)
    if WRONG[case] is not None:
        (tmp_path / "authorities.yaml").write_text(WRONG[case])
    with pytest.raises(TimestampMisconfigured):
        TimestampSettings.load(tmp_path / "authorities.yaml")


def test_only_the_sequencer_may_keep_tokens(stamped, server):
    grow(stamped)
    steps(stamped)
    for role in (Role.API, Role.STEWARD, Role.AUDITOR, Role.SEQUENCER):
        for statement in ("UPDATE audit.timestamps SET generated_at = now()", "DELETE FROM audit.timestamps"):
            with stamped.database.connect(role) as connection:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
                connection.rollback()


def one(installation, statement, *values):
    with installation.database.admin(installation.settings.database_name) as connection:
        connection.execute(statement, values)


def test_verifying_the_log_verifies_its_timestamps_and_says_what_they_leave_open(stamped, installation):
    grow(stamped)
    assert any("no authority that is known here" in each for each in verify_installation(stamped).not_proven)
    steps(stamped)
    report = verify_installation(stamped)
    assert report.intact
    assert not any("timestamp" in each or "since when" in each for each in report.not_proven)
    grow(stamped)
    assert any("entries 3 to 5 exist" in each for each in verify_installation(stamped).not_proven)
    elsewhere = verify_installation(installation)
    assert elsewhere.intact
    assert any("of tsa-1 are true: their roots are not known" in each for each in elsewhere.not_proven)


@pytest.mark.parametrize("known", [True, False])
def test_a_checkpoint_signed_anew_by_the_real_key_does_not_fit_its_timestamp(stamped, installation, known):
    grow(stamped)
    steps(stamped)
    private = log_private_key(installation)
    other = sign_checkpoint(Checkpoint(installation.settings.log_origin, 3, b"\1" * 32), private)
    one(stamped, "UPDATE audit.checkpoints SET note = %s, root = %s", other, b"\1" * 32)
    report = verify_installation(stamped if known else installation)
    assert (3, DamageKind.TIMESTAMP_FALSE) in {(each.index, each.kind) for each in report.damages}


CHANGES = {
    "its time": (
        "UPDATE audit.timestamps SET generated_at = generated_at - interval '1 year'", "another time"
    ),
    "its bytes": (
        "UPDATE audit.timestamps SET token = set_byte(token, octet_length(token) - 1,"
        " get_byte(token, octet_length(token) - 1) # 1)", "is not signed by anybody",
    ),
    "all of it": ("UPDATE audit.timestamps SET token = decode(repeat('00', 64), 'hex')", "is no timestamp"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_stored_timestamp_that_was_changed_is_found(stamped, change):
    grow(stamped)
    steps(stamped)
    statement, told = CHANGES[change]
    one(stamped, statement)
    (damage,) = verify_installation(stamped).damages
    assert (damage.kind, told in damage.detail) == (DamageKind.TIMESTAMP_FALSE, True), damage
