"""A city's night: every dataset of 140,000 people through the real scheduler, first load and unchanged.

The baseline of the same run loads the same tables by bulk COPY and one guarded MERGE each: no source system,
no check, no history, no quarantine and no log.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import polars as pl
import psutil
from rich.console import Console

from benchmarks.baselines import load_frame
from benchmarks.measure import Measurement, measured
from benchmarks.workspace import free_port, workspace
from dags.contracts import dag_id_of
from foundation.database import Role
from foundation.installation import Installation
from lintas.airflow import AirflowApi, AirflowInstallation
from lintas.live_syncs import SyncProgress, watch_syncs
from lintas.processes import AIRFLOW_NAMES
from lintas.stage import Stages
from lintas.up import group_of
from sandbox.datasets import DATASETS
from sandbox.population import Population
from schemas.contracts import load_contracts

TITLE = "A city's registers through the real Airflow scheduler"


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs it small."""
    people = 1_000 if smoke else 140_000
    with workspace(
        people=people, api_port=free_port(), airflow_port=free_port(), postgres_durable=True
    ) as installation:
        rows = _baselines(installation, people)
        settings = installation.settings
        with group_of(settings, with_practice=True) as group:
            group.wait_healthy(["sandbox", "introduction", *AIRFLOW_NAMES], timeout=900)
            airflow = AirflowApi(AirflowInstallation.of(settings))
            datasets = [contract.id for contract in load_contracts(settings.contracts)]
            airflow.wait_for_dags({dag_id_of(dataset) for dataset in datasets})
            for name in ("first load", "an unchanged night"):
                rows += _night(installation, airflow, datasets, name, console)
            group.stop()
    return rows


def _night(
    installation: Installation, airflow: AirflowApi, datasets: list[str], name: str, console: Console
) -> list[Measurement]:
    """All datasets at once, as on a night when every schedule has come due."""
    runs = {dataset: f"bench-{name.replace(' ', '-')}-{number}" for number, dataset in enumerate(datasets)}
    with _group_memory() as memory, measured(f"Lintas, {name}, {len(datasets)} datasets", 0, "rows") as whole:
        for dataset, run_id in runs.items():
            airflow.trigger(dag_id_of(dataset), run_id)
        found = watch_syncs(installation, airflow, runs, Stages(console, total=1), timeout=3_600)
    whole.count = sum(each.read for each in found.values())
    whole.peak_mib = memory["peak"]
    published = sum(each.published for each in found.values())
    whole.note = f"{whole.seconds / 60:.1f} min; {published:,} published; memory of all processes"
    _all_published(found)
    return [whole, *(_one(each) for each in found.values())]


def _one(progress: SyncProgress) -> Measurement:
    note = f"{progress.quarantined:,} quarantined"
    return Measurement(f"  {progress.dataset}", progress.read, "rows", progress.seconds, note=note)


def _all_published(found: Mapping[str, SyncProgress]) -> None:
    others = {each.dataset: each.state for each in found.values() if each.state != "published"}
    if others:
        raise SystemExit(f"not every dataset was published: {others}")


def _baselines(installation: Installation, people: int) -> list[Measurement]:
    with measured(f"making {people:,} synthetic people", people, "people") as making:
        population = Population.generate(people, seed=installation.settings.seed)
    frames = {dataset.partition("/")[2]: population.table(dataset) for dataset in DATASETS}
    total = sum(frame.height for frame in frames.values())
    with installation.database.connect(Role.MIGRATOR) as connection:
        with measured("raw binary COPY + guarded MERGE, first load", total, "rows", baseline=True) as first:
            _load_all(connection, frames)
        with measured("raw binary COPY + guarded MERGE, unchanged", total, "rows") as again:
            _load_all(connection, frames)
        connection.execute("DROP SCHEMA bench CASCADE")
    first.note = f"{len(frames)} tables; from memory: no source, check, history, quarantine or log"
    return [making, first, again]


def _load_all(connection: object, frames: Mapping[str, pl.DataFrame]) -> None:
    for name, frame in frames.items():
        load_frame(connection, name, frame)  # type: ignore[arg-type]


@contextmanager
def _group_memory() -> Iterator[dict[str, float]]:
    """Peak of what all descendants of this process hold together (proportional share), every second."""
    found = {"peak": 0.0}
    done = threading.Event()
    here = psutil.Process()

    def sample() -> None:
        while not done.wait(1.0):
            held = 0
            for process in here.children(recursive=True):
                try:
                    held += process.memory_full_info().pss
                except psutil.Error:
                    continue
            found["peak"] = max(found["peak"], held / 2**20)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield found
    finally:
        done.set()
        sampler.join()
