"""The judge: one row at a time, by the contract's steps and a pydantic model of the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from schemas.contract import FieldMapping
from schemas.kinds import CellInvalid
from schemas.kinds.cell import SURROUNDING_SPACE, is_numeric
from schemas.transforms import Concat, Constant, OnlyWhen


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of one row; never carries the value.

    Attributes:
        field: The canonical field.
        source_column: The column (or columns, joined by +) of the source.
        rule: Stable slug of what was broken.
        message: What is wrong.
        remedy: What to do about it.
        line: Where the contract maps the field.
    """

    field: str
    source_column: str
    rule: str
    message: str
    remedy: str
    line: int | None = None


class RowJudge:
    """Judges rows under the field mappings of one contract."""

    def __init__(self, mapping: Sequence[FieldMapping]) -> None:
        self._mapping = tuple(mapping)
        self._by_field = {each.field: each for each in mapping}
        self._adapter = _adapter(mapping)

    def judge(
        self, row: Mapping[str, Any], only: Sequence[FieldMapping] | None = None
    ) -> tuple[dict[str, Any], tuple[FieldError, ...]]:
        """Return the record and no errors, or all errors of the row; of some fields only, if told which."""
        cells: dict[str, Any] = {}
        errors: dict[str, FieldError] = {}
        for mapping in self._mapping if only is None else only:
            try:
                cells[mapping.field] = _transformed(mapping, row)
            except CellInvalid as problem:
                cells[mapping.field] = None
                errors[mapping.field] = _error(mapping, problem.rule, problem.message, problem.remedy)
        try:
            record = self._adapter.validate_python(cells)
        except ValidationError as found:
            for each in found.errors(include_url=False, include_input=False):
                mapping = self._by_field[str(each["loc"][0])]
                context = each.get("ctx", {})
                error = _error(
                    mapping, context.get("rule", each["type"]), each["msg"], context.get("remedy", "")
                )
                errors.setdefault(mapping.field, error)
            record = {}
        if errors:
            return {}, tuple(errors[field] for field in self._by_field if field in errors)
        return record, ()


def _adapter(mapping: Sequence[FieldMapping]) -> TypeAdapter[dict[str, Any]]:
    fields = {each.field: each.annotation for each in mapping}
    row = TypedDict("Row", fields, total=False)  # type: ignore[misc]
    row.__pydantic_config__ = ConfigDict(extra="forbid", hide_input_in_errors=True)  # type: ignore[attr-defined]
    return cast("TypeAdapter[dict[str, Any]]", TypeAdapter(row))


def _transformed(mapping: FieldMapping, row: Mapping[str, Any]) -> Any:
    _forbid_numbers(mapping, row)
    beginning = mapping.beginning
    if isinstance(beginning, Constant):
        cell: Any = beginning.value
    elif isinstance(beginning, Concat | OnlyWhen):
        cell = beginning.judge(row)
    else:
        cell = row.get(beginning)
    cell = _trimmed(cell)
    for step in mapping.steps:
        if cell is None:
            return None
        cell = step.judge(cell)
    return _trimmed(cell)


def _forbid_numbers(mapping: FieldMapping, row: Mapping[str, Any]) -> None:
    """Quarantine numeric cells of long identifiers: read as text they are someone else's number."""
    identifier = mapping.column.identifier
    if identifier is None or not identifier.numeric_cells_lose_digits:
        return
    if any(is_numeric(row.get(column)) for column in mapping.value_columns):
        raise CellInvalid(
            "numeric-cell",
            f"The {identifier.title} stands in a numeric cell, which keeps fifteen digits at most.",
            "Export the column as text from the source system; the lost digits cannot be recovered.",
        )


def _trimmed(cell: Any) -> Any:
    if isinstance(cell, str):
        return cell.strip(SURROUNDING_SPACE) or None
    return None if isinstance(cell, float) and isnan(cell) else cell


def _error(mapping: FieldMapping, rule: str, message: str, remedy: str) -> FieldError:
    return FieldError(mapping.field, "+".join(mapping.source_columns), rule, message, remedy, mapping.line)
