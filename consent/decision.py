"""The decision on one exchange: pure, deny by default, explained, with the exact revisions relied on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from audit.entry import RevisionReference
from consent.coverage import cover
from consent.errors import ExchangeDenied
from consent.exchange import (
    AgreementFact,
    ConsentFact,
    EmergencyClaim,
    ExchangeRequest,
    Facts,
    Fields,
    SystemFact,
    new_decision_id,
)
from consent.findings import RuleFinding, rule_broken, rule_carrying
from consent.vocabulary import ConsentState, LegalBasis, Outcome

__all__ = [
    "AgreementFact",
    "ConsentFact",
    "Decision",
    "EmergencyClaim",
    "ExchangeRequest",
    "Facts",
    "RuleFinding",
    "SystemFact",
    "decide",
    "new_decision_id",
]

REVIEW_WITHIN = timedelta(hours=72)
"""An emergency access is reviewed within 3×24 hours."""

# After consent, the order in which a shared legal basis is chosen when there are several.
_BASIS_ORDER = tuple(LegalBasis)


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome with everything it rests on.

    Invariant: `allowed_fields` is empty on a denial, and within the agreed fields on an allowance.

    Attributes:
        decision_id: The id under which it is logged.
        outcome: `allow` or `deny`.
        rules: On a denial every rule that was broken; on an allowance the rules that carried it.
        request: What was asked.
        agreements: The exact agreement revisions relied on, ordered by id.
        consent: The exact consent revision relied on, where consent is the basis.
        legal_basis: The one legal basis of the exchange.
        allowed_fields: Fields that may flow, by dataset.
        quotas: Agreed exchanges per day by agreement id, where one was agreed and applies.
        legal_instruments: The instruments that the agreements rest on.
        retention_days: The shortest retention among the agreements.
        review_due: When an emergency access must have been reviewed.
    """

    decision_id: str
    outcome: Outcome
    rules: tuple[RuleFinding, ...]
    request: ExchangeRequest
    agreements: tuple[RevisionReference, ...] = ()
    consent: RevisionReference | None = None
    legal_basis: LegalBasis | None = None
    allowed_fields: Fields = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)
    legal_instruments: tuple[str, ...] = ()
    retention_days: int | None = None
    review_due: datetime | None = None

    @property
    def allowed(self) -> bool:
        """Whether data may flow."""
        return self.outcome is Outcome.ALLOW

    @property
    def is_emergency(self) -> bool:
        """Whether it was allowed for a vital interest and waits for a review."""
        return self.review_due is not None

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """The ids of the rules found, each once, in order."""
        return tuple(dict.fromkeys(finding.rule_id for finding in self.rules))

    @property
    def field_names(self) -> tuple[str, ...]:
        """The allowed fields as `dataset:field`, sorted, as log entries name them."""
        return tuple(
            f"{dataset}:{name}"
            for dataset in sorted(self.allowed_fields)
            for name in sorted(self.allowed_fields[dataset])
        )

    def require_allowed(self) -> None:
        """Raise `ExchangeDenied` unless allowed.

        Raises:
            ExchangeDenied: With the decision and rule ids and both languages as attributes.
        """
        if self.allowed:
            return
        raise ExchangeDenied(
            "The exchange was denied",
            why=" ".join(dict.fromkeys(finding.explanation.english for finding in self.rules)),
            remedy="Ask the agencies for an agreement, or the data subject for consent, that covers it.",
            decision_id=self.decision_id,
            rules=list(self.rule_ids),
            findings=[finding.as_dict() for finding in self.rules],
        )


def decide(request: ExchangeRequest, facts: Facts) -> Decision:
    """Decide on one exchange from the facts alone; whatever is not shown to be allowed is denied."""
    broken = [*_judge_request(request), *_judge_parties(request, facts)]
    if broken:
        return _denied(request, broken)
    coverage = {dataset: cover(request, dataset, facts.agreements) for dataset in sorted(request.fields)}
    uncovered = [finding for found in coverage.values() if not found.candidates for finding in found.broken]
    if uncovered:
        return _denied(request, uncovered)
    bases = frozenset.intersection(*(found.bases(request) for found in coverage.values()))
    if not bases:
        return _denied(request, [rule_broken("legal-basis.not-single", request)])
    basis, broken = _choose_basis(request, facts.consent, bases)
    if broken:
        return _denied(request, broken)
    return _allowed(request, facts, basis, [found.choose(request, basis) for found in coverage.values()])


# --- the request and the parties


def _judge_request(request: ExchangeRequest) -> Iterable[RuleFinding]:
    if not request.fields or not all(request.fields.values()):
        yield rule_broken("request.empty", request)
    if request.emergency is None:
        return
    if not request.emergency.officer.strip():
        yield rule_broken("emergency.officer-missing", request)
    if not request.emergency.reason.strip():
        yield rule_broken("emergency.reason-missing", request)
    if request.subject is None:
        yield rule_broken("emergency.subject-missing", request)


def _judge_parties(request: ExchangeRequest, facts: Facts) -> Iterable[RuleFinding]:
    yield from _judge_agency("consumer", request.consumer, request, facts)
    system = facts.systems.get(request.system)
    if system is None:
        yield rule_broken("system.unknown", request)
    elif system.agency_id != request.consumer:
        yield rule_broken("system.foreign", request)
    elif not system.is_active:
        yield rule_broken("system.suspended", request)
    for provider in sorted(request.providers):
        yield from _judge_agency("provider", provider, request, facts)


def _judge_agency(side: str, agency: str, request: ExchangeRequest, facts: Facts) -> Iterable[RuleFinding]:
    active = facts.agencies.get(agency)
    if active is None:
        yield rule_broken(f"{side}.unknown", request, provider=agency)
    elif not active:
        yield rule_broken(f"{side}.suspended", request, provider=agency)


# --- the legal basis and the consent


def _choose_basis(
    request: ExchangeRequest, consent: ConsentFact | None, bases: frozenset[LegalBasis]
) -> tuple[LegalBasis, list[RuleFinding]]:
    """The basis to rest on, with what is broken about it.

    Where the agencies agreed on consent and the person said no, another basis does not sidestep it.
    """
    others = [basis for basis in _BASIS_ORDER if basis in bases and basis is not LegalBasis.CONSENT]
    if LegalBasis.CONSENT not in bases:
        return others[0], []
    broken = list(_judge_consent(request, consent))
    if broken and others and not _said_no(request, consent):
        return others[0], []
    return LegalBasis.CONSENT, broken


def _concerns(request: ExchangeRequest, consent: ConsentFact) -> bool:
    return (consent.subject, consent.consumer, consent.purpose) == (
        request.subject,
        request.consumer,
        request.purpose,
    )


def _said_no(request: ExchangeRequest, consent: ConsentFact | None) -> bool:
    no = (ConsentState.REFUSED, ConsentState.WITHDRAWN)
    return consent is not None and _concerns(request, consent) and consent.state in no


_STATE_RULES = {
    ConsentState.REFUSED: "consent.refused",
    ConsentState.WITHDRAWN: "consent.withdrawn",
    ConsentState.EXPIRED: "consent.expired",
}


def _judge_consent(request: ExchangeRequest, consent: ConsentFact | None) -> Iterable[RuleFinding]:
    if request.subject is None:
        yield rule_broken("consent.subject-missing", request)
    elif consent is None or not _concerns(request, consent):
        yield rule_broken("consent.required", request)
    elif consent.state is not ConsentState.GRANTED:
        yield rule_broken(_STATE_RULES[consent.state], request)
    else:
        yield from _judge_granted(request, consent)


def _judge_granted(request: ExchangeRequest, consent: ConsentFact) -> Iterable[RuleFinding]:
    if request.at < consent.valid_from:
        yield rule_broken("consent.not-yet-valid", request)
    if consent.valid_until is not None and request.at >= consent.valid_until:
        yield rule_broken("consent.expired", request)
    for dataset in sorted(request.fields):
        if missing := request.fields[dataset] - consent.fields.get(dataset, frozenset()):
            names = ", ".join(sorted(missing))
            yield rule_broken("consent.fields-not-covered", request, dataset=dataset, fields=names)


# --- the two ends


def _denied(request: ExchangeRequest, broken: Iterable[RuleFinding]) -> Decision:
    return Decision(request.decision_id, Outcome.DENY, tuple(broken), request)


def _allowed(
    request: ExchangeRequest, facts: Facts, basis: LegalBasis, chosen: list[AgreementFact]
) -> Decision:
    by_id = {fact.terms.agreement_id: fact for fact in chosen}
    agreements = [by_id[agreement_id] for agreement_id in sorted(by_id)]
    quotas = (
        {}
        if request.emergency is not None
        else {f.terms.agreement_id: f.terms.quota_per_day for f in agreements if f.terms.quota_per_day}
    )
    consent = facts.consent.reference if basis is LegalBasis.CONSENT and facts.consent else None
    return Decision(
        decision_id=request.decision_id,
        outcome=Outcome.ALLOW,
        rules=tuple(_carrying(request, basis, chosen, quotas)),
        request=request,
        agreements=tuple(fact.reference for fact in agreements),
        consent=consent,
        legal_basis=basis,
        allowed_fields=dict(request.fields),
        quotas=quotas,
        legal_instruments=tuple(dict.fromkeys(fact.terms.legal_instrument for fact in agreements)),
        retention_days=min(fact.terms.retention_days for fact in agreements),
        review_due=request.at + REVIEW_WITHIN if request.emergency is not None else None,
    )


def _carrying(
    request: ExchangeRequest, basis: LegalBasis, chosen: list[AgreementFact], quotas: Mapping[str, int]
) -> Iterable[RuleFinding]:
    for dataset, fact in zip(sorted(request.fields), chosen, strict=True):
        names = {"agreement": fact.terms.agreement_id, "dataset": dataset}
        yield rule_carrying("agreement.in-force", request, **names)
    for agreement_id in sorted(quotas):
        yield rule_carrying("quota.available", request, agreement=agreement_id)
    if request.emergency is not None:
        yield rule_carrying("emergency.review-due", request)
    elif basis is LegalBasis.CONSENT:
        yield rule_carrying("consent.in-force", request)
    else:
        yield rule_carrying("consent.not-needed", request, basis=basis.value)
