"""Strings the four steps of a sync into a DAG of fixed shape; the steps themselves are in `records.sync`."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, task
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.definitions.timetables.trigger import CronTriggerTimetable

from dags import steps
from dags.contracts import contracts_to_schedule, dag_id_of
from dags.documentation import dag_page
from dags.outcomes import deadline_missed, end_batch_of_failed_run, outcome_for_airflow
from dags.pools import pool_of

if TYPE_CHECKING:
    from schemas.contract import Contract

__all__ = ["build_sync_dag", "build_sync_dags"]


def build_sync_dags() -> list[DAG]:
    """One DAG per contract that can be loaded, in the order of the dataset ids."""
    return [build_sync_dag(contract) for contract in contracts_to_schedule()]


def build_sync_dag(contract: "Contract") -> DAG:
    """The DAG of one contract: open_batch, land, assess, publish. What travels between them are ids."""
    with DAG(
        dag_id=dag_id_of(contract.id),
        dag_display_name=contract.id,
        description=f"Sync of {contract.id}, contract version {contract.version}",
        schedule=CronTriggerTimetable(
            contract.schedule, timezone=contract.timezone, run_immediately=timedelta(0)
        ),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": contract.agency, **_retries()},
        tags={"sync", contract.agency, contract.record_type.name},
        doc_md=dag_page(contract),
        deadline=DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=contract.freshness,
            callback=SyncCallback(deadline_missed, kwargs={"dataset": contract.id}),
        ),
        on_failure_callback=end_batch_of_failed_run,
    ) as dag:
        outlets = [Asset(name=f"lintas://records/{contract.id}", uri=f"lintas://records/{contract.id}")]
        _wire(contract.id, outlets, pool_of(contract.agency))
    return dag


def _retries() -> dict[str, Any]:
    from foundation.settings import load_settings

    settings = load_settings()
    return {
        "retries": settings.sync_retries,
        "retry_delay": timedelta(seconds=settings.sync_retry_seconds),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
    }


def _wire(dataset: str, outlets: Iterable[Asset], pool: str) -> None:
    opened: Any = open_batch.override(pool=pool)(dataset)
    landed: Any = land.override(pool=pool)(dataset, opened)
    assessed: Any = assess(dataset, landed)
    publish.override(outlets=list(outlets))(dataset, assessed)


@task(doc_md="Decides, commits the entry `sync.started`, plans the slices; only then is the source asked.")
def open_batch(dataset: str, **context: Any) -> str:
    """Give the id of the batch that the other tasks work on."""
    with outcome_for_airflow(dataset, context):
        return steps.open_batch(dataset, run_id=context["run_id"])


@task(doc_md="Reads, maps and validates; each page is one commit. A retry resumes after the last page.")
def land(dataset: str, batch_id: str, **context: Any) -> str:
    """Give the same id on."""
    with outcome_for_airflow(dataset, context, batch_id):
        return steps.land(dataset, batch_id)


@task(doc_md="Runs the contract's expectations by SQL over the whole batch: pass, warn or hold.")
def assess(dataset: str, batch_id: str, **context: Any) -> str:
    """Give the same id on."""
    with outcome_for_airflow(dataset, context, batch_id):
        return steps.assess(dataset, batch_id)


@task(doc_md="One transaction: merge, history, cursor, change feed and the entry `sync.completed`.")
def publish(dataset: str, batch_id: str, **context: Any) -> str:
    """Give the same id on."""
    with outcome_for_airflow(dataset, context, batch_id):
        return steps.publish(dataset, batch_id)
