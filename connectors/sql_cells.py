"""Columns of a SQL source as columns of a page: the source's own types, nothing guessed from values.

Dates and moments beyond the years 1 to 9999 (PostgreSQL knows `infinity` and the year 5874897) arrive as the
nearest day that other tools can hold; no rule accepts either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
from sqlalchemy import ColumnElement, Text, case, cast, func, literal_column
from sqlalchemy import types as sa

_LONGEST_DECIMAL = 38


@dataclass(frozen=True, slots=True)
class CellPlan:
    """How one column is asked for, how its text is read, and what it becomes.

    Attributes:
        ask: The expression to select from PostgreSQL.
        arrow: The type in which its CSV text is read.
        finish: What turns that into the column of the page.
        polars: The type of the column of the page.
    """

    ask: ColumnElement[Any]
    arrow: pa.DataType
    polars: pl.DataType
    finish: Callable[[pl.Expr], pl.Expr] = lambda cells: cells


def plan(column: ColumnElement[Any], kind: sa.TypeEngine[Any]) -> CellPlan:
    """Plan a column by the type that the source declares for it."""
    for family, planner in _PLANNERS:
        if isinstance(kind, family):
            return planner(column, kind)
    if isinstance(kind, sa.String):
        return CellPlan(column, pa.large_string(), pl.String())
    return CellPlan(cast(column, Text), pa.large_string(), pl.String())


def _integer(column: ColumnElement[Any], kind: sa.TypeEngine[Any]) -> CellPlan:
    if isinstance(kind, sa.SmallInteger):
        return CellPlan(column, pa.int16(), pl.Int16())
    if isinstance(kind, sa.BigInteger):
        return CellPlan(column, pa.int64(), pl.Int64())
    return CellPlan(column, pa.int32(), pl.Int32())


def _number(column: ColumnElement[Any], kind: sa.TypeEngine[Any]) -> CellPlan:
    assert isinstance(kind, sa.Numeric)
    precision, scale = kind.precision, kind.scale or 0
    if precision is None or not 0 <= scale <= precision <= _LONGEST_DECIMAL:
        precision, scale = _LONGEST_DECIMAL, 18
    return CellPlan(column, pa.decimal128(precision, scale), pl.Decimal(precision, scale))


def _float(column: ColumnElement[Any], _: sa.TypeEngine[Any]) -> CellPlan:
    return CellPlan(column, pa.float64(), pl.Float64())


def _boolean(column: ColumnElement[Any], _: sa.TypeEngine[Any]) -> CellPlan:
    return CellPlan(column, pa.bool_(), pl.Boolean())


def _day(column: ColumnElement[Any], _: sa.TypeEngine[Any]) -> CellPlan:
    return CellPlan(_clamped(column, "date '0001-01-01'", "date '9999-12-31'"), pa.date32(), pl.Date())


def _moment(column: ColumnElement[Any], kind: sa.TypeEngine[Any]) -> CellPlan:
    first, last = "'0001-01-01 00:00:00", "'9999-12-31 23:59:59"
    if not getattr(kind, "timezone", False):
        ask = _clamped(column, f"timestamp {first}'", f"timestamp {last}'")
        return CellPlan(ask, pa.timestamp("us"), pl.Datetime("us"))
    ask = func.timezone("UTC", _clamped(column, f"timestamptz {first}+00'", f"timestamptz {last}+00'"))
    return CellPlan(
        ask, pa.timestamp("us"), pl.Datetime("us", "UTC"), lambda cells: cells.dt.replace_time_zone("UTC")
    )


def _bytes(column: ColumnElement[Any], _: sa.TypeEngine[Any]) -> CellPlan:
    ask = func.encode(column, "hex")
    return CellPlan(ask, pa.large_string(), pl.Binary(), lambda cells: cells.str.decode("hex"))


def _clamped(column: ColumnElement[Any], first: str, last: str) -> ColumnElement[Any]:
    bounded = func.least(func.greatest(column, literal_column(first)), literal_column(last))
    return case((column.is_(None), None), else_=bounded)  # LEAST and GREATEST would pass over a null


_PLANNERS: tuple[tuple[type[sa.TypeEngine[Any]], Callable[..., CellPlan]], ...] = (
    (sa.Boolean, _boolean),
    (sa.Integer, _integer),
    (sa.Float, _float),
    (sa.Numeric, _number),
    (sa.DateTime, _moment),
    (sa.Date, _day),
    (sa.LargeBinary, _bytes),
)
