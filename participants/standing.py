"""Whether agencies and systems may take part now, in one query, because every decision asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import Connection

from foundation.database_errors import translated
from participants.errors import ParticipantUnknown

__all__ = [
    "Standing",
    "SystemStanding",
    "reinstate_agency",
    "reinstate_system",
    "standing",
    "suspend_agency",
    "suspend_system",
]


@dataclass(frozen=True, slots=True)
class SystemStanding:
    """Whose system it is, and whether it may take part."""

    agency_id: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of those asked about; who is missing is not registered."""

    agencies: Mapping[str, bool]
    systems: Mapping[str, SystemStanding]


def standing(
    connection: Connection[Any], *, agencies: Iterable[str], systems: Iterable[str] = ()
) -> Standing:
    """The standing of some agencies and systems."""
    with translated():
        rows = connection.execute(_STANDING, [list(agencies), list(systems)]).fetchall()
    systems_found = [row[1:] for row in rows if row[0] == "system"]
    return Standing(
        agencies={name: active for kind, name, _, active in rows if kind == "agency"},
        systems={name: SystemStanding(agency_id, active) for name, agency_id, active in systems_found},
    )


def suspend_agency(connection: Connection[Any], agency_id: str) -> None:
    """Take an agency off the bus: every exchange with it is denied until it is reinstated.

    Raises:
        ParticipantUnknown: When there is no such agency.
    """
    _set_status(connection, agency_id, "suspended", _SET_AGENCY)


def reinstate_agency(connection: Connection[Any], agency_id: str) -> None:
    """Let a suspended agency take part again.

    Raises:
        ParticipantUnknown: When there is no such agency.
    """
    _set_status(connection, agency_id, "active", _SET_AGENCY)


def suspend_system(connection: Connection[Any], system_id: str) -> None:
    """Take one system off the bus until it is reinstated.

    Raises:
        ParticipantUnknown: When there is no such system.
    """
    _set_status(connection, system_id, "suspended", _SET_SYSTEM)


def reinstate_system(connection: Connection[Any], system_id: str) -> None:
    """Let a suspended system take part again.

    Raises:
        ParticipantUnknown: When there is no such system.
    """
    _set_status(connection, system_id, "active", _SET_SYSTEM)


_SET_AGENCY = "UPDATE participants.agency SET status = %s WHERE agency_id = %s"
_SET_SYSTEM = "UPDATE participants.system SET status = %s WHERE system_id = %s"
_STANDING = """
SELECT 'agency', agency_id, agency_id, status = 'active' FROM participants.agency WHERE agency_id = ANY(%s)
UNION ALL
SELECT 'system', system_id, agency_id, status = 'active' FROM participants.system WHERE system_id = ANY(%s)
"""


def _set_status(connection: Connection[Any], identity: str, status: str, statement: LiteralString) -> None:
    with translated():
        changed = connection.execute(statement, [status, identity])
    if changed.rowcount == 0:
        raise ParticipantUnknown(
            f"No participant {identity} is registered",
            remedy="Check the id with `lintas status`",
            id=identity,
        )
