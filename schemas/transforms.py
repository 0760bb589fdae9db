"""The small language of ``transformLogic``: a list of steps from a source's cell to a field's.

Each step is said twice, for one cell in Python and for a column in Polars; where the two could differ, the
column leaves the cell to the judge. There are no loops, no expressions and no regular expressions in it, so a
contract can neither run code nor exhaust the machine.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from schemas.identifiers import RegionSystem
from schemas.identifiers.regions import PROVINCE_CODES
from schemas.kinds.cell import (
    MARKED,
    SURROUNDING_SPACE,
    CellInvalid,
    FastCell,
    Unrepresentable,
    fast_text,
    require_unmarked,
    text_of,
)
from schemas.kinds.moments import FIRST_DAY, LAST_DAY, day_of, fast_day, no_such_day

ShortText = Annotated[str, StringConstraints(max_length=200)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_DATE_TOKENS = re.compile(r"yyyy|MM|dd|[^A-Za-z0-9]|.")
_DATE_PIECES = {
    "yyyy": ("(?P<year>[0-9]{4})", "%Y"),
    "MM": ("(?P<month>[0-9]{2})", "%m"),
    "dd": ("(?P<day>[0-9]{2})", "%d"),
}
_PLAIN_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_PLAIN_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,14}")
_WITHOUT_ZONE_CHANGES = datetime(1970, 1, 1)  # noqa: DTZ001 - compared before the zone is known


def _checked_format(text: str) -> str:
    tokens = _DATE_TOKENS.findall(text)
    if sorted(token for token in tokens if token in _DATE_PIECES) != ["MM", "dd", "yyyy"]:
        raise ValueError("write the date as dd, MM and yyyy, each once, such as dd-MM-yyyy")
    if any(token.isalnum() for token in tokens if token not in _DATE_PIECES):
        raise ValueError("only dd, MM, yyyy and separators may stand in a date format")
    return text


class Step(BaseModel):
    """One step. Invariant: where ``fast`` is right, ``judge`` gives the identical cell."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @property
    def stays_trimmed(self) -> bool:
        """Whether a cell without surrounding space still has none after this step, and is not blank."""
        return False

    @abstractmethod
    def judge(self, cell: Any) -> Any:
        """The cell after this step; never called on an empty cell.

        Raises:
            CellInvalid: The step cannot be taken on this cell.
        """

    @abstractmethod
    def fast(self, cell: FastCell) -> FastCell:
        """The column after this step."""


class Strip(Step):
    """Remove characters from both ends (white space unless told)."""

    step: Literal["strip"] = "strip"
    characters: Annotated[str, StringConstraints(min_length=1, max_length=20)] = SURROUNDING_SPACE

    def judge(self, cell: Any) -> str:
        """Strip one cell."""
        return text_of(cell).strip(self.characters)

    def fast(self, cell: FastCell) -> FastCell:
        """Strip a column."""
        text = fast_text(cell)
        return text.become(text.value.str.strip_chars(self.characters))


class Empty(Step):
    """Treat some texts as empty, such as ``-`` or ``0``."""

    step: Literal["empty"] = "empty"
    values: Annotated[list[ShortText], Field(min_length=1, max_length=50)]

    @property
    def stays_trimmed(self) -> bool:
        """It changes no characters."""
        return True

    def judge(self, cell: Any) -> Any:
        """Empty one cell."""
        if isinstance(cell, date | Unrepresentable):
            return cell
        text = text_of(cell)
        return None if text in self.values else text

    def fast(self, cell: FastCell) -> FastCell:
        """Empty a column."""
        if cell.dtype.is_temporal():
            return cell
        text = fast_text(cell)
        return text.become(pl.when(~text.value.is_in(self.values)).then(text.value))


class Codes(Step):
    """Translate the source's codes; a code that is not listed is rejected."""

    step: Literal["codes"] = "codes"
    codes: Annotated[dict[ShortText, ShortText], Field(min_length=1, max_length=2000)]

    @property
    def stays_trimmed(self) -> bool:
        """Unless what it puts in has space around it."""
        return all(to and to == to.strip(SURROUNDING_SPACE) for to in self.codes.values())

    def judge(self, cell: Any) -> str:
        """Translate one cell."""
        found = self.codes.get(text_of(cell))
        if found is None:
            raise CellInvalid(
                "unknown-code",
                "The source's code is not among those that the contract translates.",
                "Add it to the step codes of the contract, or correct it at the source.",
            )
        return found

    def fast(self, cell: FastCell) -> FastCell:
        """Translate a column."""
        if cell.dtype.is_integer():
            numbers = {int(code): to for code, to in self.codes.items() if _PLAIN_NUMBER.fullmatch(code)}
            translated = cell.value.cast(pl.Int64, strict=False).replace_strict(
                numbers or {0: None}, default=None, return_dtype=pl.String
            )
            return cell.become(translated, pl.String(), when=translated.is_not_null())
        text = fast_text(cell)
        translated = text.value.replace_strict(self.codes, default=None, return_dtype=pl.String)
        return text.become(translated, when=translated.is_not_null())


class Pad(Step):
    """Fill up on the left to a length, as codes that lost their leading zeros need it."""

    step: Literal["pad"] = "pad"
    length: Annotated[int, Field(ge=1, le=40)]
    fill: Annotated[str, StringConstraints(pattern=r"^[ -~]$")] = "0"

    @property
    def stays_trimmed(self) -> bool:
        """Unless what it puts in has space around it."""
        return self.fill != " "

    def judge(self, cell: Any) -> str:
        """Pad one cell."""
        return text_of(cell).rjust(self.length, self.fill)

    def fast(self, cell: FastCell) -> FastCell:
        """Pad a column."""
        text = fast_text(cell)
        return text.become(text.value.str.pad_start(self.length, self.fill))


class Split(Step):
    """Cut at a separator and take one part, counted from 0."""

    step: Literal["split"] = "split"
    on: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    take: Annotated[int, Field(ge=0, le=50)]

    def judge(self, cell: Any) -> str | None:
        """Cut one cell."""
        parts = text_of(cell).split(self.on)
        return parts[self.take] if self.take < len(parts) else None

    def fast(self, cell: FastCell) -> FastCell:
        """Cut a column."""
        text = fast_text(cell)
        return text.become(text.value.str.split(self.on).list.get(self.take, null_on_oob=True))


class Date(Step):
    """Read a date written in a fixed shape of ``dd``, ``MM`` and ``yyyy``."""

    step: Literal["date"] = "date"
    format: Annotated[str, AfterValidator(_checked_format)]

    def judge(self, cell: Any) -> date | Unrepresentable:
        """Read one cell."""
        if isinstance(cell, Unrepresentable):
            return cell
        if not isinstance(cell, str):
            return day_of(cell)
        match = re.fullmatch(self._pattern(0), cell)
        if match is None:
            raise CellInvalid(
                "date-format",
                f"The cell is not a date written {self.format}.",
                "Correct it at the source, or the format in the contract (step date).",
            )
        try:
            return date(*(int(match[part]) for part in ("year", "month", "day")))
        except ValueError:
            raise no_such_day() from None

    def fast(self, cell: FastCell) -> FastCell:
        """Read a column."""
        if cell.dtype != pl.String():
            return fast_day(cell)
        days = cell.value.str.to_date(self._pattern(1), strict=False)
        plain = cell.value.str.contains("^" + self._pattern(0).replace("?P<", "?<") + "$")
        return cell.become(days, pl.Date(), when=plain & days.is_between(FIRST_DAY, LAST_DAY))

    def _pattern(self, side: int) -> str:
        tokens = _DATE_TOKENS.findall(self.format)
        return "".join(
            _DATE_PIECES[token][side] if token in _DATE_PIECES else _literal(token, side) for token in tokens
        )


class Timestamp(Step):
    """Give moments that the source writes without a zone the zone in which it writes them."""

    step: Literal["timestamp"] = "timestamp"
    timezone: Literal["Asia/Jakarta", "Asia/Pontianak", "Asia/Makassar", "Asia/Jayapura", "UTC"]

    def judge(self, cell: Any) -> Any:
        """Place one cell in its zone."""
        if isinstance(cell, str):
            try:
                cell = datetime.fromisoformat(cell)
            except ValueError:
                return cell
        if isinstance(cell, datetime) and cell.tzinfo is None:
            return cell.replace(tzinfo=ZoneInfo(self.timezone))
        return cell

    def fast(self, cell: FastCell) -> FastCell:
        """Place a column of datetimes, or of texts written like them, in its zone."""
        if cell.dtype == pl.String():
            written = cell.value.str.replace(" ", "T", literal=True)
            moments = written.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
            cell = cell.become(moments, pl.Datetime("us"), when=cell.value.str.contains(_PLAIN_MOMENT))
        if not isinstance(cell.dtype, pl.Datetime):
            return cell.leave_to_judge(pl.Datetime("us", "UTC"))
        if cell.dtype.time_zone is not None:
            return cell
        zoned = pl.Datetime(cell.dtype.time_unit, self.timezone)
        moments = cell.value.dt.replace_time_zone(self.timezone, ambiguous="null", non_existent="null")
        return cell.become(moments, zoned, when=cell.value >= _WITHOUT_ZONE_CHANGES)


class KeepForm(Step):
    """Keep a number only where it has the form of a NIK; a number that a spreadsheet damaged is rejected."""

    step: Literal["keep_form"] = "keep_form"
    form: Literal["nik"]

    @property
    def stays_trimmed(self) -> bool:
        """It changes no characters."""
        return True

    def judge(self, cell: Any) -> str | None:
        """Keep or empty one cell."""
        text = require_unmarked(text_of(cell))
        if re.fullmatch(_DAMAGED, text):
            raise CellInvalid(
                "digits-lost",
                "The number is in a spreadsheet's scientific notation: its last digits are lost for good.",
                "Export the column again as text from the source system; it cannot be repaired here.",
            )
        return text if re.fullmatch(_NIK_SHAPED, text) else None

    def fast(self, cell: FastCell) -> FastCell:
        """Keep or empty a column; damaged numbers are the judge's."""
        text = fast_text(cell)
        kept = pl.when(text.value.str.contains(f"^(?:{_NIK_SHAPED})$")).then(text.value)
        return text.become(kept, when=~text.value.str.contains("[eE:\ufffd]"))


class Part(BaseModel):
    """One column of a concatenation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    column: ColumnName
    pad: Annotated[int, Field(ge=1, le=40)] | None = None


class Concat(BaseModel):
    """Join several columns of the source; empty if one of them is. Only as the first step."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    step: Literal["concat"] = "concat"
    columns: Annotated[list[Part], Field(min_length=1, max_length=20)]
    separator: Annotated[str, StringConstraints(max_length=20)] = ""

    def judge(self, row: Mapping[str, Any]) -> str | None:
        """Join the cells of one row."""
        parts = [self._part(row.get(part.column), part) for part in self.columns]
        return None if None in parts else self.separator.join(cast("list[str]", parts))

    def fast(self, columns: Mapping[str, FastCell]) -> FastCell:
        """Join columns."""
        parts, ok = [], pl.lit(value=True)
        for part in self.columns:
            cell = columns[part.column]
            text = fast_text(cell)
            value = text.value
            if cell.dtype == pl.String():
                value = value.str.strip_chars(SURROUNDING_SPACE)
                value = pl.when(value != "").then(value)
            parts.append(value.str.pad_start(part.pad, "0") if part.pad else value)
            ok = ok & text.ok
        return FastCell(pl.concat_str(parts, separator=self.separator), pl.String(), ok)

    @staticmethod
    def _part(cell: Any, part: Part) -> str | None:
        if cell is None:
            return None
        text = text_of(cell).strip(SURROUNDING_SPACE)
        return text.rjust(part.pad or 0, "0") if text else None


class Constant(BaseModel):
    """The same value for every row. Only as the first step."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    step: Literal["constant"] = "constant"
    value: ShortText | int | bool


class OnlyWhen(BaseModel):
    """Take a column only where another one has one of some values; else empty. Only as the first step."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    step: Literal["only_when"] = "only_when"
    column: ColumnName
    when: ColumnName
    is_one_of: Annotated[list[ShortText], Field(min_length=1, max_length=50)]

    def judge(self, row: Mapping[str, Any]) -> Any:
        """Take or leave the cell of one row."""
        told = row.get(self.when)
        if told is None or require_unmarked(text_of(told)).strip(SURROUNDING_SPACE) not in self.is_one_of:
            return None
        return row.get(self.column)

    def fast(self, columns: Mapping[str, FastCell]) -> FastCell:
        """Take or leave the cells of a column."""
        cell, told = columns[self.column], fast_text(columns[self.when])
        taken = told.value.str.strip_chars(SURROUNDING_SPACE).is_in(self.is_one_of)
        unmarked = told.value.is_null() | ~told.value.str.contains(MARKED)
        return FastCell(pl.when(taken).then(cell.value), cell.dtype, cell.ok & told.ok & unmarked)


AnyStep = Strip | Empty | Codes | Pad | Split | Date | Timestamp | KeepForm
Beginning = Concat | Constant | OnlyWhen

_DAMAGED = r"[0-9][0-9.,]*[eE][+\-]?[0-9]+"
_NIK_SHAPED = "(?:" + "|".join(sorted(PROVINCE_CODES[RegionSystem.KEMENDAGRI])) + ")[0-9]{14}"


def _literal(token: str, side: int) -> str:
    return re.escape(token) if side == 0 else token.replace("%", "%%")
