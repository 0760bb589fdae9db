"""Introduces the practice agencies to the bus, as real ones would be: by the public functions of each room.

Their keys are made and kept in key rings of their own (`<home>/sandbox/<agency>/keys`), not in the bus's.
"""

from typing import TYPE_CHECKING, Any

from consent.agreement import publish_revision, revisions, sign_by_both
from consent.terms import AgreementRevision, AgreementTerms
from foundation.database import Role
from foundation.installation import Installation
from lintas.practice_agencies import read_agencies
from lintas.practice_participants import (
    AGENCIES,
    PORTAL,
    PORTAL_AGENCY,
    PORTALS,
    agency_keyring,
    portal_keyring,
    register_keys,
    register_participants,
    systems_of,
)
from lintas.practice_terms import practice_terms

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = [
    "PORTAL",
    "PORTALS",
    "PORTAL_AGENCY",
    "agency_keyring",
    "introduce_practice_agencies",
    "portal_keyring",
]


def introduce_practice_agencies(installation: Installation) -> dict[str, Any]:
    """Register, sign and publish everything that the running practice agencies need; safe to repeat."""
    from records.tables import publish_contracts
    from schemas.contracts import load_contracts

    introduction = read_agencies(installation)
    contracts = load_contracts(installation.settings.contracts)
    with installation.database.connect(Role.STEWARD) as connection:
        register_participants(connection, introduction)
        keys = register_keys(connection, installation)
        agreed = [
            _agree(connection, installation, terms)
            for terms in practice_terms(installation, contracts)
            if not _is_in_force(connection, terms)
        ]
    published = publish_contracts(installation, contracts)
    return {
        "agencies": len(AGENCIES),
        "systems": len(systems_of(introduction)),
        "keys": keys,
        "agreements": agreed,
        "contracts_published": published,
    }


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
