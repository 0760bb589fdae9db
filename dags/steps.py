"""What each task does: find the contract and the batch again by their ids, and let `records.sync` work.

Tasks run in processes of their own, so nothing but ids comes in and goes out, and everything is imported here
only when it is needed: Airflow parses this file with every DAG.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from foundation.errors import LintasError
    from records.sync import Batch, SyncContext
    from schemas.contract import Contract

__all__ = ["assess", "fail", "land", "note_missed_deadline", "open_batch", "publish"]


def open_batch(dataset: str, *, run_id: str) -> str:
    """Open (or resume) the batch of a run; give its id."""
    from records import sync

    with _at_work(dataset, "open_batch") as work:
        work.batch_id = str(sync.open_batch(work.context, work.contract, run_id=run_id).batch_id)
    return work.batch_id


def land(dataset: str, batch_id: str) -> str:
    """Land every slice of a batch, each from the page after the last one that is in the ledger."""
    from records import sync

    with _at_work(dataset, "land", batch_id) as work:
        batch = work.take_over()
        for part in batch.slices:
            sync.land(work.context, batch, part)
    return batch_id


def assess(dataset: str, batch_id: str) -> str:
    """Assess a batch as a whole; one that must be held is held, and publishing it says so."""
    from records import sync

    with _at_work(dataset, "assess", batch_id) as work:
        sync.assess(work.context, work.take_over())
    return batch_id


def publish(dataset: str, batch_id: str) -> str:
    """Publish a batch in one transaction."""
    from records import sync

    with _at_work(dataset, "publish", batch_id) as work:
        sync.publish(work.context, work.take_over())
    return batch_id


def fail(dataset: str, *, run_id: str, error: "LintasError", batch_id: str = "") -> None:
    """End the batch that a run worked on with its entry, unless it has ended.

    A run may have resumed a batch that an earlier one opened; a dataset has at most one on its way. A batch
    whose contract broke under it ends as well, and a run that never began for that reason has its entry.
    """
    from foundation.errors import FixContract
    from foundation.installation import Installation
    from records import sync

    try:
        _fail(dataset, run_id=run_id, error=error, batch_id=batch_id)
    except FixContract as unusable:
        context = sync.SyncContext(Installation.open())
        ended = sync.end_without_contract(context, dataset, unusable, run_id=run_id)
        if not ended and error.code == unusable.code:
            sync.note_unusable_contract(context, dataset, unusable)


def _fail(dataset: str, *, run_id: str, error: "LintasError", batch_id: str) -> None:
    from records import sync
    from records.batch_list import recent_batches
    from records.batches import ACTIVE, load

    with _at_work(dataset) as work:
        batch = sync.batch_of_run(work.context, work.contract, run_id)
        with work.context.connection() as connection:
            if not batch_id and batch is None:
                latest = recent_batches(connection, dataset_id=dataset, limit=1)
                batch_id = "".join(str(each.batch_id) for each in latest if each.status in ACTIVE)
            if batch_id:
                batch = load(connection, UUID(batch_id), work.contract)
        if batch is not None:
            sync.fail(work.context, batch, error)


def note_missed_deadline(dataset: str) -> None:
    """Say in the log of the bus that a dataset is overdue."""
    from foundation import telemetry

    telemetry.logger(__name__).warning("deadline missed", dataset=dataset)


@dataclass
class _Work:
    """What a step works with; all of it found again by ids."""

    context: "SyncContext"
    contract: "Contract"
    batch_id: str = ""

    def take_over(self) -> "Batch":
        """The batch, with every older worker fenced off."""
        from records import sync

        return sync.take_over(self.context, self.contract, UUID(self.batch_id))

    def note_seconds(self, step: str, seconds: float) -> None:
        from records.batches import note_seconds

        if self.batch_id:
            with self.context.transaction() as connection:
                note_seconds(connection, UUID(self.batch_id), step, seconds)


@contextmanager
def _at_work(dataset: str, step: str = "", batch_id: str = "") -> Iterator[_Work]:
    from dags.redaction import redact_logs
    from foundation import telemetry
    from foundation.installation import Installation
    from records.sync import SyncContext
    from schemas.contracts import load_contracts

    redact_logs()
    installation = Installation.open()
    contract = load_contracts(installation.settings.contracts, collect=True).get(dataset)
    work = _Work(SyncContext(installation), contract, batch_id)
    started = perf_counter()
    with telemetry.bind(dataset=dataset, batch=batch_id or None):
        yield work
        work.note_seconds(step, perf_counter() - started)
