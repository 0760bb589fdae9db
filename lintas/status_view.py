"""The one screen of `lintas status`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from foundation import clock
from lintas.sink_view import SinkState
from lintas.status import Causes, DatasetStatus, LogStatus, Status
from lintas.timestamp_status import Timestamping
from lintas.witness_status import Witnessing

if TYPE_CHECKING:
    from rich.console import Console

    from audit.streaming.destination import StreamState

__all__ = ["print_status"]

_COLOURS = {"fresh": "green", "overdue": "red", "held": "yellow", "failed": "red", "rejected": "yellow"}
_MOST_CAUSES = 6


def print_status(out: "Console", status: Status) -> None:
    """The verdict first, then what it rests on, all on one screen."""
    troubles = status.troubles
    if troubles:
        out.print(f"[bold yellow]{len(troubles)} to look at[/bold yellow]")
        for trouble in troubles:
            out.print(f"  [yellow]•[/yellow] {trouble.what}  [dim]{trouble.next}[/dim]", soft_wrap=True)
    else:
        out.print("[bold green]All is well[/bold green]")
    out.print()
    _processes(out, status.processes)
    _datasets(out, status.datasets)
    _quarantine(out, status.quarantine)
    _log(out, status.log)
    _sink(out, status.sink)
    _witnesses(out, status.witnessing)
    _timestamps(out, status.timestamping)
    notices = status.notices
    out.print(f"[bold]notices[/bold]     {notices.waiting:,} waiting, {notices.dead:,} given up")
    if status.streams:
        told = ", ".join(f"{each.name} {_pace(each)}" for each in status.streams)
        out.print(f"[bold]streams[/bold]     {told}", soft_wrap=True)


def spoken(span: timedelta) -> str:
    """A span of time in its largest unit: 40 s, 12 min, 5 h, 3 d."""
    seconds = abs(span.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _pace(stream: "StreamState") -> str:
    if stream.is_failing:
        return f"[red]fails, {stream.waiting:,} waiting[/red]"
    return f"{stream.waiting:,} waiting" if stream.waiting else "is up to date"


def _processes(out: "Console", processes: Sequence[dict[str, str]]) -> None:
    marks = {"healthy": "[green]●[/green]"}
    named = "  ".join(f"{marks.get(each['state'], '[red]○[/red]')} {each['process']}" for each in processes)
    out.print(f"[bold]processes[/bold]   {named}\n")


def _datasets(out: "Console", datasets: Sequence[DatasetStatus]) -> None:
    from rich.table import Table

    if not datasets:
        out.print("[dim]no contract is published yet[/dim]\n")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("dataset")
    for heading in ("records", "read", "stale in", "quarantined", "conflicts"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("state")
    for each in datasets:
        colour = _COLOURS.get(each.state, "dim")
        table.add_row(
            each.dataset,
            "-" if each.records is None else f"{each.records:,}",
            "never" if each.as_of is None else f"{spoken(clock.now() - each.as_of)} ago",
            _left(each),
            f"{each.quarantined:,}" if each.quarantined else "",
            f"{each.conflicts:,}" if each.conflicts else "",
            f"[{colour}]{each.state}[/{colour}]",
        )
    out.print(table)
    out.print()


def _left(dataset: DatasetStatus) -> str:
    left = dataset.due_in
    if left is None:
        return "-"
    return spoken(left) if left > timedelta(0) else f"[red]{spoken(left)} ago[/red]"


def _quarantine(out: "Console", causes: Sequence[Causes]) -> None:
    if not causes:
        out.print("[bold]quarantine[/bold]  empty")
        return
    total = sum(each.rows for each in causes)
    out.print(f"[bold]quarantine[/bold]  {total:,} causes in open rows, the most frequent:")
    for each in causes[:_MOST_CAUSES]:
        out.print(f"  {each.rows:>7,}  {each.dataset}  {each.cause}", soft_wrap=True)


def _log(out: "Console", log: LogStatus) -> None:
    if log.checkpoint_at is None:
        out.print("[bold]log[/bold]         no checkpoint yet")
        return
    ago = spoken(clock.now() - log.checkpoint_at)
    waiting = f", {log.waiting:,} waiting" if log.waiting else ""
    out.print(
        f"[bold]log[/bold]         {log.entries:,} entries, last checkpoint at {log.checkpoint_size:,}"
        f" {ago} ago{waiting}"
    )


def _sink(out: "Console", found: SinkState | None) -> None:
    if found is None:
        return  # the settings ask for none
    required = ", required" if found.required else ""
    out.print(f"[bold]copy[/bold]        {found.kept:,} entries{required}", soft_wrap=True)


def _witnesses(out: "Console", found: Witnessing) -> None:
    if not found.witnesses and found.exchanges_until is None:
        return  # no policy names any
    at = f", {spoken(clock.now() - found.quorum_at)} ago" if found.quorum_at is not None else ""
    out.print(
        f"[bold]witnesses[/bold]   {found.independent} independent behind {found.tree_size:,} entries{at}",
        soft_wrap=True,
    )


def _timestamps(out: "Console", found: Timestamping) -> None:
    stamped = [each for each in found.authorities if each.generated_at is not None]
    if not found.authorities:
        return  # the settings name none
    told = ", ".join(f"{each.name} stamped {each.tree_size:,} entries" for each in stamped)
    out.print(f"[bold]timestamps[/bold]  {told or 'none yet'}", soft_wrap=True)
