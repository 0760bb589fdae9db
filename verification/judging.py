"""Judging one subject for one service: the evidence, the outcomes, and what they rested on.

Answering and reviewing both come through here, so that a review can differ from its answer only where the
registers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consent.decision import Decision
from foundation import telemetry
from records.evidence import SELF, About, Evidence, not_related
from records.evidence import evidence as evidence_of
from records.identity import ConfirmedSubject
from verification.catalogue import OTHER_PERSON, Service
from verification.context import Session
from verification.exchange import OtherPerson, decide_about_other, widened
from verification.live import renewed
from verification.outcomes import CriterionOutcome, evaluate
from verification.relating import Related, abouts, other_person, relate
from verification.watches import Seen, Watch, watch_of
from verification.working_days import today


@dataclass(frozen=True)
class Judged:
    """What is known about every criterion, from what, and by which right.

    Attributes:
        subject: The applicant.
        own: The decision about what concerns the applicant.
        outcomes: Every criterion, judged.
        evidence: What was looked at, by name.
        related: The relations that were looked up.
        child: For whom the applicant was shown to speak.
        other: What was decided about them.
    """

    subject: ConfirmedSubject
    own: Decision
    outcomes: tuple[CriterionOutcome, ...]
    evidence: Mapping[str, Evidence]
    related: Mapping[str, Related] = field(default_factory=dict)
    child: ConfirmedSubject | None = None
    other: OtherPerson | None = None

    @property
    def decision(self) -> Decision:
        """All that the answer rests on, whomever it concerns."""
        return widened(self.own, self.other)

    @property
    def details(self) -> dict[str, Any]:
        """What the entry tells of how the answer was found."""
        lookups = len({(each.dataset, each.need.relation) for each in self.evidence.values() if each.live})
        proven = {name: each.grounds for name, each in self.related.items() if each.is_proven}
        return {"relations": proven or None, "lookups": lookups or None}

    @property
    def tags(self) -> tuple[bytes, ...]:
        """The tags of everybody whom it is about."""
        return (self.subject.tag,) if self.child is None else (self.subject.tag, self.child.tag)

    def watch(self) -> Watch:
        """What has to be watched for as long as the answer may be kept."""
        looked_at: dict[bytes, list[Seen]] = {self.subject.tag: []}
        for each in self.evidence.values():
            person = self.child if each.need.relation == OTHER_PERSON else self.subject
            if person is not None:
                looked_at.setdefault(person.tag, []).append(Seen(each.dataset, each.seen_from))
        for relation in self.related.values():
            seen = [Seen(dataset, relation.seen_from) for dataset in relation.evidence.datasets]
            looked_at[self.subject.tag] += seen
            if self.child is not None and relation.relation == OTHER_PERSON:
                looked_at.setdefault(self.child.tag, []).extend(seen)
        return watch_of(self.decision, looked_at)


def judge(
    session: Session,
    service: Service,
    subject: ConfirmedSubject,
    claims: Mapping[str, Any],
    decision: Decision,
    *,
    is_counted: bool = True,
) -> Judged:
    """Establish the relations, gather the evidence, and judge every criterion of a service.

    Sources are asked live for what is stale, where the session may rest without a connection.

    Raises:
        TooManyAttempts: When the asker named too many numbers to which nothing led.
        ExchangeDenied: When nothing may be told of the other person.
        ConsentChanged, AgreementChanged: When the right was lost before a source could be asked.
    """
    at = decision.request.at
    related = relate(session, service, subject, claims, at, is_counted=is_counted)
    child, other = other_person(session, service, related), None
    if child is not None and service.fields_about_other:
        fields = service.fields_about_other
        other = decide_about_other(session, decision, child.keys, fields, is_counted=is_counted)
    people = abouts(subject, child, related)
    with telemetry.span("verification.evidence", service=service.identifier):
        evidence = evidence_of(session.connection, subject, service.needs, at, people)
    found = Found(service, claims, decision, related, subject, child, other)
    return concluded(session, found, without_strangers(evidence, people, related))


@dataclass(frozen=True)
class Found:
    """What is known of a question when its evidence was read.

    Attributes:
        service: What is asked for.
        claims: What the application states.
        decision: The decision about what concerns the applicant.
        related: The relations that were looked up.
        subject: The applicant.
        child: For whom the applicant was shown to speak.
        other: What was decided about them.
    """

    service: Service
    claims: Mapping[str, Any] = field(repr=False)
    decision: Decision
    related: Mapping[str, Related]
    subject: ConfirmedSubject
    child: ConfirmedSubject | None
    other: OtherPerson | None

    @property
    def abouts(self) -> dict[str, About]:
        """Whom the evidence of each proven relation, and of none, is about."""
        return {**abouts(self.subject, self.child, self.related), SELF: About(self.subject)}


def concluded(session: Session, found: Found, evidence: Mapping[str, Evidence]) -> Judged:
    """Ask sources live for what is stale, where the session may rest, and judge every criterion.

    Raises:
        ConsentChanged, AgreementChanged: When the right was lost before a source could be asked.
    """
    renewal = renewed(session, found.service, found.decision, found.other, found.abouts, evidence)
    return judged_by(found, renewal)


def judged_by(found: Found, evidence: Mapping[str, Evidence]) -> Judged:
    """Judge every criterion by what is known."""
    day = today(found.decision.request.at)
    outcomes = evaluate(found.service, found.claims, {**evidence, **found.related}, day)
    return Judged(found.subject, found.decision, outcomes, evidence, found.related, found.child, found.other)


def without_strangers(
    evidence: Mapping[str, Evidence], people: Mapping[str, About], related: Mapping[str, Related]
) -> dict[str, Evidence]:
    """What was not read, because no relation was proven, says why."""
    return {
        name: each
        if each.need.relation == SELF or each.need.relation in people
        else not_related(each.need, related[each.need.relation].gap)
        for name, each in evidence.items()
    }
