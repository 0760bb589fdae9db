"""The fast path: a whole page judged column by column in Polars.

Invariant: what it accepts, the judge accepts with an identical value. It may leave any row to the judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from schemas.contract import FieldMapping
from schemas.kinds.cell import SURROUNDING_SPACE, FastCell
from schemas.transforms import Concat, Constant


class FastPath:
    """The field mappings of one contract, as Polars expressions made anew for the types of each page."""

    def __init__(self, mapping: Sequence[FieldMapping]) -> None:
        self._mapping = tuple(mapping)

    def apply(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return the canonical values of every row, and which rows are beyond doubt."""
        types = frame.schema
        values, certain = [], []
        for mapping in self._mapping:
            cell = _cell(mapping, types)
            values.append(cell.value.alias(mapping.field))
            right = cell.ok if mapping.required is False else cell.ok & cell.value.is_not_null()
            certain.append(right.fill_null(value=False).alias(f"certain:{mapping.field}"))
        if not values or frame.height == 0:
            return frame.select(values) if values else frame, pl.Series(dtype=pl.Boolean)
        whole = frame.lazy().select(*values, pl.all_horizontal(certain).alias("certain:")).collect()
        return whole.drop("certain:"), whole["certain:"]


def _cell(mapping: FieldMapping, types: Mapping[str, Any]) -> FastCell:
    beginning = mapping.beginning
    if isinstance(beginning, Constant):
        cell = _constant(beginning)
    elif isinstance(beginning, Concat):
        cell = beginning.fast({column: _source(mapping, column, types) for column in mapping.source_columns})
    else:
        cell = _trimmed(_source(mapping, beginning, types))
    for step in mapping.steps:
        cell = step.fast(cell)
    already_trimmed = not isinstance(beginning, Constant) and all(
        step.stays_trimmed for step in mapping.steps
    )
    return mapping.column.kind.fast(cell if already_trimmed else _trimmed(cell))


def _source(mapping: FieldMapping, column: str, types: Mapping[str, Any]) -> FastCell:
    dtype = types[column]
    source = pl.col(column)
    if dtype == pl.Null():
        return FastCell(pl.lit(None, dtype=pl.String), pl.String(), pl.lit(value=True))
    if not _readable(dtype) or (dtype.is_numeric() and _must_be_text(mapping)):
        return FastCell(pl.lit(None, dtype=pl.String), pl.String(), source.is_null())
    return FastCell(source, dtype, pl.lit(value=True))


def _readable(dtype: pl.DataType) -> bool:
    return dtype == pl.String() or dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean()


def _must_be_text(mapping: FieldMapping) -> bool:
    identifier = mapping.column.identifier
    return identifier is not None and identifier.numeric_cells_lose_digits


def _constant(constant: Constant) -> FastCell:
    value = pl.lit(constant.value)
    dtype = {str: pl.String(), int: pl.Int64(), bool: pl.Boolean()}[type(constant.value)]
    return FastCell(value.cast(dtype), dtype, pl.lit(value=True))


def _trimmed(cell: FastCell) -> FastCell:
    if cell.dtype != pl.String():
        return cell
    text = cell.value.str.strip_chars(SURROUNDING_SPACE)
    return cell.become(pl.when(text != "").then(text))
