"""Judging one subject for one service: the evidence, the outcomes, and what they rested on.

Answering and reviewing both come through here, so that a review can differ from its answer only where the
registers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consent.decision import Decision
from foundation import telemetry
from records.evidence import Evidence
from records.evidence import evidence as evidence_of
from records.identity import ConfirmedSubject
from verification.catalogue import Service
from verification.context import Session
from verification.outcomes import CriterionOutcome, evaluate
from verification.watches import Watch, watch_of
from verification.working_days import today


@dataclass(frozen=True)
class Judged:
    """What is known about every criterion, and from what."""

    subject: ConfirmedSubject
    outcomes: tuple[CriterionOutcome, ...]
    evidence: Mapping[str, Evidence]

    def watch(self, decision: Decision) -> Watch:
        """What has to be watched for as long as the answer may be kept."""
        return watch_of(decision, {self.subject.tag: self.evidence.values()})


def judge(
    session: Session, service: Service, subject: ConfirmedSubject, claims: Mapping[str, Any], at: datetime
) -> Judged:
    """Gather the evidence and judge every criterion of a service."""
    with telemetry.span("verification.evidence", service=service.identifier):
        evidence = evidence_of(session.connection, subject, service.needs, at)
    return Judged(subject, evaluate(service, claims, evidence, today(at)), evidence)
