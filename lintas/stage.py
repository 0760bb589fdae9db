"""Live progress that reads well on a terminal and in a log: numbered stages, lines, seconds at the end."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Stages", "masked"]


@dataclass
class Stages:
    """The stages of a story, told one after the other."""

    out: "Console"
    total: int
    seconds: dict[str, float] = field(default_factory=dict)
    _number: int = 0
    _started: float = field(default_factory=time.monotonic)

    @contextlib.contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """One stage; its seconds are printed when it ends well."""
        self._number += 1
        self.out.print(f"\n[bold cyan]{self._number}/{self.total}[/bold cyan] [bold]{title}[/bold]")
        started = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - started
        self.out.print(f"    [dim]{self.seconds[title]:.1f} s[/dim]")

    def line(self, text: str) -> None:
        """Something that happened."""
        self.out.print(f"    {text}", soft_wrap=True)

    def good(self, text: str) -> None:
        """Something that was shown to hold."""
        self.out.print(f"    [green]✓[/green] {text}", soft_wrap=True)

    @contextlib.contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Something that takes a while: a spinner on a terminal, a line elsewhere."""
        if self.out.is_terminal:
            with self.out.status(f"  {text}"):
                yield
        else:
            self.line(f"[dim]{text} …[/dim]")
            yield

    def table(self, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
        """A small table; columns map a key of the rows to its heading and numbers stand to the right."""
        from rich.padding import Padding
        from rich.table import Table

        table = Table(box=None, header_style="dim", pad_edge=False)
        for key, heading in columns.items():
            number = all(isinstance(row.get(key), int | float) for row in rows)
            table.add_column(heading, justify="right" if number else "left", no_wrap=number)
        for row in rows:
            table.add_row(*(_shown(row.get(key)) for key in columns))
        self.out.print(Padding(table, (0, 0, 0, 4)))

    @property
    def elapsed(self) -> float:
        """Seconds since the first stage could begin."""
        return time.monotonic() - self._started


def masked(identifier: str) -> str:
    """The two ends of an identifier, enough to recognise one's own."""
    return f"{identifier[:4]}{'•' * max(0, len(identifier) - 6)}{identifier[-2:]}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)
