"""Opening a batch: decided and logged before the source is asked for anything."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from audit.backlog import await_acceptance
from audit.entry import EntryDraft, EntryKind
from audit.log import append
from connectors.source import Window
from consent.commitment import take_quota
from consent.decision import Decision
from consent.errors import QuotaExhausted
from foundation import clock, telemetry
from foundation.errors import LintasError
from records import batches, endings
from records.batches import ACTIVE, Batch, BatchKind, BatchStatus
from records.context import SyncContext
from records.tables import require_published
from schemas.contract import Contract, Snapshot

__all__ = [
    "RESUME_WITHIN",
    "batch_of_run",
    "end_without_contract",
    "note_unusable_contract",
    "open_batch",
    "take_over",
]

RESUME_WITHIN = timedelta(hours=6)
"""How old an unfinished batch may be to be gone on with; older pages would not fit the newer ones."""


def open_batch(
    context: SyncContext, contract: Contract, window: Window | None = None, run_id: str | None = None
) -> Batch:
    """Begin a batch, or go on with one that a killed worker left behind.

    The decision and the entry `sync.started` are committed before the source is asked for its slices. A
    resumed batch has its entry already and gets none again.

    Args:
        context: Installation, sources, observer.
        contract: The dataset's contract, which must be in force.
        window: What to ask for; by default a complete snapshot, or what changed since the last publish.
        run_id: The run on whose behalf; made up when missing.

    Raises:
        DatasetNotPublished: When the contract is not in force.
        ExchangeDenied: When no live agreement covers the collection; the refusal is logged.
        LogBehind: When the log takes no exchange for a minute.
    """
    with context.connection() as connection:
        await_acceptance(connection)
    denied, batch = _begin(context, contract, window, run_id or f"run-{uuid4().hex[:12]}")
    if denied is not None:
        denied.require_allowed()
    assert batch is not None
    return batch if batch.slices else _planned(context, batch)


def note_unusable_contract(context: SyncContext, dataset_id: str, error: LintasError) -> None:
    """Log that a sync was asked for and could not begin, because the contract's file is wrong."""
    with context.transaction() as connection:
        append(connection, _without_contract(context, dataset_id, error))


def end_without_contract(context: SyncContext, dataset_id: str, error: LintasError, *, run_id: str) -> bool:
    """End the batch of a run whose contract can be read no more, with its entry; False when it has none.

    The dataset's next sync drops what the batch staged.
    """
    with context.transaction() as connection:
        active = _active(connection, dataset_id)
        if active is None or active["run_id"] != run_id:
            return False
        about = {name: active[name] for name in ("batch_id", "attempt", "contract_version")}
        append(connection, _without_contract(context, dataset_id, error, run_id=run_id, batch=about))
        batches.end(connection, active["batch_id"], BatchStatus.FAILED, reason=error.code)
    return True


def _without_contract(
    context: SyncContext, dataset_id: str, error: LintasError, **further: Any
) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.SYNC_FAILED,
        provider=dataset_id.partition("/")[0],
        consumer=context.operator,
        system=context.system,
        datasets=(dataset_id,),
        outcome="failed",
        trace_id=telemetry.trace_id(),
        details={"error": error.code, "step": "contract"},
        **further,
    )


def take_over(context: SyncContext, contract: Contract, batch_id: UUID) -> Batch:
    """Work on a batch that another process opened, fencing whoever worked on it before.

    Raises:
        BatchNotFound, ContractReplaced: When there is no such batch under this contract.
    """
    with context.transaction() as connection:
        return batches.take_over(connection, batch_id, contract)


def batch_of_run(context: SyncContext, contract: Contract, run_id: str) -> Batch | None:
    """The latest batch that a run opened."""
    with context.connection() as connection:
        row = connection.execute(
            "SELECT batch_id FROM records.batch WHERE dataset_id = %s AND run_id = %s ORDER BY"
            " started_at DESC LIMIT 1",
            [contract.id, run_id],
        ).fetchone()
        return None if row is None else batches.load(connection, row[0], contract)


def _begin(
    context: SyncContext, contract: Contract, window: Window | None, run_id: str
) -> tuple[Decision | None, Batch | None]:
    with context.transaction() as connection:
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('lintas.records.open:' || %s, 0))", [contract.id]
        )
        require_published(connection, contract)
        endings.clear_leftovers(connection, contract)
        active = _active(connection, contract.id)
        decision = endings.decide_collection(
            context, connection, contract, active["decision_id"] if active else None
        )
        if not decision.allowed:
            _refuse(context, connection, contract, decision, active=active, run_id=run_id)
            return decision, None
        if active is not None and (why := _not_resumable(active, contract)):
            endings.abandon(context, connection, active, contract, why)
            active = None
        if active is not None:
            connection.execute(
                "UPDATE records.batch SET run_id = %s WHERE batch_id = %s", [run_id, active["batch_id"]]
            )
            return None, batches.take_over(connection, active["batch_id"], contract)
        try:
            take_quota(connection, decision)
        except QuotaExhausted:  # another dataset of the agreement took the last of the day just now
            decision = endings.decide_collection(context, connection, contract)
            _refuse(context, connection, contract, decision, active=None, run_id=run_id)
            return decision, None
        return None, _insert(context, connection, contract, decision, window=window, run_id=run_id)


def _insert(
    context: SyncContext,
    connection: psycopg.Connection[Any],
    contract: Contract,
    decision: Decision,
    *,
    window: Window | None,
    run_id: str,
) -> Batch:
    kind = BatchKind.SNAPSHOT if contract.snapshot is Snapshot.COMPLETE else BatchKind.INCREMENTAL
    batch = batches.insert(
        connection,
        contract=contract,
        kind=kind,
        run_id=run_id,
        decision_id=decision.decision_id,
        window=window or _window(connection, contract, kind),
    )
    batch.staging.create(connection)
    details = {"snapshot": str(contract.snapshot), "mode": str(contract.mode)}
    append(
        connection,
        endings.draft(
            context,
            EntryKind.SYNC_STARTED,
            contract,
            decision=decision,
            batch=batch,
            details=details,
            outcome="started",
        ),
    )
    return batch


def _planned(context: SyncContext, batch: Batch) -> Batch:
    """Ask the source for its slices; if that fails, the batch ends with its entry."""
    try:
        with closing(context.source_of(context, batch.contract)) as source:
            slices = source.slices(batch.window)
        with context.transaction() as connection:
            batches.fence(connection, batch)
            return batches.plan(connection, batch, slices)
    except Exception as error:
        endings.fail(context, batch, error, step="open_batch")
        raise


def _window(connection: psycopg.Connection[Any], contract: Contract, kind: BatchKind) -> Window:
    now = clock.now()
    if kind is BatchKind.SNAPSHOT:
        return Window(None, now)
    row = connection.execute(
        "SELECT cursor FROM records.dataset_state WHERE dataset_id = %s", [contract.id]
    ).fetchone()
    return Window(min(row[0], now) if row and row[0] else None, now)


def _active(connection: psycopg.Connection[Any], dataset_id: str) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT * FROM records.batch WHERE dataset_id = %s AND status = ANY(%s) FOR UPDATE",
            [dataset_id, list(ACTIVE)],
        ).fetchone()


def _not_resumable(active: Mapping[str, Any], contract: Contract) -> str | None:
    if active["contract_hash"] != contract.hash:
        return "the contract was replaced"
    if active["kind"] == BatchKind.REPLAY:
        return "a replay was interrupted"
    if active["status"] == "open" and clock.now() - active["started_at"] > RESUME_WITHIN:
        return "abandoned too long ago to be resumed"
    return None


def _refuse(
    context: SyncContext,
    connection: psycopg.Connection[Any],
    contract: Contract,
    decision: Decision,
    *,
    active: Mapping[str, Any] | None,
    run_id: str,
) -> None:
    """Log the refusal; a batch that was on its way ends with it."""
    if active is not None:
        endings.abandon(context, connection, active, contract, "the collection is no longer allowed")
        return
    endings.deny(context, connection, contract, decision, step="open_batch", run_id=run_id)
