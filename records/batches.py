"""Batches: one run over one dataset, from opening to its one end.

Invariant: a batch ends once, with an entry of its own, and only the worker of the latest attempt may
write to it. A dataset has at most one batch on its way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from connectors.source import Operation, Slice, Window
from foundation import clock
from records.errors import BatchNotFound, ContractReplaced, WorkerFenced
from records.staging import Staging
from records.tables import RecordTable
from schemas.contract import Contract

__all__ = [
    "ACTIVE",
    "Batch",
    "BatchKind",
    "BatchStatus",
    "end",
    "fence",
    "insert",
    "load",
    "mark",
    "plan",
    "take_over",
]


class BatchKind(StrEnum):
    """How a batch relates to what is known."""

    SNAPSHOT = "snapshot"
    INCREMENTAL = "incremental"
    REPLAY = "replay"


class BatchStatus(StrEnum):
    """Where a batch stands."""

    OPEN = "open"
    ASSESSED = "assessed"
    RELEASED = "released"
    HELD = "held"
    PUBLISHED = "published"
    REJECTED = "rejected"
    FAILED = "failed"


ACTIVE = (BatchStatus.OPEN, BatchStatus.ASSESSED, BatchStatus.RELEASED)
"""A batch on its way; the other states are ends, but for `held`, which waits for a steward."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as one worker sees it.

    Attributes:
        batch_id: Its id; all that travels between Airflow's tasks.
        contract: The contract it follows.
        kind: A complete snapshot, an increment, or a replay from quarantine.
        attempt: The number that fences older workers.
        status: Where it stood when this worker took it.
        run_id: The run that works on it.
        decision_id: The decision under which it collects.
        window: What is asked of the source.
        slices: The parts in which it is read; empty until planned.
        started_at: When it was opened.
        resumed: Whether this worker goes on where another one stopped.
        report: What is known of it so far.
    """

    batch_id: UUID
    contract: Contract
    kind: BatchKind
    attempt: int
    status: BatchStatus
    run_id: str
    decision_id: str
    window: Window
    slices: tuple[Slice, ...]
    started_at: datetime
    resumed: bool = False
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dataset_id(self) -> str:
        """The dataset."""
        return self.contract.id

    @property
    def contract_version(self) -> str:
        """Version of the contract it follows."""
        return self.contract.version

    @property
    def staging(self) -> Staging:
        """Where its rows are staged."""
        return Staging(self.batch_id, RecordTable.of(self.contract), self.contract.latest_by)

    def slice_number(self, slice_id: str) -> int:
        """Place of a slice in the plan, as staging counts it."""
        return next(number for number, each in enumerate(self.slices) if each.slice_id == slice_id)


def insert(
    connection: psycopg.Connection[Any],
    *,
    contract: Contract,
    kind: BatchKind,
    run_id: str,
    decision_id: str,
    window: Window,
) -> Batch:
    """Write a new batch in its first attempt."""
    batch = Batch(
        batch_id=uuid4(),
        contract=contract,
        kind=kind,
        attempt=1,
        status=BatchStatus.OPEN,
        run_id=run_id,
        decision_id=decision_id,
        window=window,
        slices=(),
        started_at=clock.now(),
    )
    connection.execute(
        "INSERT INTO records.batch (batch_id, dataset_id, kind, attempt, status, run_id, decision_id,"
        " contract_version, contract_hash, window_since, window_until, started_at)"
        " VALUES (%s, %s, %s, 1, 'open', %s, %s, %s, %s, %s, %s, %s)",
        [
            batch.batch_id, contract.id, kind, run_id, decision_id, contract.version, contract.hash,
            window.since, window.until, batch.started_at,
        ],
    )  # fmt: skip
    return batch


def plan(connection: psycopg.Connection[Any], batch: Batch, slices: Sequence[Slice]) -> Batch:
    """Note in which slices the batch is read; the first plan stands.

    What is read as changes only is no complete snapshot, whatever the contract expects of a full reading.
    """
    complete = all(each.operation is Operation.SNAPSHOT for each in slices)
    connection.execute(
        "UPDATE records.batch SET slices = %s, kind = CASE WHEN kind = 'snapshot' AND NOT %s THEN"
        " 'incremental'"
        " ELSE kind END WHERE batch_id = %s AND slices IS NULL",
        [json.dumps([_described(each) for each in slices]), complete, batch.batch_id],
    )
    return load(connection, batch.batch_id, batch.contract, resumed=batch.resumed)


def load(
    connection: psycopg.Connection[Any], batch_id: UUID, contract: Contract, *, resumed: bool = True
) -> Batch:
    """Read a batch.

    Raises:
        BatchNotFound: When there is none of that id under this contract.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT * FROM records.batch WHERE batch_id = %s", [batch_id]).fetchone()
    if row is None or row["dataset_id"] != contract.id:
        raise BatchNotFound(
            f"There is no such batch of {contract.id}",
            remedy="`lintas status` lists batches",
            batch=str(batch_id),
        )
    if row["contract_hash"] != contract.hash:
        raise ContractReplaced(
            f"The batch of {contract.id} was begun under another contract, version {row['contract_version']}",
            remedy="Run the sync again; it begins a batch under the contract now in force",
            batch=str(batch_id),
        )
    return _from_row(row, contract, resumed=resumed)


def take_over(connection: psycopg.Connection[Any], batch_id: UUID, contract: Contract) -> Batch:
    """Begin the next attempt; whatever an older worker still wants to write is refused from now on."""
    connection.execute(
        "UPDATE records.batch SET attempt = attempt + 1 WHERE batch_id = %s AND status = ANY(%s)",
        [batch_id, list(ACTIVE)],
    )
    return load(connection, batch_id, contract)


def fence(
    connection: psycopg.Connection[Any],
    batch: Batch,
    *,
    allowed: Sequence[BatchStatus] = ACTIVE,
    alone: bool = False,
) -> BatchStatus:
    """Check, in the writing transaction, that this worker is the latest and the batch still on its way.

    The row stays locked until the transaction ends, so a take-over waits for it.

    Raises:
        WorkerFenced: When another worker has taken over, or the batch has ended.
    """
    lock = "FOR UPDATE" if alone else "FOR SHARE"
    row = connection.execute(
        f"SELECT attempt, status FROM records.batch WHERE batch_id = %s {lock}",  # noqa: S608
        [batch.batch_id],
    ).fetchone()
    if row is None or row[0] != batch.attempt or row[1] not in allowed:
        status = None if row is None else row[1]
        raise WorkerFenced(
            f"This worker (attempt {batch.attempt}) no longer holds the batch of {batch.dataset_id}",
            why="A later attempt has taken it over" if status in ACTIVE else f"The batch is {status}",
            remedy="Nothing was written by this worker; look at the later attempt",
            batch=str(batch.batch_id),
            attempt=batch.attempt,
            status=status,
        )
    return BatchStatus(row[1])


def note_seconds(connection: psycopg.Connection[Any], batch_id: UUID, step: str, seconds: float) -> None:
    """Add to the time that a step has worked on a batch, over all of its attempts."""
    connection.execute(
        "UPDATE records.batch SET report = jsonb_set(coalesce(report, '{}'), '{seconds}',"
        " coalesce(report -> 'seconds', '{}') || jsonb_build_object(%(step)s::text,"
        " coalesce((report -> 'seconds' ->> %(step)s)::numeric, 0) + %(seconds)s::numeric))"
        " WHERE batch_id = %(batch)s",
        {"step": step, "seconds": round(seconds, 3), "batch": batch_id},
    )


def mark(
    connection: psycopg.Connection[Any], batch: Batch, status: BatchStatus, report: Mapping[str, Any]
) -> None:
    """Move the batch on and add to its report."""
    connection.execute(
        "UPDATE records.batch SET status = %s, report = coalesce(report, '{}') || %s WHERE batch_id = %s",
        [status, json.dumps(report), batch.batch_id],
    )


def end(
    connection: psycopg.Connection[Any],
    batch_id: UUID,
    status: BatchStatus,
    *,
    reason: str | None = None,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Write the batch's end; its page tokens, which may hold keys of the source, are forgotten."""
    connection.execute(
        "UPDATE records.batch SET status = %s, ended_at = %s, reason = coalesce(%s, reason),"
        " report = coalesce(report, '{}') || %s WHERE batch_id = %s",
        [status, clock.now(), reason, json.dumps(report or {}), batch_id],
    )
    connection.execute(
        "UPDATE records.page SET token = NULL WHERE batch_id = %s AND token IS NOT NULL", [batch_id]
    )


def _described(each: Slice) -> dict[str, Any]:
    return {
        "slice_id": each.slice_id,
        "description": each.description,
        "operation": each.operation,
        "bounds": dict(each.bounds),
        "since": each.window.since.isoformat() if each.window.since else None,
        "until": each.window.until.isoformat() if each.window.until else None,
    }


def _from_row(row: Mapping[str, Any], contract: Contract, *, resumed: bool) -> Batch:
    return Batch(
        batch_id=row["batch_id"],
        contract=contract,
        kind=BatchKind(row["kind"]),
        attempt=row["attempt"],
        status=BatchStatus(row["status"]),
        run_id=row["run_id"],
        decision_id=row["decision_id"],
        window=Window(row["window_since"], row["window_until"]),
        slices=tuple(_slice(each) for each in row["slices"] or ()),
        started_at=row["started_at"],
        resumed=resumed,
        report=row["report"] or {},
    )


def _slice(described: Mapping[str, Any]) -> Slice:
    bounds = [
        datetime.fromisoformat(described[name]) if described[name] else None for name in ("since", "until")
    ]
    return Slice(
        described["slice_id"],
        described["description"],
        Operation(described["operation"]),
        Window(*bounds),
        described["bounds"],
    )
