"""What the operator does with those who take part: register, suspend, reinstate, and their keys.

Every change names the operator and stands in the log, in the transaction that made it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation.database import Role
from lintas.access import connected
from lintas.errors import KeyFileUnreadable, NotAnOperator
from participants.keys import OwnerKind

if TYPE_CHECKING:
    from psycopg import Connection

    from participants.keys import PublicKeyRecord

__all__ = [
    "OWNER_KINDS",
    "add_agency",
    "add_key",
    "add_officer",
    "add_system",
    "end_key",
    "reinstate",
    "roll_key",
    "suspend",
    "system_rows",
]

OWNER_KINDS: tuple[str, ...] = get_args(OwnerKind)


def add_agency(agency_id: str, name: str, kind: str, *, operator: str) -> dict[str, Any]:
    """Register an agency, or bring its name up to date.

    The first agency of an installation is the operator's, and its first operator registers it.
    """
    from participants.registry import Agency, register_agency
    from participants.stewards import OPERATOR_KIND

    founder = operator if kind == OPERATOR_KIND else None
    with _at_the_desk(operator, founder=founder) as connection:
        register_agency(connection, Agency(agency_id, name, kind))
        _note(connection, operator, "agency", agency_id, "registered")
    return {"agency": agency_id, "state": "registered"}


def add_system(
    system_id: str,
    agency_id: str,
    name: str,
    kind: str,
    *,
    address: str | None,
    ca_file: Path | None,
    operator: str,
) -> dict[str, Any]:
    """Register a system of an agency with the one address at which the bus may reach it."""
    from participants.registry import System, agency, register_system

    pem = None if ca_file is None else ca_file.read_text(encoding="ascii")
    with _at_the_desk(operator) as connection:
        agency(connection, agency_id)
        register_system(connection, System(system_id, agency_id, name, kind, address, pem))  # type: ignore[arg-type]
        _note(connection, operator, "system", system_id, "registered")
    return {"system": system_id, "agency": agency_id, "state": "registered"}


def add_officer(
    officer_id: str, agency_id: str, pseudonym: str, roles: list[str], *, operator: str
) -> dict[str, Any]:
    """Register an officer under a pseudonym, with roles.

    The first operator of an installation registers themselves: `operator` is then their own pseudonym.
    """
    from participants.registry import Officer, agency, register_officer
    from participants.roles import OfficerRole

    wanted = frozenset(OfficerRole(role) for role in roles)
    first = (pseudonym, agency_id) if OfficerRole.OPERATOR in wanted else None
    with _at_the_desk(operator, first=first) as connection:
        agency(connection, agency_id)
        register_officer(connection, Officer(officer_id, agency_id, pseudonym, wanted), assigned_by=operator)
        _note(connection, operator, "officer", pseudonym, "registered")
        for role in sorted(wanted):
            details = {"officer": pseudonym, "role": str(role), "change": "granted"}
            _append(connection, EntryKind.ROLE_CHANGED, operator, "granted", details)
    return {"officer": officer_id, "pseudonym": pseudonym, "roles": sorted(map(str, wanted))}


def suspend(participant: str, *, operator: str, reason: str) -> dict[str, Any]:
    """Take an agency or one system off the bus at once: every exchange with it is denied."""
    return _set_standing(participant, operator, reason, suspended=True)


def reinstate(participant: str, *, operator: str, reason: str) -> dict[str, Any]:
    """Let a suspended agency or system take part again."""
    return _set_standing(participant, operator, reason, suspended=False)


def system_rows() -> list[dict[str, Any]]:
    """Every system: whose, what kind, at which address, whether it takes part."""
    from participants.registry import systems

    with connected(Role.STEWARD) as (_, connection):
        found = systems(connection)
    return [
        {
            "system": each.system_id,
            "agency": each.agency_id,
            "name": each.name,
            "kind": each.kind,
            "address": each.endpoint_url,
            "state": each.status,
        }
        for each in found
    ]


def add_key(
    owner_kind: str, owner: str, use: str, jwk_file: Path, *, vouched_by: str, operator: str
) -> dict[str, Any]:
    """Register a public key that its owner made at home.

    Raises:
        KeyFileUnreadable: When the file is no public JWK.
    """
    from participants import keys

    jwk = _public_jwk(jwk_file)
    with _at_the_desk(operator) as connection:
        record = keys.add_key(
            connection,
            owner_kind=owner_kind,  # type: ignore[arg-type]
            owner_id=owner,
            use=use,
            public_jwk=jwk,
            vouched_by=vouched_by,
        )
        _append(connection, EntryKind.KEY_ADDED, operator, "added", _key_details(record))
    return _key_fields(record)


def roll_key(kid: str, jwk_file: Path, *, vouched_by: str, operator: str) -> dict[str, Any]:
    """Let a new key take over; what the old one signed stays verifiable."""
    from participants import keys

    jwk = _public_jwk(jwk_file)
    with _at_the_desk(operator) as connection:
        record = keys.roll_key(connection, kid, jwk, vouched_by=vouched_by)
        _append(connection, EntryKind.KEY_ROLLED, operator, "rolled", _key_details(record))
    return _key_fields(record)


def end_key(kid: str, *, reason: str, operator: str) -> dict[str, Any]:
    """End a key now: what it signs from now on is refused."""
    from participants import keys

    with _at_the_desk(operator) as connection:
        record = keys.end_key(connection, kid, because=reason)
        _append(connection, EntryKind.KEY_ROLLED, operator, "ended", _key_details(record))
    return _key_fields(record)


@contextmanager
def _at_the_desk(
    pseudonym: str, *, first: tuple[str, str] | None = None, founder: str | None = None
) -> "Iterator[Connection[Any]]":
    """One transaction of somebody who may change who takes part.

    Args:
        pseudonym: Who acts.
        first: Pseudonym and agency of an operator who is about to be registered.
        founder: Who registers the operator's own agency.

    Raises:
        NotAnOperator: When the pseudonym is no operator's, unless there is none yet and they begin.
    """
    from participants.registry import agencies, officers
    from participants.roles import OfficerRole
    from participants.stewards import OPERATOR_KIND

    with connected(Role.STEWARD) as (_, connection):
        known = agencies(connection)
        theirs = {each.agency_id for each in known if each.kind == OPERATOR_KIND}
        operators = {
            each.pseudonym
            for each in officers(connection)
            if OfficerRole.OPERATOR in each.roles and each.agency_id in theirs
        }
        begins = not operators and (
            (first is not None and first[0] == pseudonym and first[1] in theirs)
            or (founder == pseudonym and not known)
        )
        if pseudonym not in operators and not begins:
            raise NotAnOperator(pseudonym, there_is_none=not operators)
        yield connection


def _set_standing(participant: str, operator: str, reason: str, *, suspended: bool) -> dict[str, Any]:
    from participants import standing
    from participants.registry import find_agency

    change = "suspended" if suspended else "reinstated"
    acts = {
        ("agency", True): standing.suspend_agency,
        ("agency", False): standing.reinstate_agency,
        ("system", True): standing.suspend_system,
        ("system", False): standing.reinstate_system,
    }
    with _at_the_desk(operator) as connection:
        kind = "agency" if find_agency(connection, participant) else "system"
        acts[kind, suspended](connection, participant)
        _note(connection, operator, kind, participant, change, reason=reason)
    return {kind: participant, "state": change}


def _note(
    connection: "Connection[Any]", operator: str, kind: str, identity: str, change: str, **more: str
) -> None:
    details = {"participant": kind, "participant_id": identity, **more}
    _append(connection, EntryKind.PARTICIPANT_CHANGED, operator, change, details)


def _append(
    connection: "Connection[Any]", kind: EntryKind, operator: str, outcome: str, details: dict[str, Any]
) -> None:
    append(connection, EntryDraft(kind=kind, actor=operator, outcome=outcome, details=details))


def _public_jwk(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or "d" in found or found.get("kty") != "OKP":
            raise ValueError
    except (OSError, ValueError):
        raise KeyFileUnreadable(file) from None
    return {str(name): str(value) for name, value in found.items()}


def _key_details(record: "PublicKeyRecord") -> dict[str, Any]:
    return {
        "owner_kind": record.owner_kind,
        "owner": record.owner_id,
        "use": record.use,
        "kid": record.kid,
    }


def _key_fields(record: "PublicKeyRecord") -> dict[str, Any]:
    return {
        "owner": f"{record.owner_kind} {record.owner_id}",
        "use": record.use,
        "kid": record.kid,
        "fingerprint": record.fingerprint,
        "valid_from": record.valid_from,
        "valid_to": record.valid_to,
    }
