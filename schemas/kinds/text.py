"""Texts and codes."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from schemas.kinds.cell import (
    MARKED,
    PLAIN_TEXT,
    SURROUNDING_SPACE,
    CellInvalid,
    FastCell,
    fast_text,
    has_unwanted_characters,
    require_unmarked,
    text_of,
)
from schemas.kinds.kind import Kind

_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class TextKind(Kind):
    """A text in Unicode NFC without control, invisible or direction-changing characters."""

    max_length: int = 200
    min_length: int = 1

    noun: ClassVar[str] = "text"
    sql_type: ClassVar[str] = "text"
    dtype: ClassVar[pl.DataType] = pl.String()

    def judge(self, cell: Any) -> str:
        """Accept a text of the right length, or a whole number written as text."""
        text = require_unmarked(text_of(cell))
        if len(text) > 8 * self.max_length:  # normalising may shorten a text, but never this much
            raise self._too_long()
        text = unicodedata.normalize("NFC", text.replace("\u00a0", " ")).strip(SURROUNDING_SPACE)
        if has_unwanted_characters(text):
            raise CellInvalid(
                "unwanted-characters",
                "The text contains control, invisible or direction-changing characters.",
                "Remove them at the source; they come from copying out of other programs.",
            )
        if len(text) > self.max_length:
            raise self._too_long()
        if len(text) < self.min_length:
            raise CellInvalid(
                "too-short",
                f"The text is shorter than {self.min_length} characters.",
                "Complete it at the source.",
            )
        return text

    def fast(self, cell: FastCell) -> FastCell:
        """Accept plain Latin letters, digits and signs of the right length."""
        text = fast_text(cell)
        fits = text.value.str.len_chars().is_between(self.min_length, self.max_length)
        plain = text.value.str.contains(PLAIN_TEXT) & ~text.value.str.contains(MARKED)
        return text.only(fits & plain)

    def _too_long(self) -> CellInvalid:
        return CellInvalid(
            "too-long",
            f"The text is longer than {self.max_length} characters.",
            "Check that the right column is mapped; shorten it at the source.",
        )


@dataclass(frozen=True, slots=True)
class CodeKind(Kind):
    """One of a closed list of codes."""

    codes: tuple[str, ...]

    noun: ClassVar[str] = "code"
    sql_type: ClassVar[str] = "text"
    dtype: ClassVar[pl.DataType] = pl.String()

    def judge(self, cell: Any) -> str:
        """Accept a code of the list."""
        text = text_of(cell)
        if text not in self.codes:
            raise CellInvalid(
                "unknown-code",
                f"The code is none of: {', '.join(self.codes)}.",
                "Map the source's code in the contract (step codes), or correct it at the source.",
            )
        return text

    def fast(self, cell: FastCell) -> FastCell:
        """Accept a code of the list."""
        text = fast_text(cell)
        return text.only(text.value.is_in(list(self.codes)))


@dataclass(frozen=True, slots=True)
class BooleanKind(Kind):
    """True or false."""

    noun: ClassVar[str] = "boolean"
    sql_type: ClassVar[str] = "boolean"
    dtype: ClassVar[pl.DataType] = pl.Boolean()

    def judge(self, cell: Any) -> bool:
        """Accept a boolean cell or the texts ``true`` and ``false``; 1 and 0 need a step ``codes``."""
        if isinstance(cell, bool):
            return cell
        if isinstance(cell, str) and cell in _TRUTHS:
            return _TRUTHS[cell]
        raise CellInvalid(
            "boolean-expected",
            "The cell is neither true nor false.",
            "Map the source's codes to 'true' and 'false' in the contract (step codes).",
        )

    def fast(self, cell: FastCell) -> FastCell:
        """Accept boolean columns and the two texts."""
        if cell.dtype == pl.Boolean():
            return cell
        if cell.dtype == pl.String():
            return cell.become(cell.value == "true", self.dtype, when=cell.value.is_in(list(_TRUTHS)))
        return cell.leave_to_judge(self.dtype)
