"""An erasure between the steps of an exchange: whoever was erased meanwhile is not written about any more.

Two connections in the exact interleaving: the exchange stands between its decision and its commit while the
erasure begins, and ends.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from audit.erasure.erasing import carry_out
from audit.erasure.grounds import ErasureGround
from audit.erasure.requests import approve, request_erasure
from audit.errors import ErasureRefused
from audit.subjects.vault import Vault
from foundation.database import Role
from records.errors import SubjectNotMatched
from records.suppression import forget_person, suppression_tag
from tests.verification.city import ASKER, MAYA, SERVICE_MALL, SITI, TONO, Citizen, City
from verification import answering, judging, reading, relating
from verification.answering import answer
from verification.context import AnsweringContext
from verification.errors import AnswerUnknown
from verification.forgetting import forget_person as forget_answers
from verification.reading import read

NONE = timedelta(0)


def erase(city: City, citizen: Citizen, retention: timedelta = NONE) -> None:
    """Two officers and a run, as `lintas audit erase` does."""
    installation = city.installation
    with Vault(installation, Role.STEWARD) as vault:
        keys = vault.handle_for("nik", citizen.nik)
    with installation.database.connect(Role.STEWARD) as connection:
        ground = ErasureGround.SUBJECT_REQUEST
        request = request_erasure(connection, keys, ground, officer="steward-01", retention=NONE)
        approve(connection, request.request_id, keys, officer="steward-02", retention=NONE)
    carry_out(
        installation, request.request_id, officer="steward-01", retention=retention,
        tag_of=partial(suppression_tag, installation), forgetters=[forget_person, forget_answers],
    )  # fmt: skip


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Do something once, just before a step."""

    def plant(module: Any, step: str, deed: Callable[[], None]) -> None:
        ordinary, done = getattr(module, step), []

        def first_the_deed(*given: Any, **named: Any) -> Any:
            if not done:
                done.append(True)
                deed()
            return ordinary(*given, **named)

        monkeypatch.setattr(module, step, first_the_deed)

    return plant


def nobody_is_written_about(city: City, answers: int = 0) -> None:
    assert city.count("verification.answer") == answers
    assert city.entries("exchange.answered")[answers:] == []
    refused = city.entries("exchange.refused")[-1]
    assert "subjects" not in refused
    assert "sealed" not in refused


def test_an_answer_is_refused_when_its_person_was_erased_after_the_second_element_matched(
    city: City, context: AnsweringContext, meanwhile: Callable[..., None]
) -> None:
    city.consent_of(context, SITI)
    meanwhile(answering, "compose", partial(erase, city, SITI))
    with pytest.raises(SubjectNotMatched) as caught:
        answer(context, SITI.question(), ASKER)
    assert "promise" in caught.value.attributes
    nobody_is_written_about(city)
    assert city.count("audit.subject_index") == 0
    with Vault(city.installation) as vault:
        assert vault.find("nik", SITI.nik) is None


@pytest.mark.parametrize(
    ("module", "step"), [(answering, "compose"), (judging, "other_person"), (relating, "not_erased")]
)
def test_an_answer_about_a_child_who_was_erased_meanwhile_is_refused_and_mints_them_no_handle(
    city: City, context: AnsweringContext, meanwhile: Callable[..., None], module: Any, step: str
) -> None:
    meanwhile(module, step, partial(erase, city, TONO))
    with pytest.raises(SubjectNotMatched):
        answer(context, MAYA.question(service="kia", claims={"child_nik": TONO.nik}), SERVICE_MALL)
    nobody_is_written_about(city)
    with Vault(city.installation) as vault:
        assert vault.find("nik", TONO.nik) is None


@pytest.mark.parametrize("erased", [MAYA, TONO])
def test_a_stored_answer_is_not_given_again_about_a_person_who_was_erased_meanwhile(
    city: City, context: AnsweringContext, meanwhile: Callable[..., None], erased: Citizen
) -> None:
    given = answer(context, MAYA.question(service="kia", claims={"child_nik": TONO.nik}), SERVICE_MALL)
    meanwhile(reading, "entry_of", partial(erase, city, erased))
    with pytest.raises(AnswerUnknown):
        read(context, given.answer_id, SERVICE_MALL)
    assert city.entries("exchange.read") == []
    nobody_is_written_about(city, answers=1)


def test_an_erasure_waits_for_the_answer_that_is_committing_and_counts_it(
    city: City, context: AnsweringContext, meanwhile: Callable[..., None]
) -> None:
    city.consent_of(context, SITI)
    with ThreadPoolExecutor(1) as thread:
        erasing = []

        def begin() -> None:
            erasing.append(thread.submit(copy_context().run, erase, city, SITI, timedelta(days=90)))
            wait_until_it_waits(city)

        meanwhile(answering.answers, "store", begin)
        given = answer(context, SITI.question(), ASKER)
        with pytest.raises(ErasureRefused, match="must still be kept"):
            erasing[0].result(30)
    assert given.content["verdict"] == "verified"
    assert city.count("audit.suppression") == 0


def wait_until_it_waits(city: City) -> None:
    import time

    deadline = time.monotonic() + 20
    with city.installation.database.admin(city.installation.settings.database_name) as connection:
        while time.monotonic() < deadline:
            row = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchone()
            if row is not None and row[0]:
                return
            time.sleep(0.02)
    raise AssertionError("the erasure does not wait for the answer that is committing")
