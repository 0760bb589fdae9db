"""The fast path: a whole page judged column by column in Polars.

Invariant: what it accepts, the judge accepts with an identical value. It may leave any row to the judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from schemas.contract import FieldMapping
from schemas.kinds.cell import SURROUNDING_SPACE, FastCell
from schemas.transforms import Concat, Constant, OnlyWhen


@dataclass(frozen=True, slots=True)
class FastVerdict:
    """What the fast path found on a page.

    Attributes:
        values: The canonical value of every field of every row; meaningless where not certain.
        certain: The rows of which every field is beyond doubt.
        by_field: For each field, the rows where it is beyond doubt.
    """

    values: pl.DataFrame
    certain: pl.Series
    by_field: pl.DataFrame

    def doubtful(self) -> tuple[list[int], list[tuple[Any, ...]], list[tuple[bool, ...]]]:
        """The rows left to the judge: their places, the values that are certain, and which those are."""
        places = (~self.certain).arg_true()
        masks = self.by_field[places]
        values = self.values[places]
        known = values.select(
            pl.when(masks[name]).then(pl.col(name)).alias(name) for name in self.by_field.columns
        )
        return places.to_list(), known.rows(), masks.rows()


class FastPath:
    """The field mappings of one contract, as Polars expressions made anew for the types of each page."""

    def __init__(self, mapping: Sequence[FieldMapping]) -> None:
        self._mapping = tuple(mapping)

    def apply(self, frame: pl.DataFrame) -> FastVerdict:
        """Return the canonical values of every row, and what of them is beyond doubt."""
        types = frame.schema
        cells = {mapping.field: _cell(mapping, types) for mapping in self._mapping}
        required = {mapping.field for mapping in self._mapping if mapping.required}
        # with_columns, not select: a page of nothing but constants and nulls keeps its height.
        whole = (
            frame.lazy()
            .with_columns(
                *(cell.value.alias(f"value:{field}") for field, cell in cells.items()),
                *(
                    (cell.ok & cell.value.is_not_null() if field in required else cell.ok)
                    .fill_null(value=False)
                    .alias(f"certain:{field}")
                    for field, cell in cells.items()
                ),
            )
            .select(pl.col("^(value|certain):.*$"))
            .collect()
        )
        by_field = whole.select(pl.col(f"certain:{field}").alias(field) for field in cells)
        return FastVerdict(
            values=whole.select(pl.col(f"value:{field}").alias(field) for field in cells),
            certain=by_field.select(pl.all_horizontal(pl.all()).alias("certain"))["certain"],
            by_field=by_field,
        )


def _cell(mapping: FieldMapping, types: Mapping[str, Any]) -> FastCell:
    beginning = mapping.beginning
    if isinstance(beginning, Constant):
        cell = _constant(beginning)
    elif isinstance(beginning, Concat | OnlyWhen):
        cell = beginning.fast({column: _source(mapping, column, types) for column in mapping.source_columns})
        cell = _trimmed(cell) if isinstance(beginning, OnlyWhen) else cell
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
    forbidden = dtype.is_numeric() and column in mapping.value_columns and _must_be_text(mapping)
    if forbidden or not _readable(dtype):
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
