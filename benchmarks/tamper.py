"""Who notices which tampering, and how soon: every attack upon a copy of a bus with a past.

`python -m benchmarks tamper` shows the table; `python -m benchmarks.tamper` writes it into the documentation.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measurement
from benchmarks.tampering.attacks import ATTACKS, Attack
from benchmarks.tampering.detectors import DETECTORS, Noticed
from benchmarks.tampering.scene import Scene, scene
from foundation import clock

TITLE = "Tampering: what each attack takes to be noticed by the first who notices it for certain"
PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "tampering.md"
_DUE = timedelta(minutes=2)
"""Promises are due by then."""


@dataclass(frozen=True)
class Tried:
    """What became of one attack."""

    attack: Attack
    noticed: dict[str, Noticed]
    seconds: dict[str, float]
    prevented: str | None

    @property
    def as_expected(self) -> bool:
        """Whether exactly those noticed who are said to notice."""
        stopped = self.attack.prevented is None or self.prevented is not None
        return stopped and self.noticed.keys() == self.attack.noticed_by


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Try everything; `smoke` tries a few."""
    attacks = ATTACKS[:1] + ATTACKS[9:10] if smoke else ATTACKS
    rows, tried = [], []
    with scene(300, 4 if smoke else 12) as bus:
        for each in attempts(bus, attacks):
            tried.append(each)
            soonest = min(each.seconds.values(), default=0.0)
            name = f"{each.attack.name} ({each.attack.how})"
            note = ", ".join(each.noticed) or each.prevented or "nobody"
            rows.append(Measurement(name, 1, "attacks", seconds=soonest, note=note))
    console.print(_table(tried))
    wrong = [each.attack.name for each in tried if not each.as_expected]
    if wrong:
        raise SystemExit(f"noticed by others than expected: {', '.join(wrong)}")
    return rows


def attempts(bus: Scene, attacks: Sequence[Attack] = ATTACKS) -> Iterator[Tried]:
    """Try each attack upon a fresh copy, and let everybody look."""
    for attack in attacks:
        yield tried(bus, attack)


def tried(bus: Scene, attack: Attack) -> Tried:
    """Try one attack, and let everybody look, each at a copy in which nobody has looked before."""
    noticed, seconds = {}, {}
    prevented = None
    with ExitStack() as stack:
        copy = stack.enter_context(bus.copied())
        attack.do(copy)
        if attack.prevented is not None:
            prevented = attack.prevented(copy)
        stack.enter_context(clock.shifted(_DUE))
        for name, detector in DETECTORS.items():
            started = time.perf_counter()
            found = detector.look(copy)
            if found is not None:
                noticed[name], seconds[name] = found, time.perf_counter() - started
    return Tried(attack, noticed, seconds, prevented)


def _table(all_tried: Sequence[Tried]) -> Table:
    table = Table(title="Who notices", title_justify="left")
    for name in ("attack", "how", *DETECTORS):
        table.add_column(name)
    for each in all_tried:
        cells = [_cell(each, name) for name in DETECTORS]
        table.add_row(each.attack.name, each.attack.how, *cells)
    return table


def _cell(each: Tried, name: str) -> str:
    if name not in each.noticed:
        return ""
    return f"{'' if each.noticed[name].certain else '? '}{each.seconds[name]:.2f} s"


def markdown(all_tried: Sequence[Tried]) -> str:
    """The table as the documentation has it: who notices, without the seconds, which differ by machine."""
    head = ["attack", "by which means", *DETECTORS]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * 2}{':-:|' * len(DETECTORS)}"]
    for each in all_tried:
        marks = [_mark(each, name) for name in DETECTORS]
        lines.append(f"| {each.attack.name} | {each.attack.how} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


def _mark(each: Tried, name: str) -> str:
    if name not in each.noticed:
        return " "
    return "●" if each.noticed[name].certain else "?"


def documented(page: str, all_tried: Sequence[Tried]) -> str:
    """The page with its tables as they are now."""
    looking = ["| who | what they need | how soon they look |", "|---|---|---|"]
    looking += [f"| {each.name} | {each.has} | {each.when} |" for each in DETECTORS.values()]
    for mark, table in (("who", "\n".join(looking) + "\n"), ("table", markdown(all_tried))):
        start, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
        before, _, rest = page.partition(start)
        page = before + start + table + end + rest.partition(end)[2]
    return page


def main() -> None:
    """Try everything, and write the tables into the documentation."""
    with scene(300, 12) as bus:
        all_tried = list(attempts(bus))
    PAGE.write_text(documented(PAGE.read_text(encoding="utf-8"), all_tried), encoding="utf-8")


if __name__ == "__main__":
    main()
