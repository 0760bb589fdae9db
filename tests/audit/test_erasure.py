"""Erasing a person: two officers, a ground, no hold, retention over; then nothing is left but proofs."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from audit import EntryDraft, EntryKind, append
from audit.checking.verification import verify_installation
from audit.checkpoints.keys import log_verifier_keys
from audit.erasure import erasing
from audit.erasure.erasing import carry_out
from audit.erasure.grounds import ErasureGround, HoldGround
from audit.erasure.requests import approve, place_hold, reject, release_hold, request_erasure, requests
from audit.erasure.suppression import is_suppressed, lock_key
from audit.errors import ErasureRefused, SealBroken
from audit.publishing.export import export_log
from audit.publishing.receipt import receipt, verify_receipt
from audit.publishing.sequencer import Sequencer
from audit.subject_view import Reader, exchanges_of
from audit.subjects.sealing import unseal
from audit.subjects.vault import FRESH_SECONDS, Vault
from audit.verifier import lintas_verify
from foundation import clock
from foundation.database import Role

NONE = timedelta(0)
READER = Reader(actor="counter-3", reason="the subject asked")
GROUND = ErasureGround.SUBJECT_REQUEST


def tag_of(value: str) -> bytes:
    import hashlib

    return hashlib.sha256(b"a key of the installation" + value.encode()).digest()


@pytest.fixture
def vault(installation):
    with Vault(installation, Role.STEWARD) as vault:
        yield vault


@pytest.fixture
def known(installation, vault, canary):
    """A person about whom there are two sealed exchanges; another with one."""
    keys = vault.handle_for("nik", canary.nik)
    other = vault.handle_for("nik", "3576024107850001")
    promises = [exchange(installation, keys), exchange(installation, other, also_about=(keys,))]
    settle(installation)
    return keys, other, promises


def exchange(installation, subject, **changes):
    with installation.database.connect(Role.API) as connection:
        return append(
            connection,
            EntryDraft(
                kind=EntryKind.EXCHANGE_REFUSED, consumer="kpp", outcome="denied", subject=subject,
                sealed={"request": {"case": "A-1"}}, **changes,
            ),
        )  # fmt: skip


def settle(installation):
    with Sequencer(installation) as sequencer:
        sequencer.settle()


def steward(installation):
    return installation.database.connect(Role.STEWARD)


def ask(installation, keys, officer="steward-01", ground=GROUND, retention=NONE):
    with steward(installation) as connection:
        return request_erasure(connection, keys, ground, officer=officer, retention=retention)


def approved(installation, keys):
    found = ask(installation, keys)
    with steward(installation) as connection:
        return approve(connection, found.request_id, keys, officer="steward-02", retention=NONE)


def run(installation, request_id, **changes):
    given = {"officer": "steward-01", "tag_of": tag_of, "retention": NONE} | changes
    return carry_out(installation, request_id, **given)


def kinds(installation):
    settle(installation)
    with installation.database.connect(Role.AUDITOR) as connection:
        return [row[0] for row in connection.execute("SELECT kind FROM audit.entries ORDER BY entry_index")]


def everything(installation):
    """Every byte of every table of the main database's `audit` schema, and of the vault."""
    found = b""
    for name, schema in (
        (installation.settings.database_name, "audit"),
        (installation.settings.vault_database_name, "vault"),
    ):
        with installation.database.admin(name) as connection:
            tables = connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace",
                [schema],
            ).fetchall()
            for (table,) in tables:
                with connection.cursor().copy(f"COPY {schema}.{table} TO STDOUT (FORMAT binary)") as copy:
                    found += b"".join(bytes(part) for part in copy)
    return found


def test_an_erased_person_leaves_nothing_that_opens_and_every_proof(
    installation, vault, known, canary, tmp_path
):
    keys, other, promises = known
    with installation.database.connect(Role.AUDITOR) as connection:
        before = receipt(connection, promises[0].entry_id)
        blob = connection.execute(
            "SELECT blob FROM audit.sealed WHERE entry_id = %s", [promises[0].entry_id]
        ).fetchone()[0]
    done = run(installation, approved(installation, keys).request_id)
    assert done.request.state == "erased"
    assert done.request.subject is None
    assert done.index_rows == 4  # two exchanges, and that the erasure was asked for and approved
    with steward(installation) as connection:
        assert is_suppressed(connection, tag_of(canary.nik))
        assert exchanges_of(connection, keys, READER) == []
        assert len(exchanges_of(connection, other, READER)) == 1
        connection.rollback()
    with Vault(installation, Role.STEWARD) as later:
        assert later.find("nik", canary.nik) is None
        assert later.keys_of(keys.handle) is None
        assert later.identifier_of(keys.handle) is None
        stranger = later.handle_for("nik", "3576024107850777")
    with pytest.raises(SealBroken):
        unseal(stranger, promises[0].entry_id, bytes(blob))
    left = everything(installation)
    for gone in (keys.handle.bytes, keys.tag_key, keys.data_key, keys.index_key(), canary.nik.encode()):
        assert gone not in left
    settle(installation)
    report = verify_installation(installation)
    assert report.intact, report.damages
    verify_receipt(str(before), log_verifier_keys(installation))
    with installation.database.connect(Role.AUDITOR) as connection:
        verify_receipt(str(receipt(connection, promises[0].entry_id)), log_verifier_keys(installation))
        export_log(connection, tmp_path / "export", READER)
    (tmp_path / "keys").write_text("".join(f"{key}\n" for key in log_verifier_keys(installation)))
    (tmp_path / "before").write_text(str(before))
    trusted = ["--keys", str(tmp_path / "keys")]
    assert lintas_verify.main(["log", str(tmp_path / "export"), *trusted]) == 0
    assert lintas_verify.main(["receipt", str(tmp_path / "before"), *trusted]) == 0
    assert kinds(installation)[2:6] == [
        "erasure.requested", "erasure.approved", "erasure.started", "subject.erased",
    ]  # fmt: skip


def test_entries_of_an_erasure_name_nobody(installation, known):
    keys = known[0]
    run(installation, approved(installation, keys).request_id)
    settle(installation)
    with installation.database.connect(Role.AUDITOR) as connection:
        rows = connection.execute(
            "SELECT entry FROM audit.entries WHERE kind IN ('erasure.started', 'subject.erased')"
        ).fetchall()
    assert len(rows) == 2
    for (entry,) in rows:
        assert b'"subjects"' not in bytes(entry)
        assert b"UU 27/2022 Art. 8" in bytes(entry)


def test_running_processes_let_go_of_the_keys_within_seconds(installation, known, canary, monkeypatch):
    keys = known[0]
    with Vault(installation) as another:
        assert another.find("nik", canary.nik).handle == keys.handle
        run(installation, approved(installation, keys).request_id)
        now = __import__("time").monotonic()
        monkeypatch.setattr("audit.subjects.vault.time.monotonic", lambda: now + FRESH_SECONDS + 0.1)
        assert another.find("nik", canary.nik) is None
        assert another.find("nik", "3576024107850001") is not None


def test_who_asked_cannot_approve_and_the_table_says_so_too(installation, known):
    keys = known[0]
    found = ask(installation, keys)
    with steward(installation) as connection, pytest.raises(ErasureRefused, match="cannot approve"):
        approve(connection, found.request_id, keys, officer="steward-01", retention=NONE)
    with steward(installation) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "UPDATE audit.erasure SET state = 'approved', decided_by = requested_by, decided_at = now()"
        )
    with pytest.raises(ErasureRefused, match="not approved"):
        run(installation, found.request_id)


def test_a_hold_stops_an_erasure_until_another_officer_releases_it(installation, known):
    keys = known[0]
    found = ask(installation, keys)
    with steward(installation) as connection:
        hold = place_hold(connection, keys, HoldGround.COURT_CASE, officer="auditor-01")
    with steward(installation) as connection, pytest.raises(ErasureRefused, match="hold"):
        approve(connection, found.request_id, keys, officer="steward-02", retention=NONE)
    with steward(installation) as connection, pytest.raises(ErasureRefused, match="asked for the erasure"):
        release_hold(connection, hold.hold_id, officer="steward-01")
    with steward(installation) as connection:
        assert release_hold(connection, hold.hold_id, officer="auditor-01", subject=keys).released_at
        approve(connection, found.request_id, keys, officer="steward-02", retention=NONE)
    with steward(installation) as connection:
        late = place_hold(connection, keys, HoldGround.LAW_ENFORCEMENT, officer="auditor-01")
    with pytest.raises(ErasureRefused, match="hold"):
        run(installation, found.request_id)
    with steward(installation) as connection:
        release_hold(connection, late.hold_id, officer="auditor-01")
    assert run(installation, found.request_id).request.state == "erased"
    with installation.database.connect(Role.AUDITOR) as connection:
        assert connection.execute("SELECT count(*) FROM audit.legal_hold").fetchone() == (2,)


def test_who_released_a_hold_neither_asks_for_the_erasure_nor_approves_it(installation, known):
    keys = known[0]
    with steward(installation) as connection:
        hold = place_hold(connection, keys, HoldGround.COURT_CASE, officer="steward-03")
        release_hold(connection, hold.hold_id, officer="steward-02", subject=keys)
    with pytest.raises(ErasureRefused, match="no part in the erasure"):
        ask(installation, keys, officer="steward-02")
    found = ask(installation, keys)
    with steward(installation) as connection, pytest.raises(ErasureRefused, match="no part in the erasure"):
        approve(connection, found.request_id, keys, officer="steward-02", retention=NONE)
    with steward(installation) as connection:
        approve(connection, found.request_id, keys, officer="steward-03", retention=NONE)
        late = place_hold(connection, keys, HoldGround.COURT_CASE, officer="steward-02")
        with pytest.raises(ErasureRefused, match="approved it cannot release"):
            release_hold(connection, late.hold_id, officer="steward-03")


def test_an_exchange_that_must_still_be_kept_stops_an_erasure(installation, known, vault):
    keys = known[0]
    with pytest.raises(ErasureRefused, match="must still be kept"):
        ask(installation, keys, retention=timedelta(days=90))
    exchange(installation, unsequenced := vault.handle_for("nik", "3576024107850002"))
    with pytest.raises(ErasureRefused, match="must still be kept"):
        ask(installation, unsequenced, retention=timedelta(days=90))
    with clock.shifted(timedelta(days=91)):
        assert ask(installation, keys, retention=timedelta(days=90)).state == "requested"


def test_an_exchange_that_is_being_committed_while_an_erasure_begins_stops_it_too(
    installation, known, canary
):
    keys, retention = known[0], timedelta(hours=1)
    found = approved(installation, keys)
    with ThreadPoolExecutor(1) as thread, clock.shifted(timedelta(days=1)):
        with installation.database.connect(Role.API) as answering:
            answering.execute("SELECT pg_advisory_xact_lock_shared(%s)", [lock_key(tag_of(canary.nik))])
            append(answering, EntryDraft(kind=EntryKind.EXCHANGE_REFUSED, outcome="denied", subject=keys))
            erasing = thread.submit(
                copy_context().run, run, installation, found.request_id, retention=retention
            )
            wait_for_a_waiting_lock(installation)
        with pytest.raises(ErasureRefused, match="must still be kept"):
            erasing.result(30)
    with steward(installation) as connection:
        assert not is_suppressed(connection, tag_of(canary.nik))


def wait_for_a_waiting_lock(installation):
    until = time.monotonic() + 20
    with installation.database.admin(installation.settings.database_name) as connection:
        while time.monotonic() < until:
            (waiting,) = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchone()
            if waiting:
                return
            time.sleep(0.02)
    raise AssertionError("the erasure does not wait for who is answering")


def test_a_request_is_open_once_and_a_rejected_one_forgets_whom_it_was_about(installation, known):
    keys = known[0]
    first = ask(installation, keys)
    with pytest.raises(ErasureRefused, match="already"):
        ask(installation, keys, officer="steward-02")
    with steward(installation) as connection:
        assert reject(connection, first.request_id, keys, officer="steward-02").subject is None
    again = ask(installation, keys)
    with steward(installation) as connection:
        assert [each.state for each in requests(connection)] == ["requested", "rejected"]
        assert [each.request_id for each in requests(connection, open_only=True)] == [again.request_id]
    with steward(installation) as connection, pytest.raises(ErasureRefused, match="no such request"):
        reject(connection, uuid4(), None, officer="steward-02")


class Crash(BaseException):
    """The process is gone."""


CRASHES = {
    "before anything": (erasing, "suppress"),
    "before the start is logged": (erasing, "_log"),
    "while the rooms forget": (erasing, "_count"),
    "before the vault forgets": (Vault, "forget"),
    "before the end": (erasing, "_end"),
}


@pytest.mark.parametrize("place", CRASHES)
def test_a_crash_leaves_the_old_state_or_the_new_and_the_next_run_goes_on(
    installation, known, canary, monkeypatch, place
):
    keys, found = known[0], approved(installation, known[0])
    told = []

    def forget(_installation, person):
        told.append((person.kind, person.value, person.tag))
        return 3

    def crash(*_args, **_given):
        raise Crash

    with monkeypatch.context() as broken:
        broken.setattr(*CRASHES[place], crash)
        with pytest.raises(Crash):
            run(installation, found.request_id, forgetters=[forget])
    with steward(installation) as connection:
        state = requests(connection)[0].state
        begun = is_suppressed(connection, tag_of(canary.nik))
    early = place in {"before anything", "before the start is logged"}
    assert (state, begun) == (("approved", False) if early else ("erasing", True))
    done = run(installation, found.request_id, forgetters=[forget])
    assert done.request.state == "erased"
    assert told[-1] == ("nik", canary.nik, tag_of(canary.nik))
    with Vault(installation) as vault:
        assert vault.keys_of(keys.handle) is None
    assert kinds(installation).count("subject.erased") == 1
    assert kinds(installation).count("erasure.started") == 1
    with pytest.raises(ErasureRefused):
        run(installation, found.request_id)


def test_a_hold_comes_too_late_once_an_erasure_has_begun(installation, known, monkeypatch):
    keys, found = known[0], approved(installation, known[0])

    def crash(*_args, **_given):
        raise Crash

    with monkeypatch.context() as broken:
        broken.setattr(erasing, "_end", crash)
        with pytest.raises(Crash):
            run(installation, found.request_id)
    with steward(installation) as connection, pytest.raises(ErasureRefused, match="being erased"):
        place_hold(connection, keys, HoldGround.COURT_CASE, officer="auditor-01")
    with steward(installation) as connection, pytest.raises(ErasureRefused, match="erasing"):
        reject(connection, found.request_id, keys, officer="steward-02")


@pytest.mark.parametrize("role", [Role.API, Role.STEWARD, Role.AUDITOR, Role.INGEST])
def test_nobody_removes_index_rows_but_for_an_erasure_that_has_begun(installation, known, role):
    request = ask(installation, known[0])
    with installation.database.connect(role) as connection:
        try:
            row = connection.execute("SELECT audit.forget_index(%s)", [request.request_id]).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            row = (0,)
        connection.rollback()
    assert row == (0,)
