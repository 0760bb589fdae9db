"""From a page of the source's cells to canonical records, and to reasons for every row that is none.

A contract compiles once into two judges. The fast path looks at whole columns in Polars and accepts only what
is beyond doubt; every other row goes to the judge, one at a time, who explains every rejection.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from foundation.errors import Location
from schemas.contract import Contract
from schemas.errors import ColumnsChanged
from schemas.fast_path import FastPath, FastVerdict
from schemas.judge import FieldError, RowJudge
from schemas.source_rows import rows_of, storable

__all__ = ["CompiledMapping", "FieldError", "Mapped", "Rejection", "compile_mapping"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row that is no record: where it stood, every error in it, and the row itself (to be sealed)."""

    position: int
    errors: tuple[FieldError, ...]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of a page.

    Attributes:
        accepted: The records, with every column of the record type in its order; fields not mapped are null.
        positions: The source position of each accepted record, in the same order.
        rejected: The other rows, in the order of their positions.
        warnings: How many accepted records break each rule between fields (only rules that were broken).
        judged: How many rows the fast path left to the judge.
    """

    accepted: pl.DataFrame = field(repr=False)
    positions: pl.Series = field(repr=False)
    rejected: tuple[Rejection, ...]
    warnings: Mapping[str, int]
    judged: int

    @property
    def reasons(self) -> dict[str, int]:
        """How many rows were rejected for each ``field:rule``."""
        counts: dict[str, int] = {}
        for rejection in self.rejected:
            for error in rejection.errors:
                reason = f"{error.field}:{error.rule}"
                counts[reason] = counts.get(reason, 0) + 1
        return counts


class CompiledMapping:
    """The mapping of one contract, ready to be applied to any number of pages."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._fast_path = FastPath(contract.mapping)
        self._judge = RowJudge(contract.mapping)

    def apply(self, frame: pl.DataFrame, positions: Sequence[int] | int = 0) -> Mapped:
        """Map one page, whose rows stand at ``positions`` (or begin at that position) in the source.

        Raises:
            ColumnsChanged: The page lacks columns that the contract names.
        """
        frame = self._expected_columns(frame)
        where = _positions(positions, frame.height)
        verdict = self._fast_path.apply(frame)
        accepted, places, rejected = self._judged(frame, verdict, where)
        surely = self._complete(verdict.values.filter(verdict.certain))
        kept = where.filter(verdict.certain)
        if places:
            surely, kept = _merged(surely, kept, self._complete(accepted), pl.Series(places, dtype=pl.Int64))
        return Mapped(surely, kept, rejected, self._broken_rules(surely), len(places) + len(rejected))

    def _judged(
        self, frame: pl.DataFrame, verdict: FastVerdict, where: pl.Series
    ) -> tuple[pl.DataFrame, list[int], tuple[Rejection, ...]]:
        """Let the judge look at what is doubtful in each doubtful row; the rest of it is known."""
        accepted: list[tuple[Any, ...]] = []
        places: list[int] = []
        rejected: list[Rejection] = []
        doubtful, known, masks = verdict.doubtful()
        positions = where.gather(doubtful).to_list()
        rows = rows_of(frame[doubtful]) if doubtful else iter(())
        for position, row, values, mask in zip(positions, rows, known, masks, strict=True):
            only = [
                mapping for mapping, certain in zip(self.contract.mapping, mask, strict=True) if not certain
            ]
            record, errors = self._judge.judge(row, only)
            if errors:
                rejected.append(Rejection(position, errors, storable(row)))
            else:
                found = zip(self.contract.fields, values, strict=True)
                accepted.append(tuple(record.get(name, value) for name, value in found))
                places.append(position)
        schema = {each.field: each.column.polars_dtype for each in self.contract.mapping}
        return pl.DataFrame(accepted, schema=schema, orient="row"), places, tuple(rejected)

    def _expected_columns(self, frame: pl.DataFrame) -> pl.DataFrame:
        expected = self.contract.source_columns
        missing = [column for column in expected if column not in frame.columns]
        if not missing:
            return frame.select(expected) if expected else frame
        if frame.height == 0:
            return pl.DataFrame(schema=dict.fromkeys(expected, pl.Null()))
        raise self._columns_changed(missing, frame.columns)

    def _columns_changed(self, missing: list[str], found: list[str]) -> ColumnsChanged:
        spare = [column for column in found if column not in self.contract.source_columns]
        suggestions = {}
        for column in missing:
            close = difflib.get_close_matches(
                column.lower(), [each.lower() for each in spare], n=1, cutoff=0.5
            )
            if close:
                suggestions[column] = next(each for each in spare if each.lower() == close[0])
        first = next(each for each in self.contract.mapping if set(each.source_columns) & set(missing))
        path = self.contract.path
        return ColumnsChanged(
            self.contract.id,
            missing=missing,
            found=found,
            suggestions=suggestions,
            location=Location(
                file=f"{path.parent.name}/{path.name}" if path else None,
                line=first.line,
                field=first.field,
                rule="columns-changed",
            ),
        )

    def _complete(self, frame: pl.DataFrame) -> pl.DataFrame:
        record_type = self.contract.record_type
        present = set(frame.columns)
        return frame.select(
            pl.col(column.name)
            if column.name in present
            else pl.lit(None, dtype=column.polars_dtype).alias(column.name)
            for column in record_type.columns
        )

    def _broken_rules(self, accepted: pl.DataFrame) -> dict[str, int]:
        rules = self._rules
        if not rules or accepted.height == 0:
            return {}
        counts = accepted.select(
            rule.violated.fill_null(value=False).sum().alias(rule.name) for rule in rules
        )
        return {name: int(count) for name, count in counts.row(0, named=True).items() if count}

    @cached_property
    def _rules(self) -> list[Any]:
        mapped = set(self.contract.fields)
        return [rule for rule in self.contract.record_type.rules if mapped.issuperset(rule.fields)]


def compile_mapping(contract: Contract) -> CompiledMapping:
    """Compile the mapping of a contract; keep the result for all its pages."""
    return CompiledMapping(contract)


def _positions(positions: Sequence[int] | int, height: int) -> pl.Series:
    if isinstance(positions, int):
        return pl.int_range(positions, positions + height, eager=True, dtype=pl.Int64)
    if len(positions) != height:
        raise ValueError("a page needs one position for each row")
    return pl.Series(positions, dtype=pl.Int64)


def _merged(
    first: pl.DataFrame, first_places: pl.Series, second: pl.DataFrame, second_places: pl.Series
) -> tuple[pl.DataFrame, pl.Series]:
    places = pl.concat([first_places.rename("position"), second_places.rename("position")])
    order = places.arg_sort()
    return pl.concat([first, second])[order], places.gather(order)
