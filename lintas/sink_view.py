"""The copy of the log as the command line and the status show it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from foundation import clock

if TYPE_CHECKING:
    from psycopg import Connection

    from audit.sink import SinkReport

__all__ = ["SinkState", "described", "sink_state", "verified"]

_LATE = timedelta(minutes=1)


@dataclass(frozen=True)
class SinkState:
    """How far the copy reaches, and what hinders it."""

    directory: str
    required: bool
    kept: int
    kept_at: datetime
    trouble: str | None
    owed: int
    """Entries that were signed more than a minute ago."""

    @property
    def problem(self) -> str | None:
        """What a person should look at, if anything."""
        if self.trouble is not None:
            stops = "; nothing is signed and exchanges stop" if self.required else ""
            return f"the copy of the log: {self.trouble.rstrip('.')}{stops}"
        if self.kept < self.owed:
            return f"the copy of the log is {self.owed - self.kept:,} entries behind"
        return None


def sink_state(connection: "Connection[Any]") -> SinkState | None:
    """Look once; None where no copy is kept."""
    row = connection.execute(
        "SELECT directory, required, kept, kept_at, trouble, coalesce("
        " (SELECT max(tree_size) FROM audit.checkpoints WHERE signed_at < %s), 0) FROM audit.sink",
        (clock.now() - _LATE,),
    ).fetchone()
    return None if row is None else SinkState(*row)


def verified() -> "SinkReport":
    """Compare the whole copy with the log."""
    from audit.sink import verify_sink
    from lintas.access import opened

    with opened() as installation:
        return verify_sink(installation)


def described(report: "SinkReport") -> Iterator[str]:
    """A report in words."""
    if report.intact:
        yield (
            f"[green]the copy agrees with the log[/green]: entries {report.first:,} to before"
            f" {report.covered:,}, {report.checkpoints:,} signed checkpoints in {report.segments:,} segments"
        )
    else:
        yield f"[bold red]the copy and the log differ[/bold red]: {report.findings[0]}"
        yield from (f"  {each}" for each in report.findings[1:10])
    if report.behind:
        yield f"  [dim]the copy is {report.behind:,} entries behind[/dim]"
    if report.cut:
        yield f"  [dim]{report.cut:,} lines were cut short; the next segments begin with them[/dim]"
