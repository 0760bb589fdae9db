"""What clients send: the pydantic models of request bodies, strict and without surprises."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from audit.entry import looks_personal

_LONG_NUMBER = re.compile(r"[0-9](?:[^0-9A-Za-z]?[0-9]){14}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def _fit_for_an_entry(text: str) -> str:
    """What the log would not take is refused before anybody is confirmed, for that would go unlogged.

    A number within a word, which the log takes for part of a digest, is refused here too.
    """
    if looks_personal(text) or _LONG_NUMBER.search(_UUID.sub("", text)):
        raise ValueError("looks like an identifier of a person")
    return text


def _in_utc(moment: datetime) -> datetime:
    """The moment in UTC, unless there is no such year there."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the calendar") from None


_LARGEST_INTEGER = 2**53 - 1  # of those that every JSON reader reads alike (RFC 8785)
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Loggable = AfterValidator(_fit_for_an_entry)
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80), Loggable]
Pseudonym = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,120}$"), Loggable]
ReasonCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{3,60}$"), Loggable]
Digits16 = Annotated[str, StringConstraints(pattern=r"^[0-9]{16}$")]


class Body(BaseModel):
    """A body in which nothing unknown may stand."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ApplicantBody(Body):
    """The person concerned: the NIK and a second element (name or family card); all given must match."""

    nik: Digits16 = Field(description="NIK of the person")
    name: Annotated[str, StringConstraints(min_length=2, max_length=200)] | None = Field(
        default=None, description="Name as registered; titles and spelling variants are forgiven"
    )
    birth_date: date | None = Field(
        default=None, description="Day of birth; the NIK tells it, so it is no second element by itself"
    )
    family_card_number: Digits16 | None = Field(default=None, description="Number of the family card")

    @model_validator(mode="after")
    def _second_element(self) -> Self:
        if self.name is None and self.family_card_number is None:
            raise ValueError("a second element is needed")
        return self


class VerificationBody(Body):
    """One question: is this applicant, with these claims, eligible for this service?"""

    service: Slug = Field(
        description="Identifier of the service in the catalogue", examples=["bantuan-usaha-mikro"]
    )
    applicant: ApplicantBody
    claims: dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[bool, Field(strict=True)]
        | Annotated[int, Field(strict=True, ge=-_LARGEST_INTEGER, le=_LARGEST_INTEGER)]
        | Annotated[str, StringConstraints(strict=True, max_length=1000)],
    ] = Field(default_factory=dict, max_length=50, description="What the application itself states")
    purpose: Slug | None = Field(
        default=None, description="Purpose of the exchange; the service's own by default"
    )
    case_number: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        default=None, description="The portal's own case number; kept sealed"
    )
    officer: Pseudonym | None = Field(default=None, description="Pseudonym of the officer at the keyboard")


class NoticeBody(Body):
    """The text that the person was shown when asked."""

    language: Annotated[
        str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35), Loggable
    ] = "id"
    text_version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,40}$"), Loggable]
    text_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the exact text, in hex"
    )


class ConsentBody(Body):
    """A person's yes or no to the data that a service looks at."""

    service: Slug
    applicant: ApplicantBody
    purpose: Slug | None = Field(default=None, description="The service's own purpose by default")
    state: Literal["granted", "refused"] = "granted"
    notice: NoticeBody
    channel: Literal["portal", "counter", "paper", "telephone"] = "portal"
    officer: Pseudonym | None = Field(default=None, description="Assisting officer, where one wrote it down")
    valid_until: Moment | None = None


class WithdrawalBody(Body):
    """Taking a consent back."""

    channel: Literal["portal", "counter", "paper", "telephone"] = "portal"
    officer: Pseudonym | None = None


class ExchangesBody(Body):
    """A person asks who used their data."""

    applicant: ApplicantBody
    reason: ReasonCode = Field(default="subject-access", description="Why the view is opened, as a code")
    before: int | None = Field(default=None, ge=0, le=2**53 - 1, description="Only entries below this index")
    limit: int = Field(default=50, ge=1, le=200)


CompactJws = Annotated[str, StringConstraints(pattern=r"^[\w-]+\.[\w-]+\.[\w-]+$", max_length=16_384)]


class DecisionBody(Body):
    """An officer's decision on a referral."""

    signed: CompactJws = Field(
        description="Compact JWS (Ed25519) of a lintas-referral-decision-1 document by the officer's own key"
    )


class ClockBody(Body):
    """Stopping or resuming the clock of a referral."""

    event: Literal["stop", "resume"]
    reason: ReasonCode = Field(description="Why, as a code such as `waiting-for-applicant`")
    officer: Pseudonym


class WebhookBody(Body):
    """Where a system wants to be told of changes."""

    url: Annotated[str, StringConstraints(pattern=r"^https://[\x21-\x7e]+$", max_length=300), Loggable] = (
        Field(
            description="An https address without login, query or fragment",
            examples=["https://portal.example.go.id/hooks/lintas"],
        )
    )
    ca_certificate_pem: Annotated[str, StringConstraints(max_length=20_000)] | None = Field(
        default=None, description="Certificate (PEM) of the authority to trust for it, and no other"
    )


BODY_FIELDS = frozenset(
    name
    for model in (
        ApplicantBody,
        ClockBody,
        ConsentBody,
        DecisionBody,
        ExchangesBody,
        NoticeBody,
        VerificationBody,
        WebhookBody,
        WithdrawalBody,
    )
    for name in model.model_fields
)
"""Every field name that we chose ourselves; any other name in a body was chosen by the client."""

__all__ = [
    "BODY_FIELDS",
    "ApplicantBody",
    "ClockBody",
    "ConsentBody",
    "DecisionBody",
    "ExchangesBody",
    "NoticeBody",
    "VerificationBody",
    "WebhookBody",
    "WithdrawalBody",
]
