"""Rows of a page as Python objects, and as something that can be stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from schemas.kinds import Unrepresentable

_LONGEST_STORED_TEXT = 4_000


def rows_of(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a page; values that Python has no object for are :class:`Unrepresentable`."""
    columns = [_cells(series) for series in frame.iter_columns()]
    names = frame.columns
    for cells in zip(*columns, strict=True):
        yield dict(zip(names, cells, strict=True))


def storable(row: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """The row with nothing but JSON's values, cut to what is worth keeping of very long texts."""
    return {name: _storable(cell) for name, cell in row.items()}


def _cells(series: pl.Series) -> list[Any]:
    if not isinstance(series.dtype, pl.Date | pl.Datetime):
        return series.to_list()
    margin = 1 if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone else 0
    inside = series.cast(pl.Date).is_between(date(1 + margin, 1, 1), date(9999 - margin, 12, 31))
    if inside.fill_null(value=True).all():
        return series.to_list()
    odd = Unrepresentable("a date that no calendar of ours reaches")
    known = series.to_frame("c").select(pl.when(inside).then(pl.col("c")))["c"].to_list()
    return [
        odd if cell is None and not empty else cell
        for cell, empty in zip(known, series.is_null().to_list(), strict=True)
    ]


def _storable(cell: Any) -> str | int | float | bool | None:  # noqa: PLR0911 - one line for each type
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, int):
        return cell if abs(cell) < 2**53 else str(cell)
    if isinstance(cell, float):
        return cell if cell - cell == 0.0 else str(cell)
    if isinstance(cell, str):
        return cell[:_LONGEST_STORED_TEXT]
    if isinstance(cell, date | datetime | time):
        return cell.isoformat()
    if isinstance(cell, bytes):
        return cell[: _LONGEST_STORED_TEXT // 2].hex()
    if isinstance(cell, Decimal | timedelta | Unrepresentable):
        return str(cell)
    return repr(cell)[:_LONGEST_STORED_TEXT]
