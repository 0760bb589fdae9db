"""A portal reads its notices by itself, and registers where it wants to be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from consent.agreement import end_agreement, revisions
from foundation.database import Role
from participants.standing import reinstate_agency, suspend_agency
from sandbox.portal import Portal, PortalRefused
from tests.verification.changing import OPERATOR, Aftermath, aftermath
from tests.verification.city import PORTAL, SITI, City
from verification import webhooks

URL = "https://portal.example.go.id/hooks/lintas"


@pytest.fixture
def after(city: City) -> Iterator[Aftermath]:
    with aftermath(city) as made:
        made.match()
        yield made


def _side(connection: Connection[Any], agreement: str) -> str:
    return revisions(connection, agreement)[-1].terms.provider


def read(portal: Portal, cursor: str | None = None) -> tuple[list[dict[str, object]], str]:
    import orjson

    found = orjson.loads(portal.call("GET", f"/v1/notices{'?cursor=' + cursor if cursor else ''}").body)
    return found["notices"], found["next"]


def test_notices_are_read_by_cursor_and_each_reading_is_logged(portal: Portal, after: Aftermath) -> None:
    given = after.answered(case="K-1")
    assert read(portal) == ([], "0")
    assert after.city.entries("notice.read") == []
    after.dies()
    after.review()
    (first,), cursor = read(portal)
    assert first["state"] == "queued"
    assert first["event"]["data"]["answer"] == str(given.answer_id)
    assert first["event"]["data"]["application"] == "K-1"
    for telling in (SITI.nik, SITI.name, SITI.family_card_number, "refer", "alive"):
        assert telling not in str(first)
    assert portal.read(first["event"]["data"]["review"]).verdict == "refer"
    assert read(portal, cursor) == ([], cursor)
    after.revives()
    after.review()
    (second,), _ = read(portal, cursor)
    assert second["event"]["data"]["number"] == 2
    assert len(after.city.entries("notice.read")) == 2
    with pytest.raises(PortalRefused) as caught:
        read(portal, "not-one-of-ours")
    assert caught.value.problem_code == "cursor-invalid"


def test_what_may_no_longer_be_told_is_not_read_either(portal: Portal, after: Aftermath) -> None:
    after.answered(case="K-1")
    after.dies()
    after.review()
    provider = "dukcapil-mojokerto"
    with after.city.connect(Role.STEWARD) as connection:
        suspend_agency(connection, provider)
    assert read(portal) == ([], "0")  # it may be told later: the cursor stays before it
    with after.city.connect(Role.STEWARD) as connection:
        reinstate_agency(connection, provider)
    (shown,), _ = read(portal)
    (pushed,) = after.city.entries("exchange.pushed")
    assert pushed["subjects"]
    assert (pushed["outcome"], pushed["details"]["notice"]) == ("read", shown["event"]["id"])
    with after.city.connect(Role.STEWARD) as connection:
        for agreement in connection.execute("SELECT DISTINCT agreement_id FROM consent.agreement_revision"):
            end_agreement(connection, agreement[0], ended_by=_side(connection, agreement[0]), reason="over")
    assert read(portal)[0] == []
    assert len(after.city.entries("exchange.pushed")) == 1


def test_a_portal_registers_reads_and_forgets_its_webhook(portal: Portal, city: City) -> None:
    import orjson

    with pytest.raises(PortalRefused) as caught:
        portal.call("GET", "/v1/webhook")
    assert (caught.value.status, caught.value.problem_code) == (404, "webhook-unknown")
    registered = orjson.loads(portal.call("PUT", "/v1/webhook", {"url": URL}).body)
    assert registered["status"] == "pending"
    with city.connect(Role.STEWARD) as connection:
        webhooks.approve(connection, PORTAL, by=OPERATOR)
    assert orjson.loads(portal.call("GET", "/v1/webhook").body)["status"] == "active"
    assert portal.call("DELETE", "/v1/webhook").status == 204
    outcomes = [entry["outcome"] for entry in city.entries("webhook.changed")]
    assert outcomes == ["registered", "active", "removed"]


def test_a_portal_ends_no_pause_of_the_operator(portal: Portal, city: City) -> None:
    import orjson

    with city.connect(Role.STEWARD) as connection:
        connection.execute(
            "UPDATE participants.system SET endpoint_url = %s WHERE system_id = %s", (URL, PORTAL)
        )
    assert orjson.loads(portal.call("PUT", "/v1/webhook", {"url": URL}).body)["status"] == "active"
    with city.connect(Role.STEWARD) as connection:
        webhooks.pause(connection, PORTAL, by=OPERATOR, reason="incident")
    portal.call("DELETE", "/v1/webhook")
    again = orjson.loads(portal.call("PUT", "/v1/webhook", {"url": URL}).body)
    assert (again["status"], again["reason"]) == ("paused", "incident")
    with city.connect(Role.STEWARD) as connection:
        webhooks.remove(connection, PORTAL, by=OPERATOR, is_operator=True)
    assert orjson.loads(portal.call("PUT", "/v1/webhook", {"url": URL}).body)["status"] == "active"


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://portal.example.go.id/"},
        {"url": "https://169.254.169.254/latest"},
        {"url": f"https://portal.example.go.id/{SITI.nik}"},
        {"url": URL, "ca_certificate_pem": "-----BEGIN PRIVATE KEY-----"},
        {"url": URL, "status": "active"},
    ],
)
def test_what_cannot_be_a_webhook_is_refused(portal: Portal, city: City, body: dict[str, str]) -> None:
    with pytest.raises(PortalRefused) as caught:
        portal.call("PUT", "/v1/webhook", body)
    assert caught.value.status == 422
    assert SITI.nik not in str(caught.value.problem)
    assert city.entries("webhook.changed") == []
