"""What two agencies agree on: the terms, and the numbered revision whose exact bytes both sign."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from consent.errors import AgreementInvalid
from consent.vocabulary import LegalBasis, Mode, Verb
from foundation.canonical import canonical_json, sha256_hex

__all__ = ["AgreementRevision", "AgreementTerms", "payload_hash"]

_Word = TypeVar("_Word", bound=str)


def _ordered(values: tuple[_Word, ...]) -> tuple[_Word, ...]:
    return tuple(sorted(set(values)))


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
DatasetId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$", max_length=160)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
FieldNames = Annotated[tuple[FieldName, ...], Field(min_length=1), AfterValidator(_ordered)]


class AgreementTerms(BaseModel):
    """What two agencies agreed: who, what for, on which basis, which fields, how, and until when.

    The window is half-open: in force from `valid_from` on, no longer in force at `valid_until`.
    Lists are kept sorted and without repetition, so that equal terms have equal bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    agreement_id: Slug
    title: Text
    paper_reference: Text = Field(description="Number of the signed paper agreement (PKS).")
    provider: Slug
    consumer: Slug
    controller: Slug = Field(description="Who decides purpose and means (UU 27/2022 Art. 1(4)).")
    processor: Slug | None = Field(default=None, description="Who processes on the controller's behalf.")
    purposes: Annotated[tuple[Slug, ...], Field(min_length=1), AfterValidator(_ordered)]
    legal_basis: LegalBasis
    legal_instrument: Text = Field(description="The law, regulation or article the basis rests on.")
    datasets: dict[DatasetId, FieldNames] = Field(min_length=1, description="Canonical fields by dataset.")
    verbs: Annotated[tuple[Verb, ...], Field(min_length=1), AfterValidator(_ordered)]
    modes: Annotated[tuple[Mode, ...], Field(min_length=1), AfterValidator(_ordered)]
    valid_from: Moment
    valid_until: Moment
    quota_per_day: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = Field(
        description="How long the consumer may keep what it received."
    )
    onward_sharing: Annotated[tuple[Slug, ...], AfterValidator(_ordered)] = Field(
        default=(), description="Agencies to which the consumer may pass the data on; none by default."
    )
    case_required: bool = Field(default=False, description="Whether every exchange must name a case.")
    emergency_access: bool = Field(
        default=False, description="Whether a declared vital interest opens the same fields without consent."
    )

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_until must come after valid_from")
        if self.provider == self.consumer:
            raise ValueError("provider and consumer must be two agencies")
        if foreign := [name for name in self.datasets if name.partition("/")[0] != self.provider]:
            raise ValueError(f"datasets of another agency than the provider: {', '.join(sorted(foreign))}")
        return self

    def covers_moment(self, moment: datetime) -> bool:
        """Whether the window [valid_from, valid_until) holds the moment."""
        return self.valid_from <= moment < self.valid_until

    def fields_of(self, dataset: str) -> frozenset[str]:
        """The agreed fields of a dataset; empty when the dataset is not part of the agreement."""
        return frozenset(self.datasets.get(dataset, ()))


class AgreementRevision(BaseModel):
    """One numbered revision of an agreement; its canonical bytes are what both sides sign.

    Invariant: `predecessor` is the SHA-256 of the exact bytes of revision `revision - 1`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["lintas-agreement-1"] = "lintas-agreement-1"
    revision: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    predecessor: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    terms: AgreementTerms

    @model_validator(mode="after")
    def _chain(self) -> Self:
        if (self.revision == 1) != (self.predecessor is None):
            raise ValueError("the first revision has no predecessor and every later one names it")
        return self

    def payload(self) -> bytes:
        """The RFC 8785 bytes that are signed, stored and hashed."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a revision from its exact bytes.

        Raises:
            AgreementInvalid: If the bytes are not a revision, or not its canonical form.
        """
        try:
            revision = cls.model_validate_json(payload, strict=False)
        except ValidationError as error:
            raise AgreementInvalid.from_validation(error) from None
        if revision.payload() != payload:
            raise AgreementInvalid(
                "The bytes of the agreement are not in canonical form (RFC 8785).",
                remedy="Sign exactly what AgreementRevision.payload() returns.",
                rule="agreement.not-canonical",
            )
        return revision

    def succeeded_by(self, terms: AgreementTerms) -> AgreementRevision:
        """The next revision with other terms, chained to this one."""
        return AgreementRevision(
            revision=self.revision + 1, predecessor=payload_hash(self.payload()), terms=terms
        )


def payload_hash(payload: bytes) -> str:
    """SHA-256 of a revision's exact bytes, in lower-case hex."""
    return sha256_hex(payload)
