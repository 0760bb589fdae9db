"""What was never logged: promises, receipts and access logs kept elsewhere contradict a log that omits."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from joserfc.jwk import OKPKey

from audit import EntryDraft, EntryKind, append
from audit.checkpoints.keys import log_verifier_keys
from audit.errors import AccessLogInvalid
from audit.publishing.receipt import receipt, sign_promise
from audit.publishing.sequencer import Sequencer
from audit.reconciliation.access_log import Access, Operation, read_access_logs
from audit.reconciliation.accesses import LiveQuestion, SyncRun, compare_accesses, logged_questions
from audit.reconciliation.discrepancies import DiscrepancyKind, Reconciliation, Window
from audit.reconciliation.held_receipts import read_receipts
from audit.reconciliation.receipts import compare_receipts
from audit.retention import newest_pruned
from foundation import clock
from foundation.database import Role
from foundation.signatures import compact_jws

T = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
TAX = "kpp-mojokerto/taxpayers"


def kinds(result):
    return sorted(str(each.kind) for each in result.found)


def promised(installation, count):
    """Entries as exchanges append them, and the promises that portals are given."""
    with installation.database.connect(Role.API) as connection:
        drafts = [EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test") for _ in range(count)]
        return [append(connection, draft) for draft in drafts]


def keep(installation, folder, promises):
    folder.mkdir(exist_ok=True)
    key = installation.keyring.ensure("bus", "ed25519")
    for number, promise in enumerate(promises):
        token = sign_promise(promise, key, "log")
        (folder / f"{number}.jws").write_text(f"{token}\n", encoding="ascii")


def compare(installation, folder, later=timedelta(minutes=5), window=None, **options):
    bus_keys = [installation.keyring.ensure("bus", "ed25519").public_jwk]
    result = Reconciliation(window or Window())
    with installation.database.connect(Role.AUDITOR) as connection:
        result.pruned_until = newest_pruned(connection)
    held = read_receipts(folder, log_verifier_keys(installation), bus_keys)
    with installation.database.connect(Role.AUDITOR) as connection:
        compare_receipts(connection, held, result, clock.now() + later, **options)
    return result


def suppress(installation, promise):
    """Take an entry out of the outbox before it is logged, as whoever owns the server can."""
    with installation.database.admin(installation.settings.database_name) as connection:
        connection.execute("DELETE FROM audit.outbox WHERE entry_id = %s", [promise.entry_id])


def test_an_exchange_whose_entry_was_suppressed_is_named_by_its_promise(installation, tmp_path):
    promises = promised(installation, 3)
    keep(installation, tmp_path, promises)
    suppress(installation, promises[1])
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    result = compare(installation, tmp_path)
    (found,) = result.contradictions
    assert found.kind is DiscrepancyKind.PROMISE_BROKEN
    assert str(promises[1].entry_id) in found.what
    assert found.window.until == promises[1].deadline.replace(microsecond=0)
    assert "supervisory body" in found.remedy


def test_a_promise_that_is_not_due_is_pending_and_one_that_waits_too_long_is_a_question(
    installation, tmp_path
):
    keep(installation, tmp_path, promised(installation, 1))
    early = compare(installation, tmp_path, later=timedelta())
    assert (early.pending, early.found) == (1, [])
    late = compare(installation, tmp_path)
    assert (kinds(late), late.contradictions) == (["promise-late"], [])


def test_receipts_of_this_log_agree_and_those_of_another_history_under_the_same_key_do_not(
    make_installation, tmp_path
):
    ours, fork = make_installation(), make_installation()
    for number, installation in enumerate((ours, fork)):
        (promise,) = promised(installation, 1)
        with Sequencer(installation) as sequencer:
            sequencer.settle()
        with installation.database.connect(Role.AUDITOR) as connection:
            text = str(receipt(connection, promise.entry_id))
        (tmp_path / f"{number}.tlog-proof").write_text(text, encoding="utf-8")
    assert kinds(compare(ours, tmp_path)) == ["receipt-contradicts"]
    (tmp_path / "1.tlog-proof").unlink()
    assert kinds(compare(ours, tmp_path)) == []
    (tmp_path / "2.tlog-proof").write_text(text.replace("index 0", "index 7"), encoding="utf-8")
    assert kinds(compare(ours, tmp_path)) == ["receipt-invalid"]


def test_a_signed_answer_without_an_entry_and_an_entry_without_the_answer_are_named(installation, tmp_path):
    logged, unlogged, foreign = (str(uuid4()) for _ in range(3))
    at = clock.now()
    with installation.database.connect(Role.API) as connection:
        for answer in (logged, foreign):
            draft = EntryDraft(
                kind=EntryKind.EXCHANGE_ANSWERED, consumer="o", system="portal", purpose="p",
                outcome="verified",
                decision_id=uuid4(), details={"answer": answer}, occurred_at=at,
            )  # fmt: skip
            append(connection, draft)
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    key = installation.keyring.ensure("bus", "ed25519")
    for answer in (logged, unlogged):
        content = f'{{"answer_id":"{answer}","system":"portal","answered_at":"{at.isoformat()}"}}'
        token = compact_jws(key, "lintas-answer+jws", content.encode())
        (tmp_path / f"{answer}.jws").write_text(token, encoding="ascii")
    assert kinds(compare(installation, tmp_path)) == ["answer-unlogged"]
    complete = compare(installation, tmp_path, complete_for=["portal"])
    assert kinds(complete) == ["answer-unlogged", "exchange-without-answer"]
    assert foreign in complete.found[1].what


def test_a_token_of_another_signer_counts_as_invalid(installation, tmp_path):
    (promise,) = promised(installation, 1)
    stranger = installation.keyring.ensure("log", "ed25519")
    (tmp_path / "x.jws").write_text(sign_promise(promise, stranger, "log"), encoding="ascii")
    assert kinds(compare(installation, tmp_path)) == ["receipt-invalid"]
    assert OKPKey.import_key(stranger.public_jwk)


def at(minutes, operation="list", dataset=TAX, records=10):
    return Access(T + timedelta(minutes=minutes), dataset, Operation(operation), records, f"log:{minutes}")


def against(accesses, syncs=(), lookups=(), window=None):
    result = Reconciliation(window or Window())
    compare_accesses(accesses, list(syncs), list(lookups), result, tolerance=timedelta(seconds=30))
    return result


SYNC = SyncRun(TAX, "b1", T, T + timedelta(minutes=10), read=20, outcome="completed")
QUESTION = LiveQuestion(TAX, "l1", T, T + timedelta(seconds=2), answered=True)


def test_access_within_a_sync_is_explained_and_outside_of_it_is_not():
    assert against([at(0), at(9)], [SYNC]).found == []
    result = against([at(0), at(9), at(40), at(41), at(90)], [SYNC])
    assert kinds(result) == ["access-unlogged", "access-unlogged"]
    assert result.found[0].window == Window(T + timedelta(minutes=40), T + timedelta(minutes=41))
    assert "served 2 requests (list, 20 records) without an entry" in result.found[0].what


def test_a_live_question_explains_one_request_only_and_no_sync_explains_it():
    assert against([at(0, "lookup")], [], [QUESTION]).found == []
    assert kinds(against([at(0, "lookup"), at(0, "lookup")], [SYNC], [QUESTION])) == ["access-unlogged"]


def test_entries_that_no_source_has_served_are_named_where_its_log_tells_of_such():
    assert against([at(-60)], window=Window(T)).found == []
    assert kinds(against([at(-60)], [SYNC], window=Window(T))) == ["sync-without-access"]
    assert against([at(0)], [], [QUESTION]).questions == []
    result = against([at(-60, "lookup")], [], [QUESTION], window=Window(T))
    assert kinds(result) == ["lookup-without-access"]


def test_more_records_served_than_read_only_raise_a_question():
    result = against([at(0), at(1), at(2)], [SYNC])
    assert (kinds(result), result.contradictions) == (["more-served-than-read"], [])


def test_a_question_that_was_asked_again_takes_no_access_from_the_one_that_was_answered():
    """The source was down at first; what it served in the end answers the second question, not the first."""
    failed = LiveQuestion(TAX, "l0", T, T + timedelta(seconds=2), answered=False)
    again = LiveQuestion(TAX, "l1", T + timedelta(seconds=9), T + timedelta(seconds=10), answered=True)
    assert against([at(1 / 6, "lookup")], [], [failed, again]).found == []
    third = LiveQuestion(TAX, "l2", T + timedelta(seconds=55), T + timedelta(seconds=56), answered=True)
    served = [at(1.3, "lookup"), at(1 / 6, "lookup")]  # the first can only be the third's
    assert against(served, [], [failed, again, third]).found == []
    assert kinds(against([*served, at(0, "lookup")], [], [failed, again, third])) == []
    assert kinds(against([*served, at(0, "lookup")], [], [again, third])) == ["access-unlogged"]


def test_syncs_that_follow_each_other_closely_are_counted_together():
    second = SyncRun(
        TAX, "b2", SYNC.ended + timedelta(seconds=20), SYNC.ended + timedelta(minutes=5), read=30
    )
    second.outcome = "completed"
    served = [at(0), at(9.9), at(10.4, records=30)]
    assert against(served, [SYNC, second]).found == []
    (found,) = against([*served, at(11)], [SYNC, second]).found
    assert found.kind is DiscrepancyKind.MORE_SERVED_THAN_READ
    assert "b1, b2" in found.what


def test_nothing_is_accused_for_want_of_entries_that_were_pruned():
    floor = T + timedelta(minutes=60)
    served = [at(0), at(59, "lookup"), at(60.4), at(65), at(200)]
    cut = SyncRun(
        TAX, "b9", floor, T + timedelta(minutes=70), read=7, outcome="completed", start_is_pruned=True
    )
    result = Reconciliation(Window(), pruned_until=floor)
    compare_accesses(served, [cut], [], result, tolerance=timedelta(seconds=30))
    assert [each.window.since for each in result.found] == [T + timedelta(minutes=200)]
    assert result.beyond == 2


def test_answers_and_syncs_whose_entries_were_pruned_are_told_apart_from_what_was_not_logged(
    installation, tmp_path
):
    old = clock.now() - timedelta(days=4_000)
    common = {"provider": "kpp-mojokerto", "consumer": "bus", "datasets": (TAX,), "batch": {"batch_id": "b1"}}
    with installation.database.connect(Role.INGEST) as connection:
        append(connection, EntryDraft(kind=EntryKind.SYNC_COMPLETED, **common))
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute(
            "INSERT INTO audit.prunings"
            " VALUES (gen_random_uuid(), 256, now(), 'x', 'a', now(), 'b', now(), %s)",
            [old],
        )
    key = installation.keyring.ensure("bus", "ed25519")
    for answer, answered_at in (("early", old), ("late", old + timedelta(seconds=1))):
        content = f'{{"answer_id":"{answer}","system":"portal","answered_at":"{answered_at.isoformat()}"}}'
        (tmp_path / f"{answer}.jws").write_text(compact_jws(key, "lintas-answer+jws", content.encode()))
    with installation.database.connect(Role.AUDITOR) as connection:
        floor = newest_pruned(connection)
        ((cut,), _) = logged_questions(connection, Window(), floor)
        without_floor, _ = logged_questions(connection, Window())
    assert (floor, cut.started, cut.start_is_pruned) == (old, old, True)
    assert without_floor == []
    result = compare(installation, tmp_path)
    assert [each.kind for each in result.found] == [DiscrepancyKind.ANSWER_UNLOGGED]
    assert "late" in result.found[0].what
    assert result.beyond == 1


def test_a_log_in_is_explained_by_any_dataset_of_its_agency():
    sessions = [at(0, "session", "kpp-mojokerto/*", None), at(40, "session", "kpp-mojokerto/*", None)]
    result = against(sessions, [SYNC])
    assert (kinds(result), len(result.found)) == (["access-unlogged"], 1)


def test_what_was_asked_is_read_from_the_entries(installation):
    with installation.database.connect(Role.INGEST) as connection:
        common = {"provider": "kpp-mojokerto", "consumer": "bus", "datasets": (TAX,)}
        batch = {"batch_id": "b1", "read": 12}
        for kind in (EntryKind.SYNC_STARTED, EntryKind.SYNC_COMPLETED):
            append(connection, EntryDraft(kind=kind, batch=batch, **common))
        for kind, outcome in ((EntryKind.LOOKUP_REQUESTED, None), (EntryKind.LOOKUP_COMPLETED, "answered")):
            append(connection, EntryDraft(kind=kind, outcome=outcome, details={"lookup": "l1"}, **common))
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    with installation.database.connect(Role.AUDITOR) as connection:
        ((sync,), (question,)) = logged_questions(connection, Window())
    assert (sync.dataset, sync.batch, sync.read, sync.outcome) == (TAX, "b1", 12, "completed")
    assert (question.lookup, question.answered) == ("l1", True)


def test_access_logs_are_read_as_json_lines_and_as_csv(tmp_path):
    (tmp_path / "access-log-a.ndjson").write_text(
        '{"time": "2026-11-20T03:00:00Z", "dataset": "a/b", "operation": "list", "records": 5}\n\n', "utf-8"
    )
    (tmp_path / "nib.csv").write_text("nib;name\n1;a\n", "utf-8")  # an agency's own file is not touched
    (tmp_path / "access-log-b.csv").write_text(
        "time,dataset,operation,records\n2026-11-20T09:00:00+07:00,a/*,session,\n", "utf-8"
    )
    first, second = read_access_logs(tmp_path)
    assert (first.dataset, first.records, first.at) == ("a/*", None, T - timedelta(hours=1))
    assert (second.operation, second.records, second.seen_in) == (Operation.LIST, 5, "access-log-a.ndjson:1")


@pytest.mark.parametrize(
    "line",
    ['{"time": "2026-11-20T03:00:00", "dataset": "a/b", "operation": "list"}', "x", '{"dataset": "a"}', "[]"],
)
def test_a_line_that_is_no_access_is_refused_with_its_place(tmp_path, line):
    (tmp_path / "access-log-a.ndjson").write_text(line, "utf-8")
    with pytest.raises(AccessLogInvalid) as caught:
        read_access_logs(tmp_path)
    assert str(caught.value.location) == "access-log-a.ndjson:1"
