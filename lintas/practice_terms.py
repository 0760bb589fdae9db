"""What the practice agencies agree on: derived from the contracts and the services, field by field.

What the bus collects follows from the contracts; what a portal's office may be told follows from the services
that it offers. So no field is in an agreement that nobody needs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from consent.terms import AgreementTerms
from foundation import clock
from foundation.installation import Installation
from lintas.practice_participants import OPERATOR, PORTALS, PROVIDERS

if TYPE_CHECKING:
    from schemas.contracts import ContractSet
    from verification.catalogue import Service

__all__ = ["practice_terms"]

Fields = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Basis:
    """On what the disclosures of a service rest."""

    legal_basis: str
    legal_instrument: str


_PUBLIC_TASK = "UU 27/2022 Pasal 20(2)(e)"
_BASES = {
    "bantuan-usaha-mikro": _Basis("consent", "UU 27/2022 Pasal 20(2)(a)"),
    "skck": _Basis("public-task", f"{_PUBLIC_TASK}; Perpol 6/2023; Inpres 1/2022"),
    "kia": _Basis("public-task", f"{_PUBLIC_TASK}; Permendagri 2/2016"),
}
_ANY_OTHER = _Basis("consent", "UU 27/2022 Pasal 20(2)(a)")


def practice_terms(installation: Installation, contracts: "ContractSet") -> list[AgreementTerms]:
    """The terms of every practice agreement: what the bus collects, and what each portal's office is told."""
    collected = {contract.id: contract.fields for contract in contracts}
    found = [
        _collecting(provider, datasets) for provider in PROVIDERS if (datasets := _of(provider, collected))
    ]
    consumers = {service: portal.agency for portal in PORTALS for service in portal.services}
    for service in _services(installation, contracts):
        consumer = consumers.get(service.identifier, service.definition.hasCompetentAuthority)
        found += [
            _telling(provider, consumer, service, datasets)
            for provider in PROVIDERS
            if provider != consumer and (datasets := _of(provider, service.fields))
        ]
    return found


def _services(installation: Installation, contracts: "ContractSet") -> "Iterable[Service]":
    from verification.catalogue import load_catalogue

    datasets = {contract.id: contract.record_type for contract in contracts}
    return load_catalogue(installation.settings.services, datasets).services.values()


def _of(provider: str, fields: Mapping[str, Iterable[str]]) -> Fields:
    return {
        dataset: tuple(sorted(names))
        for dataset, names in fields.items()
        if dataset.startswith(f"{provider}/")
    }


def _collecting(provider: str, datasets: Fields) -> AgreementTerms:
    """The bus reads a register and keeps what it read, as the provider's processor."""
    return _terms(
        agreement_id=f"collect-{provider}",
        title=f"{provider} lets the bus collect its registers",
        provider=provider,
        consumer=OPERATOR,
        controller=provider,
        purposes=["registry-sync"],
        legal_basis="public-task",
        legal_instrument="Perpres 39/2019 tentang Satu Data Indonesia; UU 27/2022 Pasal 20(2)(e)",
        datasets=datasets,
        verbs=["collect"],
        modes=["read"],
        retention_days=3650,
    )


def _telling(provider: str, consumer: str, service: "Service", datasets: Fields) -> AgreementTerms:
    """The office behind a portal is told yes or no about its applicants, for one service."""
    basis = _BASES.get(service.identifier, _ANY_OTHER)
    return _terms(
        agreement_id=f"disclose-{provider}-{service.identifier}",
        title=f"{provider} lets the bus verify applications to {consumer}: {service.identifier}",
        provider=provider,
        consumer=consumer,
        controller=consumer,
        purposes=[service.definition.purpose],
        legal_basis=basis.legal_basis,
        legal_instrument=basis.legal_instrument,
        datasets=datasets,
        verbs=["disclose"],
        modes=["verify"],
        quota_per_day=100_000,
        retention_days=365,
    )


def _terms(**terms: Any) -> AgreementTerms:
    since = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return AgreementTerms.model_validate(
        {
            "paper_reference": f"PKS/PRAKTIK/{terms['agreement_id']}",
            "processor": OPERATOR,
            "valid_from": since,
            "valid_until": since + timedelta(days=3 * 365),
            **terms,
        }
    )
