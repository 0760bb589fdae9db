"""Reviews of emergency accesses: each is judged afterwards, by somebody else than who declared it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from consent.errors import ReviewNotPossible
from foundation import clock
from foundation.errors import Location

__all__ = ["EmergencyReview", "close_review", "open_reviews"]


@dataclass(frozen=True, slots=True)
class EmergencyReview:
    """An emergency access that waits for its review; `hold` opened it."""

    decision_id: UUID
    consumer: str
    officer: str
    reason: str
    accessed_at: datetime
    due_at: datetime


def open_reviews(connection: Connection[Any]) -> list[EmergencyReview]:
    """Every review that is still open, the most urgent first."""
    return [EmergencyReview(*row) for row in connection.execute(_OPEN).fetchall()]


def close_review(
    connection: Connection[Any],
    decision_id: UUID,
    *,
    reviewed_by: str,
    justified: bool,
    remark: str = "",
    at: datetime | None = None,
) -> None:
    """Judge an emergency access, and append `emergency.reviewed`.

    Raises:
        ReviewNotPossible: If no review of it is open, or the reviewer declared the emergency.
    """
    moment = at or clock.now()
    found = connection.execute(_OPEN_ONE, [decision_id]).fetchone()
    if found is None:
        raise ReviewNotPossible("No review of this access is open", location=Location(rule="review.not-open"))
    review = EmergencyReview(*found)
    if review.officer == reviewed_by:
        raise ReviewNotPossible(
            "An officer cannot review their own emergency access",
            remedy="Let another steward review it.",
            location=Location(rule="review.own-access"),
        )
    connection.execute(_CLOSE, [moment, reviewed_by, justified, remark or None, decision_id])
    append(
        connection,
        EntryDraft(
            kind=EntryKind.EMERGENCY_REVIEWED,
            occurred_at=moment,
            consumer=review.consumer,
            actor=reviewed_by,
            decision_id=decision_id,
            outcome="justified" if justified else "not-justified",
            details={"late": moment > review.due_at},
        ),
    )


_OPEN = """
SELECT decision_id, consumer, officer, reason, accessed_at, due_at
  FROM consent.emergency_review WHERE reviewed_at IS NULL ORDER BY due_at
"""
_OPEN_ONE = """
SELECT decision_id, consumer, officer, reason, accessed_at, due_at
  FROM consent.emergency_review WHERE reviewed_at IS NULL AND decision_id = %s FOR UPDATE
"""
_CLOSE = """
UPDATE consent.emergency_review SET reviewed_at = %s, reviewed_by = %s, justified = %s, remark = %s
 WHERE decision_id = %s
"""
