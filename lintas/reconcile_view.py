"""The log compared with what others kept: portals' receipts, agencies' access logs, the database's counts.

It stands here because it asks of several rooms: the log (audit), the record tables (records) and the keys
with which answers are signed (verification).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lintas.access import OPERATOR, opened
from lintas.acting import acting_auditor

if TYPE_CHECKING:
    from psycopg import Connection

    from audit.reconciliation.discrepancies import Reconciliation
    from foundation.installation import Installation

__all__ = ["Comparison", "reconcile", "told"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared with the log."""

    receipts: Path | None = None
    access_logs: Path | None = None
    statistics: bool = True
    complete_for: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    tolerance: timedelta = timedelta(minutes=5)


def reconcile(comparison: Comparison, *, actor: str | None = None) -> "Reconciliation":
    """Compare, and log that it was compared."""
    from audit.reconciliation.discrepancies import Reconciliation, Window
    from audit.retention import newest_pruned
    from foundation import clock
    from foundation.database import Role, translated

    result = Reconciliation(Window(comparison.since, comparison.until))
    with opened() as installation, translated():
        now = clock.now()
        with installation.database.connect(Role.AUDITOR) as connection:
            connection.execute("SET TRANSACTION READ ONLY")
            named = acting_auditor(connection, installation.settings, actor)
            result.pruned_until = newest_pruned(connection)
            _with_receipts(installation, connection, comparison, result, now)
            _with_sources(connection, comparison, result)
            if comparison.statistics:
                _with_sessions(connection, result, now)
        with installation.database.connect(Role.AUDITOR) as connection:
            _log(connection, result, named)
    return result


def told(result: "Reconciliation") -> dict[str, Any]:
    """A comparison as data."""
    return {
        "agrees": not result.contradictions,
        "compared": dict(result.compared),
        "pending": result.pending,
        "pruned_until": result.pruned_until,
        "beyond": result.beyond,
        "window": result.window.as_dict(),
        "discrepancies": [each.as_dict() for each in result.contradictions],
        "questions": [each.as_dict() for each in result.questions],
        "not_shown": list(NOT_SHOWN),
    }


NOT_SHOWN: Sequence[str] = (
    "what neither a portal, nor an agency, nor the database has kept",
    "who read the database: PostgreSQL counts reads by table, and keeps the moment of the last one only",
    "whether the stored log is whole: `lintas audit verify` shows that",
)


def _with_receipts(
    installation: "Installation",
    connection: "Connection[Any]",
    comparison: Comparison,
    result: "Reconciliation",
    now: datetime,
) -> None:
    if comparison.receipts is None:
        return
    from audit.checkpoints.keys import log_verifier_keys
    from audit.reconciliation.held_receipts import read_receipts
    from audit.reconciliation.receipts import compare_receipts
    from verification.signing import BusSigner

    bus_keys = BusSigner(installation.keyring).public_keys()
    held = read_receipts(comparison.receipts, log_verifier_keys(installation), bus_keys)
    compare_receipts(connection, held, result, now, complete_for=comparison.complete_for)


def _with_sources(connection: "Connection[Any]", comparison: Comparison, result: "Reconciliation") -> None:
    from audit.reconciliation.access_log import read_access_logs
    from audit.reconciliation.accesses import compare_accesses, logged_questions
    from audit.reconciliation.reads import compare_reads
    from records.table_reads import table_reads

    syncs, lookups = logged_questions(connection, result.window, result.pruned_until)
    if comparison.access_logs is not None:
        accesses = read_access_logs(comparison.access_logs)
        compare_accesses(accesses, syncs, lookups, result, tolerance=comparison.tolerance)
    if comparison.statistics:
        reads = {each.table: each.last_read for each in table_reads(connection)}
        compare_reads(connection, reads, syncs, result, tolerance=comparison.tolerance)


def _with_sessions(connection: "Connection[Any]", result: "Reconciliation", now: datetime) -> None:
    from audit.reconciliation.reads import name_foreign_sessions
    from records.table_reads import foreign_sessions

    found = foreign_sessions(connection)
    result.add(name_foreign_sessions([(each.role, each.sessions) for each in found], now))


def _log(connection: "Connection[Any]", result: "Reconciliation", actor: str) -> None:
    from audit.entry import EntryDraft, EntryKind
    from audit.log import append

    compared: Mapping[str, int] = result.compared
    append(
        connection,
        EntryDraft(
            kind=EntryKind.AUDIT_RECONCILED,
            actor=actor,
            consumer=OPERATOR,
            outcome="contradicted" if result.contradictions else "agrees",
            details={
                "since": result.window.since,
                "until": result.window.until,
                "discrepancies": result.counts(),
                **{name: compared.get(name, 0) for name in ("proofs", "promises", "answers", "accesses")},
            },
        ),
    )
