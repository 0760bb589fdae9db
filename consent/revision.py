"""A consent as a chain of revisions, shaped after ISO/IEC TS 27560, each with exact bytes and a hash."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from audit.entry import RevisionReference
from audit.subjects.subject_keys import SubjectHandle
from consent.exchange import ConsentFact
from consent.terms import DatasetId, FieldNames, Moment, Slug, Text
from consent.vocabulary import Channel, ConsentState, Giver, GuardianGround
from foundation.canonical import canonical_json, sha256_hex

__all__ = ["ConsentNotice", "ConsentRevision", "GivenBy"]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ConsentNotice(BaseModel):
    """Which text the subject was shown: language, version, and the hash of its exact bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "id"
    text_version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
    text_hash: Sha256

    @classmethod
    def of_text(cls, text: str, *, version: str, language: str = "id") -> Self:
        """The notice of a text that was shown."""
        return cls(language=language, text_version=version, text_hash=sha256_hex(text.encode()))


class GivenBy(BaseModel):
    """Who spoke for the subject: the subject, a guardian with the ground for it, or with a named officer.

    An assisting officer writes down what the subject says (at a counter, on paper); a guardian decides
    for a child or a person under guardianship (UU 27/2022 Art. 25 and 26).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Giver = Giver.SUBJECT
    guardian: UUID | None = Field(default=None, description="Handle of the guardian.")
    ground: GuardianGround | None = None
    officer: Slug | None = Field(
        default=None, description="Id of the officer who assisted or took the consent down."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        by_guardian = self.kind is Giver.GUARDIAN
        if by_guardian != (self.guardian is not None) or by_guardian != (self.ground is not None):
            raise ValueError("a guardian, and only a guardian, is named with the ground of the guardianship")
        if self.kind is Giver.ASSISTING_OFFICER and self.officer is None:
            raise ValueError("an assisting officer is named")
        return self

    @classmethod
    def by_guardian(cls, guardian: SubjectHandle, ground: GuardianGround, officer: str | None = None) -> Self:
        """Given by a guardian, whose own identity was confirmed."""
        return cls(kind=Giver.GUARDIAN, guardian=guardian, ground=ground, officer=officer)

    @classmethod
    def with_officer(cls, officer: str) -> Self:
        """Given by the subject with the help of a named officer."""
        return cls(kind=Giver.ASSISTING_OFFICER, officer=officer)


class ConsentRevision(BaseModel):
    """One event in the life of a consent: granted, refused, withdrawn or expired.

    Invariant: `predecessor` is the SHA-256 of the exact bytes of revision `revision - 1`.
    The window is half-open; a consent without `valid_until` stands until it is withdrawn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["lintas-consent-1"] = "lintas-consent-1"
    consent_id: UUID
    revision: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    predecessor: Sha256 | None = None
    state: ConsentState
    occurred_at: Moment
    subject: UUID
    consumer: Slug
    purpose: Slug
    fields: dict[DatasetId, FieldNames] = Field(min_length=1)
    notice: ConsentNotice
    given_by: GivenBy = GivenBy()
    channel: Channel
    valid_from: Moment
    valid_until: Moment | None = None
    reason: Text | None = Field(default=None, description="Why it expired or was withdrawn, as a code.")

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if (self.revision == 1) != (self.predecessor is None):
            raise ValueError("the first revision has no predecessor and every later one names it")
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError("valid_until must come after valid_from")
        if self.given_by.guardian == self.subject:
            raise ValueError("nobody is their own guardian")
        return self

    def payload(self) -> bytes:
        """The RFC 8785 bytes that are stored and hashed."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def hash(self) -> str:
        """SHA-256 of the exact bytes, in hex."""
        return sha256_hex(self.payload())

    @property
    def reference(self) -> RevisionReference:
        """What entries and decisions cite."""
        return RevisionReference(str(self.consent_id), self.revision, self.hash)

    def followed_by(self, state: ConsentState, **changes: Any) -> ConsentRevision:
        """The next revision of the chain."""
        given = self.model_dump() | {"reason": None} | changes
        given |= {"state": state, "revision": self.revision + 1, "predecessor": self.hash}
        return ConsentRevision.model_validate(given)

    def as_fact(self, digest: str | None = None) -> ConsentFact:
        """What a decision looks at; `digest` is the hash where the caller has just checked it."""
        return ConsentFact(
            reference=RevisionReference(str(self.consent_id), self.revision, digest or self.hash),
            subject=SubjectHandle(self.subject),
            consumer=self.consumer,
            purpose=self.purpose,
            state=self.state,
            fields={dataset: frozenset(names) for dataset, names in self.fields.items()},
            valid_from=self.valid_from,
            valid_until=self.valid_until,
        )
