"""Agencies, the systems they let take part, and the officers who act for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from psycopg import Connection
from psycopg.rows import class_row

from foundation import clock
from foundation.database_errors import translated
from participants.errors import ParticipantInvalid, ParticipantUnknown
from participants.roles import OfficerRole, assign_role, roles_of

__all__ = [
    "Agency",
    "Officer",
    "System",
    "agencies",
    "agency",
    "find_agency",
    "find_system",
    "officer",
    "officers",
    "register_agency",
    "register_officer",
    "register_system",
    "system",
    "systems",
]

SystemKind = Literal["source", "portal", "bus"]
Status = Literal["active", "suspended"]


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency (instansi) that takes part.

    Attributes:
        agency_id: Slug, such as ``dukcapil-mojokerto``.
        name: Its name as people write it.
        kind: What it is, such as ``civil-registry`` or ``operator``.
        status: Whether it may take part; once registered, changed by :mod:`participants.standing` only.
    """

    agency_id: str
    name: str
    kind: str = "office"
    status: Status = "active"

    @property
    def is_active(self) -> bool:
        """Whether it takes part now."""
        return self.status == "active"


@dataclass(frozen=True, slots=True)
class System:
    """A system of an agency: a source of data, a portal that asks, or the bus itself."""

    system_id: str
    agency_id: str
    name: str
    kind: SystemKind
    endpoint_url: str | None = None
    ca_certificate_pem: str | None = None
    status: Status = "active"

    @property
    def is_active(self) -> bool:
        """Whether it takes part now."""
        return self.status == "active"

    @property
    def address(self) -> str | None:
        """``host:port`` of the endpoint, as :class:`foundation.http.AddressPolicy` wants it."""
        if self.endpoint_url is None:
            return None
        parts = urlsplit(self.endpoint_url)
        ports = {"https": 443, "http": 80, "postgresql": 5432, "sftp": 22}
        return f"{parts.hostname}:{parts.port or ports.get(parts.scheme.partition('+')[0], 443)}"


@dataclass(frozen=True, slots=True)
class Officer:
    """A person who acts for an agency; entries and pages show only the pseudonym."""

    officer_id: str
    agency_id: str
    pseudonym: str
    roles: frozenset[OfficerRole] = frozenset()


def register_agency(connection: Connection[Any], agency: Agency) -> Agency:
    """Register an agency, or bring its name and kind up to date; a suspension stays."""
    with translated():
        connection.execute(
            """
            INSERT INTO participants.agency AS known (agency_id, name, kind, status, registered_at)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (agency_id) DO UPDATE SET name = excluded.name, kind = excluded.kind
            WHERE (known.name, known.kind) IS DISTINCT FROM (excluded.name, excluded.kind)
            """,
            [agency.agency_id, agency.name, agency.kind, agency.status, clock.now()],
        )
    return agency


def register_system(connection: Connection[Any], system: System) -> System:
    """Register a system, or bring its name, endpoint and authority up to date; a suspension stays.

    Raises:
        ParticipantInvalid: When the system belongs to another agency, or its endpoint holds a login.
    """
    _check_endpoint(system)
    known = find_system(connection, system.system_id)
    if known is not None and (known.agency_id, known.kind) != (system.agency_id, system.kind):
        raise ParticipantInvalid(
            f"The system {system.system_id} is registered as a {known.kind} of {known.agency_id}",
            remedy="Give the new system another id",
            system_id=system.system_id,
        )
    with translated():
        connection.execute(
            _UPSERT_SYSTEM,
            {
                "system_id": system.system_id,
                "agency_id": system.agency_id,
                "name": system.name,
                "kind": system.kind,
                "endpoint_url": system.endpoint_url,
                "ca": system.ca_certificate_pem,
                "status": system.status,
                "at": clock.now(),
            },
        )
    return system


def register_officer(
    connection: Connection[Any], officer: Officer, *, assigned_by: str = "registration"
) -> Officer:
    """Register an officer with roles; roles that are already assigned stay.

    Raises:
        ParticipantInvalid: When the officer acts for another agency.
    """
    with translated():
        row = connection.execute(
            """
            INSERT INTO participants.officer (officer_id, agency_id, pseudonym, registered_at)
            VALUES (%s, %s, %s, %s) ON CONFLICT (officer_id) DO NOTHING
            RETURNING agency_id
            """,
            [officer.officer_id, officer.agency_id, officer.pseudonym, clock.now()],
        ).fetchone()
        if row is None:
            row = connection.execute(
                "SELECT agency_id FROM participants.officer WHERE officer_id = %s", [officer.officer_id]
            ).fetchone()
    if row is None or _first(row) != officer.agency_id:
        raise ParticipantInvalid(
            f"The officer {officer.officer_id} is registered for another agency",
            remedy="Give the officer another id",
            officer_id=officer.officer_id,
        )
    for role in officer.roles:
        assign_role(connection, officer.officer_id, role, assigned_by=assigned_by)
    return officer


def find_agency(connection: Connection[Any], agency_id: str) -> Agency | None:
    """Return an agency, or ``None``."""
    with translated(), connection.cursor(row_factory=class_row(Agency)) as cursor:
        return cursor.execute(f"{_AGENCIES} WHERE agency_id = %s", [agency_id]).fetchone()


def agency(connection: Connection[Any], agency_id: str) -> Agency:
    """Return an agency.

    Raises:
        ParticipantUnknown: When there is none of that id.
    """
    return find_agency(connection, agency_id) or _unknown("agency", agency_id)


def agencies(connection: Connection[Any]) -> list[Agency]:
    """Return all agencies, by id."""
    with translated(), connection.cursor(row_factory=class_row(Agency)) as cursor:
        return cursor.execute(f"{_AGENCIES} ORDER BY agency_id").fetchall()


def find_system(connection: Connection[Any], system_id: str) -> System | None:
    """Return a system, or ``None``."""
    with translated(), connection.cursor(row_factory=class_row(System)) as cursor:
        return cursor.execute(f"{_SYSTEMS} WHERE system_id = %s", [system_id]).fetchone()


def system(connection: Connection[Any], system_id: str) -> System:
    """Return a system.

    Raises:
        ParticipantUnknown: When there is none of that id.
    """
    return find_system(connection, system_id) or _unknown("system", system_id)


def systems(connection: Connection[Any], agency_id: str | None = None) -> list[System]:
    """Return all systems (of one agency), by id."""
    with translated(), connection.cursor(row_factory=class_row(System)) as cursor:
        return cursor.execute(
            f"{_SYSTEMS} WHERE %(agency)s::text IS NULL OR agency_id = %(agency)s ORDER BY system_id",
            {"agency": agency_id},
        ).fetchall()


def officer(connection: Connection[Any], officer_id: str) -> Officer:
    """Return an officer with the roles held now.

    Raises:
        ParticipantUnknown: When there is none of that id.
    """
    with translated(), connection.cursor(row_factory=class_row(Officer)) as cursor:
        row = cursor.execute(
            "SELECT officer_id, agency_id, pseudonym FROM participants.officer WHERE officer_id = %s",
            [officer_id],
        ).fetchone()
    found: Officer = row or _unknown("officer", officer_id)
    return replace(found, roles=roles_of(connection, officer_id))


def find_officer(connection: Connection[Any], agency_id: str, pseudonym: str) -> Officer | None:
    """Return the officer of an agency who bears a pseudonym, with the roles held now, or ``None``."""
    with translated(), connection.cursor(row_factory=class_row(Officer)) as cursor:
        found = cursor.execute(
            "SELECT officer_id, agency_id, pseudonym FROM participants.officer"
            " WHERE pseudonym = %s AND agency_id = %s",
            [pseudonym, agency_id],
        ).fetchone()
    return found and replace(found, roles=roles_of(connection, found.officer_id))


def officers(connection: Connection[Any], agency_id: str | None = None) -> list[Officer]:
    """Return all officers (of one agency), by id, with the roles held now."""
    with translated(), connection.cursor(row_factory=class_row(Officer)) as cursor:
        found = cursor.execute(
            """
            SELECT officer_id, agency_id, pseudonym FROM participants.officer
            WHERE %(agency)s::text IS NULL OR agency_id = %(agency)s ORDER BY officer_id
            """,
            {"agency": agency_id},
        ).fetchall()
    return [
        Officer(each.officer_id, each.agency_id, each.pseudonym, roles_of(connection, each.officer_id))
        for each in found
    ]


_AGENCIES = "SELECT agency_id, name, kind, status FROM participants.agency"
_SYSTEMS = """
    SELECT system_id, agency_id, name, kind, endpoint_url, ca_certificate_pem, status
    FROM participants.system
"""
_UPSERT_SYSTEM = """
    INSERT INTO participants.system AS known (
        system_id, agency_id, name, kind, endpoint_url, ca_certificate_pem, status, registered_at, changed_at)
    VALUES (%(system_id)s, %(agency_id)s, %(name)s, %(kind)s, %(endpoint_url)s, %(ca)s, %(status)s,
        %(at)s, %(at)s)
    ON CONFLICT (system_id) DO UPDATE SET
        name = excluded.name, endpoint_url = excluded.endpoint_url,
        ca_certificate_pem = excluded.ca_certificate_pem, changed_at = excluded.changed_at
    WHERE (known.name, known.endpoint_url, known.ca_certificate_pem)
        IS DISTINCT FROM (excluded.name, excluded.endpoint_url, excluded.ca_certificate_pem)
"""


def _check_endpoint(system: System) -> None:
    if system.endpoint_url is None:
        return
    parts = urlsplit(system.endpoint_url)
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ParticipantInvalid(
            f"The endpoint of {system.system_id} is not a plain address",
            remedy="Write scheme://host:port/path; logins belong into secrets",
            system_id=system.system_id,
        )


def _unknown(what: str, identity: str) -> Any:
    raise ParticipantUnknown(
        f"No {what} {identity} takes part",
        remedy=f"Check the id, or let the operator register the {what}",
        kind=what,
        id=identity,
    )


def _first(row: Any) -> Any:
    return next(iter(row.values())) if isinstance(row, dict) else row[0]
