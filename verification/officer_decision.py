"""What an officer signs to end a referral, and the check that it is their own word about this case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import psycopg
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from foundation import clock
from foundation.canonical import canonical_json
from foundation.keyring import KeyPair
from participants import registry
from participants.errors import UnknownKey
from participants.keys import PublicKeyRecord, key_by_kid
from participants.registry import Officer
from participants.roles import OfficerRole
from verification.errors import OfficerSignatureInvalid, ReferralNotYours

TOKEN_TYPE = "lintas-referral-decision+jws"  # noqa: S105 - a media type
FORMAT = "lintas-referral-decision-1"
_REGISTRY = JWSRegistry(algorithms=["Ed25519"])
_OLDEST = timedelta(hours=24)
_SKEW = timedelta(minutes=2)


class DecisionVerdict(StrEnum):
    """What an officer may decide."""

    APPROVED = "approved"
    REJECTED = "rejected"


class SignedContent(BaseModel):
    """The payload of the officer's JWS."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    format: Literal["lintas-referral-decision-1"]
    referral_id: UUID
    answer_id: UUID
    verdict: DecisionVerdict
    reason: Annotated[str, StringConstraints(min_length=10, max_length=4000, strip_whitespace=True)]
    officer: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,120}$")]
    decided_at: AwareDatetime


@dataclass(frozen=True)
class OfficerDecision:
    """A decision whose signature was checked."""

    verdict: DecisionVerdict
    reason: str
    officer: str
    kid: str
    signed: str


def check(
    connection: psycopg.Connection[Any], signed: str, *, referral_id: UUID, answer_id: UUID, owner: str
) -> OfficerDecision:
    """Accept an officer's compact JWS about exactly this referral.

    Raises:
        OfficerSignatureInvalid: When it is malformed, about another case, too old, or not the officer's.
        ReferralNotYours: When the officer may not decide for the office that owns the referral.
    """
    kid, key = _key(connection, signed)
    content = _content(signed, key)
    if (content.referral_id, content.answer_id) != (referral_id, answer_id):
        raise _invalid("it is about another referral")
    if not clock.now() - _OLDEST <= content.decided_at <= clock.now() + _SKEW:
        raise _invalid("it was not signed within the last 24 hours")
    officer = registry.officer(connection, key.owner_id)
    require_deciding(officer, owner)
    if content.officer != officer.pseudonym:
        raise _invalid("it names another officer than the one who signed")
    return OfficerDecision(content.verdict, content.reason, officer.pseudonym, kid, signed)


def require_deciding(officer: Officer, owner: str) -> None:
    """Let only officers go on who may decide for the office that owns a referral.

    Raises:
        ReferralNotYours: When the officer acts for another office, or may not decide.
    """
    if officer.agency_id != owner or OfficerRole.DECIDING_OFFICER not in officer.roles:
        raise ReferralNotYours(
            "The officer does not decide for the office that owns this referral",
            remedy="Let an officer of that office decide who has the role deciding-officer",
        )


def sign(content: Mapping[str, Any], key: KeyPair) -> str:
    """Sign a decision; runs where the officer's private key is, never on the bus."""
    header = {"alg": "Ed25519", "kid": key.kid, "typ": TOKEN_TYPE}
    private = OKPKey.import_key(key.private_key)
    return jws.serialize_compact(header, canonical_json(dict(content)), private, registry=_REGISTRY)


def _key(connection: psycopg.Connection[Any], signed: str) -> tuple[str, PublicKeyRecord]:
    try:
        headers = jws.extract_compact(signed.encode("ascii"), registry=_REGISTRY).headers()
        kid = str(headers["kid"])
        key = key_by_kid(connection, kid)
    except (JoseError, ValueError, KeyError, UnknownKey):
        raise _invalid("it is not a JWS by a registered key") from None
    if headers.get("typ") != TOKEN_TYPE or key.owner_kind != "officer" or not key.valid_at(clock.now()):
        raise _invalid("it was not signed with a valid key of an officer")
    return kid, key


def _content(signed: str, key: PublicKeyRecord) -> SignedContent:
    try:
        public = OKPKey.import_key(dict(key.public_jwk))
        payload = jws.deserialize_compact(signed, public, registry=_REGISTRY).payload
        return SignedContent.model_validate_json(payload)
    except (JoseError, ValidationError, ValueError):
        raise _invalid("the signature or its content does not hold") from None


def _invalid(why: str) -> OfficerSignatureInvalid:
    return OfficerSignatureInvalid(
        "The officer's signature does not cover this decision",
        why=why,
        remedy=f"Sign a {FORMAT} document about this referral with the officer's registered key",
    )
