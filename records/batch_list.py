"""Batches as a steward looks at them: which, in what state, and why they stand there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from records.errors import BatchNotFound

__all__ = ["BatchSummary", "find_batch", "recent_batches"]

_COLUMNS = (
    "batch_id, dataset_id, kind, status, attempt, contract_version, started_at, ended_at, released_by,"
    " reason, coalesce(report -> 'broken', '[]') AS broken_rules"
)


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """One batch, without its rows."""

    batch_id: UUID
    dataset_id: str
    kind: str
    status: str
    attempt: int
    contract_version: str
    started_at: datetime
    ended_at: datetime | None
    released_by: str | None
    reason: str | None
    broken_rules: list[str]


def recent_batches(
    connection: Connection[Any], *, dataset_id: str | None = None, status: str | None = None, limit: int = 20
) -> list[BatchSummary]:
    """The latest batches, newest first."""
    with connection.cursor(row_factory=class_row(BatchSummary)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM records.batch"  # noqa: S608 - constant columns
            " WHERE (%(dataset)s::text IS NULL OR dataset_id = %(dataset)s)"
            "   AND (%(status)s::text IS NULL OR status = %(status)s)"
            " ORDER BY started_at DESC LIMIT %(limit)s",
            {"dataset": dataset_id, "status": status, "limit": limit},
        ).fetchall()


def find_batch(connection: Connection[Any], batch_id: UUID) -> BatchSummary:
    """One batch.

    Raises:
        BatchNotFound: When there is none of that id.
    """
    with connection.cursor(row_factory=class_row(BatchSummary)) as cursor:
        found = cursor.execute(
            f"SELECT {_COLUMNS} FROM records.batch WHERE batch_id = %s",  # noqa: S608 - constant columns
            [batch_id],
        ).fetchone()
    if found is None:
        raise BatchNotFound(
            "There is no such batch",
            remedy="`lintas batches list` shows the latest ones",
            batch=str(batch_id),
        )
    return found
