"""The database's own counts compared with the log: a read when nothing happened on the bus is a question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from audit.reconciliation.accesses import SyncRun
from audit.reconciliation.discrepancies import Discrepancy, DiscrepancyKind, Reconciliation, Window

__all__ = ["compare_reads", "name_foreign_sessions"]

_READING = (
    "exchange.", "sync.", "lookup.", "quarantine.", "conflict.", "identity.", "consent.", "referral.",
    "audit.key-given", "audit.exported", "erasure.", "subject.erased",
)  # fmt: skip
_NEAR = """
SELECT kind FROM audit.entries WHERE occurred_at BETWEEN %(since)s AND %(until)s
"""


def compare_reads(
    connection: psycopg.Connection[Any],
    reads: Mapping[str, datetime | None],
    syncs: Sequence[SyncRun],
    result: Reconciliation,
    *,
    tolerance: timedelta,
) -> None:
    """Note in `result` each record table that was last read when the log tells of nothing that reads.

    Args:
        connection: connection of a role that reads the log.
        reads: the moment of the last read by table.
        syncs: syncs that the log tells of.
        result: where to note it.
        tolerance: how far from an entry a read may lie.
    """
    result.compared["tables"] += len(reads)
    for table, at in sorted(reads.items()):
        if at is None or not result.window.holds(at) or _in_a_sync(at, syncs, tolerance):
            continue
        if result.may_be_pruned(at, tolerance):
            result.beyond += 1
            continue
        given = {"since": at - tolerance, "until": at + tolerance}
        if any(row[0].startswith(_READING) for row in connection.execute(_NEAR, given)):
            continue
        what = f"records.{table} was read, and the log tells of nothing that reads records around that moment"
        found = Discrepancy(DiscrepancyKind.READ_UNEXPLAINED, what, Window(at, at), "database statistics")
        result.add([found])


def name_foreign_sessions(sessions: Iterable[tuple[str, int]], now: datetime) -> Iterable[Discrepancy]:
    """Sessions of roles that are none of the bus's."""
    for role, count in sessions:
        what = f"{count} sessions of the role {role}, which is none of the bus's, are in the database now"
        yield Discrepancy(DiscrepancyKind.FOREIGN_SESSION, what, Window(now, now), "database statistics")


def _in_a_sync(at: datetime, syncs: Iterable[SyncRun], tolerance: timedelta) -> bool:
    return any(run.started - tolerance <= at <= (run.ended or run.started) + tolerance for run in syncs)
