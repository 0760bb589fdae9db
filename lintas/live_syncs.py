"""Syncs as they run: one line a dataset that fills while Airflow works, and stays as the table of results."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foundation.database import Role, translated
from foundation.installation import Installation
from lintas.airflow import AirflowApi
from lintas.errors import RunDidNotFinish
from lintas.stage import Stages

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["SyncProgress", "progress_of", "watch_syncs"]

_REFRESH_SECONDS = 0.5
_AIRFLOW_SECONDS = 2.0
_HEADINGS = ("read", "accepted", "quarantined", "published", "unchanged", "seconds", "rows/s")
_COLOURS = {"published": "green", "held": "yellow", "failed": "red", "rejected": "red", "waiting": "dim"}


@dataclass(frozen=True)
class SyncProgress:
    """How far the batch of one run has come."""

    dataset: str
    state: str = "waiting"
    """waiting, landing, assessing, publishing; or how it ended: published, held, rejected, failed."""
    read: int = 0
    accepted: int = 0
    quarantined: int = 0
    published: int = 0
    unchanged: int = 0
    seconds: float = 0.0
    """Time that the steps worked, without the scheduler's own between them."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to the batch."""
        return self.state in {"published", "held", "rejected", "failed"}

    @property
    def rows_per_second(self) -> int:
        """Rows read, by the time that the steps worked."""
        return round(self.read / self.seconds) if self.seconds else 0


def progress_of(installation: Installation, runs: Mapping[str, str]) -> dict[str, SyncProgress]:
    """How far each run has come, in one question to the database.

    Args:
        installation: Whose database.
        runs: Run id by dataset id.
    """
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        rows = connection.execute(
            "SELECT b.dataset_id, b.status, b.report, coalesce(p.read, 0), coalesce(p.accepted, 0),"
            " coalesce(p.rejected, 0), coalesce(p.complete >= jsonb_array_length(b.slices), false)"
            " FROM records.batch b LEFT JOIN LATERAL (SELECT sum(rows_read) AS read,"
            "  sum(rows_accepted) AS accepted, sum(rows_rejected) AS rejected,"
            "  count(*) FILTER (WHERE complete) AS complete"
            "  FROM records.page WHERE batch_id = b.batch_id) p ON true"
            " WHERE (b.dataset_id, b.run_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
            " ORDER BY b.started_at",
            [list(runs), list(runs.values())],
        ).fetchall()
    found = {dataset: SyncProgress(dataset) for dataset in runs}
    for dataset, status, report, read, accepted, rejected, complete in rows:
        done = (report or {}).get("published", {})
        found[dataset] = SyncProgress(
            dataset,
            state=_state(status, complete=complete),
            read=int(read),
            accepted=int(accepted),
            quarantined=int(rejected),
            published=sum(done.get(name, 0) for name in ("inserted", "updated", "closed")),
            unchanged=done.get("unchanged", 0),
            seconds=sum(float(each) for each in (report or {}).get("seconds", {}).values()),
        )
    return found


def watch_syncs(
    installation: Installation,
    airflow: AirflowApi,
    runs: Mapping[str, str],
    stages: Stages,
    *,
    timeout: float = 900.0,
) -> dict[str, SyncProgress]:
    """Show the runs of several datasets until each has ended.

    Args:
        installation: Whose database.
        airflow: Asked now and then, so that a run that dies before its batch is noticed.
        runs: Run id by dataset id.
        stages: Where to show them: a table that fills on a terminal, a line as each ends elsewhere.
        timeout: Seconds after which it is given up.

    Raises:
        RunDidNotFinish: When a run failed or took too long.
    """
    deadline = time.monotonic() + timeout
    ask_airflow_at = time.monotonic() + _AIRFLOW_SECONDS
    with _shown(stages) as show:
        while True:
            found = progress_of(installation, runs)
            show(list(found.values()))
            waiting = [each.dataset for each in found.values() if not each.has_ended]
            if not waiting:
                return found
            if time.monotonic() > ask_airflow_at:
                _check(airflow, {dataset: runs[dataset] for dataset in waiting})
                ask_airflow_at = time.monotonic() + _AIRFLOW_SECONDS
            if time.monotonic() > deadline:
                raise RunDidNotFinish(waiting[0], runs[waiting[0]], found[waiting[0]].state)
            time.sleep(_REFRESH_SECONDS)


def _check(airflow: AirflowApi, runs: Mapping[str, str]) -> None:
    """Raise when Airflow has given a run up."""
    from dags.contracts import dag_id_of

    failed = airflow.failed_runs(set(runs.values()))
    for dataset, run_id in runs.items():
        if (dag_id_of(dataset), run_id) in failed:
            raise RunDidNotFinish(dataset, run_id, "failed")


def _state(status: str, *, complete: bool) -> str:
    if status == "open":
        return "assessing" if complete else "landing"
    return "publishing" if status in {"assessed", "released"} else status


@contextmanager
def _shown(stages: Stages) -> "Iterator[Any]":
    """A function that shows the present state of all runs."""
    out = stages.out
    if not out.is_terminal:
        told: set[str] = set()

        def tell(found: Sequence[SyncProgress]) -> None:
            for each in found:
                if each.has_ended and each.dataset not in told:
                    told.add(each.dataset)
                    stages.line(f"{each.dataset}: {each.state}, {each.read:,} read")

        yield tell
        return
    from rich.live import Live
    from rich.padding import Padding

    with Live(console=out, refresh_per_second=4, transient=True) as live:
        yield lambda found: live.update(Padding(sync_table(found), (0, 0, 0, 4)))


def sync_table(found: Sequence[SyncProgress]) -> "Table":
    """The figures of several syncs, a line each."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("dataset", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for each in found:
        colour = _COLOURS.get(each.state, "cyan")
        figures = (each.read, each.accepted, each.quarantined, each.published, each.unchanged)
        table.add_row(
            each.dataset,
            f"[{colour}]{each.state}[/{colour}]",
            *(f"{number:,}" if each.read else "" for number in figures),
            f"{each.seconds:.1f}" if each.seconds else "",
            f"{each.rows_per_second:,}" if each.has_ended and each.seconds else "",
        )
    return table
