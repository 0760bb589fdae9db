"""Every application of a practice person ends as it is written down, over four real servers."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import stamina

from consent.errors import ExchangeDenied
from consent.record import ConsentNotice, ConsentQuestion, grant
from consent.vocabulary import Channel
from foundation.database import Role
from foundation.installation import Installation
from lintas.practice import PORTALS, introduce_practice_agencies
from lintas.practice_agencies import write_agencies
from records import shapes
from records.errors import SubjectNotMatched
from records.identity import Applicant
from records.sync import SyncContext, SyncReport, run_sync
from sandbox import FIXED
from sandbox import agencies as practice
from sandbox.agencies import PracticeAgencies
from sandbox.applications import APPLICATIONS, Application, aid
from sandbox.datasets import COVERAGE, DATASETS, DEATHS, LICENSES, PERSONS, TAX
from sandbox.licensing_mutations import LicensingMutations
from sandbox.mutations import RegistryMutations
from sandbox.practice_person import AID, PracticePerson
from schemas.contracts import load_contracts
from schemas.identifiers import Nik
from verification.answering import answer
from verification.context import AnsweringContext
from verification.journey import Asker, Question

CONSENTED = {AID}
ASKERS = {
    service: Asker(system=portal.system_id, agency=portal.agency)
    for portal in PORTALS
    for service in portal.services
}


@dataclass
class FourAgencies:
    """The bus beside four agencies, and an application put to it."""

    installation: Installation
    agencies: PracticeAgencies
    context: AnsweringContext
    first: dict[str, SyncReport] = field(default_factory=dict)

    def sync(self, dataset: str) -> SyncReport:
        contracts = {each.id: each for each in load_contracts(self.installation.settings.contracts)}
        return run_sync(SyncContext(self.installation), contracts[dataset])

    def ask(self, application: Application) -> dict[str, Any]:
        if application.service in CONSENTED:
            self._consent_of(application.applicant, application.service)
        question = Question(
            service=application.service,
            applicant=applicant_of(application.applicant),
            claims=application.claims,
            purpose=application.purpose,
            case_number="PRAKTIK-1",
            request=uuid.uuid4().bytes,
        )
        return dict(answer(self.context, question, ASKERS[application.service]).content)

    def _consent_of(self, person: PracticePerson, service: str) -> None:
        known = self.context.catalogue.service(service)
        notice = ConsentNotice.of_text("Setuju?", version="1")
        question = ConsentQuestion(ASKERS[service].agency, known.definition.purpose, known.fields, notice)
        subject = self.context.vault.handle_for("nik", person.nik)
        with self.installation.database.connect(Role.API) as connection:
            grant(connection, subject, question, channel=Channel.PORTAL)


def applicant_of(person: PracticePerson) -> Applicant:
    return Applicant(
        nik=Nik.parse(person.nik),
        name=person.name,
        birth_date=person.birth_date,
        family_card_number=None,
    )


@pytest.fixture(scope="module")
def four(
    session_directory: Path, installation_template: Installation, database_copies: Any
) -> Iterator[FourAgencies]:
    name = database_copies.take()
    home = session_directory / f"four-{uuid.uuid4().hex[:8]}"
    shutil.copytree(installation_template.home, home)
    changes = {"home": home, "database_name": name}
    installation = Installation.open(installation_template.settings.model_copy(update=changes))
    shapes.forget()
    running = practice.start(home / "sandbox", 300, 11, pause_every=0)
    try:
        write_agencies(installation, running)
        introduce_practice_agencies(installation)
        with stamina.set_testing(True, attempts=2, cap=True):
            context = AnsweringContext.open(installation)
            try:
                found = FourAgencies(installation, running, context)
                found.first = {dataset: found.sync(dataset) for dataset in DATASETS}
                assert [dataset for dataset, report in found.first.items() if not report.published] == []
                yield found
            finally:
                context.close()
    finally:
        running.stop()
        running.registry.server.remove()
        shapes.forget()
        database_copies.give_back(name)
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_was_injected_is_what_is_quarantined(four: FourAgencies, dataset: str) -> None:
    population, report = four.agencies.population, four.first[dataset]
    bad = {error.row for error in population.errors if error.dataset == dataset and error.rejected}
    assert (report.read, report.quarantined) == (population.table(dataset).height, len(bad)), report.reasons
    assert report.inserted == report.read - report.quarantined


@pytest.mark.parametrize("name", sorted(set(APPLICATIONS) - {"aid-licenses-overdue", "aid-dies-later"}))
def test_an_application_ends_as_it_is_written_down(four: FourAgencies, name: str) -> None:
    application = APPLICATIONS[name]
    if application.expected == "denied":
        with pytest.raises(ExchangeDenied):
            four.ask(application)
        return
    given = four.ask(application)
    outcomes = {each["criterion"]: each["outcome"] for each in given["outcomes"]}
    assert given["verdict"] == application.expected, outcomes
    if application.criterion:
        assert outcomes[application.criterion] == application.outcome, outcomes


def test_a_death_that_arrives_ends_what_rests_on_a_life(four: FourAgencies) -> None:
    application = APPLICATIONS["aid-dies-later"]
    assert four.ask(application)["verdict"] == "verified"
    RegistryMutations(four.agencies.registry).new_death(application.applicant.nik)
    assert four.sync(DEATHS).inserted == 1
    outcomes = {each["criterion"]: each["outcome"] for each in four.ask(application)["outcomes"]}
    assert outcomes["alive"] == "not_met"


def test_a_list_of_licenses_that_stays_away_leaves_it_open_whether_a_business_may_run(
    four: FourAgencies,
) -> None:
    application = APPLICATIONS["aid-licenses-overdue"]
    assert four.ask(application)["verdict"] == "verified"
    LicensingMutations(four.agencies.licensing.folder).licenses_stay_away()
    four.sync(LICENSES)
    given = four.ask(application)
    outcomes = {each["criterion"]: each["outcome"] for each in given["outcomes"]}
    assert given["verdict"] == application.expected
    assert outcomes.pop(application.criterion) == application.outcome
    assert set(outcomes.values()) == {"met"}
    assert four.ask(APPLICATIONS["aid-verified"])["verdict"] == "verified"


def test_a_number_that_two_people_bear_is_nobodys(four: FourAgencies) -> None:
    with pytest.raises(SubjectNotMatched):
        four.ask(aid(FIXED.shared_nik))


ASKED_LIVE = (PERSONS, DEATHS, COVERAGE, TAX)


def test_registers_that_are_overdue_are_asked_live_in_sql_rest_and_fhir(four: FourAgencies) -> None:
    _age(four, "-")
    try:
        for name in ("police-verified", "police-lapsed", "aid-verified", "aid-tax-not-valid"):
            application = APPLICATIONS[name]
            given = four.ask(application)
            outcomes = {each["criterion"]: each["outcome"] for each in given["outcomes"]}
            assert given["verdict"] == application.expected, outcomes
            seen = [source for each in given["outcomes"] for source in each["evidence"]]
            assert {source["dataset"] for source in seen if source["live"]} == {
                source["dataset"] for source in seen if source["dataset"] in ASKED_LIVE
            }
    finally:
        _age(four, "+")


def _age(four: FourAgencies, sign: str) -> None:
    """Let the last reading of the registers lie a year back, or undo it."""
    with four.installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute(
            f"UPDATE records.dataset_state SET source_time = source_time {sign} interval '400 days'"
            " WHERE dataset_id = ANY(%s)",
            [list(ASKED_LIVE)],
        )
