"""A cell on its way from a source's column to a field, seen by the judge and by the fast path."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import polars as pl

SURROUNDING_SPACE = " \t\r\n"
LARGEST_EXACT = 10**15
"""A spreadsheet keeps fifteen digits; above that a float has already lost the rest."""

PLAIN_TEXT = r"^[ -~À-ÖØ-öø-ÿ’]*$"
"""What the fast path takes for text: characters that stay as they are, alone and side by side, in NFC."""

MARKED = "^(?:\ufffd|(?:boolean|date|duration|list|modified|number|object|time):)"
"""How a connector says that a cell among texts is none: its type, or why it cannot be used."""

_MARKED = re.compile(MARKED)
_UNWANTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff]"
)


class CellInvalid(Exception):  # noqa: N818 - told to the source, not a failure
    """The judge's reason to reject one cell; never carries the cell's value."""

    def __init__(self, rule: str, message: str, remedy: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Unrepresentable:
    """Stands for a source value that Python has no object for, such as a date in the year 12000."""

    what: str


@dataclass(frozen=True, slots=True)
class FastCell:
    """A column in the fast path: its value, its type, and where it is surely right.

    Invariant: where ``ok`` holds, the judge accepts the same cell and gets the same value. ``ok`` may be
    false for cells that the judge accepts; it may never be true for one that it rejects.
    """

    value: pl.Expr
    dtype: pl.DataType
    ok: pl.Expr

    def become(
        self, value: pl.Expr, dtype: pl.DataType | None = None, *, when: pl.Expr | None = None
    ) -> FastCell:
        """The next state, right where it was right before and ``when`` holds (or the cell is null)."""
        ok = self.ok if when is None else self.ok & (self.value.is_null() | when.fill_null(value=False))
        return FastCell(value, dtype or self.dtype, ok)

    def leave_to_judge(self, dtype: pl.DataType) -> FastCell:
        """Only nulls are surely right; the judge looks at everything else."""
        return FastCell(pl.lit(None, dtype=dtype), dtype, self.ok & self.value.is_null())

    def only(self, condition: pl.Expr) -> FastCell:
        """The same cell, right only where ``condition`` holds as well, or where it is null."""
        return replace(self, ok=self.ok & (self.value.is_null() | condition.fill_null(value=False)))


def text_of(cell: Any) -> str:
    """The text of a cell: text as it is, whole numbers below 10^15 in digits; nothing else has a text.

    Raises:
        CellInvalid: The cell is neither.
    """
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        raise CellInvalid(
            "text-expected", "The cell holds no text.", "Check the column's type and its mapping."
        )
    whole = whole_number(cell)
    if whole is None or abs(whole) >= LARGEST_EXACT:
        raise CellInvalid(
            "text-expected",
            "The cell is a number that cannot be written as text without guessing digits.",
            "Export the column as text.",
        )
    return str(whole)


def whole_number(cell: float | Decimal) -> int | None:
    """The whole number that a numeric cell holds, or None if it has a fraction or is no number at all."""
    if isinstance(cell, int):
        return cell
    finite = cell.is_finite() if isinstance(cell, Decimal) else cell - cell == 0.0
    return int(cell) if finite and cell == int(cell) else None


def fast_text(cell: FastCell) -> FastCell:
    """The fast path of :func:`text_of`."""
    if cell.dtype == pl.String():
        return cell
    if cell.dtype.is_integer():
        small = cell.value.is_between(-LARGEST_EXACT + 1, LARGEST_EXACT - 1)
        return cell.become(cell.value.cast(pl.String), pl.String(), when=small)
    return cell.leave_to_judge(pl.String())


def require_unmarked(text: str) -> str:
    """The text, unless a connector says that it stands for something else.

    Raises:
        CellInvalid: It does.
    """
    if _MARKED.match(text):
        raise CellInvalid(
            "cell-of-another-type",
            "The cell is no text at the source (a number, a merged or broken cell, a row of another length).",
            "Have the column exported as text; the row says what was found.",
        )
    return text


def has_unwanted_characters(text: str) -> bool:
    """Whether control, invisible or direction-changing characters hide in the text."""
    return _UNWANTED.search(text) is not None


def is_numeric(cell: Any) -> bool:
    """Whether a cell holds a number of any type."""
    return isinstance(cell, int | float | Decimal) and not isinstance(cell, bool)
