"""Days and moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

import polars as pl

from foundation import clock
from schemas.kinds.cell import CellInvalid, FastCell
from schemas.kinds.kind import Kind

_ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_ISO_DAY_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_ISO_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
FIRST_DAY, LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
_ISO_MOMENT_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])$"
)
_FIRST_MOMENT = datetime(1850, 1, 1, tzinfo=UTC)
_LAST_MOMENT = datetime(9000, 1, 1, tzinfo=UTC)


def latest_day_anywhere() -> date:
    """Today in the easternmost zone of the country (UTC+9): no day after it has begun anywhere."""
    return (clock.now() + timedelta(hours=9)).date()


@dataclass(frozen=True, slots=True)
class DateKind(Kind):
    """A day of the calendar, by default not before 1850."""

    earliest: date = date(1850, 1, 1)
    in_future: bool = False

    noun: ClassVar[str] = "date"
    sql_type: ClassVar[str] = "date"
    dtype: ClassVar[pl.DataType] = pl.Date()

    def judge(self, cell: Any) -> date:
        """Accept date cells, midnights without a zone, and texts ``YYYY-MM-DD``."""
        day = day_of(cell)
        if day < self.earliest:
            raise CellInvalid(
                "too-early", f"The date lies before {self.earliest.isoformat()}.", "Correct it at the source."
            )
        if day > self._latest():
            raise CellInvalid("in-future", "The date lies in the future.", "Correct it at the source.")
        return day

    def fast(self, cell: FastCell) -> FastCell:
        """Accept date columns and strict ISO texts within the bounds."""
        days = fast_day(cell)
        return days.only(days.value.is_between(self.earliest, self._latest()))

    def _latest(self) -> date:
        return LAST_DAY if self.in_future else latest_day_anywhere()


@dataclass(frozen=True, slots=True)
class MomentKind(Kind):
    """A moment, kept in UTC to the microsecond."""

    noun: ClassVar[str] = "moment"
    sql_type: ClassVar[str] = "timestamptz"
    dtype: ClassVar[pl.DataType] = pl.Datetime("us", "UTC")

    def judge(self, cell: Any) -> datetime:
        """Accept aware datetimes and ISO 8601 texts with an offset; a moment without a zone needs a step."""
        moment = self._moment(cell)
        if not _FIRST_MOMENT <= moment <= _LAST_MOMENT:
            raise CellInvalid(
                "out-of-range", "The moment lies before 1850 or after 9000.", "Correct it at the source."
            )
        return moment

    def fast(self, cell: FastCell) -> FastCell:
        """Accept columns of aware datetimes and strict ISO texts, FHIR's instants among them."""
        if cell.dtype == pl.String():
            return self._written(cell)
        if isinstance(cell.dtype, pl.Datetime) and cell.dtype.time_zone and cell.dtype.time_unit == "us":
            moments = cell.become(cell.value.dt.convert_time_zone("UTC"), self.dtype)
            return moments.only(moments.value.is_between(_FIRST_MOMENT, _LAST_MOMENT))
        return cell.leave_to_judge(self.dtype)

    def _written(self, cell: FastCell) -> FastCell:
        written = cell.value.str.replace(" ", "T", literal=True)
        moment = written.str.to_datetime(
            "%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False
        )
        plain = cell.value.str.contains(_ISO_MOMENT_PATTERN)
        return cell.become(moment, self.dtype, when=plain & moment.is_between(_FIRST_MOMENT, _LAST_MOMENT))

    @staticmethod
    def _moment(cell: Any) -> datetime:
        if isinstance(cell, str) and _ISO_MOMENT.fullmatch(cell):
            try:
                cell = datetime.fromisoformat(cell)
            except ValueError:
                cell = None
        if not isinstance(cell, datetime) or cell.tzinfo is None:
            raise CellInvalid(
                "moment-expected",
                "The cell is not a moment with its offset from UTC.",
                "Name the source's time zone in the contract (step timestamp), or send an offset.",
            )
        try:
            return cell.astimezone(UTC)
        except OverflowError:
            raise CellInvalid(
                "out-of-range", "The moment is out of range.", "Correct it at the source."
            ) from None


def day_of(cell: Any) -> date:
    """The day a cell stands for.

    Raises:
        CellInvalid: It stands for none; a number never does.
    """
    if isinstance(cell, datetime):
        if cell.tzinfo is None and cell.time() == time():
            return cell.date()
    elif isinstance(cell, date):
        return cell
    elif isinstance(cell, str) and (match := _ISO_DAY.fullmatch(cell)):
        try:
            return date(*(int(part) for part in match.groups()))
        except ValueError:
            raise no_such_day() from None
    raise CellInvalid(
        "date-expected",
        "The cell is not a date written YYYY-MM-DD.",
        "Say in the contract how the source writes dates (step date), or correct it at the source.",
    )


def fast_day(cell: FastCell) -> FastCell:
    """The fast path of :func:`day_of`."""
    if cell.dtype == pl.Date():
        return cell.only(cell.value.is_between(FIRST_DAY, LAST_DAY))
    if cell.dtype == pl.String():
        days = cell.value.str.to_date("%Y-%m-%d", strict=False)
        plain = cell.value.str.contains(_ISO_DAY_PATTERN) & days.is_between(FIRST_DAY, LAST_DAY)
        return cell.become(days, pl.Date(), when=plain)
    if isinstance(cell.dtype, pl.Datetime) and cell.dtype.time_zone is None:
        days = cell.value.cast(pl.Date)
        midnight = cell.value == days.cast(cell.dtype)
        return cell.become(days, pl.Date(), when=midnight & days.is_between(FIRST_DAY, LAST_DAY))
    return cell.leave_to_judge(pl.Date())


def no_such_day() -> CellInvalid:
    """The reason to reject a text of the right shape that is no day."""
    return CellInvalid("no-such-day", "The date is not a day of the calendar.", "Correct it at the source.")
