"""From judgements to an answer: a verdict, and per criterion an outcome with a reason and its provenance.

Reasons are sentences of the catalogue and of this module. They never carry a person's values.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from verification.catalogue import CompiledCriterion, Service
from verification.criteria import CLAIM, Facts, Judgement, Outcome, Supplied


class Verdict(StrEnum):
    """The whole answer in one word."""

    VERIFIED = "verified"
    REFER = "refer"
    NOT_POSSIBLE = "not_possible"


_TEMPORARY = frozenset({Outcome.STALE, Outcome.SOURCE_DOWN})


@dataclass(frozen=True)
class CriterionOutcome:
    """One criterion, judged."""

    criterion: CompiledCriterion
    judgement: Judgement

    @property
    def identifier(self) -> str:
        """The criterion's name."""
        return self.criterion.definition.identifier

    @property
    def outcome(self) -> Outcome:
        """What is known about it."""
        return self.judgement.outcome


@dataclass(frozen=True)
class ClaimsSupplied:
    """What the application states, in the form criteria read."""

    values: Mapping[str, Any]
    status: str = "present"
    contested: frozenset[str] = frozenset()


def evaluate(
    service: Service, claims: Mapping[str, Any], evidence: Mapping[str, Supplied], today: dt.date
) -> tuple[CriterionOutcome, ...]:
    """Judge every criterion of a service."""
    facts = Facts(service.scope, {**evidence, CLAIM: ClaimsSupplied(claims)}, today)
    return tuple(
        CriterionOutcome(criterion, criterion.expression.judge_in(facts)) for criterion in service.criteria
    )


def verdict(outcomes: Sequence[CriterionOutcome]) -> Verdict:
    """Verified if all is met; not possible if only time or a source stands in the way; else a human looks.

    Invariant: an adverse decision is never automatic (UU 27/2022 Art. 10): no verdict says no.
    """
    open_ones = {outcome.outcome for outcome in outcomes} - {Outcome.MET}
    if not open_ones:
        return Verdict.VERIFIED
    return Verdict.NOT_POSSIBLE if open_ones <= _TEMPORARY else Verdict.REFER


_GENERIC = {
    Outcome.UNKNOWN: (
        "Belum dapat dipastikan: data sumber tidak lengkap atau sedang diperiksa.",
        "Cannot be established: the source's data is incomplete or under review.",
    ),
    Outcome.STALE: (
        "Belum dapat dipastikan: data sumber belum diperbarui sesuai jadwal.",
        "Cannot be established: the source's data is overdue for renewal.",
    ),
    Outcome.CONFLICT: (
        "Belum dapat dipastikan: data antarinstansi berbeda dan sedang diselesaikan.",
        "Cannot be established: sources disagree, and the matter is being settled.",
    ),
    Outcome.SOURCE_DOWN: (
        "Belum dapat dipastikan: sistem sumber sedang tidak dapat dihubungi.",
        "Cannot be established: the source's system cannot be reached at the moment.",
    ),
}


def reason(outcome: CriterionOutcome) -> dict[str, str]:
    """Why, in both languages, without values."""
    reasons = outcome.criterion.definition.reasons
    if outcome.outcome is Outcome.MET:
        return {"id": reasons.met.id, "en": reasons.met.en}
    if outcome.outcome is Outcome.NOT_MET:
        return {"id": reasons.not_met.id, "en": reasons.not_met.en}
    indonesian, english = _GENERIC[outcome.outcome]
    return {"id": indonesian, "en": english}


def described(
    outcome: CriterionOutcome, provenance: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """One criterion as it stands in an answer."""
    criterion = outcome.criterion
    return {
        **criterion.description,
        "outcome": str(outcome.outcome),
        "reason": reason(outcome),
        "gaps": sorted({gap.status for gap in outcome.judgement.gaps}),
        "evidence": [source for need in criterion.needs for source in provenance.get(need, ())],
    }
