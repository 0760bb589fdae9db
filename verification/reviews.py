"""The queue of answers to be verified again.

One process works on a row; what it was killed over is taken up anew by the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from foundation import clock, telemetry
from foundation.errors import LintasError
from verification.context import AnsweringContext
from verification.reviewing import Reviewed, review

Connection = psycopg.Connection[Any]
log = telemetry.logger(__name__)

_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=6)
_CLAIM = """
SELECT review_id, answer_id, found_at, attempts FROM verification.review
 WHERE due_at <= %s ORDER BY due_at, review_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True)
class _Waiting:
    review_id: int
    answer_id: UUID
    found_at: Any
    attempts: int


def review_one(context: AnsweringContext) -> Reviewed | None:
    """Review the answer that waits longest; None when none waits.

    The row is locked while the answer is reviewed on another connection, and deleted after. Killed in
    between, it is reviewed again, which finds nothing left to do.
    """
    with context.connection() as connection, connection.transaction():
        row = connection.execute(_CLAIM, (clock.now(),)).fetchone()
        if row is None:
            return None
        waiting = _Waiting(*row)
        try:
            ended = review(context, waiting.answer_id, waiting.found_at)
        except LintasError as error:
            log.warning("review.failed", answer=str(waiting.answer_id), error=error.code)
            ended = Reviewed.POSTPONED
        if ended is Reviewed.POSTPONED:
            _postpone(connection, waiting)
        else:
            connection.execute("DELETE FROM verification.review WHERE review_id = %s", (waiting.review_id,))
    return ended


def _postpone(connection: Connection, waiting: _Waiting) -> None:
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(waiting.attempts, 20))
    connection.execute(
        "UPDATE verification.review SET due_at = %s, attempts = attempts + 1 WHERE review_id = %s",
        (clock.now() + pause, waiting.review_id),
    )
