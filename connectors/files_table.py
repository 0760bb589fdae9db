"""What the readers of all formats share: tables in pieces, cut into pages; rows that cannot be cells.

A row whose cells do not fit its columns, and a cell that stands for another one, are kept as text that begins
with U+FFFD and says why. No rule of a contract accepts such a text, so the row goes to quarantine, whole. The
reason has no digits: whom the row names is still recognised by its digits.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import polars as pl

from connectors.errors import ColumnsMissing, PageUnreadable
from foundation.errors import Location

_MEGABYTE = 1024 * 1024
_BLANKS_AT_ONCE = 10_000
_SURELY_MEANT = 0.75


class Table(Protocol):
    """An opened file: its columns, and its rows in pieces."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it has."""

    def pieces(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Its rows, in pieces of any size with exactly these columns; at least one, be it empty."""

    def describe(self) -> list[tuple[str, str]]:
        """Its columns, each with its type as the format calls it."""

    @property
    def rows(self) -> int | None:
        """How many rows it has, where that is known without reading them."""


def unusable(why: str, text: object = "") -> str:
    """A cell that cannot be one; the reason has no digits."""
    return f"\ufffd{why}: {text}" if text not in ("", None) else f"\ufffd{why}"


def chosen(found: Sequence[str], wanted: Sequence[str], dataset: str, location: Location) -> tuple[str, ...]:
    """The columns to read, each of which is there once.

    The names found are shown only when they surely are names: a file without a header begins with a person.

    Raises:
        ColumnsMissing: When a column is not there.
        PageUnreadable: When a column is there twice.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        is_header = any(name in found for name in wanted)
        near = [name for name in found if difflib.get_close_matches(name, wanted, n=1, cutoff=_SURELY_MEANT)]
        error = ColumnsMissing(dataset, missing, found if is_header else near)
        error.location = location
        if not is_header:
            error.why = "The row that should hold the names of the columns holds none of the contract's"
            error.remedy = "Compare header_row, delimiter, encoding and sheet in the contract with the file"
        raise error
    names = tuple(wanted) or tuple(name for name in found if name)
    twice = [name for name in names if found.count(name) > 1] if isinstance(found, tuple | list) else []
    if twice:
        raise PageUnreadable(
            f"The column {twice[0]} is there twice" if wanted else "A column is there twice",
            why="Which of them is meant cannot be told",
            remedy="Have the agency name each column once",
            location=location,
        )
    return names


def without_trailing_blanks(pieces: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rows without the empty ones that spreadsheets leave at the end; others keep their place."""
    blanks = 0
    for piece in pieces:
        filled = piece.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
        if not len(filled):
            blanks += piece.height
            yield piece.clear()
            continue
        while blanks:
            some = min(blanks, _BLANKS_AT_ONCE)
            yield piece.clear(some)
            blanks -= some
        end = int(filled[-1]) + 1
        blanks = piece.height - end
        yield piece.head(end)


def after(pieces: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The rows after the first so many."""
    for piece in pieces:
        if rows >= piece.height:
            rows -= piece.height
            yield piece.clear()
        else:
            yield piece.slice(rows)
            rows = 0


def paged(pieces: Iterable[pl.DataFrame], rows: int, megabytes: int) -> Iterator[tuple[pl.DataFrame, bool]]:
    """Cut pieces into pages, each with whether it is the last; there is always a last one."""
    held: list[pl.DataFrame] = []
    height = weight = 0
    last: pl.DataFrame | None = None
    for piece in _divided(pieces, megabytes * _MEGABYTE):
        last = piece.clear()
        if not piece.height:
            continue
        heavy = int(piece.estimated_size())
        if held and (
            height >= rows or weight + heavy > megabytes * _MEGABYTE or held[0].schema != piece.schema
        ):
            yield pl.concat(held), False
            held, height, weight = [], 0, 0
        held.append(piece)
        height, weight = height + piece.height, weight + heavy
        while height > rows:
            whole = pl.concat(held)
            yield whole.head(rows), False
            held, height = [whole.slice(rows)], height - rows
            weight = int(held[0].estimated_size())
    if held:
        yield pl.concat(held), True
    elif last is not None:
        yield last, True


def _divided(pieces: Iterable[pl.DataFrame], most: int) -> Iterator[pl.DataFrame]:
    """Pieces of which none is heavier than a page, if rows allow."""
    for piece in pieces:
        parts = min(max(piece.height, 1), int(piece.estimated_size()) // most + 1)
        size = max(1, -(-piece.height // parts))
        yield from piece.iter_slices(size) if parts > 1 else [piece]
