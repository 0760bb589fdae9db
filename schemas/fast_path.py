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
        cells = {mapping.field: _cell(mapping, types) for mapping in self._mapping}
        certain = [
            (cell.ok & cell.value.is_not_null() if mapping.required else cell.ok).fill_null(value=False)
            for mapping, cell in zip(self._mapping, cells.values(), strict=True)
        ]
        # with_columns, not select: a page of nothing but constants and nulls keeps its height.
        whole = (
            frame.lazy()
            .with_columns(
                *(cell.value.alias(f"value:{field}") for field, cell in cells.items()),
                pl.all_horizontal(certain).alias("certain:"),
            )
            .select("certain:", *(pl.col(f"value:{field}").alias(field) for field in cells))
            .collect()
        )
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
