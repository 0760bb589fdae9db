"""Introduces the practice agencies to the bus, as real ones would be: by the public functions of each room.

Their keys are made and kept in key rings of their own (`<home>/sandbox/<agency>/keys`), not in the bus's;
what they agree is derived from the contracts (what the bus collects) and from the service catalogue (what the
portal's office may be told), so that no field is in an agreement that nobody needs.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from consent.agreement import publish_revision, revisions, sign_by_both
from consent.terms import AgreementRevision, AgreementTerms
from foundation import clock
from foundation.database import Role
from foundation.installation import Installation
from foundation.keyring import KeyPair, Keyring
from lintas.practice_agencies import Introduction, read_agencies
from participants.keys import OwnerKind, add_key, keys_of
from participants.registry import (
    Agency,
    Officer,
    System,
    register_agency,
    register_officer,
    register_system,
)
from participants.roles import OfficerRole

if TYPE_CHECKING:
    from psycopg import Connection

    from schemas.contracts import ContractSet

__all__ = ["PORTAL", "PORTAL_AGENCY", "agency_keyring", "introduce_practice_agencies", "portal_keyring"]

CIVIL_REGISTRY = "dukcapil-mojokerto"
TAX_OFFICE = "kpp-mojokerto"
PORTAL_AGENCY = "diskopukm-mojokerto"
OPERATOR = "diskominfo-mojokerto"
PORTAL = "palapa-mojo"
SERVICE_PURPOSE = "aid-micro-business"

AGENCIES = (
    Agency(CIVIL_REGISTRY, "Dinas Kependudukan dan Pencatatan Sipil Kota Mojokerto", "civil-registry"),
    Agency(TAX_OFFICE, "Kantor Pelayanan Pajak Mojokerto", "tax-office"),
    Agency(PORTAL_AGENCY, "Dinas Koperasi, Usaha Kecil dan Menengah Kota Mojokerto", "office"),
    Agency(OPERATOR, "Dinas Komunikasi dan Informatika Kota Mojokerto", "operator"),
)
OFFICERS = (
    Officer("steward-1", OPERATOR, "walidata-01", frozenset({OfficerRole.STEWARD, OfficerRole.OPERATOR})),
    Officer("auditor-1", OPERATOR, "auditor-01", frozenset({OfficerRole.AUDITOR})),
    Officer("counter-1", PORTAL_AGENCY, "loket-01", frozenset({OfficerRole.ASSISTING_OFFICER})),
    Officer("case-1", PORTAL_AGENCY, "pemutus-01", frozenset({OfficerRole.DECIDING_OFFICER})),
)


def introduce_practice_agencies(installation: Installation) -> dict[str, Any]:
    """Register, sign and publish everything that the running practice agencies need; safe to repeat."""
    from records.tables import publish_contracts
    from schemas.contracts import load_contracts

    introduction = read_agencies(installation)
    contracts = load_contracts(installation.settings.contracts)
    with installation.database.connect(Role.STEWARD) as connection:
        for agency in AGENCIES:
            register_agency(connection, agency)
        for system in _systems(introduction):
            register_system(connection, system)
        for officer in OFFICERS:
            register_officer(connection, officer, assigned_by="practice")
        keys = _register_keys(connection, installation)
        agreed = [
            _agree(connection, installation, terms)
            for terms in _practice_terms(installation, contracts, connection)
        ]
    published = publish_contracts(installation, contracts)
    return {
        "agencies": len(AGENCIES),
        "systems": len(_systems(introduction)),
        "keys": keys,
        "agreements": agreed,
        "contracts_published": published,
    }


def agency_keyring(installation: Installation, agency: str) -> Keyring:
    """The key ring that a practice agency keeps at home."""
    return Keyring.open(installation.home / "sandbox" / agency / "keys")


def portal_keyring(installation: Installation) -> Keyring:
    """The key ring of the practice portal."""
    return Keyring.open(installation.home / "sandbox" / PORTAL / "keys")


def _systems(introduction: Introduction) -> tuple[System, ...]:
    siak, kswp = introduction.endpoint("siak"), introduction.endpoint("kswp")
    return (
        System("siak", CIVIL_REGISTRY, "SIAK", "source", siak.url, siak.ca_pem),
        System("kswp", TAX_OFFICE, "KSWP", "source", kswp.url, kswp.ca_pem),
        System(PORTAL, PORTAL_AGENCY, "Palapa Mojo", "portal"),
        System("lintas", OPERATOR, "Lintas", "bus"),
    )


def _register_keys(connection: "Connection[Any]", installation: Installation) -> int:
    pairs: list[tuple[OwnerKind, str, str, KeyPair]] = [
        (
            "agency",
            agency.agency_id,
            "agreement",
            agency_keyring(installation, agency.agency_id).ensure("agreement"),
        )
        for agency in AGENCIES
    ]
    pairs.append(("system", PORTAL, "auth", portal_keyring(installation).ensure("auth")))
    pairs.append(
        ("officer", "case-1", "sign", agency_keyring(installation, PORTAL_AGENCY).ensure("pemutus-01"))
    )
    pairs.append(("bus", "lintas", "sign", installation.keyring.ensure("bus")))
    pairs.append(("log", installation.settings.log_origin, "log", installation.keyring.ensure("log")))
    for owner_kind, owner, use, pair in pairs:
        _register_key(connection, owner_kind, owner, use, pair)
    return len(pairs)


def _register_key(
    connection: "Connection[Any]", owner_kind: OwnerKind, owner: str, use: str, pair: KeyPair
) -> None:
    known = {record.kid for record in keys_of(connection, owner, owner_kind=owner_kind)}
    if pair.kid in known:
        return
    record = add_key(
        connection,
        owner_kind=owner_kind,
        owner_id=owner,
        use=use,
        public_jwk=pair.public_jwk,
        vouched_by=f"PKS/PRAKTIK/{owner}",
    )
    details = {"owner_kind": owner_kind, "owner": owner, "use": use, "kid": record.kid}
    append(connection, EntryDraft(kind=EntryKind.KEY_ADDED, outcome="added", details=details))


def _practice_terms(
    installation: Installation, contracts: "ContractSet", connection: "Connection[Any]"
) -> list[AgreementTerms]:
    collected = {contract.id: contract.fields for contract in contracts}
    needed = _needs_of_services(installation, contracts)
    found = []
    for provider in (CIVIL_REGISTRY, TAX_OFFICE):
        found.append(_collecting(provider, _of(provider, collected)))
        found.append(_telling(provider, _of(provider, needed)))
    return [terms for terms in found if not _is_in_force(connection, terms)]


def _of(provider: str, fields: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {dataset: tuple(names) for dataset, names in fields.items() if dataset.startswith(f"{provider}/")}


def _collecting(provider: str, datasets: Mapping[str, tuple[str, ...]]) -> AgreementTerms:
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


def _telling(provider: str, datasets: Mapping[str, tuple[str, ...]]) -> AgreementTerms:
    """The office behind the portal is told yes or no, with the applicant's consent."""
    return _terms(
        agreement_id=f"disclose-{provider}",
        title=f"{provider} lets the bus verify applications of {PORTAL_AGENCY}",
        provider=provider,
        consumer=PORTAL_AGENCY,
        controller=PORTAL_AGENCY,
        purposes=[SERVICE_PURPOSE],
        legal_basis="consent",
        legal_instrument="UU 27/2022 Pasal 20(2)(a)",
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


def _needs_of_services(installation: Installation, contracts: "ContractSet") -> dict[str, tuple[str, ...]]:
    """The fields that the services of the portal's office need as evidence, by dataset."""
    from verification.catalogue import load_catalogue

    datasets = {contract.id: contract.record_type for contract in contracts}
    needed: dict[str, set[str]] = {}
    for service in load_catalogue(installation.settings.services, datasets).services.values():
        for evidence in service.definition.evidence.values():
            needed.setdefault(evidence.dataset, set()).update(evidence.fields)
    return {dataset: tuple(sorted(fields)) for dataset, fields in needed.items()}


def _is_in_force(connection: "Connection[Any]", terms: AgreementTerms) -> bool:
    history = revisions(connection, terms.agreement_id)
    validity = {"valid_from", "valid_until"}
    return bool(history) and history[-1].terms.model_dump(exclude=validity) == terms.model_dump(
        exclude=validity
    )


def _agree(connection: "Connection[Any]", installation: Installation, terms: AgreementTerms) -> str:
    """Both practice agencies sign, each with the key it keeps at home."""
    history = revisions(connection, terms.agreement_id)
    revision = history[-1].signed.revision.succeeded_by(terms) if history else AgreementRevision(terms=terms)
    signed = sign_by_both(
        revision,
        agency_keyring(installation, terms.provider).current("agreement"),
        agency_keyring(installation, terms.consumer).current("agreement"),
    )
    return f"{publish_revision(connection, signed).id} revision {revision.revision}"
