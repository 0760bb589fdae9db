"""What a sync did, told from its batch, so that a run of Airflow and one at the terminal read alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foundation.database import Role, translated

if TYPE_CHECKING:
    from rich.console import Console

    from foundation.installation import Installation

__all__ = ["BatchFigures", "figures_of_run", "print_figures", "run_one_sync"]


@dataclass(frozen=True)
class BatchFigures:
    """The figures of one batch."""

    dataset: str
    batch: str
    status: str
    read: int
    accepted: int
    quarantined: int
    reasons: Mapping[str, int]
    inserted: int
    updated: int
    closed: int
    unchanged: int
    seconds: float
    """Time that the steps worked, without Airflow's own between them."""

    @property
    def published(self) -> int:
        """Records that were written."""
        return self.inserted + self.updated + self.closed

    @property
    def rows_per_second(self) -> int:
        """Rows read, by the time that the steps worked."""
        return round(self.read / self.seconds) if self.seconds else 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return found | {"published": self.published, "rows_per_second": self.rows_per_second}


def figures_of_run(installation: "Installation", dataset: str, run_id: str) -> BatchFigures:
    """The figures of the latest batch that a run worked on."""
    from records import ledger, quarantine
    from records.batches import load
    from records.errors import BatchNotFound
    from schemas.contracts import load_contracts

    contract = load_contracts(installation.settings.contracts, collect=True).get(dataset)
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        row = connection.execute(
            "SELECT batch_id FROM records.batch"
            " WHERE dataset_id = %s AND (run_id = %s OR ended_at IS NOT NULL)"
            " ORDER BY run_id = %s DESC, started_at DESC LIMIT 1",
            [dataset, run_id, run_id],
        ).fetchone()
        if row is None:
            raise BatchNotFound(f"No batch of {dataset} belongs to the run", run=run_id)
        batch = load(connection, row[0], contract)
        totals = ledger.totals(connection, batch)
        reasons = quarantine.summary(connection, batch.batch_id)
    published = dict(batch.report.get("published", {}))
    return BatchFigures(
        dataset=dataset,
        batch=str(batch.batch_id),
        status=str(batch.status),
        read=int(totals.read),
        accepted=int(totals.accepted),
        quarantined=int(totals.rejected),
        reasons=dict(reasons),
        inserted=published.get("inserted", 0),
        updated=published.get("updated", 0),
        closed=published.get("closed", 0),
        unchanged=published.get("unchanged", 0),
        seconds=sum(float(each) for each in batch.report.get("seconds", {}).values()),
    )


def run_one_sync(dataset: str) -> dict[str, Any]:
    """Run a sync in this process and tell what it did.

    Raises:
        LintasError: What stopped it; there is an entry about it by then.
    """
    from foundation import telemetry
    from lintas.access import opened
    from records.sync import SyncContext, note_unusable_contract, run_sync
    from schemas.contracts import load_contracts
    from schemas.errors import ContractInvalid

    with opened() as installation:
        telemetry.configure("sync", log_file=installation.home / "logs" / "sync.log")
        context = SyncContext(installation)
        try:
            contract = load_contracts(installation.settings.contracts, collect=True).get(dataset)
        except ContractInvalid as error:
            note_unusable_contract(context, dataset, error)
            raise
        return run_sync(context, contract).as_dict()


def print_figures(out: "Console", report: Mapping[str, Any]) -> None:
    """The figures of one sync, for people."""
    changed = report["inserted"] + report["updated"] + report["closed"]
    out.print(f"[bold]{report['dataset']}[/bold]  batch {report['batch']}")
    out.print(
        f"  read {report['read']:,} · accepted {report['accepted']:,} · quarantined {report['quarantined']:,}"
        f" · published {changed:,} · unchanged {report['unchanged']:,}"
        f" · {report['seconds']:.1f} s · {report['rows_per_second']:,} rows/s"
    )
    for reason, count in list(report["reasons"].items())[:5]:
        out.print(f"    {count:>6,}  {reason}")
    if report.get("held"):
        out.print(f"  [yellow]held[/yellow]: {', '.join(report['broken_rules'])}; a steward decides")
    elif not changed:
        out.print("  nothing has changed at the source, so nothing was written")
