"""A question becomes a signed answer and an entry, or a refusal and an entry; never one without the other."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading

import orjson
import pytest

from audit.log import append
from audit.publishing.receipt import verify_promise
from audit.publishing.sequencer import Sequencer
from audit.search import case_key
from consent.errors import ConsentChanged, ExchangeDenied
from foundation import clock
from foundation.database import Role
from participants.registry import Officer, register_officer
from participants.roles import OfficerRole
from records.errors import SubjectNotMatched, TooManyAttempts
from tests.verification.city import AGUS, ASKER, BUDI, OFFICER, RINA, SITI, City
from verification import answering
from verification.answering import answer
from verification.context import AnsweringContext
from verification.errors import (
    AnswerUnknown,
    ClaimsInvalid,
    IdempotencyConflict,
    OfficerUnknown,
    ServiceUnknown,
)
from verification.journey import Asker
from verification.reading import read

STRANGER = "officer-of-another-agency"


def outcomes(given) -> dict[str, str]:
    return {each["criterion"]: each["outcome"] for each in given.content["outcomes"]}


def test_an_application_that_meets_everything_is_verified(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, SITI)
    given = answer(context, SITI.question(), ASKER)
    assert given.content["verdict"] == "verified"
    assert set(outcomes(given).values()) == {"met"}
    assert orjson.loads(context.signer.verify(given.jws)) == given.content
    (entry,) = city.entries("exchange.answered")
    assert entry["outcome"] == "verified"
    assert entry["id"] == str(given.entry_id)
    assert entry["consent"]["revision"] == 1
    assert {reference["id"] for reference in entry["agreements"]} == {
        "pks-dinkes-diskopukm",
        "pks-dpmptsp-diskopukm",
        "pks-dukcapil-diskopukm",
        "pks-kpp-diskopukm",
    }


def test_every_outcome_says_source_moment_law_and_contract(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, BUDI)
    given = answer(context, BUDI.question(), ASKER)
    tax = next(each for each in given.content["outcomes"] if each["criterion"] == "tax-standing")
    assert tax["outcome"] == "not_met"
    assert tax["reason"].keys() == {"id", "en"}
    assert tax["legal_instrument"]["illustrative"] is True
    (source,) = tax["evidence"]
    assert source["source"] == "kpp-mojokerto"
    assert source["as_of"] < source["fresh_until"]
    assert source["contract_version"] == "1.0.0"


def test_what_is_not_met_is_referred_to_a_human(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, BUDI)
    given = answer(context, BUDI.question(), ASKER)
    assert given.content["verdict"] == "refer"
    assert given.content["referral"]["owner"] == "diskopukm-mojokerto"
    assert given.content["referral"]["criteria"] == ["tax-standing"]
    assert len(city.entries("referral.opened")) == 1
    assert city.count("verification.referral") == 1


def test_the_dead_do_not_verify(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, AGUS)
    assert outcomes(answer(context, AGUS.question(), ASKER))["alive"] == "not_met"
    city.consent_of(context, SITI)
    assert answer(context, SITI.question(), ASKER).content["verdict"] == "verified"
    city.dies(SITI, clock.now().date())
    assert answer(context, SITI.question(), ASKER).content["verdict"] == "refer"


def test_silence_of_an_open_register_is_unknown(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, RINA)
    given = answer(context, RINA.question(), ASKER)
    assert outcomes(given)["tax-standing"] == "unknown"
    assert given.content["verdict"] == "refer"


def test_overdue_evidence_is_stale_and_nothing_is_decided_on_it(
    city: City, context: AnsweringContext
) -> None:
    city.consent_of(context, SITI)
    city.overdue()
    given = answer(context, SITI.question(), ASKER)
    assert given.content["verdict"] == "not_possible"
    assert outcomes(given)["alive"] == "stale"
    assert outcomes(given)["amount-within-limit"] == "met"


def test_a_quarantined_death_never_leaves_its_person_verified(city: City, context: AnsweringContext) -> None:
    from records.tags import TagKey

    city.consent_of(context, SITI)
    tag = TagKey.of(city.installation.keyring).subject(SITI.nik)
    city.execute(
        "INSERT INTO quality.quarantine_row (dataset_id, batch_id, slice_id, page_no, position,"
        " contract_version, fields, rules, errors, sealed, quarantined_at) VALUES"
        " ('dukcapil-mojokerto/deaths', gen_random_uuid(), 's', 0, 1, '1.0.0', '{}', '{}', '[]', '', now())"
    )
    city.execute(
        "INSERT INTO quality.quarantine_tag SELECT %s, dataset_id, row_id FROM quality.quarantine_row", tag
    )
    given = answer(context, SITI.question(), ASKER)
    assert outcomes(given)["alive"] == "unknown"
    assert given.content["verdict"] == "refer"


def test_a_purpose_nobody_agreed_is_denied_and_logged(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, SITI)
    with pytest.raises(ExchangeDenied) as caught:
        answer(context, SITI.question(purpose="credit-scoring"), ASKER)
    assert "agreement.purpose-not-covered" in caught.value.attributes["rules"]
    assert caught.value.attributes["promise"]
    (entry,) = city.entries("exchange.refused")
    assert entry["rules"] == caught.value.attributes["rules"]
    assert entry["subjects"]
    assert city.count("verification.answer") == 0


def test_without_consent_nothing_is_disclosed(city: City, context: AnsweringContext) -> None:
    with pytest.raises(ExchangeDenied) as caught:
        answer(context, SITI.question(), ASKER)
    assert "consent.required" in caught.value.attributes["rules"]
    assert len(city.entries("exchange.refused")) == 1


def test_a_consent_withdrawn_between_decision_and_commit_lets_nothing_out(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    consent = city.consent_of(context, SITI)
    decided = answering.decide_or_refuse

    def then_withdraw(*arguments):
        decision = decided(*arguments)
        city.withdraw(context, SITI, consent)
        return decision

    monkeypatch.setattr(answering, "decide_or_refuse", then_withdraw)
    with pytest.raises(ConsentChanged):
        answer(context, SITI.question(), ASKER)
    assert city.count("verification.answer") == 0
    assert city.entries("exchange.answered") == []
    (refused,) = city.entries("exchange.refused")
    assert refused["details"]["problem"] == "consent-changed"


def test_if_the_entry_cannot_be_written_there_is_no_answer(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.consent_of(context, SITI)

    def fails(*_arguments):
        raise RuntimeError

    monkeypatch.setattr(answering, "append", fails)
    with pytest.raises(RuntimeError):
        answer(context, SITI.question(), ASKER)
    assert city.count("verification.answer") == 0


def test_if_the_answer_cannot_be_stored_there_is_no_entry(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.consent_of(context, SITI)

    def fails(*_arguments):
        raise RuntimeError

    monkeypatch.setattr(answering.answers, "store", fails)
    with pytest.raises(RuntimeError):
        answer(context, SITI.question(), ASKER)
    assert city.entries("exchange.answered") == []


@pytest.mark.parametrize(
    "changes",
    [{"birth_date": dt.date(1999, 9, 9)}, {"nik": "3576024107850099"}],
    ids=["wrong second element", "unknown number"],
)
def test_who_cannot_be_confirmed_gets_one_uniform_refusal(
    city: City, context: AnsweringContext, changes: dict
) -> None:
    city.consent_of(context, SITI)
    stranger = dataclasses.replace(SITI, **changes)
    with pytest.raises(SubjectNotMatched) as caught:
        answer(context, stranger.question(), ASKER)
    assert str(caught.value).startswith("No person was found whose number and second element match")
    (entry,) = city.entries("exchange.refused")
    assert "subjects" not in entry
    assert entry["details"]["problem"] == "subject-not-matched"


def test_guessing_a_second_element_ends_soon(city: City, context: AnsweringContext) -> None:
    for day in range(1, 6):
        with pytest.raises(SubjectNotMatched):
            answer(context, dataclasses.replace(SITI, birth_date=dt.date(1980, 1, day)).question(), ASKER)
    with pytest.raises(TooManyAttempts):
        answer(context, SITI.question(), ASKER)


def test_questions_that_make_no_sense_look_nothing_up(city: City, context: AnsweringContext) -> None:
    with pytest.raises(ServiceUnknown):
        answer(context, SITI.question(service="nope"), ASKER)
    for claims in (
        {},
        {**SITI.claims, "amount_requested": "3000000"},
        {**SITI.claims, "more": 1},
        {**SITI.claims, "amount_requested": True},
        {**SITI.claims, "business_nib": "912"},
    ):
        with pytest.raises(ClaimsInvalid) as caught:
            answer(context, SITI.question(claims=claims), ASKER)
        assert "3000000" not in str(caught.value.as_dict())
    assert city.entries("exchange.refused") == []


def test_a_repeated_request_is_answered_once_and_logged_twice(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, SITI)
    first = answer(context, SITI.question(), ASKER, "key-1")
    again = answer(context, SITI.question(), ASKER, "key-1")
    assert again.is_replay
    assert (again.answer_id, again.jws) == (first.answer_id, first.jws)
    assert again.entry_id != first.entry_id
    assert city.count("verification.answer") == 1
    (entry,) = city.entries("exchange.read")
    assert entry["details"]["replay"] is True


def test_one_key_for_two_requests_is_a_conflict(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, SITI)
    answer(context, SITI.question(), ASKER, "key-1")
    with pytest.raises(IdempotencyConflict):
        answer(context, SITI.question(claims={**SITI.claims, "amount_requested": 1}), ASKER, "key-1")
    assert answer(context, SITI.question(), ASKER, "key-2").is_replay is False


def test_two_racing_requests_under_one_key_give_one_answer(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, SITI)
    barrier = threading.Barrier(6)
    given = []

    def ask() -> None:
        barrier.wait()
        given.append(answer(context, SITI.question(), ASKER, "one key"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.answer_id for each in given}) == 1
    assert len(given) == 6
    assert city.count("verification.answer") == 1
    assert len(city.entries("exchange.answered")) == 1


def test_reading_again_is_decided_again(city: City, context: AnsweringContext) -> None:
    consent = city.consent_of(context, SITI)
    given = answer(context, SITI.question(), ASKER)
    again = read(context, given.answer_id, ASKER)
    assert (again.jws, again.content) == (given.jws, given.content)
    city.withdraw(context, SITI, consent)
    with pytest.raises(ExchangeDenied):
        read(context, given.answer_id, ASKER)
    with pytest.raises(ExchangeDenied):
        answer(context, SITI.question(), ASKER)
    assert len(city.entries("exchange.read")) == 1


def test_another_system_cannot_read_an_answer(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, SITI)
    given = answer(context, SITI.question(), ASKER)
    with pytest.raises(AnswerUnknown):
        read(context, given.answer_id, Asker("other-portal", "diskopukm-mojokerto"))


def test_a_consent_that_moves_meanwhile_waits_or_is_refused_but_never_slips_through(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The withdrawal comes while the answer is being committed: it waits until the answer stands."""
    consent = city.consent_of(context, SITI)
    withdrawing = threading.Thread(target=city.withdraw, args=(context, SITI, consent))

    def slow(connection, draft):
        if not withdrawing.ident:
            withdrawing.start()
            withdrawing.join(0.3)
            assert withdrawing.is_alive()
        return append(connection, draft)

    monkeypatch.setattr(answering, "append", slow)
    given = answer(context, SITI.question(), ASKER)
    withdrawing.join()
    with Sequencer(city.installation) as sequencer:
        sequencer.drain_once()
    kinds = [
        entry["kind"]
        for entry in city.entries()
        if entry["kind"] in ("exchange.answered", "consent.withdrawn")
    ]
    assert kinds == ["exchange.answered", "consent.withdrawn"]
    assert given.content["verdict"] == "verified"


def test_no_stored_row_names_or_describes_the_person(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, BUDI)
    answer(context, BUDI.question(case_number=f"case of {BUDI.name}"), ASKER, f"key {BUDI.nik}")
    with city.connect(Role.MIGRATOR) as connection:
        for table in ("answer", "idempotency", "referral"):
            rows = connection.execute(f"SELECT t::text FROM verification.{table} t").fetchall()
            for (row,) in rows:
                for secret in (BUDI.nik, BUDI.name, "not_met", 'refer"'):
                    assert secret not in row
    for entry in city.entries():
        assert BUDI.nik not in str(entry)
        assert BUDI.name not in str(entry)


def test_an_answer_takes_less_than_half_the_place_that_it_took_on_its_way(
    city: City, context: AnsweringContext
) -> None:
    city.consent_of(context, SITI)
    given = answer(context, SITI.question(), ASKER)
    with city.connect(Role.MIGRATOR) as connection:
        ((stored,),) = connection.execute("SELECT octet_length(sealed) FROM verification.answer").fetchall()
    assert stored < len(given.jws) / 2


def test_an_answer_is_listed_under_its_case_number_by_a_key_alone(
    city: City, context: AnsweringContext
) -> None:
    city.consent_of(context, BUDI)
    answer(context, BUDI.question(case_number="B-17/2026"), ASKER)
    with city.connect(Role.MIGRATOR) as connection:
        ((key, _),) = connection.execute("SELECT * FROM audit.case_index").fetchall()
    assert bytes(key) == case_key(context.vault.keyring, "b-17/2026")


def test_refusals_carry_a_promise_of_their_own_entry(city: City, context: AnsweringContext) -> None:
    with pytest.raises(ExchangeDenied) as caught:
        answer(context, SITI.question(), ASKER)
    promise = verify_promise(caught.value.attributes["promise"], context.signer.public_keys())
    (entry,) = city.entries("exchange.refused")
    assert str(promise.entry_id) == entry["id"]


@pytest.mark.parametrize("named", ["nobody", STRANGER])
def test_an_officer_who_is_not_of_the_asking_agency_is_refused_alike(
    city: City, context: AnsweringContext, named: str
) -> None:
    city.consent_of(context, SITI)
    stranger = Officer(STRANGER, "kpp-mojokerto", STRANGER, frozenset({OfficerRole.STEWARD}))
    with city.connect(Role.STEWARD) as connection:
        register_officer(connection, stranger)
    with pytest.raises(OfficerUnknown) as caught:
        answer(context, SITI.question(officer=named), ASKER)
    assert named not in str(caught.value)
    assert city.entries("exchange.answered") == []
    answer(context, SITI.question(officer=OFFICER), ASKER)
    assert city.entries("exchange.answered")[0]["actor"] == OFFICER
