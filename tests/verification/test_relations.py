"""An applicant speaks for a child or a business only where registers show it by identifiers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from audit.publishing.sequencer import Sequencer
from audit.subject_view import Reader, exchanges_of
from consent.errors import ExchangeDenied
from consent.record import ConsentNotice, ConsentQuestion, grant
from consent.revision import GivenBy
from consent.vocabulary import Channel
from foundation.database import Role
from foundation.installation import Installation
from records.errors import TooManyAttempts
from records.tags import TagKey
from tests.verification import city as founding
from tests.verification.city import ASKER, BUDI, MAYA, SERVICE_MALL, SITI, TONO, City, found_city
from verification.answering import answer
from verification.context import AnsweringContext
from verification.errors import ClaimsInvalid
from verification.reading import read

PERSONS = "dukcapil-mojokerto/persons"
UNKNOWN_CHILD = "3576021508180099"


def outcomes(given) -> dict[str, str]:
    return {each["criterion"]: each["outcome"] for each in given.content["outcomes"]}


def gaps(given) -> set[str]:
    return {gap for each in given.content["outcomes"] for gap in each["gaps"]}


def asks(context: AnsweringContext, parent=MAYA, child_nik: str = TONO.nik):
    return answer(context, parent.question(service="kia", claims={"child_nik": child_nik}), SERVICE_MALL)


def test_a_mother_gets_a_card_for_her_child(city: City, context: AnsweringContext) -> None:
    given = asks(context)
    assert given.content["verdict"] == "verified"
    assert set(outcomes(given).values()) == {"met"}
    by_name = {each["criterion"]: each for each in given.content["outcomes"]}
    assert by_name["under-17"]["relation"] == "guardian_of"
    grounds = by_name["guardian"]["evidence"]
    assert {each["dataset"] for each in grounds} >= {PERSONS, "dukcapil-mojokerto/births"}
    (entry,) = city.entries("exchange.answered")
    assert len(entry["subjects"]) == 2
    assert "birth-deed" in entry["details"]["relations"]["guardian_of"]
    assert entry["details"]["related_decision"] != entry["decision"]
    assert f"{PERSONS}:marital_status" in entry["fields"]
    for number in (MAYA.nik, TONO.nik):
        assert number not in str(city.entries()) + str(given.content)


def test_the_child_finds_what_was_asked_about_them(city: City, context: AnsweringContext) -> None:
    given = asks(context)
    with Sequencer(city.installation) as sequencer:
        sequencer.drain_once()
    keys = context.vault.find("nik", TONO.nik)
    assert keys is not None
    with city.connect() as connection:
        (found,) = exchanges_of(connection, keys, Reader(actor="child", reason="subject-access"))
    assert found.entry_id == given.entry_id
    assert found.tag_matches
    assert found.sealed is None  # what is sealed is the applicant's


def test_of_a_strangers_child_nothing_is_said(city: City, context: AnsweringContext) -> None:
    given = asks(context, SITI)
    assert outcomes(given) == {
        "applicant-alive": "met",
        "resident": "met",
        "guardian": "not_met",
        "in-the-family": "unknown",
        "birth-recorded": "unknown",
        "child-alive": "unknown",
        "under-17": "unknown",
        "unmarried": "unknown",
    }
    assert gaps(given) == {"not_related"}
    assert given.content["verdict"] == "refer"
    (entry,) = city.entries("exchange.answered")
    assert len(entry["subjects"]) == 1
    assert f"{PERSONS}:marital_status" not in entry["fields"]
    assert context.vault.find("nik", TONO.nik) is None


def test_a_number_of_nobody_looks_like_a_strangers_child(context: AnsweringContext) -> None:
    assert outcomes(asks(context, SITI)) == outcomes(asks(context, SITI, UNKNOWN_CHILD))


def test_trying_numbers_ends_soon(city: City, context: AnsweringContext) -> None:
    for _ in range(5):
        asks(context, SITI)
    for asker in (SITI, BUDI):
        with pytest.raises(TooManyAttempts):
            asks(context, asker)
    assert asks(context, BUDI, UNKNOWN_CHILD).content["verdict"] == "refer"
    refused, _ = city.entries("exchange.refused")
    assert refused["details"]["problem"] == "too-many-attempts"
    assert len(refused["subjects"]) == 1


def test_one_applicant_names_few_numbers_and_locks_out_nobody_else(
    city: City, context: AnsweringContext
) -> None:
    for number in range(5):
        asks(context, SITI, f"35760215081800{90 + number}")
    with pytest.raises(TooManyAttempts):
        asks(context, SITI, UNKNOWN_CHILD)
    assert asks(context, BUDI, UNKNOWN_CHILD).content["verdict"] == "refer"
    assert asks(context).content["verdict"] == "verified"


def test_attempts_made_at_once_are_all_counted(context: AnsweringContext) -> None:
    def attempt(number: int) -> bool:
        try:
            asks(context, SITI, f"35760215081800{80 + number}")
        except TooManyAttempts:
            return False
        return True

    with ThreadPoolExecutor(12) as several:
        assert sum(several.map(attempt, range(12))) == 5


def test_what_is_wrong_with_a_strangers_child_is_not_told(city: City, context: AnsweringContext) -> None:
    birth = "SELECT dataset, record_id FROM records.birth_v1 WHERE nik = '{0}'"
    person = "SELECT dataset, record_id FROM records.person_v1 WHERE nik = '{0}'"
    city.execute(
        "INSERT INTO quality.conflict (field, dataset_id, record_id, other_dataset_id, other_record_id,"
        " found_at, found_by) SELECT 'birth_date', a.dataset, least(a.record_id, b.record_id), b.dataset,"
        " greatest(a.record_id, b.record_id), now(), gen_random_uuid()"
        f" FROM ({birth}) a, ({person}) b".format(TONO.nik)
    )
    assert outcomes(asks(context))["guardian"] == "conflict"
    stranger = asks(context, SITI)
    assert outcomes(stranger) == outcomes(asks(context, SITI, UNKNOWN_CHILD))
    assert gaps(stranger) == {"not_related"}


def test_asking_about_a_number_that_waits_for_review_is_an_attempt_too(
    city: City, context: AnsweringContext
) -> None:
    test_a_quarantined_child_is_unknown(city, context)
    for _ in range(4):
        asks(context, SITI)
    with pytest.raises(TooManyAttempts):
        asks(context, SITI)


def test_an_overdue_registry_shows_no_relation(city: City, context: AnsweringContext) -> None:
    city.overdue("dukcapil-mojokerto/births", "dukcapil-mojokerto/families", PERSONS)
    given = asks(context)
    assert outcomes(given)["guardian"] == "stale"
    assert outcomes(given)["under-17"] == "stale"
    assert given.content["verdict"] == "not_possible"
    assert context.vault.find("nik", TONO.nik) is None


def test_a_quarantined_child_is_unknown(city: City, context: AnsweringContext) -> None:
    tag = TagKey.of(city.installation.keyring).subject(TONO.nik)
    for dataset in (PERSONS, "dukcapil-mojokerto/births"):
        city.execute(
            "WITH r AS (INSERT INTO quality.quarantine_row (dataset_id, batch_id, slice_id, page_no,"
            " position, contract_version, fields, rules, errors, sealed, quarantined_at) VALUES"
            " (%s, gen_random_uuid(), 's', 0, 1, '1.0.0', '{}', '{}', '[]', '', now()) RETURNING *)"
            " INSERT INTO quality.quarantine_tag SELECT %s, dataset_id, row_id FROM r",
            dataset,
            tag,
        )
    given = asks(context)
    assert outcomes(given)["guardian"] == "unknown"
    assert given.content["verdict"] == "refer"


def test_a_child_who_is_no_number_is_no_claim(context: AnsweringContext) -> None:
    for number in ("123", TONO.nik[:-1] + "x", 3576021508180006):
        with pytest.raises(ClaimsInvalid) as caught:
            asks(context, MAYA, number)
        assert TONO.nik[:10] not in str(caught.value.as_dict())


def test_reading_again_decides_about_both_again(city: City, context: AnsweringContext) -> None:
    given = asks(context)
    assert read(context, given.answer_id, SERVICE_MALL).jws == given.jws
    (entry,) = city.entries("exchange.read")
    assert len(entry["subjects"]) == 2


def test_only_the_owner_speaks_for_a_business(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, SITI)
    claims = {**SITI.claims, "business_nib": BUDI.nib}
    given = answer(context, SITI.question(claims=claims), ASKER)
    found = outcomes(given)
    assert (found["owner"], found["micro-business"], found["licensed"]) == ("not_met", "unknown", "unknown")
    assert given.content["verdict"] == "refer"
    assert gaps(given) == {"not_related"}
    assert answer(context, SITI.question(), ASKER).content["verdict"] == "verified"


def test_the_license_of_a_dead_owner_verifies_nobody(city: City, context: AnsweringContext) -> None:
    city.consent_of(context, founding.AGUS)
    found = outcomes(answer(context, founding.AGUS.question(), ASKER))
    assert (found["owner"], found["licensed"], found["alive"]) == ("met", "met", "not_met")


def test_a_risky_business_needs_its_license_and_a_safe_one_does_not_wait_for_it(
    city: City, context: AnsweringContext
) -> None:
    for citizen in (SITI, founding.RINA):
        city.consent_of(context, citizen)
    city.overdue("dpmptsp-mojokerto/licenses")
    assert outcomes(answer(context, SITI.question(), ASKER))["licensed"] == "met"
    assert outcomes(answer(context, founding.RINA.question(), ASKER))["licensed"] == "stale"


def test_two_birth_dates_are_a_conflict_and_leave_the_rest_as_it_is(
    city: City, context: AnsweringContext
) -> None:
    city.consent_of(context, SITI)
    patient = {"ihs_number": "P02478375538", "nik": SITI.nik, "name": SITI.name}
    city._insert("patient_v1", "dinkes-mojokerto/patients", "P02478375538", patient)
    city.execute(
        "INSERT INTO quality.conflict (field, dataset_id, record_id, other_dataset_id, other_record_id,"
        " found_at, found_by) SELECT 'birth_date', a.dataset, a.record_id, b.dataset, b.record_id, now(),"
        " gen_random_uuid() FROM (SELECT dataset, record_id FROM records.person_v1 WHERE nik = %(nik)s UNION"
        " SELECT dataset, record_id FROM records.patient_v1 WHERE nik = %(nik)s) a,"
        " (SELECT dataset, record_id FROM records.person_v1 WHERE nik = %(nik)s UNION"
        " SELECT dataset, record_id FROM records.patient_v1 WHERE nik = %(nik)s) b"
        " WHERE a.record_id < b.record_id".replace("%(nik)s", f"'{SITI.nik}'")
    )
    given = answer(context, SITI.question(), ASKER)
    found = outcomes(given)
    assert (found["adult"], found["resident"]) == ("conflict", "met")
    assert given.content["verdict"] == "refer"


@pytest.fixture
def consenting(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnsweringContext]:
    """A city whose service mall may only be told what people consent to."""
    terms = (SERVICE_MALL.system, "child-identity-card", "consent")
    monkeypatch.setitem(founding.CONSUMERS, SERVICE_MALL.agency, terms)
    found_city(installation)
    opened = AnsweringContext.open(installation)
    yield opened
    opened.close()


def test_where_consent_is_the_basis_the_childs_own_counts(consenting: AnsweringContext) -> None:
    context = consenting
    service = context.catalogue.service("kia")
    notice = ConsentNotice.of_text("Setuju?", version="1")
    parent, child = (context.vault.handle_for("nik", each.nik) for each in (MAYA, TONO))

    def consents(keys, fields, given_by) -> None:
        question = ConsentQuestion(SERVICE_MALL.agency, "child-identity-card", fields, notice)
        with context.installation.database.connect(Role.API) as connection:
            grant(connection, keys, question, channel=Channel.PORTAL, given_by=given_by)

    consents(parent, service.fields, GivenBy())
    with pytest.raises(ExchangeDenied) as caught:
        asks(context)
    assert "consent.required" in caught.value.attributes["rules"]
    consents(child, service.fields_about_other, GivenBy())
    assert asks(context).content["verdict"] == "verified"
