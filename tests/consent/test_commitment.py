import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from consent.agreement import end_agreement
from consent.commitment import QuotaLeases, hold, take_quota
from consent.decision import EmergencyClaim, decide
from consent.errors import (
    AgreementChanged,
    ConsentChanged,
    ExchangeDenied,
    UnsuitableTransaction,
)
from consent.facts import gather
from consent.record import ConsentNotice, ConsentQuestion, grant, withdraw
from consent.vocabulary import Channel
from foundation.database import Role
from participants.standing import reinstate_agency, suspend_agency, suspend_system

from .facts import NOW, OFFICE, PERSONS, PURPOSE, REGISTRY, TAX, request, terms

LATER = NOW + timedelta(seconds=1)


def decided(practice, subject, **changes):
    wanted = request(subject=subject.handle, at=LATER, **changes)
    with practice.connect() as connection:
        return decide(wanted, gather(connection, wanted))


def answer(connection, decision):
    """What an exchange does in its last transaction: hold, store (here: the entry), commit."""
    hold(connection, decision, LATER)
    append(
        connection,
        EntryDraft(
            kind=EntryKind.EXCHANGE_ANSWERED,
            consumer=OFFICE,
            purpose=PURPOSE,
            decision_id=decision.decision_id,
            rules=decision.rule_ids,
            agreements=decision.agreements,
            consent=decision.consent,
            fields=decision.field_names,
            outcome="verified",
        ),
    )


def kinds(practice) -> list[str]:
    with practice.connect(Role.MIGRATOR) as connection:
        rows = connection.execute("SELECT kind FROM audit.outbox ORDER BY id").fetchall()
    return [kind for (kind,) in rows if kind.startswith(("exchange", "consent", "agreement.ended"))]


def test_what_was_decided_and_still_holds_is_committed(practice):
    first, second = practice.publish_both()
    subject, granted = practice.consenting_subject()
    decision = decided(practice, subject)
    assert decision.allowed
    assert [reference.id for reference in decision.agreements] == [
        first.terms.agreement_id,
        second.terms.agreement_id,
    ]
    assert decision.consent == granted.reference
    with practice.connect() as connection:
        answer(connection, decision)
    assert kinds(practice) == ["consent.granted", "exchange.answered"]


def test_facts_come_from_what_is_stored(practice):
    practice.publish_both()
    subject, granted = practice.consenting_subject()
    wanted = request(subject=subject.handle, at=LATER)
    with practice.connect() as connection:
        found = gather(connection, wanted)
        assert gather(connection, replace(wanted, subject=None)).consent is None
        assert gather(connection, replace(wanted, consumer=TAX)).agreements == ()
    assert found.agencies == {OFFICE: True, REGISTRY: True, TAX: True}
    assert found.systems["palapa-mojo"].agency_id == OFFICE
    assert found.consent == granted.as_fact()
    assert {fact.terms.provider for fact in found.agreements} == {REGISTRY, TAX}


def test_a_consent_withdrawn_between_decision_and_commit_lets_nothing_out(practice):
    practice.publish_both()
    subject, granted = practice.consenting_subject()
    decision = decided(practice, subject)
    with practice.connect() as connection:
        withdraw(connection, subject, granted.consent_id, channel=Channel.PORTAL)
    with pytest.raises(ConsentChanged), practice.connect() as connection:
        answer(connection, decision)
    assert kinds(practice) == ["consent.granted", "consent.withdrawn"]
    assert decided(practice, subject).rule_ids == ("consent.withdrawn",)


@pytest.mark.parametrize(
    ("suspend", "party", "rule"),
    [
        (suspend_agency, OFFICE, "consumer.suspended"),
        (suspend_agency, TAX, "provider.suspended"),
        (suspend_system, "palapa-mojo", "system.suspended"),
    ],
)
def test_a_party_suspended_between_decision_and_commit_lets_nothing_out(practice, suspend, party, rule):
    practice.publish_both()
    subject, _ = practice.consenting_subject()
    decision = decided(practice, subject)
    with practice.connect(Role.STEWARD) as connection:
        suspend(connection, party)
    with pytest.raises(ExchangeDenied) as refused, practice.connect() as connection:
        answer(connection, decision)
    assert refused.value.attributes["rules"] == [rule]
    assert kinds(practice) == ["consent.granted"]


def test_an_exchange_waits_for_a_withdrawal_in_flight_and_is_refused_by_it(practice):
    practice.publish_both()
    subject, granted = practice.consenting_subject()
    decision = decided(practice, subject)
    outcome: list[object] = []

    def exchange() -> None:
        try:
            with practice.connect() as connection:
                answer(connection, decision)
            outcome.append("answered")
        except ConsentChanged as error:
            outcome.append(error)

    with practice.connect() as connection:
        withdraw(connection, subject, granted.consent_id, channel=Channel.PORTAL)
        thread = threading.Thread(target=exchange)
        thread.start()
        wait_until_blocked(practice)
        assert outcome == []
        connection.commit()
    thread.join()
    assert isinstance(outcome[0], ConsentChanged)
    assert "exchange.answered" not in kinds(practice)


def test_a_withdrawal_waits_for_an_exchange_that_is_committing(practice):
    practice.publish_both()
    subject, granted = practice.consenting_subject()
    decision = decided(practice, subject)
    done = threading.Event()

    def take_back() -> None:
        with practice.connect() as connection:
            withdraw(connection, subject, granted.consent_id, channel=Channel.PORTAL)
        done.set()

    with practice.connect() as connection:
        answer(connection, decision)
        thread = threading.Thread(target=take_back)
        thread.start()
        wait_until_blocked(practice)
        assert not done.is_set()
        connection.commit()
    thread.join()
    assert kinds(practice) == ["consent.granted", "exchange.answered", "consent.withdrawn"]


def test_racing_exchanges_and_withdrawals_never_answer_after_the_withdrawal(practice):
    """Whatever the interleaving: in the order of commits, no answer follows the withdrawal."""
    practice.publish_both()
    for _ in range(5):
        subject, granted = practice.consenting_subject()
        decisions = [decided(practice, subject) for _ in range(6)]
        with practice.connect(Role.MIGRATOR) as connection:
            connection.execute("TRUNCATE audit.outbox")
        barrier = threading.Barrier(7)

        def exchange(decision, barrier=barrier) -> bool:
            with practice.connect() as connection:
                barrier.wait()
                try:
                    answer(connection, decision)
                except ConsentChanged:
                    connection.rollback()
                    return False
                return True

        def take_back(barrier=barrier, subject=subject, granted=granted) -> None:
            with practice.connect() as connection:
                barrier.wait()
                withdraw(connection, subject, granted.consent_id, channel=Channel.PORTAL)

        with ThreadPoolExecutor(7) as executor:
            withdrawal = executor.submit(take_back)
            answered = sum(executor.map(exchange, decisions))
            withdrawal.result()
        seen = kinds(practice)
        assert seen == ["exchange.answered"] * answered + ["consent.withdrawn"]


def test_exchanges_on_the_same_agreements_do_not_wait_for_each_other(practice):
    practice.publish_both()
    subject, _ = practice.consenting_subject()
    decision = decided(practice, subject)
    with practice.connect() as first, practice.connect() as second:
        second.execute("SET lock_timeout = '2s'")
        hold(first, decision, LATER)
        hold(second, decision, LATER)


def test_an_agreement_that_ended_or_was_revised_since_lets_nothing_out(practice):
    first, _ = practice.publish_both()
    subject, _ = practice.consenting_subject()
    decision = decided(practice, subject)
    practice.publish(terms(retention_days=1), after=first)
    with pytest.raises(AgreementChanged), practice.connect() as connection:
        answer(connection, decision)
    decision = decided(practice, subject)
    assert decision.allowed
    with practice.connect(Role.STEWARD) as connection:
        end_agreement(connection, first.terms.agreement_id, ended_by=REGISTRY, reason="breach", at=LATER)
    with pytest.raises(AgreementChanged), practice.connect() as connection:
        answer(connection, decision)
    assert decided(practice, subject).rule_ids == ("agreement.ended",)


def test_what_ran_out_between_decision_and_commit_lets_nothing_out(practice):
    practice.publish_both(valid_until=LATER + timedelta(hours=2))
    subject, _ = practice.consenting_subject(valid_until=LATER + timedelta(hours=1))
    decision = decided(practice, subject)
    with practice.connect() as connection:
        hold(connection, decision, LATER + timedelta(minutes=59))
        connection.rollback()
        with pytest.raises(ConsentChanged):
            hold(connection, decision, LATER + timedelta(hours=1))
        connection.rollback()
        with pytest.raises(AgreementChanged):
            hold(connection, decision, LATER + timedelta(hours=2))


def test_a_revision_signed_ahead_takes_over_when_its_time_comes(practice):
    first, _ = practice.publish_both(valid_until=NOW + timedelta(days=60))
    subject, _ = practice.consenting_subject()
    ahead = NOW + timedelta(days=30)
    practice.publish(
        terms(valid_from=ahead, valid_until=NOW + timedelta(days=90), datasets={PERSONS: ("nik",)}),
        after=first,
    )
    fields = {PERSONS: frozenset({"birth_date"})}
    assert decided(practice, subject, fields=fields).agreements[0].revision == 1
    wanted = request(subject=subject.handle, fields=fields, at=ahead)
    with practice.connect() as connection:
        later = decide(wanted, gather(connection, wanted))
        before = decide(replace(wanted, at=ahead - timedelta(seconds=1)), gather(connection, wanted))
    assert later.rule_ids == ("agreement.fields-not-covered",)
    assert not before.allowed


def test_an_agreement_that_has_not_begun_says_so(practice):
    practice.publish(terms(valid_from=NOW + timedelta(days=1)))
    subject, _ = practice.consenting_subject()
    decision = decided(practice, subject, fields={PERSONS: frozenset({"nik"})})
    assert decision.rule_ids == ("agreement.not-yet-valid",)


def test_a_new_answer_of_the_subject_makes_an_older_decision_void(practice):
    practice.publish_both()
    subject, _ = practice.consenting_subject()
    decision = decided(practice, subject)
    question = ConsentQuestion(
        OFFICE, PURPOSE, {PERSONS: frozenset({"nik"})}, ConsentNotice(text_version="2", text_hash="0" * 64)
    )
    with practice.connect() as connection:
        grant(connection, subject, question, channel=Channel.PORTAL, at=LATER)
    with pytest.raises(ConsentChanged), practice.connect() as connection:
        answer(connection, decision)


def test_a_suspended_agency_gets_nothing(practice):
    practice.publish_both()
    subject, _ = practice.consenting_subject()
    with practice.connect(Role.STEWARD) as connection:
        suspend_agency(connection, OFFICE)
    assert decided(practice, subject).rule_ids == ("consumer.suspended",)
    with practice.connect(Role.STEWARD) as connection:
        reinstate_agency(connection, OFFICE)
    assert decided(practice, subject).allowed


def test_a_denied_exchange_cannot_be_held(practice):
    subject, _ = practice.consenting_subject()
    with practice.connect() as connection, pytest.raises(ExchangeDenied):
        hold(connection, decided(practice, subject), LATER)


def test_hold_is_refused_where_it_would_mean_nothing(practice):
    practice.publish_both()
    subject, _ = practice.consenting_subject()
    decision = decided(practice, subject)
    with practice.connect(autocommit=True) as connection, pytest.raises(UnsuitableTransaction):
        hold(connection, decision, LATER)
    with practice.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(UnsuitableTransaction):
            hold(connection, decision, LATER)


def test_the_quota_of_the_day_ends_in_a_denial(practice):
    practice.publish_both(quota_per_day=2)
    subject, _ = practice.consenting_subject()
    wanted = request(subject=subject.handle, at=LATER)
    with practice.installation.database.pool(Role.API) as pool, QuotaLeases(pool.connection) as leases:
        for _ in range(2):
            with pool.connection() as connection:
                decision = decide(wanted, gather(connection, wanted, leases))
                assert decision.allowed
                hold(connection, decision, LATER)
                take_quota(connection, decision, leases, at=LATER)
        with pool.connection() as connection:
            assert decide(wanted, gather(connection, wanted, leases)).rule_ids == ("quota.exhausted",)


def test_an_emergency_access_leaves_a_review_that_is_due(practice):
    practice.publish(terms(emergency_access=True))
    subject, granted = practice.consenting_subject()
    with practice.connect() as connection:
        withdraw(connection, subject, granted.consent_id, channel=Channel.PORTAL)
    decision = decided(
        practice,
        subject,
        fields={PERSONS: frozenset({"name"})},
        emergency=EmergencyClaim("officer-7", "unconscious"),
    )
    assert decision.is_emergency
    with practice.connect() as connection:
        answer(connection, decision)
    with practice.connect(Role.STEWARD) as connection:
        rows = connection.execute(
            "SELECT officer, due_at, reviewed_at FROM consent.emergency_review"
        ).fetchall()
    assert rows == [("officer-7", LATER + timedelta(hours=72), None)]


def wait_until_blocked(practice) -> None:
    """Wait until some connection waits for an advisory lock."""
    deadline = time.monotonic() + 20
    with practice.connect(Role.MIGRATOR, autocommit=True) as connection:
        while time.monotonic() < deadline:
            (waiting,) = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            ).fetchone()
            if waiting:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")
