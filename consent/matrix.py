"""Who may see what: every agreement in force played through the decision itself, never read off by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from audit.entry import RevisionReference
from audit.subjects.subject_keys import SubjectHandle
from consent.decision import decide
from consent.exchange import AgreementFact, ConsentFact, EmergencyClaim, ExchangeRequest, Facts, SystemFact
from consent.facts import governing_agreements
from consent.vocabulary import ConsentState, LegalBasis, Mode, Verb
from foundation import clock
from participants import registry

__all__ = ["MatrixCell", "matrix"]

_SUBJECT = SubjectHandle(UUID(int=0))
_SYSTEM = "simulated"


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One way in which a consumer may, or may no longer, use a dataset."""

    consumer: str
    provider: str
    dataset: str
    fields: tuple[str, ...]
    purpose: str
    verb: Verb
    mode: Mode
    agreement: RevisionReference
    legal_basis: LegalBasis
    allowed: bool
    rules: tuple[str, ...]
    needs_consent: bool
    needs_case: bool
    needs_emergency: bool
    quota_per_day: int | None
    retention_days: int
    onward_sharing: tuple[str, ...]
    valid_until: datetime

    def as_dict(self) -> dict[str, Any]:
        """The cell as plain data."""
        return {
            "consumer": self.consumer,
            "provider": self.provider,
            "dataset": self.dataset,
            "fields": list(self.fields),
            "purpose": self.purpose,
            "verb": self.verb.value,
            "mode": self.mode.value,
            "agreement": self.agreement.as_dict(),
            "legal_basis": self.legal_basis.value,
            "allowed": self.allowed,
            "rules": list(self.rules),
            "needs_consent": self.needs_consent,
            "needs_case": self.needs_case,
            "needs_emergency": self.needs_emergency,
            "quota_per_day": self.quota_per_day,
            "retention_days": self.retention_days,
            "onward_sharing": list(self.onward_sharing),
            "valid_until": self.valid_until.isoformat(),
        }


def matrix(connection: Connection[Any], at: datetime | None = None) -> tuple[MatrixCell, ...]:
    """Simulate every agreed use at a moment, with consent, case and emergency given where asked for.

    What is not in the matrix is denied. A cell that is denied names the rules in its way.
    """
    moment = at or clock.now()
    agencies = {agency.agency_id: agency.status == "active" for agency in registry.agencies(connection)}
    return tuple(
        _cell(fact, _simulated(fact, dataset, purpose, verb=verb, mode=mode, at=moment), agencies)
        for fact in governing_agreements(connection, moment)
        for dataset in sorted(fact.terms.datasets)
        for purpose in fact.terms.purposes
        for verb in fact.terms.verbs
        for mode in fact.terms.modes
    )


def _simulated(
    fact: AgreementFact, dataset: str, purpose: str, *, verb: Verb, mode: Mode, at: datetime
) -> ExchangeRequest:
    """A request for everything the agreement names, with all that it asks for."""
    emergency = fact.terms.legal_basis is LegalBasis.VITAL_INTEREST
    return ExchangeRequest(
        verb=verb,
        mode=mode,
        consumer=fact.terms.consumer,
        system=_SYSTEM,
        purpose=purpose,
        fields={dataset: fact.terms.fields_of(dataset)},
        at=at,
        subject=_SUBJECT if verb is Verb.DISCLOSE else None,
        case_present=True,
        emergency=EmergencyClaim("simulated", "simulated") if emergency else None,
    )


def _cell(fact: AgreementFact, request: ExchangeRequest, agencies: Mapping[str, bool]) -> MatrixCell:
    terms = fact.terms
    consent = ConsentFact(
        reference=RevisionReference("simulated", 1, ""),
        subject=_SUBJECT,
        consumer=request.consumer,
        purpose=request.purpose,
        state=ConsentState.GRANTED,
        fields=request.fields,
        valid_from=request.at,
    )
    facts = Facts((fact,), consent, agencies, {_SYSTEM: SystemFact(request.consumer, is_active=True)})
    decision = decide(request, facts)
    (dataset,) = request.fields
    return MatrixCell(
        consumer=terms.consumer,
        provider=terms.provider,
        dataset=dataset,
        fields=tuple(sorted(request.fields[dataset])),
        purpose=request.purpose,
        verb=request.verb,
        mode=request.mode,
        agreement=fact.reference,
        legal_basis=terms.legal_basis,
        allowed=decision.allowed,
        rules=decision.rule_ids,
        needs_consent=terms.legal_basis is LegalBasis.CONSENT,
        needs_case=terms.case_required,
        needs_emergency=request.emergency is not None,
        quota_per_day=terms.quota_per_day,
        retention_days=terms.retention_days,
        onward_sharing=terms.onward_sharing,
        valid_until=terms.valid_until,
    )
