"""The edges of the API: one problem shape, limits, headers, and nothing personal anywhere."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from foundation import telemetry
from foundation.database import Role
from foundation.installation import Installation
from sandbox.portal import Portal, PortalRefused
from tests.verification.city import CLAIMS, SERVICE, SITI, City
from tests.web.serving import browser, serving
from web.limits import RateLimiter
from web.platform import Platform

REQUIRED = {"type", "title", "status", "detail", "remedy", "request_id"}
OPTIONAL = {"errors", "rules", "findings", "decision_id", "promise", "retry_after"}
OAUTH = {"error", "error_description"}


@pytest.fixture
def client(api: str, city: City) -> Iterator[httpx.Client]:
    with browser(api, city) as opened:
        yield opened


def test_every_error_has_the_one_problem_shape(client: httpx.Client) -> None:
    replies = [
        client.get("/nowhere"),
        client.delete("/v1/services"),
        client.get("/v1/services/nope"),
        client.get("/v1/services/NOT_A_SLUG"),
        client.post("/v1/verifications", json={}),
        client.post("/v1/verifications", content=b"{", headers={"content-type": "application/json"}),
        client.post("/v1/verifications", json=_question()),
        client.post("/v1/verifications", json=_question(), headers={"authorization": "Bearer nonsense"}),
        client.get("/v1/verifications/not-a-uuid"),
        client.get("/v1/log/checkpoint"),
        client.get("/v1/referrals?limit=0"),
        client.post("/oauth/token", data={"grant_type": "x"}),
        client.post("/oauth/token", json={}),
        client.post("/v1/verifications", content=b"x" * 70_000),
    ]
    statuses = [reply.status_code for reply in replies]
    assert statuses == [404, 405, 404, 422, 422, 400, 401, 401, 422, 404, 422, 400, 400, 413]
    for reply in replies:
        problem = reply.json()
        assert problem.keys() >= REQUIRED, reply.text
        assert problem.keys() <= REQUIRED | OPTIONAL | OAUTH
        assert problem["type"].startswith("urn:lintas:problem:")
        assert problem["status"] == reply.status_code
        assert problem["request_id"] == reply.headers["x-request-id"]
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" in reply.headers


def _question(**changes: Any) -> dict[str, Any]:
    return {"service": SERVICE, "applicant": SITI.body, "claims": CLAIMS, **changes}


def test_a_body_without_a_declared_length_is_limited_too(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 4096

    reply = client.post("/v1/verifications", content=endless(), headers={"content-type": "application/json"})
    assert reply.status_code == 413


def test_problems_name_fields_but_never_what_was_sent(client: httpx.Client) -> None:
    secret = "3576025505900003"
    sent = [
        {"service": SERVICE, "applicant": {"nik": secret + "9", "name": "x"}},
        {"service": SERVICE, "applicant": {"nik": secret, "birth_date": secret}},
        {"service": SERVICE, "applicant": {"nik": secret}},
        {"service": secret + "!", "applicant": SITI.body, secret: 1},
        _question(claims={secret: 1.5}),
        _question(claims={secret: [secret]}),
        _question(purpose=f"{secret}!"),
    ]
    for body in sent:
        reply = client.post("/v1/verifications", json=body)
        assert reply.status_code == 422
        assert reply.json()["errors"]
        assert secret not in reply.text, reply.text


def test_nothing_that_the_log_would_not_take_gets_as_far_as_a_person(portal: Portal, city: City) -> None:
    """Else an answer to "is this their number?" could be had without an entry."""
    number = "3576025505900003"
    notice = {"text_version": "1", "text_hash": "0" * 64, "language": "id"}
    consent = {"service": SERVICE, "applicant": SITI.body, "notice": notice}
    asked = [
        ("/v1/verifications", _question(officer=number)),
        ("/v1/verifications", _question(officer=f"x.{number}")),
        ("/v1/verifications", _question(officer=f"nik{number}")),
        ("/v1/verifications", _question(purpose=number)),
        ("/v1/subjects/exchanges", {"applicant": SITI.body, "reason": number}),
        ("/v1/consents", {**consent, "purpose": number}),
        ("/v1/consents", {**consent, "officer": number}),
        ("/v1/consents", {**consent, "notice": {**notice, "text_version": number}}),
        ("/v1/consents", {**consent, "notice": {**notice, "language": f"id-{number[:8]}-{number[8:]}"}}),
    ]
    for path, body in asked:
        with pytest.raises(PortalRefused) as refused:
            portal.call("POST", path, body)
        assert refused.value.problem["type"].endswith("request-invalid"), (path, refused.value.problem)
    with city.installation.database.connect(Role.MIGRATOR) as connection:
        assert connection.execute("SELECT count(*) FROM identity.link").fetchone() == (0,)


def test_a_consent_that_cannot_be_recorded_is_logged_with_the_person_it_confirmed(
    portal: Portal, city: City
) -> None:
    notice = {"text_version": "1", "text_hash": "0" * 64}
    consent = {"service": SERVICE, "applicant": SITI.body, "notice": notice}
    for further in ({"officer": "no-such-officer"}, {"valid_until": "2020-01-01T00:00:00Z"}):
        with pytest.raises(PortalRefused, match="cannot be recorded"):
            portal.call("POST", "/v1/consents", {**consent, **further})
    entries = city.entries("exchange.refused")
    assert [entry["details"]["problem"] for entry in entries] == ["consent-not-possible"] * 2
    assert all(len(entry["subjects"]) == 1 for entry in entries)


@pytest.mark.parametrize("amount", [2**53, -(2**53), 10**30])
def test_a_number_that_not_every_reader_reads_alike_is_refused(client: httpx.Client, amount: int) -> None:
    reply = client.post("/v1/verifications", json=_question(claims={**CLAIMS, "amount_requested": amount}))
    assert reply.status_code == 422


def test_a_moment_outside_the_calendar_is_refused(portal: Portal) -> None:
    notice = {"text_version": "1", "text_hash": "0" * 64}
    consent = {"service": SERVICE, "applicant": SITI.body, "notice": notice}
    with pytest.raises(PortalRefused) as refused:
        portal.call("POST", "/v1/consents", {**consent, "valid_until": "9999-12-31T23:59:59-23:59"})
    assert refused.value.problem["status"] == 422


def test_the_openapi_document_is_3_1_and_the_page_fetches_nothing(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in str(document)
    page = client.get("/docs")
    assert "<script" not in page.text
    assert "src=" not in page.text
    for path in document["paths"]:
        assert path in page.text


def test_no_operation_takes_a_personal_identifier_in_its_url(client: httpx.Client) -> None:
    ids = {"answer_id", "consent_id", "referral_id"}
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for operation in operations.values():
            parameters = operation.get("parameters", [])
            names = {each["name"] for each in parameters if each["in"] in ("path", "query")}
            assert names <= ids | {"identifier", "path", "cursor", "limit"}, path


def test_unauthenticated_refusals_are_told_to_the_log_in_sums(city: City) -> None:
    with serving(city) as url, browser(url, city) as client:
        for _ in range(50):
            client.post("/v1/verifications", json=_question())
        for _ in range(3):
            client.post("/oauth/token", data={"grant_type": "x"})
    told = {
        (entry["kind"], entry["details"]["problem"]): entry["details"]["count"]
        for entry in city.entries()
        if entry.get("outcome") == "unauthenticated"
    }
    assert told == {
        ("exchange.refused", "client-unauthenticated"): 50,
        ("login.refused", "unsupported_grant_type"): 3,
    }


def test_limits_hold_over_processes(city: City) -> None:
    pool = city.installation.database.pool(Role.API, max_size=4)
    with pool:
        moment = [1_000_000_020.0]
        limiters = [RateLimiter(pool.connection, 100, clock=lambda: moment[0]) for _ in range(3)]
        passed = [0]
        guard = threading.Lock()

        def ask(limiter: RateLimiter) -> None:
            for _ in range(100):
                if limiter.take("portal").allowed:
                    with guard:
                        passed[0] += 1

        threads = [threading.Thread(target=ask, args=(limiter,)) for limiter in limiters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert passed[0] == 100
        assert limiters[0].take("another").allowed
        moment[0] += 60
        assert limiters[0].take("portal").allowed


def test_a_client_that_asks_too_often_is_told_when_to_come_back(city: City) -> None:
    platform = Platform.open(city.installation, requests_per_minute=1)
    try:
        assert platform.limiter.take("x").allowed
        refused = platform.limiter.take("x")
        assert not refused.allowed
        assert 1 <= refused.reset <= 60
        assert dict(refused.headers())[b"ratelimit"].startswith(b'"default";r=0;t=')
    finally:
        platform.close()


@pytest.mark.usefixtures("sequencer")
def test_the_canary_is_in_no_log_url_error_or_row(
    portal: Portal, city: City, api: str, canary, tmp_path
) -> None:
    """A canary citizen asks, is refused, is referred; nothing that is kept in the clear knows them."""
    citizen = dataclasses.replace(
        SITI, nik=canary.nik, name=canary.name, birth_date=canary.birth_date,
        family_card_number=canary.family_card_number, standing="not_valid", nib=None, insurance=None,
    )  # fmt: skip
    city.live(citizen)
    body = {**citizen.body, "name": canary.name, "family_card_number": canary.family_card_number}
    log_file = tmp_path / "api.log"
    telemetry.configure("api", city.installation.settings, log_file=log_file)
    try:
        seen = []
        for attempt in (
            lambda: portal.verify(SERVICE, body, CLAIMS, case_number=canary.name),
            lambda: portal.verify(SERVICE, {**body, "birth_date": "1999-09-09"}, CLAIMS),
            lambda: portal.verify(SERVICE, body, {**CLAIMS, "amount_requested": canary.nik}),
            lambda: portal.verify(SERVICE, {**body, "nik": canary.nik + "0"}, CLAIMS),
            lambda: portal.call("GET", f"/v1/verifications/{canary.nik}"),
            lambda: portal.call("GET", f"/{canary.nik}?nik={canary.nik}"),
        ):
            with pytest.raises(PortalRefused) as caught:
                attempt()
            seen.append(str(caught.value.problem) + str(caught.value))
        portal.give_consent(SERVICE, body)
        answer = portal.verify(
            SERVICE, body, CLAIMS, idempotency_key=f"k-{canary.nik}", case_number=canary.name, wait=5
        )
        seen.append(str(answer.content) + str(answer.receipt))
        seen.append(str(portal.who_used(body)))
    finally:
        telemetry.configure("tests", city.installation.settings)
    logs = log_file.read_text("utf-8")
    assert "/v1/verifications" in logs
    for text in (*seen, logs, str(city.entries())):
        assert canary.found_in(text) == []
    with city.connect(Role.MIGRATOR) as connection:
        for table in ("answer", "idempotency", "referral", "request_window", "used_assertion"):
            for (row,) in connection.execute(f"SELECT t::text FROM verification.{table} t").fetchall():
                assert canary.found_in(row) == []


def test_tls_is_really_spoken(api: str, installation: Installation) -> None:
    assert api.startswith("https://")
    with pytest.raises(httpx.HTTPError):
        httpx.get(api.replace("https", "http") + "/health/live", trust_env=False)
