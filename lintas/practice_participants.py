"""Who takes part in the practice city: agencies, their systems and officers, and the keys of each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation.installation import Installation
from foundation.keyring import KeyPair, Keyring
from lintas.practice_agencies import Introduction
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

__all__ = [
    "AGENCIES",
    "OPERATOR",
    "PORTAL",
    "PORTALS",
    "PORTAL_AGENCY",
    "PROVIDERS",
    "STEWARDS",
    "PracticePortal",
    "agency_keyring",
    "portal_keyring",
    "register_keys",
    "register_participants",
    "systems_of",
]

CIVIL_REGISTRY = "dukcapil-mojokerto"
TAX_OFFICE = "kpp-mojokerto"
LICENSING_OFFICE = "dpmptsp-mojokerto"
HEALTH_OFFICE = "dinkes-mojokerto"
PROVIDERS = (CIVIL_REGISTRY, TAX_OFFICE, LICENSING_OFFICE, HEALTH_OFFICE)
OPERATOR = "diskominfo-mojokerto"


@dataclass(frozen=True)
class PracticePortal:
    """A portal, the agency behind it, and the services that citizens apply for there."""

    system_id: str
    agency: str
    name: str
    services: tuple[str, ...]


PORTALS = (
    PracticePortal("palapa-mojo", "diskopukm-mojokerto", "Palapa Mojo", ("bantuan-usaha-mikro",)),
    PracticePortal("skck-online", "polres-mojokerto", "SKCK Online", ("skck",)),
    PracticePortal("mpp-digital", "mpp-mojokerto", "Mal Pelayanan Publik Digital", ("kia",)),
)
PORTAL, PORTAL_AGENCY = PORTALS[0].system_id, PORTALS[0].agency

AGENCIES = (
    Agency(CIVIL_REGISTRY, "Dinas Kependudukan dan Pencatatan Sipil Kota Mojokerto", "civil-registry"),
    Agency(TAX_OFFICE, "Kantor Pelayanan Pajak Mojokerto", "tax-office"),
    Agency(
        LICENSING_OFFICE,
        "Dinas Penanaman Modal dan Pelayanan Terpadu Satu Pintu Kota Mojokerto",
        "licensing-office",
    ),
    Agency(
        HEALTH_OFFICE,
        "Dinas Kesehatan, Pengendalian Penduduk dan Keluarga Berencana Kota Mojokerto",
        "health-office",
    ),
    Agency(PORTAL_AGENCY, "Dinas Koperasi, Usaha Kecil dan Menengah Kota Mojokerto", "office"),
    Agency("polres-mojokerto", "Kepolisian Resor Mojokerto Kota", "police"),
    Agency("mpp-mojokerto", "Mal Pelayanan Publik Kota Mojokerto", "service-centre"),
    Agency(OPERATOR, "Dinas Komunikasi dan Informatika Kota Mojokerto", "operator"),
)
#: Who decides what is referred: one officer at each agency that owns a service.
_DECIDING = {
    "case-1": (PORTAL_AGENCY, "pemutus-01"),
    "case-2": ("polres-mojokerto", "pemutus-02"),
    "case-3": ("mpp-mojokerto", "pemutus-03"),
    "case-4": (CIVIL_REGISTRY, "pemutus-04"),
}
#: Who looks after the data of each agency; nobody does it for another one.
STEWARDS = {
    OPERATOR: "walidata-01",
    CIVIL_REGISTRY: "walidata-02",
    TAX_OFFICE: "walidata-03",
    LICENSING_OFFICE: "walidata-04",
    HEALTH_OFFICE: "walidata-05",
    PORTAL_AGENCY: "walidata-06",
    "polres-mojokerto": "walidata-07",
    "mpp-mojokerto": "walidata-08",
}
OFFICERS = (
    Officer("steward-1", OPERATOR, "walidata-01", frozenset({OfficerRole.STEWARD, OfficerRole.OPERATOR})),
    *(
        Officer(f"steward-{pseudonym[-1]}", agency, pseudonym, frozenset({OfficerRole.STEWARD}))
        for agency, pseudonym in STEWARDS.items()
        if agency != OPERATOR
    ),
    Officer("auditor-1", OPERATOR, "auditor-01", frozenset({OfficerRole.AUDITOR})),
    Officer("counter-1", PORTAL_AGENCY, "loket-01", frozenset({OfficerRole.ASSISTING_OFFICER})),
    *(
        Officer(officer, agency, pseudonym, frozenset({OfficerRole.DECIDING_OFFICER}))
        for officer, (agency, pseudonym) in _DECIDING.items()
    ),
)


def agency_keyring(installation: Installation, agency: str) -> Keyring:
    """The key ring that a practice agency keeps at home."""
    return Keyring.open(installation.home / "sandbox" / agency / "keys")


def portal_keyring(installation: Installation, portal: str = PORTAL) -> Keyring:
    """The key ring of a practice portal."""
    return Keyring.open(installation.home / "sandbox" / portal / "keys")


def systems_of(introduction: Introduction) -> tuple[System, ...]:
    """The systems that give, those that ask, and the bus between them."""
    sources = {
        "siak": (CIVIL_REGISTRY, "SIAK"),
        "kswp": (TAX_OFFICE, "KSWP"),
        "oss-daerah": (LICENSING_OFFICE, "OSS daerah"),
        "satusehat": (HEALTH_OFFICE, "SATUSEHAT daerah"),
    }
    return (
        *(
            System(name, agency, title, "source", found.url, found.proof)
            for name, (agency, title) in sources.items()
            for found in (introduction.endpoint(name),)
        ),
        *(System(each.system_id, each.agency, each.name, "portal") for each in PORTALS),
        System("lintas", OPERATOR, "Lintas", "bus"),
    )


def register_participants(connection: "Connection[Any]", introduction: Introduction) -> None:
    """Register agencies, systems and officers; safe to repeat."""
    for agency in AGENCIES:
        register_agency(connection, agency)
    for system in systems_of(introduction):
        register_system(connection, system)
    for officer in OFFICERS:
        register_officer(connection, officer, assigned_by="practice")


def register_keys(connection: "Connection[Any]", installation: Installation) -> int:
    """Register a key of each, made at home when there is none yet; gives how many there are."""
    pairs: list[tuple[OwnerKind, str, str, KeyPair]] = []
    for agency in AGENCIES:
        at_home = agency_keyring(installation, agency.agency_id).ensure("agreement")
        pairs.append(("agency", agency.agency_id, "agreement", at_home))
    for portal in PORTALS:
        at_home = portal_keyring(installation, portal.system_id).ensure("auth")
        pairs.append(("system", portal.system_id, "auth", at_home))
    for officer, (employer, pseudonym) in _DECIDING.items():
        pairs.append(("officer", officer, "sign", agency_keyring(installation, employer).ensure(pseudonym)))
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
