"""Who may read the log, and the entry that every look leaves behind."""

from __future__ import annotations

from typing import Any

import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.errors import NotAnAuditor
from audit.log import append
from audit.subject_view import Reader
from audit.subjects.subject_keys import SubjectKeys
from foundation import clock
from participants.roles import OfficerRole

__all__ = ["log_look", "require_auditor"]


def require_auditor(connection: psycopg.Connection[Any], pseudonym: str) -> None:
    """Refuse a reader who is no auditor now; the log names who read it, so the name must be true.

    Raises:
        NotAnAuditor: when nobody of that pseudonym holds the role.
    """
    values = {"pseudonym": pseudonym, "role": str(OfficerRole.AUDITOR), "at": clock.now()}
    if connection.execute(_AUDITOR, values).fetchone() is None:
        raise NotAnAuditor(
            f"{pseudonym} is not the pseudonym of a registered auditor.",
            why="The log names who has read it.",
            remedy="Use your own pseudonym; an operator registers officers with `lintas officers add`.",
        )


def log_look(
    connection: psycopg.Connection[Any],
    reader: Reader,
    details: dict[str, Any],
    *,
    kind: EntryKind = EntryKind.AUDIT_VIEWED,
    subject: SubjectKeys | None = None,
) -> None:
    """Append the entry that says who looked, why, and by which filters; it commits with the look."""
    append(
        connection,
        EntryDraft(
            kind=kind,
            actor=reader.actor,
            consumer=reader.consumer,
            system=reader.system,
            run_id=reader.run_id,
            subject=subject,
            details={**details, "reason": reader.reason},
        ),
    )


_AUDITOR = """
SELECT FROM participants.officer o JOIN participants.officer_role r USING (officer_id)
 WHERE o.pseudonym = %(pseudonym)s AND r.role = %(role)s AND r.valid_from <= %(at)s
   AND (r.valid_to IS NULL OR %(at)s < r.valid_to)
"""
