"""For whom and for which business an applicant speaks: proven by identifiers, or nothing is said of them.

Invariant: evidence about another person or about a business is read only after open and fresh records have
shown that the applicant is their guardian or its owner. Attempts that show nothing are counted, by the number
named and by the applicant who names it, so that nobody learns by trying whose child or business it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from audit.erasure.suppression import not_erased
from foundation import pipelines
from records.errors import TooManyAttempts
from records.evidence import About, EvidenceStatus
from records.identity import ConfirmedSubject, count_attempt, not_matched, require_attempts_left
from records.relations import RelationEvidence, RelationTarget, relation_evidence
from records.tags import TagKey
from schemas.identifiers import Identifier, Nik
from verification.catalogue import OTHER_PERSON, Service
from verification.context import Session
from verification.exchange import log_undecided

OVER_ALL = frozenset({EvidenceStatus.ABSENT, EvidenceStatus.UNKNOWN})
WHO_NAMES = "who names a number: "
"""Tells the tag on which an applicant's attempts count from the tag of the applicant's own number."""
HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


@dataclass(frozen=True)
class Related:
    """What the registers say about one relation, in the form that criteria read.

    `recorded(guardian_of)` is true where it was proven, false where fresh registers do not show it, and
    unknown in every other case.
    """

    relation: str
    target: Identifier = field(repr=False)
    tag: bytes = field(repr=False)
    evidence: RelationEvidence = field(repr=False)
    seen_from: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    contested: frozenset[str] = frozenset()

    @property
    def status(self) -> str:
        """How far it can be relied on."""
        return str(self.evidence.status)

    @property
    def is_proven(self) -> bool:
        """Whether the registers show it."""
        return self.evidence.status is EvidenceStatus.PRESENT

    @property
    def grounds(self) -> tuple[str, ...]:
        """Why it holds, as slugs."""
        return self.evidence.relation.grounds if self.evidence.relation else ()

    def seen(self, horizon: int | None) -> Related:
        """The same, with the transaction from which on a change may have been missed."""
        return replace(self, seen_from=horizon)

    @property
    def gap(self) -> EvidenceStatus:
        """What is said of evidence that was not read because the relation was not proven."""
        status = self.evidence.status
        return EvidenceStatus.NOT_RELATED if status is EvidenceStatus.ABSENT else status


def relate(
    session: Session,
    service: Service,
    subject: ConfirmedSubject,
    claims: Mapping[str, Any],
    at: datetime,
    *,
    is_counted: bool = True,
) -> dict[str, Related]:
    """Look up every relation that a service names.

    What the bus asks again by itself is not counted as an attempt.

    Raises:
        TooManyAttempts: When this consumer named too many numbers to which nothing led.
    """
    tags = TagKey.of(session.context.vault.keyring)
    found: dict[str, Related] = {}
    if not service.definition.relations:
        return found
    horizon = session.connection.execute(HORIZON, ()).fetchone()
    for relation, terms in service.definition.relations.items():
        named: Identifier = claims[terms.claim]
        target = RelationTarget.tagged(named.kind, named.value, tags)
        tag = tags.subject(named.value)
        if is_counted:
            counted_on = (tag, tags.subject(f"{WHO_NAMES}{subject.nik.value}"))
            shown = _attempt(session, service, subject, relation, target, counted_on, at)
        else:
            shown = relation_evidence(session.connection, subject, relation, target, now=at)
        found[relation] = Related(relation, named, tag, shown, horizon[0] if horizon else None)
    return found


def _attempt(  # noqa: PLR0917 - what an attempt is
    session: Session,
    service: Service,
    subject: ConfirmedSubject,
    relation: str,
    target: RelationTarget,
    counted_on: Sequence[bytes],
    at: datetime,
) -> RelationEvidence:
    """Look a relation up, and count it unless it was shown: by number named and by who names it.

    What fails because a register is overdue counts on both, too, but locks nobody else out.
    """
    consumer = session.asker.agency
    try:
        with pipelines.transaction(session.connection):
            require_attempts_left(session.connection, counted_on, consumer, at)
            shown = relation_evidence(session.connection, subject, relation, target, now=at)
            if shown.status is not EvidenceStatus.PRESENT:
                over_all = shown.status in OVER_ALL
                count_attempt(session.connection, counted_on, consumer, at, counts_over_all=over_all)
    except TooManyAttempts as refusal:
        log_undecided(session, service.definition.purpose, service.identifier, refusal, subject.keys)
        raise
    return shown


def other_person(
    session: Session, service: Service, related: Mapping[str, Related]
) -> ConfirmedSubject | None:
    """The child for whom the applicant was shown to speak; only now a handle is minted for them.

    Raises:
        SubjectNotMatched: When the child was erased meanwhile: nobody would take that handle away again.
    """
    child = related.get(OTHER_PERSON)
    if child is None or not child.is_proven or not isinstance(child.target, Nik):
        return None
    with pipelines.transaction(session.connection):
        keys = (
            session.context.vault.handle_for("nik", child.target.value)
            if not_erased(session.connection, child.tag)
            else None
        )
    if keys is None:
        refusal = not_matched()
        log_undecided(session, service.definition.purpose, service.identifier, refusal)
        raise refusal
    return ConfirmedSubject(keys, child.target, child.tag)


def abouts(
    subject: ConfirmedSubject, other: ConfirmedSubject | None, related: Mapping[str, Related]
) -> dict[str, About]:
    """Whom the evidence of each proven relation is about."""
    found = {
        relation: About(subject, each.target.value)
        for relation, each in related.items()
        if each.is_proven and relation != OTHER_PERSON
    }
    if other is not None:
        found[OTHER_PERSON] = About(other, other.nik.value)
    return found
