"""Among others a question ends as it would alone: the same answer, the same refusal, its own entry."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.erasure.suppression import suppress
from audit.publishing.receipt import verify_promise
from consent.errors import ExchangeDenied
from foundation.database import Role
from records import attempts
from records.errors import SubjectNotMatched, TooManyAttempts
from records.tags import TagKey
from tests.verification.city import AGUS, ASKER, BUDI, MAYA, RINA, SERVICE_MALL, SITI, TONO, Citizen, City
from verification import committing_together, confirming_together
from verification.answering import answer
from verification.answering_together import answer_together
from verification.asked import asked
from verification.context import AnsweringContext
from verification.errors import IdempotencyConflict
from verification.journey import Asker, GivenAnswer, Question

Ask = tuple[Question, Asker, str | None]
WRONG = dict(birth_date=dt.date(1999, 9, 9))


def together(context: AnsweringContext, asks: Sequence[Ask]) -> list[Any]:
    """How each of several questions ends when they are asked together."""
    endings = answer_together(context, [asked(context, *ask) for ask in asks])
    return [ended(ending) if callable(ending) else ending for ending in endings]


def ended(way: Callable[[], GivenAnswer]) -> Any:
    try:
        return way()
    except Exception as error:
        return error


def alone(context: AnsweringContext, ask: Ask) -> Any:
    return ended(lambda: answer(context, *ask))


def q(citizen: Citizen, key: str | None = None, **changes: Any) -> Ask:
    return citizen.question(**changes), ASKER, key


def stranger(citizen: Citizen) -> Ask:
    return dataclasses.replace(citizen, **WRONG).question(), ASKER, None


def child(parent: Citizen = MAYA, nik: str = TONO.nik) -> Ask:
    return parent.question(service="kia", claims={"child_nik": nik}), SERVICE_MALL, None


def told(ending: Any) -> Any:
    """What is told, but for what is random or of the moment."""
    if isinstance(ending, Exception):
        known = {name: ending.attributes.get(name) for name in ("rules", "retry_after")}  # type: ignore[attr-defined]
        return type(ending), str(ending), known
    content = {**ending.content}
    for name in ("answer_id", "answered_at", "request"):
        content.pop(name)
    content["decision"] = {**content["decision"], "decision_id": None}
    if content["referral"]:
        content["referral"] = {**content["referral"], "referral_id": None}
    return content


def written(entry: dict[str, Any]) -> Any:
    """What an entry says, but for what is random or of the moment."""
    hidden = {"id", "nonce", "time", "decision", "sealed", "subjects", "details"}
    said = {name: value for name, value in entry.items() if name not in hidden}
    people, detailed = len(entry.get("subjects", ())), entry.get("details", {})
    fixed = {
        name: value for name, value in detailed.items() if name in ("service", "problem", "relations", "case")
    }
    return repr(sorted({**said, "people": people, "fixed": fixed, "detailed": sorted(detailed)}.items()))


KINDS: dict[str, Ask] = {
    "verified": q(SITI),
    "with a case": q(SITI, case_number="UKM-7"),
    "referred": q(BUDI),
    "dead": q(AGUS),
    "unknown": q(RINA, purpose=None),
    "without consent": q(MAYA, claims={"amount_requested": 1, "business_nib": SITI.nib}),
    "another's business": q(SITI, claims={**SITI.claims, "business_nib": BUDI.nib}),
    "too much money": q(SITI, claims={**SITI.claims, "amount_requested": 9_000_000}),
    "a purpose nobody agreed": q(BUDI, purpose="credit-scoring"),
    "not who they say": stranger(AGUS),
    "a mother": child(),
    "not the mother": child(SITI),
}


def test_questions_asked_together_end_as_they_do_alone(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "ATTEMPTS", 10**6)
    monkeypatch.setattr(attempts, "CONSUMER_ATTEMPTS", 10**6)
    for citizen in (SITI, BUDI, AGUS, RINA):
        city.consent_of(context, citizen)

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6, unique=True))
    def end_alike(names: list[str]) -> None:
        before = len(city.entries())
        by_themselves = [told(alone(context, KINDS[name])) for name in names]
        between = len(city.entries())
        in_company = [told(each) for each in together(context, [KINDS[name] for name in names])]
        entries = city.entries()
        assert in_company == by_themselves
        assert sorted(map(written, entries[between:])) == sorted(map(written, entries[before:between]))

    end_alike()


def test_one_go_holds_every_way_to_end(city: City, context: AnsweringContext) -> None:
    for citizen in (SITI, BUDI, AGUS):
        city.consent_of(context, citizen)
    first = answer(context, *q(SITI, "used"))
    asks = [
        q(BUDI, "own"),
        q(SITI, "used"),  # asked before
        q(RINA),  # without consent
        stranger(MAYA),
        q(AGUS, "used", claims={**AGUS.claims, "amount_requested": 1}),  # the key of another question
    ]
    answered, replayed, denied, unknown, conflict = together(context, asks)
    assert answered.content["verdict"] == "refer"
    assert (replayed.answer_id, replayed.is_replay) == (first.answer_id, True)
    assert isinstance(denied, ExchangeDenied)
    assert isinstance(unknown, SubjectNotMatched)
    assert isinstance(conflict, IdempotencyConflict)
    assert [len(city.entries(f"exchange.{kind}")) for kind in ("answered", "read", "refused")] == [2, 1, 2]
    assert city.count("verification.answer") == 2


def test_every_answer_of_a_go_is_signed_promised_stored_and_logged_by_itself(
    city: City, context: AnsweringContext
) -> None:
    people = (SITI, BUDI, AGUS, RINA)
    for citizen in people:
        city.consent_of(context, citizen)
    given = together(context, [q(each, f"key {each.nik}") for each in people])
    entries = {entry["id"]: entry for entry in city.entries("exchange.answered")}
    assert set(entries) == {str(each.entry_id) for each in given}
    assert len({entry["decision"] for entry in entries.values()}) == len(people)
    for each in given:
        assert context.signer.verify(each.jws)
        promise = verify_promise(each.promise, context.signer.public_keys())
        assert promise.entry_id == each.entry_id
        assert entries[str(each.entry_id)]["details"]["answer"] == str(each.answer_id)
    referred = [each for each in given if each.content["referral"]]
    assert len(city.entries("referral.opened")) == len(referred) == city.count("verification.referral")
    assert city.count("verification.idempotency") == len(people)
    again = together(context, [q(each, f"key {each.nik}") for each in people])
    assert [each.jws for each in again] == [each.jws for each in given]


def test_guesses_in_company_are_counted_as_alone(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, BUDI)
    for _ in range(attempts.ATTEMPTS):
        refused, answered = together(context, [stranger(SITI), q(BUDI)])
        assert isinstance(refused, SubjectNotMatched)
        assert isinstance(answered, GivenAnswer)
    (too_many,) = together(context, [q(SITI)])
    assert isinstance(too_many, TooManyAttempts)


def test_guesses_at_a_relation_are_counted_as_alone(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, SITI)
    for number in range(attempts.ATTEMPTS):
        (answered,) = together(context, [child(MAYA, f"357602150818009{number}")])
        assert answered.content["verdict"] == "refer"
    denied, answered = together(context, [child(), q(SITI)])
    assert isinstance(denied, TooManyAttempts)
    assert isinstance(answered, GivenAnswer)
    assert city.entries("exchange.refused")[-1]["details"]["problem"] == "too-many-attempts"


def test_what_counts_over_all_counts_within_one_go(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "CONSUMER_ATTEMPTS", 2)
    ends = together(context, [stranger(each) for each in (SITI, BUDI, AGUS, RINA)])
    assert [type(each) for each in ends] == [
        SubjectNotMatched,
        SubjectNotMatched,
        TooManyAttempts,
        TooManyAttempts,
    ]


def test_questions_that_may_not_share_a_go_say_so(context: AnsweringContext) -> None:
    def excluded(one: Ask, other: Ask) -> bool:
        return not asked(context, *one).excludes.isdisjoint(asked(context, *other).excludes)

    assert excluded(q(SITI), q(SITI, "key"))
    assert excluded(q(SITI, "key"), q(BUDI, "key"))
    assert excluded(q(SITI), q(BUDI, claims={**BUDI.claims, "business_nib": SITI.nib}))
    assert not excluded(q(SITI, "one"), q(BUDI, "two"))


def test_a_consent_withdrawn_before_the_commit_stops_its_own_question_only(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    consent = city.consent_of(context, SITI)
    city.consent_of(context, BUDI)
    hold = committing_together.hold_together

    def after_withdrawal(*arguments):
        if not city.entries("consent.withdrawn"):
            city.withdraw(context, SITI, consent)
        return hold(*arguments)

    monkeypatch.setattr(committing_together, "hold_together", after_withdrawal)
    denied, answered = together(context, [q(SITI), q(BUDI)])
    assert isinstance(denied, ExchangeDenied)
    assert denied.attributes["rules"] == ["consent.withdrawn"]
    assert answered.content["verdict"] == "refer"
    assert len(city.entries("exchange.answered")) == city.count("verification.answer") == 1


def test_who_is_erased_before_the_commit_is_not_answered_about(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for citizen in (SITI, BUDI):
        city.consent_of(context, citizen)
    confirm = confirming_together._in_one_transaction

    def then_erase(*arguments):
        asking = confirm(*arguments)
        with city.connect(Role.STEWARD) as connection:
            suppress(connection, TagKey.of(city.installation.keyring).subject(SITI.nik))
        return asking

    with monkeypatch.context() as patched:
        patched.setattr(confirming_together, "_in_one_transaction", then_erase)
        unknown, answered = together(context, [q(SITI), q(BUDI)])
    assert isinstance(unknown, SubjectNotMatched)
    assert answered.content["verdict"] == "refer"
    assert len(city.entries("exchange.answered")) == city.count("verification.answer") == 1


def units_left(context: AnsweringContext) -> dict[Any, int]:
    return {key.agreement_id: units for key, units in context.leases._units.items()}


@pytest.mark.parametrize("where", ["looking up relations", "appending entries", "storing watches"])
def test_when_a_go_fails_everybody_is_answered_alone_and_once(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    people = (SITI, BUDI, RINA)
    for citizen in people:
        city.consent_of(context, citizen)
    answer(context, *q(SITI))  # leases a block of every quota
    before = units_left(context)

    def fails(*_arguments):
        raise RuntimeError

    places = {
        "looking up relations": (confirming_together, "relations_together"),
        "appending entries": (committing_together, "append_together"),
        "storing watches": (committing_together.watches, "store_together"),
    }
    monkeypatch.setattr(*places[where], fails)
    given = together(context, [q(each, each.nik) for each in people])
    assert all(isinstance(each, GivenAnswer) for each in given)
    assert len(city.entries("exchange.answered")) == city.count("verification.answer") == 1 + len(people)
    after = units_left(context)
    assert {name: units - after[name] for name, units in before.items()} == dict.fromkeys(before, len(people))


def test_when_the_database_ends_the_go_nothing_of_it_stays(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for citizen in (SITI, BUDI):
        city.consent_of(context, citizen)
    write = committing_together._write

    def killed(going, standing, transaction):
        with city.installation.database.admin(city.installation.settings.database_name) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [going.connection.info.backend_pid])
        monkeypatch.setattr(committing_together, "_write", write)
        return write(going, standing, transaction)

    monkeypatch.setattr(committing_together, "_write", killed)
    given = together(context, [q(SITI, "one"), q(BUDI, "two")])
    assert all(isinstance(each, GivenAnswer) and not each.is_replay for each in given)
    assert len(city.entries("exchange.answered")) == city.count("verification.answer") == 2


def test_a_commit_whose_end_nobody_saw_is_told_and_not_repeated(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for citizen in (SITI, BUDI):
        city.consent_of(context, citizen)
    together(context, [q(SITI), q(BUDI)])
    settle, seen = committing_together.Transaction.settle, []

    def then_killed(transaction):
        settle(transaction)
        seen.append(transaction)
        if len(seen) == 3:  # everything is written, COMMIT is next
            with city.installation.database.admin(city.installation.settings.database_name) as admin:
                pid = transaction.connection.info.backend_pid
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    monkeypatch.setattr(committing_together.Transaction, "settle", then_killed)
    ends = together(context, [q(SITI, "one"), q(BUDI, "two")])
    assert [type(each).__name__ for each in ends] == ["DatabaseUnavailable"] * 2
    assert city.count("verification.answer") == 2


def test_a_twin_that_committed_first_is_replayed(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for citizen in (SITI, BUDI):
        city.consent_of(context, citizen)
    first = answer(context, *q(SITI, "twin"))
    monkeypatch.setattr(confirming_together.idempotency, "ask_together", lambda *_: dict)
    replayed, answered = together(context, [q(SITI, "twin"), q(BUDI, "own")])
    assert (replayed.answer_id, replayed.is_replay) == (first.answer_id, True)
    assert not answered.is_replay
    assert city.count("verification.answer") == 2


def test_stale_evidence_sends_its_question_on_alone(city: City, context: AnsweringContext) -> None:
    for citizen in (SITI, BUDI):
        city.consent_of(context, citizen)
    city.overdue()
    asks = [q(SITI), q(BUDI)]
    endings = answer_together(context, [asked(context, *ask) for ask in asks])
    assert all(callable(each) for each in endings)
    assert [ended(each).content["verdict"] for each in endings] == ["not_possible"] * 2


def test_records_published_since_are_linked_and_those_linked_before_are_not_looked_for(
    city: City, context: AnsweringContext
) -> None:
    city.consent_of(context, SITI)
    together(context, [q(SITI)])
    links = city.count("identity.link")
    assert links > 0
    city.dies(SITI, dt.date(2026, 6, 1))
    city.execute(
        "UPDATE records.dataset_state SET batch_id = gen_random_uuid()"
        " WHERE dataset_id = 'dukcapil-mojokerto/deaths'"
    )
    together(context, [q(SITI)])
    assert city.count("identity.link") == links + 1


def test_only_who_was_not_met_lately_is_asked_about_once_more(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for citizen in (SITI, BUDI):
        city.consent_of(context, citizen)
    context.vault._cache.clear()
    (first,) = together(context, [q(SITI)])
    asked_about, gather = [], confirming_together.gather_together

    def counted(connection: Any, requests: Any, leases: Any) -> Any:
        asked_about.append([request.subject for request in requests])
        return gather(connection, requests, leases)

    monkeypatch.setattr(confirming_together, "gather_together", counted)
    again, met_now = together(context, [q(SITI), q(BUDI)])
    assert told(again) == told(first)
    assert isinstance(met_now, GivenAnswer)
    assert asked_about == [[context.vault.handle_for("nik", BUDI.nik).handle]]
