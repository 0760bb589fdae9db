"""Cells that come one by one (JSON values, rows of a driver) as columns that keep the source's own types.

A column takes one type only. Where a source mixes types in a column, text stays as it is and every other cell
becomes text that names its type (`number:42`), which no rule of a contract accepts by accident: a number that
stands in for a 16-digit identifier may have lost digits already.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import rfc8785

_INT64 = range(-(2**63), 2**63)
_ONE_TYPE: tuple[tuple[frozenset[type], pl.DataType], ...] = (
    (frozenset({str}), pl.String()),
    (frozenset({bool}), pl.Boolean()),
    (frozenset({int}), pl.Int64()),
    (frozenset({float}), pl.Float64()),
    (frozenset({int, float}), pl.Float64()),
    (frozenset({date}), pl.Date()),
    (frozenset({bytes}), pl.Binary()),
)
_NAMES = {bool: "boolean", int: "number", float: "number", Decimal: "number", list: "list", dict: "object"}
_EXACT_FLOAT = 2**53


def series(name: str, values: Sequence[Any]) -> pl.Series:
    """Make a column of values; a column of nulls only is text."""
    found = {type(value) for value in values if value is not None}
    if not found:
        return pl.Series(name, [None] * len(values), dtype=pl.String())
    for types, kind in _ONE_TYPE:
        if found == types and _holds(kind, values):
            return pl.Series(name, values, dtype=kind)
    return pl.Series(name, [_as_text(value) for value in values], dtype=pl.String())


def _holds(kind: pl.DataType, values: Sequence[Any]) -> bool:
    """Whether no value loses anything in a column of this type."""
    if kind == pl.Int64():
        return all(value is None or value in _INT64 for value in values)
    if kind == pl.Float64():
        return all(not isinstance(value, int) or abs(value) < _EXACT_FLOAT for value in values)
    return True


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    kind = _NAMES.get(type(value), type(value).__name__.lower())
    if isinstance(value, list | dict):
        return f"{kind}:{_canonical(value)}"
    if isinstance(value, bool):
        return f"{kind}:{str(value).lower()}"
    if isinstance(value, datetime | date):
        return f"{kind}:{value.isoformat()}"
    return f"{kind}:{value.hex() if isinstance(value, bytes) else value}"


def _canonical(value: Any) -> str:
    try:
        return rfc8785.dumps(value).decode()
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError):
        return "not representable"
