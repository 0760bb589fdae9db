"""Only a registered key, used once and in time, opens the door (RFC 7523)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import secrets
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey
from joserfc.jws import JWSRegistry

from foundation import clock
from foundation.database import Role
from foundation.keyring import Keyring
from participants.keys import end_key
from tests.verification.city import OFFICE, OFFICER, PORTAL, City, found_city
from verification.context import AnsweringContext
from web.errors import ClientUnauthenticated, ScopeInsufficient, TokenRequestInvalid
from web.tokens import ASSERTION_TYPE, TokenService

ISSUER = "https://bus.example:8800"


@dataclasses.dataclass
class Door:
    city: City
    context: AnsweringContext
    tokens: TokenService

    def knock(
        self, key: str = PORTAL, header: dict[str, Any] | None = None, form: Any = (), **changes: Any
    ) -> Any:
        now = int(clock.now().timestamp())
        claims = {
            "iss": PORTAL,
            "sub": PORTAL,
            "aud": f"{ISSUER}/oauth/token",
            "exp": now + 60,
            "jti": secrets.token_urlsafe(12),
        } | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        pair = self.city.keys[key]
        return self.present(
            jws.serialize_compact(
                {"alg": "Ed25519", "kid": pair.kid, **(header or {})},
                json.dumps(claims),
                OKPKey.import_key(pair.private_key),
                algorithms=["Ed25519"],
            ),
            **dict(form),
        )

    def present(self, assertion: str, **form: str) -> Any:
        given = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        } | form
        with self.context.connection() as connection:
            return self.tokens.issue(connection, given)


@pytest.fixture
def door(installation) -> Iterator[Door]:
    city = found_city(installation)
    context = AnsweringContext.open(installation)
    yield Door(city, context, TokenService(context.signer, ISSUER))
    context.close()


def test_a_registered_key_gets_a_token_that_says_who_and_what(door: Door) -> None:
    reply = door.knock(form={"scope": "verifications"})
    client = door.tokens.check(reply["access_token"])
    assert (client.system, client.agency, client.scopes) == (PORTAL, OFFICE, frozenset({"verifications"}))
    with pytest.raises(ScopeInsufficient):
        client.require("consents")
    assert door.knock(aud=[ISSUER, "https://other"])["expires_in"] == 300


def test_who_comes_in_stands_in_the_log_with_the_key_that_was_used(door: Door) -> None:
    before = len(door.city.entries("login.accepted"))
    door.knock(form={"scope": "verifications"})
    with pytest.raises(TokenRequestInvalid):
        door.knock(form={"scope": "everything"})
    (entry,) = door.city.entries("login.accepted")[before:]
    assert (entry["system"], entry["consumer"]) == (PORTAL, OFFICE)
    assert entry["details"]["kid"] == door.city.keys[PORTAL].kid
    assert entry["details"]["scopes"] == ["verifications"]


def test_whatever_is_not_right_stays_outside(door: Door) -> None:
    now = int(clock.now().timestamp())
    wrong: list[dict[str, Any]] = [
        {"iss": "other"}, {"sub": "other"}, {"iss": "other", "sub": "other"}, {"sub": None},
        {"aud": "https://evil.example/oauth/token"}, {"aud": None}, {"aud": 5},
        {"exp": now - 1}, {"exp": now + 3600}, {"exp": None}, {"exp": "soon"}, {"exp": True}, {"exp": 10**30},
        {"iat": now + 3600}, {"nbf": now + 3600}, {"iat": "x"},
        {"jti": None}, {"jti": "short"}, {"jti": 5},
        {"key": OFFICER}, {"key": OFFICE}, {"header": {"kid": "nobody"}},
        {"form": {"client_id": "another"}},
    ]  # fmt: skip
    for changes in wrong:
        with pytest.raises(TokenRequestInvalid) as caught:
            door.knock(**changes)
        assert caught.value.attributes["oauth_error"] == "invalid_client", changes


def test_requests_that_are_not_token_requests_are_named(door: Door) -> None:
    for form, error in (
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "x"}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
    ):
        with pytest.raises(TokenRequestInvalid) as caught:
            door.knock(form=form)
        assert caught.value.attributes["oauth_error"] == error


def test_an_assertion_is_taken_once(door: Door) -> None:
    door.knock(jti="the-same-jti")
    with pytest.raises(TokenRequestInvalid, match="used before"):
        door.knock(jti="the-same-jti")


def test_no_other_algorithm_and_no_signature_by_another_key(door: Door) -> None:
    claims = orjson.dumps({"iss": PORTAL, "sub": PORTAL})
    kid = door.city.keys[PORTAL].kid
    secret = OctKey.import_key(door.city.keys[PORTAL].public_jwk["x"])
    forged = jws.serialize_compact({"alg": "HS256", "kid": kid}, claims, secret, registry=JWSRegistry())
    none = "eyJhbGciOiJub25lIiwia2lkIjoieCJ9.e30."
    for assertion in (forged, none, "", "a.b.c", "ä.ö.ü", "x" * 100_000):
        with pytest.raises(TokenRequestInvalid):
            door.present(assertion)
    with pytest.raises(TokenRequestInvalid, match="signature"):
        door.knock(key=OFFICER, header={"kid": kid})


def test_a_key_that_ended_opens_nothing_more(door: Door) -> None:
    with door.city.connect(Role.STEWARD) as connection:
        end_key(connection, door.city.keys[PORTAL].kid, because="stolen")
    with pytest.raises(TokenRequestInvalid):
        door.knock()


def test_a_suspended_system_gets_no_token(door: Door) -> None:
    for table in ("system", "agency"):
        door.city.execute(f"UPDATE participants.{table} SET status = 'suspended'")
        with pytest.raises(TokenRequestInvalid):
            door.knock()
        door.city.execute(f"UPDATE participants.{table} SET status = 'active'")
    door.knock()


def test_access_tokens_end_and_cannot_be_made_by_others(door: Door, tmp_path) -> None:
    token = door.knock()["access_token"]
    with clock.shifted(dt.timedelta(minutes=6)), pytest.raises(ClientUnauthenticated):
        door.tokens.check(token)
    from verification.signing import BusSigner

    other = TokenService(BusSigner(Keyring.open(tmp_path / "other", b"x")), ISSUER)
    with pytest.raises(ClientUnauthenticated):
        other.check(token)
    answer = door.context.signer.sign({"sub": PORTAL})
    for wrong in (answer, token[:-2], token + "x", "", "ä"):
        with pytest.raises(ClientUnauthenticated):
            door.tokens.check(wrong)


def test_a_rolled_bus_key_still_verifies_what_it_signed(door: Door) -> None:
    token = door.knock()["access_token"]
    old = door.context.signer.sign({"a": 1})
    door.city.installation.keyring.roll("bus")
    fresh = TokenService(type(door.context.signer)(door.city.installation.keyring), ISSUER)
    assert fresh.check(token).system == PORTAL
    assert door.context.signer.verify(old) == b'{"a":1}'
    assert len(door.context.signer.public_keys()) == 2
