"""What each task does: find the contract and the batch again by their ids, and let `records.sync` work.

Tasks run in processes of their own, so nothing but ids comes in and goes out, and everything is imported here
only when it is needed: Airflow parses this file with every DAG.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from foundation.errors import LintasError
    from records.sync import SyncContext
    from schemas.contract import Contract

__all__ = ["assess", "fail", "land", "note_missed_deadline", "open_batch", "publish"]


def open_batch(dataset: str, *, run_id: str) -> str:
    """Open (or resume) the batch of a run; give its id."""
    from records import sync

    with _at_work(dataset) as (context, contract):
        return str(sync.open_batch(context, contract, run_id=run_id).batch_id)


def land(dataset: str, batch_id: str) -> str:
    """Land every slice of a batch, each from the page after the last one that is in the ledger."""
    from records import sync

    with _at_work(dataset) as (context, contract):
        batch = sync.take_over(context, contract, UUID(batch_id))
        for part in batch.slices:
            sync.land(context, batch, part)
    return batch_id


def assess(dataset: str, batch_id: str) -> str:
    """Assess a batch as a whole; one that must be held is held, and says so."""
    from records import sync

    with _at_work(dataset) as (context, contract):
        sync.assess(context, sync.take_over(context, contract, UUID(batch_id)))
    return batch_id


def publish(dataset: str, batch_id: str) -> str:
    """Publish a batch in one transaction."""
    from records import sync

    with _at_work(dataset) as (context, contract):
        sync.publish(context, sync.take_over(context, contract, UUID(batch_id)))
    return batch_id


def fail(dataset: str, *, run_id: str, error: "LintasError") -> None:
    """End the batch of a run with its entry, unless it has ended."""
    from records import sync

    with _at_work(dataset) as (context, contract):
        batch = sync.batch_of_run(context, contract, run_id)
        if batch is not None:
            sync.fail(context, batch, error)


def note_missed_deadline(dataset: str) -> None:
    """Say in the log of the bus that a dataset is overdue."""
    from foundation import telemetry

    telemetry.logger(__name__).warning("deadline missed", dataset=dataset)


@contextmanager
def _at_work(dataset: str) -> "Iterator[tuple[SyncContext, Contract]]":
    from dags.redaction import redact_logs
    from foundation import telemetry
    from foundation.installation import Installation
    from records.sync import SyncContext
    from schemas.contracts import load_contracts

    redact_logs()
    installation = Installation.open()
    contract = load_contracts(installation.settings.contracts, collect=True).get(dataset)
    with telemetry.bind(dataset=dataset):
        yield SyncContext(installation), contract
