"""Who may let the bus call an address: held by the database itself, not by the process that registers."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from foundation.database import Role
from tests.verification.changing import OPERATOR
from tests.verification.city import PORTAL, City
from verification import webhooks

URL = "https://portal.example.go.id/hooks"
REGISTER = (
    "INSERT INTO verification.webhook (system, url, registered_by, changed_at) VALUES (%s, %s, 'x', now())"
    " ON CONFLICT (system) DO UPDATE SET url = excluded.url"
)


@pytest.fixture
def api(city: City) -> Iterator[psycopg.Connection]:
    with city.connect(Role.API) as connection:
        yield connection


def standing(connection: psycopg.Connection) -> tuple[str, str | None]:
    found = webhooks.find(connection, PORTAL)
    return found.status, found.approved_by


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE verification.webhook SET status = 'active'",
        "UPDATE verification.webhook SET approved_by = 'walidata-01'",
        "UPDATE verification.webhook SET reason = NULL",
        "INSERT INTO verification.webhook (system, url, registered_by, changed_at, status, approved_by)"
        " VALUES ('palapa-mojo', 'https://x', 'x', now(), 'active', 'walidata-01')",
        "UPDATE participants.system SET endpoint_url = 'https://x'",
    ],
)
def test_the_api_writes_no_standing(api: psycopg.Connection, statement: str) -> None:
    api.execute(REGISTER, (PORTAL, URL))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        api.execute(statement)


def test_whatever_the_api_registers_waits_for_a_steward(city: City, api: psycopg.Connection) -> None:
    api.execute(REGISTER, (PORTAL, URL))
    assert standing(api) == ("pending", None)
    api.commit()
    with city.connect(Role.STEWARD) as steward:
        assert webhooks.approve(steward, PORTAL, by=OPERATOR, url=URL).status == "active"
    api.execute(REGISTER, (PORTAL, f"{URL}/other"))
    assert standing(api) == ("pending", None), "another address needs another approval"


@pytest.mark.parametrize(
    ("endpoint", "url", "is_same"),
    [
        ("https://portal.example/api", "https://portal.example/hooks", True),
        ("https://portal.example/api", "https://PORTAL.example:443/hooks", True),
        ("https://portal.example:8443", "https://portal.example:8443", True),
        ("https://[::1]:8443/api", "https://[::1]:8443/hooks", True),
        ("https://portal.example/api", "https://portal.example:8443/hooks", False),
        ("https://portal.example/api", "https://portal.example.evil.example/hooks", False),
        ("https://portal.example/api", "https://portal.example@evil.example/hooks", False),
        ("https://portal.example/api", "https://portal.example:443@evil.example/hooks", False),
        ("http://portal.example:443/api", "https://portal.example/hooks", False),
    ],
)
def test_an_address_at_the_registered_endpoint_is_active_and_no_other(
    city: City, api: psycopg.Connection, endpoint: str, url: str, is_same: bool
) -> None:
    city.execute("UPDATE participants.system SET endpoint_url = %s WHERE system_id = %s", endpoint, PORTAL)
    api.execute(REGISTER, (PORTAL, url))
    assert standing(api) == (("active", "registered-endpoint") if is_same else ("pending", None))


def test_only_a_steward_ends_a_pause(city: City, api: psycopg.Connection) -> None:
    with city.connect(Role.STEWARD) as steward:
        webhooks.register(steward, PORTAL, URL, by=OPERATOR, is_operator=True)
        webhooks.pause(steward, PORTAL, by=OPERATOR, reason="incident")
    with city.connect(Role.DISPATCHER) as dispatcher, pytest.raises(psycopg.errors.InsufficientPrivilege):
        dispatcher.execute("UPDATE verification.webhook SET status = 'active'")
    api.execute(REGISTER, (PORTAL, f"{URL}/other"))
    assert standing(api) == ("paused", OPERATOR)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        api.execute("DELETE FROM verification.webhook")
    api.rollback()
    with city.connect(Role.STEWARD) as steward:
        assert webhooks.approve(steward, PORTAL, by=OPERATOR, url=URL).status == "active"
    with city.connect(Role.DISPATCHER) as dispatcher:
        assert webhooks.pause(dispatcher, PORTAL, by="lintas-dispatcher", reason="gone").status == "paused"
