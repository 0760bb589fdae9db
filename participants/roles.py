"""What an officer may do, and since when: role assignments keep their history."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection
from psycopg.rows import scalar_row

from foundation import clock
from foundation.database_errors import translated
from participants.errors import ParticipantUnknown

__all__ = ["OfficerRole", "assign_role", "end_role", "holds_role", "roles_of"]


class OfficerRole(StrEnum):
    """Roles of officers."""

    STEWARD = "steward"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ASSISTING_OFFICER = "assisting-officer"
    DECIDING_OFFICER = "deciding-officer"


def assign_role(
    connection: Connection[Any],
    officer_id: str,
    role: OfficerRole,
    *,
    assigned_by: str,
    at: datetime | None = None,
) -> None:
    """Give an officer a role; one that is held already stays as it is.

    Raises:
        ParticipantUnknown: When there is no such officer.
    """
    with translated():
        known = connection.execute(
            "SELECT 1 FROM participants.officer WHERE officer_id = %s", [officer_id]
        ).fetchone()
        if known is None:
            raise ParticipantUnknown(
                f"No officer {officer_id} takes part", remedy="Register the officer first"
            )
        connection.execute(
            """
            INSERT INTO participants.officer_role (officer_id, role, valid_from, assigned_by)
            VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
            """,
            [officer_id, str(role), at or clock.now(), assigned_by],
        )


def end_role(
    connection: Connection[Any], officer_id: str, role: OfficerRole, *, at: datetime | None = None
) -> None:
    """Take a role from an officer; that it was held stays on record."""
    with translated():
        connection.execute(
            """
            UPDATE participants.officer_role SET valid_to = greatest(%s, valid_from)
            WHERE officer_id = %s AND role = %s AND valid_to IS NULL
            """,
            [at or clock.now(), officer_id, str(role)],
        )


def roles_of(
    connection: Connection[Any], officer_id: str, at: datetime | None = None
) -> frozenset[OfficerRole]:
    """Return the roles that an officer holds (or held) at a moment."""
    with translated(), connection.cursor(row_factory=scalar_row) as cursor:
        rows = cursor.execute(
            """
            SELECT role FROM participants.officer_role
            WHERE officer_id = %(officer)s AND valid_from <= %(at)s
              AND (valid_to IS NULL OR %(at)s < valid_to)
            """,
            {"officer": officer_id, "at": at or clock.now()},
        ).fetchall()
    return frozenset(OfficerRole(row) for row in rows)


def holds_role(
    connection: Connection[Any], officer_id: str, role: OfficerRole, at: datetime | None = None
) -> bool:
    """Whether an officer holds (or held) a role at a moment."""
    return role in roles_of(connection, officer_id, at)
