"""Who may see what, as a picture: a row for each field that anybody is told, a column for each consumer.

Every mark comes from a decision that was played through (`consent.matrix`), never from reading the terms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["matrix_picture"]

Cell = Mapping[str, Any]

_COPIED, _READ, _CONSENTED, _BY_LAW, _DENIED, _NOTHING = "■", "□", "◆", "◇", "✗", "·"
LEGEND = (
    (_COPIED, "collects: the bus keeps a copy, as the provider's processor"),
    (_READ, "reads the value"),
    (_CONSENTED, "learns yes or no, with the subject's consent"),
    (_BY_LAW, "learns yes or no, by public task"),
    (_DENIED, "agreed, but denied now"),
    (_NOTHING, "sees nothing"),
)
_STYLES = {
    _COPIED: "blue",
    _READ: "magenta",
    _CONSENTED: "green",
    _BY_LAW: "yellow",
    _DENIED: "bold red",
    _NOTHING: "dim",
}


@dataclass(frozen=True)
class _Use:
    """A column: one consumer and one purpose."""

    consumer: str
    purpose: str


def matrix_picture(cells: Iterable[Cell]) -> "list[RenderableType]":
    """The picture, its legend, and what each column rests on."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    found = list(cells)
    uses = _uses(found)
    picture = Table(box=None, header_style="bold", pad_edge=False)
    picture.add_column("dataset and field", overflow="fold")
    for number, use in enumerate(uses, start=1):
        picture.add_column(f"{number} {use.consumer.split('-')[0]}", justify="center", no_wrap=True)
    for dataset in sorted({cell["dataset"] for cell in found}):
        of_dataset = [cell for cell in found if cell["dataset"] == dataset]
        picture.add_row(f"[bold cyan]{dataset}[/bold cyan]")
        for name, marks in _rows(of_dataset, uses):
            picture.add_row(f"  {name}", *(f"[{_STYLES[mark]}]{mark}[/]" for mark in marks))
    legend = Text("   ").join(
        Text.assemble((mark, _STYLES[mark]), f" {meaning}") for mark, meaning in LEGEND[:2]
    )
    for mark, meaning in LEGEND[2:]:
        legend.append("\n" if mark in (_CONSENTED, _DENIED) else "   ")
        legend.append(mark, _STYLES[mark])
        legend.append(f" {meaning}")
    return [picture, Padding(legend, (1, 0)), _columns_told(found, uses)]


def _uses(cells: Sequence[Cell]) -> list[_Use]:
    """The columns: who keeps copies first, then who is told."""
    first = {
        _Use(cell["consumer"], cell["purpose"]): (
            cell["verb"] != "collect",
            cell["consumer"],
            cell["purpose"],
        )
        for cell in cells
    }
    return sorted(first, key=lambda use: first[use])


def _rows(cells: Sequence[Cell], uses: Sequence[_Use]) -> list[tuple[str, list[str]]]:
    """A row for each field that somebody is told; one row for all that is only copied."""
    told = sorted({name for cell in cells if cell["verb"] != "collect" for name in cell["fields"]})
    rows = [(name, [_mark(cells, use, name) for use in uses]) for name in told]
    others = sorted({name for cell in cells for name in cell["fields"]} - set(told))
    if others:
        what = f"{len(others)} more fields" if told else f"all {len(others)} fields"
        rows.append((f"[dim]{what}[/dim]", [_mark(cells, use, others[0]) for use in uses]))
    return rows


def _mark(cells: Sequence[Cell], use: _Use, name: str) -> str:
    """The widest that a consumer is allowed for a purpose."""
    of_use = [cell for cell in cells if _is_of(cell, use) and name in cell["fields"]]
    allowed = [cell for cell in of_use if cell["allowed"]]
    if not allowed:
        return _DENIED if of_use else _NOTHING
    if any(cell["verb"] == "collect" for cell in allowed):
        return _COPIED
    if any(cell["mode"] == "read" for cell in allowed):
        return _READ
    return _CONSENTED if all(cell["needs_consent"] for cell in allowed) else _BY_LAW


def _is_of(cell: Cell, use: _Use) -> bool:
    return (cell["consumer"], cell["purpose"]) == (use.consumer, use.purpose)


def _columns_told(cells: Sequence[Cell], uses: Sequence[_Use]) -> "RenderableType":
    """What each column stands for, and the rules in the way of what is denied."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("", "consumer", "purpose", "basis", "a day", "kept, days", "until", "denied by"):
        table.add_column(heading, overflow="fold")
    for number, use in enumerate(uses, start=1):
        mine = [cell for cell in cells if _is_of(cell, use)]
        quotas = [cell["quota_per_day"] for cell in mine if cell["quota_per_day"]]
        table.add_row(
            str(number),
            use.consumer,
            use.purpose,
            ", ".join(sorted({cell["legal_basis"] for cell in mine})),
            f"{min(quotas):,}" if quotas else "no limit",
            str(max(cell["retention_days"] for cell in mine)),
            min(cell["valid_until"] for cell in mine)[:10],
            ", ".join(sorted({rule for cell in mine if not cell["allowed"] for rule in cell["rules"]}))
            or "-",
        )
    return table
