"""Watching access: how fast, and how well: precision and recall of each rule, before and after verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from audit.attention import RULES, Verdict, Watch, judge
from benchmarks.measure import Measurement, measured
from benchmarks.practice_accesses import Figures, Imagination, World, figures, write
from benchmarks.workspace import workspace
from foundation.database import Role
from foundation.installation import Installation
from verification.working_days import is_working_day

TITLE = "Watching access"
SEED = 20260406


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` draws one small world."""
    officers, weeks, seeds = (8, 4, 1) if smoke else (20, 8, 3)
    rows, tables, accesses, verdicts = [], [], 0, 0
    for seed in range(SEED, SEED + seeds):
        world = Imagination(seed, officers=officers, weeks=weeks, is_working_day=is_working_day).draw()
        half = len(world.accesses) // 2
        accesses += len(world.accesses)
        with workspace() as installation:
            write(installation, world)
            what = f"entries taken up, all rules, seed {seed}"
            with measured(what, len(world.accesses), "entries") as untaught:
                watch_until(installation, None)
            before = late_figures(installation, world, half)
            forget(installation)
            watch_until(installation, half)
            verdicts += teach(installation, world)
            watch_until(installation, None)
            tables.append((before, late_figures(installation, world, half)))
        rows.append(untaught)
    console.print(table(*(added(each) for each in zip(*tables, strict=True))))
    console.print(
        f"[dim]{accesses:,} accesses; the second halves, after {verdicts} verdicts on the first[/dim]"
    )
    return rows


def added(several: Sequence[list[Figures]]) -> list[Figures]:
    """The figures of several worlds together."""
    return [
        Figures(
            same[0].rule,
            *(sum(getattr(each, name) for each in same) for name in ("planted", "found", "flags", "right")),
        )
        for same in zip(*several, strict=True)
    ]


def watch_until(installation: Installation, position: int | None) -> None:
    """Watch until all is taken up, or a position is reached."""
    with installation.database.connect(Role.MONITOR, autocommit=True) as connection:
        done = 0
        while position is None or done < position:
            step = 2_000 if position is None else min(2_000, position - done)
            taken = Watch(installation, is_working_day, batch=step).turn(connection)
            if taken.is_nothing:
                return
            done = taken.until


def teach(installation: Installation, world: World) -> int:
    """An auditor who knows the truth judges every open flag; returns how many there were."""
    misuse = set().union(*(case.entries for case in world.cases))
    waiting = flagged(installation)
    with installation.database.connect(Role.AUDITOR) as connection:
        for flag, _, entries in waiting:
            verdict = Verdict.MISUSE if entries & misuse else Verdict.JUSTIFIED
            judge(connection, flag, verdict, by="auditor-01", reason="known")
    return len(waiting)


def flagged(installation: Installation) -> list[tuple]:
    """Open flags: id, rule and entries."""
    with installation.database.connect(Role.AUDITOR) as connection:
        rows = connection.execute(
            "SELECT flag_id, rule, array_agg(entry_index) FROM audit.attention_flag"
            " JOIN audit.attention_flag_entry USING (flag_id) WHERE state = 'open' GROUP BY flag_id, rule"
        ).fetchall()
    return [(flag, rule, set(entries)) for flag, rule, entries in rows]


def forget(installation: Installation) -> None:
    """Begin anew: no facts, no flags, no lessons."""
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute(
            "TRUNCATE audit.attention_access, audit.attention_subject, audit.attention_lesson,"
            " audit.attention_flag, audit.attention_flag_entry; UPDATE audit.attention_state SET position = 0"
        )


def late_figures(installation: Installation, world: World, half: int) -> list[Figures]:
    """Figures over what happened in the second half."""
    late = [case for case in world.cases if max(case.entries) >= half]
    flags = [(rule, entries) for _, rule, entries in flagged(installation) if max(entries) >= half]
    return figures(list(RULES), late, flags)


def table(before: list[Figures], after: list[Figures]) -> Table:
    """Both, rule by rule."""
    shown = Table("rule", "planted", "flags", "precision", "recall", "flags", "precision", "recall", box=None)
    for first, second in zip(before, after, strict=True):
        shown.add_row(
            first.rule,
            str(first.planted),
            *(str(first.flags), f"{first.precision:.2f}", f"{first.recall:.2f}"),
            *(str(second.flags), f"{second.precision:.2f}", f"{second.recall:.2f}"),
        )
    return shown
