from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from foundation.files import make_private_directory
from foundation.tls import LocalAuthority
from sandbox import FIXED
from sandbox.health_books import HealthBooks, Question, QuestionError
from sandbox.health_faults import FhirFault
from sandbox.health_resources import IHS_SYSTEM, MOTHER_SYSTEM, NIK_SYSTEM, WRITERS
from sandbox.health_service import HealthService
from sandbox.population import Population
from sandbox.web_office import CLIENT_ID

TABLES = {"Patient": "patients", "Coverage": "coverage", "Immunization": "immunizations"}


@pytest.fixture(scope="module")
def population() -> Population:
    return Population.generate(600, seed=3)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, population: Population) -> Iterator[HealthService]:
    directory = tmp_path_factory.mktemp("health")
    authority = LocalAuthority(directory / "authority", "Practice")
    authority.ensure()
    office = HealthService(make_private_directory(directory / "office"), authority)
    office.start()
    office.load(population)
    yield office
    office.stop()


@pytest.fixture
def client(office: HealthService) -> Iterator[httpx.Client]:
    import ssl

    context = ssl.create_default_context(cadata=office.authority.ca_pem)
    with httpx.Client(base_url=office.endpoint_url, verify=context) as client:
        yield client
    office.faults.clear()
    office.forgive()


def login(client: httpx.Client, office: HealthService, secret: str | None = None) -> httpx.Response:
    form = {"client_id": CLIENT_ID, "client_secret": secret or office.client_secret}
    return client.post("/oauth2/v1/accesstoken?grant_type=client_credentials", data=form)


@pytest.fixture
def inside(client: httpx.Client, office: HealthService) -> httpx.Client:
    client.headers["Authorization"] = f"Bearer {login(client, office).json()['access_token']}"
    return client


@pytest.mark.parametrize("kind", WRITERS)
def test_every_resource_is_valid_r4(kind: str, population: Population) -> None:
    """But for those into which an error was put."""
    from fhir.resources.R4B import get_fhir_model_class

    model = get_fhir_model_class(kind)
    wrong = {error.key for error in population.errors}
    key = "ihs_number" if kind == "Patient" else "id"
    rows = [row for row in getattr(population, TABLES[kind]).rows(named=True) if row[key] not in wrong]
    for row in rows[:: max(1, len(rows) // 150)]:
        model.model_validate_json(orjson.dumps(WRITERS[kind](row)))


def test_bundles_statement_and_outcomes_are_valid_r4(inside: httpx.Client) -> None:
    from fhir.resources.R4B.bundle import Bundle
    from fhir.resources.R4B.capabilitystatement import CapabilityStatement
    from fhir.resources.R4B.operationoutcome import OperationOutcome

    for path in ("/Patient?_count=5", "/Coverage?_count=3", "/Immunization?_id=nobody"):
        Bundle.model_validate_json(inside.get(f"/fhir-r4/v1{path}").content)
    statement = CapabilityStatement.model_validate_json(inside.get("/fhir-r4/v1/metadata").content)
    assert statement.fhirVersion == "4.0.1"
    refused = inside.get("/fhir-r4/v1/Patient?favourite-colour=red")
    assert refused.status_code == 400
    OperationOutcome.model_validate_json(refused.content)


def test_the_token_endpoint_answers_as_the_real_one_does(client: httpx.Client, office: HealthService) -> None:
    given = login(client, office).json()
    assert all(isinstance(value, str) for name, value in given.items() if name != "api_product_list_json")
    assert (given["expires_in"], given["token_type"]) == ("3599", "BearerToken")
    assert abs(int(given["issued_at"]) / 1000 - time.time()) < 600


def test_a_refused_login_locks_out_for_a_minute(client: httpx.Client, office: HealthService) -> None:
    assert login(client, office, "wrong").status_code == 401
    locked = login(client, office)
    assert locked.status_code == 429
    assert 0 < int(locked.headers["retry-after"]) <= 61
    office.forgive()
    assert login(client, office).status_code == 200


def test_nobody_comes_in_without_a_token(client: httpx.Client) -> None:
    assert client.get("/fhir-r4/v1/Patient").status_code == 401
    assert client.post("/practice/faults", content="null").status_code == 403
    assert client.post("/practice/change", content="{}").status_code == 403


def pages(client: httpx.Client, path: str) -> Iterator[dict[str, Any]]:
    link: str | None = path
    while link:
        bundle = client.get(link).raise_for_status().json()
        yield bundle
        link = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), None)


@pytest.mark.parametrize("kind", WRITERS)
def test_following_the_links_gives_everybody_once(
    inside: httpx.Client, population: Population, kind: str
) -> None:
    key = "ihs_number" if kind == "Patient" else "id"
    found = [
        entry["resource"]["id"]
        for bundle in pages(inside, f"/fhir-r4/v1/{kind}?_count=97")
        for entry in bundle["entry"]
    ]
    assert found == getattr(population, TABLES[kind])[key].to_list()


def test_a_number_is_found_under_its_own_system_only(inside: httpx.Client, population: Population) -> None:
    def total(system: str, number: str) -> int:
        body = {"identifier": f"{system}|{number}" if system else number}
        return int(inside.post("/fhir-r4/v1/Patient/_search", data=body).json()["total"])

    nik = FIXED.verified.nik
    assert (total(NIK_SYSTEM, nik), total("", nik), total(IHS_SYSTEM, nik)) == (1, 1, 0)
    newborns = population.patients.filter(population.patients["nik_ibu"].is_not_null())
    if newborns.height:
        mother = newborns["nik_ibu"][0]
        assert total(MOTHER_SYSTEM, mother) >= 1


def test_only_what_changed_since_is_found(inside: httpx.Client, office: HealthService) -> None:
    updated = office.books.frames["Coverage"]["last_updated"]
    moment = updated.sort()[-20]
    asked = moment.isoformat().replace("+00:00", "Z")
    found = inside.get("/fhir-r4/v1/Coverage", params={"_lastUpdated": f"ge{asked}"}).json()["total"]
    assert found == (updated >= moment).sum()


def test_the_switches_work_from_another_process(inside: httpx.Client, office: HealthService) -> None:
    key = {"X-Practice-Key": office.practice_key}
    inside.post("/practice/faults", headers=key, json={"kind": "outcome"}).raise_for_status()
    assert inside.get("/fhir-r4/v1/Patient").json()["resourceType"] == "OperationOutcome"
    inside.post("/practice/faults", headers=key, content="null").raise_for_status()
    assert inside.get("/fhir-r4/v1/Patient").json()["resourceType"] == "Bundle"
    wanted = {"kind": "Coverage", "nik": FIXED.verified.nik, "values": {"status": "cancelled"}}
    assert inside.post("/practice/change", headers=key, json=wanted).json() == {"changed": 1}


def test_every_fault_has_something_that_it_does() -> None:
    from sandbox import health_faults, health_web

    elsewhere = {
        FhirFault.NEW_LINK_SAME_PAGE, FhirFault.OUTCOME, FhirFault.PASSING_OUTCOME, FhirFault.R5_SERVER,
    }  # fmt: skip
    assert set(health_faults._CHANGES) | elsewhere == set(FhirFault)
    assert len(health_web._FAULTS) == len({*health_web._FAULTS.values()})


@pytest.mark.parametrize("asked", [("_lastUpdated", "yesterday"), ("_page", "x"), ("name", "x")])
def test_an_unclear_search_is_refused(asked: tuple[str, str], population: Population) -> None:
    books = HealthBooks()
    books.fill(population)
    with pytest.raises(QuestionError):
        books.search(Question.read("Patient", [asked]))


def test_the_books_are_kept_when_the_office_closes(tmp_path: Path, population: Population) -> None:
    authority = LocalAuthority(tmp_path / "authority", "Practice")
    authority.ensure()
    directory = make_private_directory(tmp_path / "office")
    first = HealthService(directory, authority)
    first.load(population)
    first.stop()
    again = HealthService(directory, authority)
    again.start()
    again.stop()
    assert again.books.frames["Coverage"].equals(population.coverage)
