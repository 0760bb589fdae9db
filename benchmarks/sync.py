"""A sync of 200,000 persons, step by step and end to end, beside a bare COPY + MERGE and beside dlt."""

from __future__ import annotations

from time import perf_counter

from rich.console import Console

from benchmarks import baselines
from benchmarks.measure import Measurement, measured
from benchmarks.practice import practice
from benchmarks.workspace import workspace
from foundation.database import Role
from foundation.installation import Installation
from records.report import SyncReport
from records.sync import SyncContext, run_sync
from sandbox.agencies import PracticeAgencies
from schemas.contract import Contract
from schemas.contracts import load_contracts

TITLE = "A sync of the civil registry's persons (SQL over TLS)"
DATASET = "dukcapil-mojokerto/persons"


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs it small."""
    people = 2_000 if smoke else 200_000
    with workspace() as installation, practice(installation, people) as agencies:
        contract = next(c for c in load_contracts(None) if c.id == DATASET)
        rows = _baselines(installation, agencies, people)
        with measured("importing Great Expectations (once a process)", 1, "imports") as warming:
            import great_expectations  # noqa: F401
        first, first_report = _sync(installation, contract, "Lintas, first load, end to end", people)
        again, again_report = _sync(installation, contract, "Lintas, an unchanged night, end to end", people)
        first.note = f"{first_report.quarantined:,} quarantined, all in the log"
        again.note = f"{again_report.changed} changed"
        rows += [warming, first, *_steps(first_report), again, *_steps(again_report)]
        _dlt(rows, installation, agencies, people)
    console.print("[dim]part: where landing spends its time (source, map and validate, write)[/dim]")
    return rows


def _baselines(installation: Installation, agencies: PracticeAgencies, people: int) -> list[Measurement]:
    with (
        agencies.registry.administrator() as source,
        installation.database.connect(Role.MIGRATOR) as target,
    ):
        baselines.prepare(source, target)
        with measured("raw binary COPY + guarded MERGE, first load", people, "rows", baseline=True) as first:
            baselines.copy_and_merge(source, target)
        with measured("raw binary COPY + guarded MERGE, unchanged", people, "rows") as again:
            baselines.copy_and_merge(source, target)
        first.note = "no TLS, check, history, quarantine or log"
        target.execute("DROP TABLE bench.stage, bench.person")
    return [first, again]


def _sync(
    installation: Installation, contract: Contract, what: str, people: int
) -> tuple[Measurement, SyncReport]:
    with measured(what, people, "rows") as result:
        report = run_sync(SyncContext(installation), contract)
    return result, report


def _steps(report: SyncReport) -> list[Measurement]:
    steps = [("  " + name, seconds) for name, seconds in report.step_seconds.items()]
    parts = [("    part " + name, seconds) for name, seconds in report.part_seconds.items()]
    return [Measurement(name, report.read, "rows", seconds) for name, seconds in [*steps, *parts]]


def _dlt(
    rows: list[Measurement], installation: Installation, agencies: PracticeAgencies, people: int
) -> None:
    for what in ("dlt, Arrow pages, merge, first load", "dlt, the same again"):
        started = perf_counter()
        with measured(what, people, "rows") as result:
            baselines.dlt_merge(
                agencies.registry.administrator_conninfo(), installation.database.conninfo(Role.MIGRATOR)
            )
        result.seconds = perf_counter() - started
        rows.append(result)
