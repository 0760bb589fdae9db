"""Who is asking: OAuth 2 client credentials by `private_key_jwt` (RFC 7523) give short access tokens.

A client proves itself with a JWT that it signed with its own registered key: addressed to this bus, alive for
at most five minutes, and taken once. What it gets back is a JWS of the bus, good for five minutes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation import clock
from participants.keys import PublicKeyRecord
from participants.registry import System
from verification.signing import BusSigner, SignatureInvalid
from web.clients import authentication_key, client_system
from web.errors import ClientUnauthenticated, ScopeInsufficient, TokenRequestInvalid

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068
TOKEN_LIFETIME = timedelta(minutes=5)
LONGEST_ASSERTION_LIFE = timedelta(minutes=5)
CLOCK_SKEW = timedelta(seconds=30)
SCOPES = ("verifications", "consents", "referrals", "subjects", "notices", "log")
_ALGORITHMS = ["Ed25519", "EdDSA"]
_REGISTRY = JWSRegistry(algorithms=_ALGORITHMS)
_LARGEST_TOKEN = 8192

_REMEMBER = """
INSERT INTO verification.used_assertion (assertion_tag, expires_at) VALUES (%s, %s)
ON CONFLICT (assertion_tag) DO NOTHING RETURNING 1
"""
_FORGET = "DELETE FROM verification.used_assertion WHERE expires_at < %s"


@dataclass(frozen=True)
class Client:
    """A system that has shown who it is."""

    system: str
    agency: str
    scopes: frozenset[str]
    expires: float

    def require(self, scope: str) -> None:
        """Raise unless the token covers a scope.

        Raises:
            ScopeInsufficient: When it does not.
        """
        if scope not in self.scopes:
            raise ScopeInsufficient(
                f"The access token does not cover the scope {scope}",
                remedy=f"Ask the token endpoint for the scope {scope}",
            )


class TokenService:
    """The token endpoint and the check of what it issued."""

    def __init__(self, signer: BusSigner, issuer: str) -> None:
        self._signer = signer
        self.issuer = issuer.rstrip("/")
        self.token_url = f"{self.issuer}/oauth/token"

    def issue(self, connection: psycopg.Connection[Any], form: Mapping[str, str]) -> dict[str, Any]:
        """Check a token request and issue an access token; the connection's transaction logs it.

        Raises:
            TokenRequestInvalid: With the error of RFC 6749 section 5.2.
        """
        if form.get("grant_type") != "client_credentials":
            raise _invalid("unsupported_grant_type", "The grant_type must be client_credentials")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _invalid("invalid_request", f"The client_assertion_type must be {ASSERTION_TYPE}")
        system, kid = self._authenticate(connection, form.get("client_assertion", ""), form.get("client_id"))
        wanted = form.get("scope", " ".join(SCOPES)).split(" ")
        if not wanted or any(scope not in SCOPES for scope in wanted):
            raise _invalid("invalid_scope", f"The scopes are: {', '.join(SCOPES)}")
        scopes = sorted(set(wanted))
        append(
            connection,
            EntryDraft(
                kind=EntryKind.LOGIN_ACCEPTED,
                consumer=system.agency_id,
                system=system.system_id,
                outcome="accepted",
                details={"kid": kid, "scopes": scopes, "valid_until": clock.now() + TOKEN_LIFETIME},
            ),
        )
        return self._token(system, scopes)

    def check(self, token: str) -> Client:
        """Read an access token.

        Raises:
            ClientUnauthenticated: When it is not ours, or too old.
        """
        try:
            claims = orjson.loads(self._signer.verify(token[:_LARGEST_TOKEN], ACCESS_TOKEN_TYPE))
        except SignatureInvalid:
            raise _unauthenticated() from None
        if claims["iss"] != self.issuer or claims["exp"] <= clock.now().timestamp():
            raise _unauthenticated()
        return Client(claims["sub"], claims["agency"], frozenset(claims["scope"].split(" ")), claims["exp"])

    def _token(self, system: System, scopes: list[str]) -> dict[str, Any]:
        now = clock.now()
        claims = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": system.system_id,
            "client_id": system.system_id,
            "agency": system.agency_id,
            "scope": " ".join(scopes),
            "iat": int(now.timestamp()),
            "exp": int((now + TOKEN_LIFETIME).timestamp()),
            "jti": secrets.token_urlsafe(12),
        }
        return {
            "access_token": self._signer.sign(claims, ACCESS_TOKEN_TYPE),
            "token_type": "Bearer",
            "expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "scope": " ".join(scopes),
        }

    def _authenticate(
        self, connection: psycopg.Connection[Any], assertion: str, client_id: str | None
    ) -> tuple[System, str]:
        now = clock.now()
        kid, claims_unverified = _peek(assertion)
        key = authentication_key(connection, kid, now)
        claims = _verified(assertion, key)
        if claims != claims_unverified or key.owner_id != claims.get("sub"):
            raise _invalid_client("The assertion is not signed by a key of its subject")
        system = client_system(connection, str(claims.get("sub")))
        if system is None or (client_id is not None and client_id != system.system_id):
            raise _invalid_client("The client is unknown, suspended, or not the one that signed")
        expires = self._check_claims(claims, now)
        self._take_once(connection, system.system_id, claims["jti"], expires, now)
        return system, kid

    def _check_claims(self, claims: Mapping[str, Any], now: datetime) -> datetime:
        if claims.get("iss") != claims.get("sub"):
            raise _invalid_client("The iss and sub of the assertion must both be the client_id")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not {self.issuer, self.token_url} & {each for each in audiences if isinstance(each, str)}:
            raise _invalid_client("The assertion is addressed to somebody else (aud)")
        expires = _moment(claims.get("exp"))
        if expires is None or expires <= now or expires > now + LONGEST_ASSERTION_LIFE + CLOCK_SKEW:
            raise _invalid_client("The exp of the assertion must lie within the next five minutes")
        for name in ("iat", "nbf"):
            begins = _moment(claims.get(name))
            if (name in claims and begins is None) or (begins is not None and begins > now + CLOCK_SKEW):
                raise _invalid_client(f"The {name} of the assertion lies in the future")
        if not isinstance(claims.get("jti"), str) or not 8 <= len(claims["jti"]) <= 200:
            raise _invalid_client("The assertion needs a jti of 8 to 200 characters")
        return expires

    @staticmethod
    def _take_once(
        connection: psycopg.Connection[Any], system: str, jti: str, expires: datetime, now: datetime
    ) -> None:
        tag = hashlib.sha256(f"{system}\x00{jti}".encode()).digest()
        if connection.execute(_REMEMBER, (tag, expires + CLOCK_SKEW)).fetchone() is None:
            raise _invalid_client("The assertion was used before (jti)")
        if tag[0] == 0:  # now and then, so that the table stays small
            connection.execute(_FORGET, (now - CLOCK_SKEW,))


def _peek(assertion: str) -> tuple[str, dict[str, Any]]:
    """The key id and the claims of an assertion, before anything is believed."""
    try:
        if len(assertion) > _LARGEST_TOKEN:
            raise ValueError
        token = jws.extract_compact(assertion.encode("ascii"), registry=_REGISTRY)
        claims = orjson.loads(token.payload)
        kid = token.headers().get("kid")
        if not isinstance(claims, dict) or not isinstance(kid, str):
            raise ValueError
    except (JoseError, ValueError):
        raise _invalid_client("The client_assertion is not a JWT with a kid") from None
    return kid, claims


def _verified(assertion: str, key: PublicKeyRecord) -> dict[str, Any]:
    try:
        public = OKPKey.import_key(dict(key.public_jwk))
        claims: dict[str, Any] = orjson.loads(
            jws.deserialize_compact(assertion, public, registry=_REGISTRY).payload
        )
    except (JoseError, ValueError):
        raise _invalid_client("The signature of the assertion does not verify") from None
    return claims


def _moment(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**33:
        return None
    return datetime.fromtimestamp(value, UTC)


def _invalid(error: str, what: str) -> TokenRequestInvalid:
    return TokenRequestInvalid(what, remedy="See docs/reference/http-api.md", oauth_error=error)


def _invalid_client(what: str) -> TokenRequestInvalid:
    return _invalid("invalid_client", what)


def _unauthenticated() -> ClientUnauthenticated:
    return ClientUnauthenticated(
        "The access token is missing, not ours, or too old", remedy="Ask /oauth/token for a new one"
    )
