"""Which agreements cover one dataset of a request, or which rules the closest one breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from consent.exchange import AgreementFact, ExchangeRequest, provider_of
from consent.findings import RuleFinding, rule_broken
from consent.vocabulary import LegalBasis

__all__ = ["Coverage", "cover"]


def _fits_emergency(request: ExchangeRequest, fact: AgreementFact) -> bool:
    return (
        request.emergency is None
        or fact.terms.emergency_access
        or fact.terms.legal_basis is LegalBasis.VITAL_INTEREST
    )


_Judge = Callable[[ExchangeRequest, str, AgreementFact], bool]

# Tried in this order. The agreement that passes the most leading rules explains a denial.
_LADDER: tuple[tuple[str, _Judge], ...] = (
    ("agreement.dataset-not-covered", lambda _, dataset, fact: dataset in fact.terms.datasets),
    ("agreement.purpose-not-covered", lambda request, _, fact: request.purpose in fact.terms.purposes),
    ("verb.not-covered", lambda request, _, fact: request.verb in fact.terms.verbs),
    ("mode.not-covered", lambda request, _, fact: request.mode in fact.terms.modes),
    (
        "agreement.fields-not-covered",
        lambda request, dataset, fact: request.fields[dataset] <= fact.terms.fields_of(dataset),
    ),
    ("agreement.ended", lambda request, _, fact: fact.ended_at is None or request.at < fact.ended_at),
    ("agreement.not-yet-valid", lambda request, _, fact: fact.terms.valid_from <= request.at),
    ("agreement.expired", lambda request, _, fact: request.at < fact.terms.valid_until),
    (
        "onward.forbidden",
        lambda request, _, fact: request.onward_to is None or request.onward_to in fact.terms.onward_sharing,
    ),
    ("emergency.not-agreed", lambda request, _, fact: _fits_emergency(request, fact)),
    (
        "emergency.not-declared",
        lambda request, _, fact: (
            request.emergency is not None or fact.terms.legal_basis is not LegalBasis.VITAL_INTEREST
        ),
    ),
    (
        "case.missing",
        lambda request, _, fact: (
            request.case_present or not fact.terms.case_required or request.emergency is not None
        ),
    ),
    (
        "quota.exhausted",
        lambda request, _, fact: (
            fact.terms.quota_per_day is None or (fact.quota_left or 0) > 0 or request.emergency is not None
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Agreements that cover one dataset of the request, or the rules that the closest one broke."""

    candidates: tuple[AgreementFact, ...]
    broken: tuple[RuleFinding, ...] = ()

    def bases(self, request: ExchangeRequest) -> frozenset[LegalBasis]:
        """The legal bases on which the dataset could flow."""
        return frozenset(basis_for(request, fact) for fact in self.candidates)

    def choose(self, request: ExchangeRequest, basis: LegalBasis) -> AgreementFact:
        """The agreement to rely on for a basis: of several, the first by id."""
        fitting = (fact for fact in self.candidates if basis_for(request, fact) is basis)
        return min(fitting, key=lambda fact: fact.terms.agreement_id)


def basis_for(request: ExchangeRequest, fact: AgreementFact) -> LegalBasis:
    return LegalBasis.VITAL_INTEREST if request.emergency is not None else fact.terms.legal_basis


def cover(request: ExchangeRequest, dataset: str, agreements: Iterable[AgreementFact]) -> Coverage:
    """Try every agreement between the two agencies on one dataset of the request."""
    provider = provider_of(dataset)
    between = [
        fact
        for fact in agreements
        if fact.terms.provider == provider and fact.terms.consumer == request.consumer
    ]
    judged = [(_broken_rungs(request, dataset, fact), fact) for fact in between]
    candidates = tuple(fact for rungs, fact in judged if not rungs)
    if candidates:
        return Coverage(candidates)
    if not judged:
        return Coverage((), (rule_broken("agreement.none", request, provider=provider, dataset=dataset),))
    rungs, closest = min(judged, key=lambda each: (-each[0][0], len(each[0]), each[1].terms.agreement_id))
    names = {
        "provider": provider,
        "dataset": dataset,
        "agreement": closest.terms.agreement_id,
        "fields": ", ".join(sorted(request.fields[dataset] - closest.terms.fields_of(dataset))),
    }
    return Coverage((), tuple(rule_broken(_LADDER[rung][0], request, **names) for rung in rungs))


def _broken_rungs(request: ExchangeRequest, dataset: str, fact: AgreementFact) -> list[int]:
    """Positions of the broken rules; a dataset that is not named settles the matter at once."""
    if not _LADDER[0][1](request, dataset, fact):
        return [0]
    return [rung for rung, (_, holds) in enumerate(_LADDER) if not holds(request, dataset, fact)]
