"""A case number finds every exchange of its case: answered, refused, or one that nobody saw the end of."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from audit.search.cases import case_key
from consent.errors import ConsentChanged, ExchangeDenied
from foundation.errors import LintasError
from records.errors import SubjectNotMatched, TooManyAttempts
from tests.verification.city import AGUS, ASKER, MAYA, POLICE, SERVICE_MALL, SITI, City
from tests.verification.live_sources import PracticeLookups
from verification import answering, live, sources
from verification.answering import answer
from verification.answering_together import answer_together
from verification.asked import asked
from verification.context import AnsweringContext
from verification.journey import Asker, GivenAnswer, Question
from verification.reading import read

CASE = "UKM-7/2026"


def found(city: City, number: str = CASE) -> Counter[str]:
    """Kinds and outcomes of the entries that the index lists under a case."""
    key = case_key(city.installation.keyring, number)
    with city.connect() as connection:
        rows = connection.execute("SELECT entry_id FROM audit.case_index WHERE case_key = %s", [key])
        listed = {str(row[0]) for row in rows}
    entries = [entry for entry in city.entries() if entry["id"] in listed]
    assert len(entries) == len(listed)
    assert not any(CASE.lower() in str(entry).lower() for entry in entries)
    return Counter(f"{entry['kind']} {entry['outcome']}" for entry in entries)


def by_itself(context: AnsweringContext, question: Question, asker: Asker) -> GivenAnswer:
    return answer(context, question, asker)


def among_others(context: AnsweringContext, question: Question, asker: Asker) -> GivenAnswer:
    other = AGUS.question(case_number="another-case")
    ending, _ = answer_together(context, [asked(context, question, asker), asked(context, other, ASKER)])
    if isinstance(ending, Exception):
        raise ending
    return ending() if callable(ending) else ending


Way = Callable[[AnsweringContext, Question, Asker], GivenAnswer]
WAYS = pytest.mark.parametrize("way", [by_itself, among_others])


def refused(context: AnsweringContext, way: Way, expected: type[LintasError], **changes: Any) -> None:
    citizen, asker = changes.pop("citizen", SITI), changes.pop("asker", ASKER)
    with pytest.raises(expected):
        way(context, citizen.question(case_number=CASE, **changes), asker)


@WAYS
def test_refusals_are_found_by_the_number_of_their_case(
    city: City, context: AnsweringContext, way: Way
) -> None:
    refused(context, way, ExchangeDenied)  # there is no consent
    wrong = dataclasses.replace(SITI, birth_date=dt.date(1999, 9, 9))
    refused(context, way, SubjectNotMatched, citizen=wrong)
    assert found(city) == {"exchange.refused refused": 2}
    city.consent_of(context, SITI)
    way(context, SITI.question(case_number=CASE.lower()), ASKER)
    assert found(city) == {"exchange.refused refused": 2, "exchange.answered verified": 1}
    assert found(city, "UKM-8/2026") == {}


@WAYS
def test_who_named_too_many_children_in_vain_is_found_by_the_case(
    city: City, context: AnsweringContext, way: Way
) -> None:
    for number in range(6):
        with_child = {"service": "kia", "claims": {"child_nik": f"357602150818{number + 91:04d}"}}
        try:
            way(context, MAYA.question(case_number=CASE, **with_child), SERVICE_MALL)
        except TooManyAttempts:
            break
    assert found(city)["exchange.refused refused"] == 1


def test_what_was_refused_at_the_last_moment_is_found_by_the_case(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    consent, compose = city.consent_of(context, SITI), answering.compose

    def withdrawing(*given: Any) -> Any:
        city.withdraw(context, SITI, consent)
        return compose(*given)

    monkeypatch.setattr(answering, "compose", withdrawing)
    refused(context, by_itself, ConsentChanged)
    assert found(city) == {"exchange.refused refused": 1}


def test_an_exchange_that_was_cut_off_is_found_by_the_live_questions_of_its_case(
    city: City, context: AnsweringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert context.sources is not None
    registers = ("dukcapil-mojokerto/persons", "dukcapil-mojokerto/deaths", "dinkes-mojokerto/coverage")
    lookups = PracticeLookups(context.sources._contracts, rows={each: [] for each in registers})
    monkeypatch.setattr(sources, "open_lookup", lookups.open)
    city.overdue()

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "_asked", killed)
    with pytest.raises(KeyboardInterrupt):
        answer(context, SITI.question(service="skck", claims={}, case_number=CASE), POLICE)
    assert found(city) == {"lookup.requested requested": 3}
    monkeypatch.undo()
    monkeypatch.setattr(sources, "open_lookup", lookups.open)
    answer(context, SITI.question(service="skck", claims={}, case_number=CASE), POLICE)
    kinds = Counter(each.partition(" ")[0] for each in found(city).elements())
    assert kinds == {"lookup.requested": 6, "lookup.completed": 3, "exchange.answered": 1}


def test_an_answer_that_is_read_again_or_refused_then_is_found_by_the_case(
    city: City, context: AnsweringContext
) -> None:
    consent = city.consent_of(context, SITI)
    given = answer(context, SITI.question(case_number=CASE), ASKER)
    read(context, given.answer_id, ASKER)
    city.withdraw(context, SITI, consent)
    with pytest.raises(ExchangeDenied):
        read(context, given.answer_id, ASKER)
    assert found(city) == {
        "exchange.answered verified": 1, "exchange.read read": 1, "exchange.refused refused": 1,
    }  # fmt: skip
