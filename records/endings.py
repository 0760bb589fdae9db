"""How a batch ends: every way out writes the batch's end and its entry in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors as postgres_errors
from psycopg.rows import dict_row

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from consent.commitment import hold
from consent.decision import Decision, decide
from consent.exchange import ExchangeRequest, new_decision_id
from consent.facts import gather
from consent.vocabulary import Mode, Verb
from foundation import clock, telemetry
from foundation.database import Role, translated
from foundation.errors import LintasError
from foundation.installation import Installation
from records import batches
from records.batches import Batch, BatchStatus
from records.context import SyncContext
from records.errors import BatchNotFound, BatchNotReleasable, WorkerFenced
from records.findings import Assessment
from records.staging import Staging
from schemas.contract import Contract

__all__ = [
    "abandon",
    "decide_collection",
    "deny",
    "draft",
    "fail",
    "hold_collection",
    "reject_held",
    "release",
]

log = telemetry.logger(__name__)


def decide_collection(
    context: SyncContext,
    connection: psycopg.Connection[Any],
    contract: Contract,
    decision_id: str | None = None,
    *,
    at: datetime | None = None,
) -> Decision:
    """Decide whether the bus may collect the fields of a contract now.

    Given the `decision_id` under which a collection began, it is the same exchange, and counted already.
    """
    request = ExchangeRequest(
        verb=Verb.COLLECT,
        mode=Mode.READ,
        consumer=context.operator,
        system=context.system,
        purpose=contract.purpose,
        fields={contract.id: frozenset(contract.fields)},
        at=at or clock.now(),
        decision_id=decision_id or new_decision_id(),
    )
    facts = gather(connection, request)
    if decision_id is not None:
        counted = (replace(fact, quota_left=max(1, fact.quota_left or 0)) for fact in facts.agreements)
        facts = replace(facts, agreements=tuple(counted))
    return decide(request, facts)


def hold_collection(context: SyncContext, connection: psycopg.Connection[Any], batch: Batch) -> Decision:
    """Decide once more, in the publishing transaction, and lock what the decision rests on.

    Raises:
        ExchangeDenied: When no agreement covers the collection any more.
        AgreementChanged: When one changed while it was being looked at.
    """
    decision = decide_collection(context, connection, batch.contract, batch.decision_id)
    hold(connection, decision, decision.request.at)
    return decision


def draft(
    context: SyncContext,
    kind: EntryKind,
    contract: Contract,
    *,
    decision: Decision | None = None,
    batch: Batch | None = None,
    figures: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    outcome: str | None = None,
    actor: str | None = None,
    run_id: str | None = None,
) -> EntryDraft:
    """An entry about a sync, with the decision it rests on and the figures of its batch."""
    about: dict[str, Any] = {
        "contract": contract.id,
        "contract_version": contract.version,
        "contract_hash": contract.hash,
    }
    if batch is not None:
        about |= {
            "batch_id": batch.batch_id,
            "attempt": batch.attempt,
            "window_since": batch.window.since,
            "window_until": batch.window.until,
        }
    return EntryDraft(
        kind=kind,
        provider=contract.agency,
        consumer=context.operator,
        system=context.system,
        actor=actor,
        purpose=contract.purpose,
        legal_basis=str(decision.legal_basis) if decision and decision.legal_basis else None,
        agreements=decision.agreements if decision else (),
        datasets=(contract.id,),
        fields=tuple(f"{contract.id}:{name}" for name in contract.fields),
        decision_id=decision.decision_id if decision else (batch.decision_id if batch else None),
        rules=decision.rule_ids if decision else (),
        outcome=outcome,
        batch=about | dict(figures or {}),
        run_id=batch.run_id if batch else run_id,
        trace_id=telemetry.trace_id(),
        details=details or {},
    )


def deny(
    context: SyncContext,
    connection: psycopg.Connection[Any],
    contract: Contract,
    decision: Decision,
    *,
    step: str,
    run_id: str,
    actor: str | None = None,
) -> None:
    """Log that a batch was not begun because the decision was no; commit before telling anybody."""
    details = {"error": "exchange-denied", "step": step}
    append(
        connection,
        draft(
            context, EntryKind.SYNC_FAILED, contract, decision=decision, details=details, outcome="denied",
            run_id=run_id, actor=actor,
        ),
    )  # fmt: skip


def fail(context: SyncContext, batch: Batch, error: BaseException, *, step: str | None = None) -> bool:
    """End a batch that cannot go on, with its entry; False when it has ended or another worker holds it."""
    details = {"error": _code(error), "step": step}
    with context.transaction() as connection:
        try:
            batches.fence(connection, batch, alone=True)
        except WorkerFenced:
            return False
        append(
            connection,
            draft(
                context, EntryKind.SYNC_FAILED, batch.contract, batch=batch, details=details, outcome="failed"
            ),
        )
        batches.end(
            connection, batch.batch_id, BatchStatus.FAILED, reason=_code(error), report={"failed_at": step}
        )
        batch.staging.drop(connection)
    log.warning(
        "sync.failed", dataset=batch.dataset_id, batch=str(batch.batch_id), error=_code(error), step=step
    )
    return True


def abandon(
    context: SyncContext,
    connection: psycopg.Connection[Any],
    row: Mapping[str, Any],
    contract: Contract,
    why: str,
) -> None:
    """End a batch that an earlier run left behind and that cannot be resumed, in the caller's transaction."""
    about = {
        "batch_id": row["batch_id"],
        "attempt": row["attempt"],
        "contract_version": row["contract_version"],
    }
    append(
        connection,
        draft(
            context, EntryKind.SYNC_FAILED, contract, figures=about, outcome="failed", run_id=row["run_id"],
            details={"reason": why},
        ),
    )  # fmt: skip
    batches.end(connection, row["batch_id"], BatchStatus.FAILED, reason=why)
    _forget(connection, contract, row["batch_id"])


def reject(
    context: SyncContext,
    connection: psycopg.Connection[Any],
    batch: Batch,
    assessment: Assessment,
    figures: Mapping[str, Any],
) -> None:
    """End a batch that cannot be used, in the caller's transaction; its quarantined rows are kept."""
    details = {"rules": list(assessment.broken_rules), "assessment": str(assessment.verdict)}
    append(
        connection,
        draft(
            context, EntryKind.SYNC_REJECTED, batch.contract, batch=batch, figures=figures, details=details,
            outcome="rejected",
        ),
    )  # fmt: skip
    batches.end(connection, batch.batch_id, BatchStatus.REJECTED, reason=", ".join(assessment.broken_rules))
    batch.staging.drop(connection)


def supersede_held(context: SyncContext, connection: psycopg.Connection[Any], batch: Batch) -> list[UUID]:
    """Reject the held batches that a newer, published one makes pointless, in the publishing transaction."""
    rows = connection.execute(
        "SELECT batch_id FROM records.batch WHERE dataset_id = %s AND status = 'held' AND started_at <"
        " %s FOR UPDATE",
        [batch.dataset_id, batch.started_at],
    ).fetchall()
    for (batch_id,) in rows:
        append(
            connection,
            draft(
                context, EntryKind.SYNC_REJECTED, batch.contract, figures={"batch_id": batch_id},
                details={"reason": "superseded by a newer batch", "batch_id": batch.batch_id},
                outcome="rejected", run_id=batch.run_id,
            ),
        )  # fmt: skip
        batches.end(connection, batch_id, BatchStatus.REJECTED, reason="superseded")
        _forget(connection, batch.contract, batch_id)
    return [row[0] for row in rows]


def release(installation: Installation, batch_id: UUID, *, actor: str, reason: str) -> None:
    """Let a held batch be published after all; `sync.publish` then does so.

    Raises:
        BatchNotReleasable: When it is not held, or a newer batch is on its way or published.
    """
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        row = _held(connection, batch_id)
        newer = connection.execute(
            "SELECT 1 FROM records.batch WHERE dataset_id = %s AND status = 'published' AND kind <> 'replay'"
            " AND started_at > %s LIMIT 1",
            [row["dataset_id"], row["started_at"]],
        ).fetchone()
        if newer:
            raise _not_releasable(batch_id, "A newer batch has been published since")
        append(connection, _steward_draft(EntryKind.SYNC_RELEASED, row, actor, reason, "released"))
        try:
            connection.execute(
                "UPDATE records.batch SET status = 'released', released_by = %s, reason = %s WHERE"
                " batch_id = %s",
                [actor, reason, batch_id],
            )
        except postgres_errors.UniqueViolation:
            raise _not_releasable(batch_id, "Another batch of the dataset is on its way") from None


def reject_held(installation: Installation, batch_id: UUID, *, actor: str, reason: str) -> None:
    """Reject a held batch for good; its staging is cleared by the next sync of the dataset.

    Raises:
        BatchNotReleasable: When it is not held.
    """
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        row = _held(connection, batch_id)
        append(connection, _steward_draft(EntryKind.SYNC_REJECTED, row, actor, reason, "rejected"))
        connection.execute(
            "UPDATE records.batch SET status = 'rejected', released_by = %s, reason = %s, ended_at = %s"
            " WHERE batch_id = %s",
            [actor, reason, clock.now(), batch_id],
        )
        connection.execute("DELETE FROM quality.held_tag WHERE batch_id = %s", [batch_id])


def clear_leftovers(connection: psycopg.Connection[Any], contract: Contract) -> None:
    """Drop staging that ended batches of the dataset left behind."""
    rows = connection.execute(
        "SELECT batch_id FROM records.batch WHERE dataset_id = %s AND status IN ('published',"
        " 'rejected', 'failed')"
        " AND to_regclass('staging.b_' || replace(batch_id::text, '-', '')) IS NOT NULL",
        [contract.id],
    ).fetchall()
    for (batch_id,) in rows:
        _forget(connection, contract, batch_id)


def _forget(connection: psycopg.Connection[Any], contract: Contract, batch_id: UUID) -> None:
    from records.tables import RecordTable

    connection.execute("DELETE FROM quality.held_tag WHERE batch_id = %s", [batch_id])
    Staging(batch_id, RecordTable.of(contract)).drop(connection)


def _held(connection: psycopg.Connection[Any], batch_id: UUID) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT b.*, d.agency FROM records.batch b JOIN records.dataset d USING (dataset_id)"
            " WHERE batch_id = %s FOR UPDATE OF b",
            [batch_id],
        ).fetchone()
    if row is None:
        raise BatchNotFound(
            "There is no such batch", remedy="`lintas status` lists batches", batch=str(batch_id)
        )
    if row["status"] != BatchStatus.HELD:
        raise _not_releasable(batch_id, f"It is {row['status']}")
    return row


def _steward_draft(
    kind: EntryKind, row: Mapping[str, Any], actor: str, reason: str, outcome: str
) -> EntryDraft:
    return EntryDraft(
        kind=kind,
        provider=row["agency"],
        actor=actor,
        datasets=(row["dataset_id"],),
        decision_id=row["decision_id"],
        outcome=outcome,
        batch={
            "batch_id": row["batch_id"],
            "contract": row["dataset_id"],
            "contract_version": row["contract_version"],
        },
        run_id=row["run_id"],
        details={"reason": reason},
    )


def _not_releasable(batch_id: UUID, why: str) -> BatchNotReleasable:
    return BatchNotReleasable(
        "The batch cannot be released or rejected",
        why=why,
        remedy="`lintas status` shows where the batches of the dataset stand",
        batch=str(batch_id),
    )


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, LintasError) else type(error).__name__
