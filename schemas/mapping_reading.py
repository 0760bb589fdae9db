"""Reads how the fields of a record type come from the columns of a source."""

from __future__ import annotations

import difflib
import re
from typing import Any

from open_data_contract_standard.model import SchemaObject, SchemaProperty

from schemas.contract import FieldMapping
from schemas.marked_yaml import Path
from schemas.problems import Problems
from schemas.record_types import Column, RecordType
from schemas.transform_reading import read_steps

_SOURCE_COLUMN = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_LOGICAL_TYPES = {
    "text": "string", "bigint": "integer", "date": "date", "timestamptz": "timestamp", "boolean": "boolean",
}  # fmt: skip


class MappingReader:
    """Reads how the fields of a record type come from the source's columns."""

    def __init__(self, found: RecordType, problems: Problems) -> None:
        self.record_type = found
        self.problems = problems

    def read(self, schema: SchemaObject) -> tuple[FieldMapping, ...]:
        """Read every property; fields that the record type needs and nobody maps are noted."""
        mapping: dict[str, FieldMapping] = {}
        for position, declared in enumerate(schema.properties or []):
            path = ("schema", 0, "properties", position)
            field = self._field(declared, path)
            if field is None:
                continue
            if field.field in mapping:
                self.problems.add(
                    path, "duplicate-field", f"The field {field.field} is mapped twice.", "Keep one."
                )
            mapping[field.field] = field
        for column in self.record_type.columns:
            if not column.nullable and column.name not in mapping and self.record_type.model is not None:
                self.problems.add(
                    ("schema", 0), "missing-field",
                    f"{self.record_type.name} needs the field {column.name}, which is not mapped.",
                    "Add a property of that name with the source's column as physicalName.",
                )  # fmt: skip
        return tuple(mapping.values())

    def _field(self, declared: SchemaProperty, path: Path) -> FieldMapping | None:
        column = self.record_type.column(declared.name or "")
        if column is None:
            if self.record_type.model is not None:
                self._unknown_field(declared.name or "", path)
            return None
        self._check_agreement(declared, path, column)
        beginning: Any = declared.physicalName
        steps: tuple[Any, ...] = ()
        if declared.transformLogic is not None:
            first, steps = read_steps(declared.transformLogic, (*path, "transformLogic"), self.problems)
            beginning = first or beginning
        if beginning is None or (isinstance(beginning, str) and not _SOURCE_COLUMN.fullmatch(beginning)):
            self.problems.add(
                path, "no-source", f"The field {column.name} does not say where it comes from.",
                "Add physicalName, or begin transformLogic with concat or constant.",
            )  # fmt: skip
            return None
        required = bool(declared.required or declared.primaryKey or not column.nullable)
        return FieldMapping(column.name, column, beginning, steps, required, self.problems.line(path))

    def _unknown_field(self, name: str, path: Path) -> None:
        close = difflib.get_close_matches(name, self.record_type.column_names, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        self.problems.add(
            (*path, "name"), "unknown-field", f"{self.record_type.name} has no field '{name[:60]}'.",
            f"{hint}Its fields are: {', '.join(self.record_type.column_names)}.",
        )  # fmt: skip

    def _check_agreement(self, declared: SchemaProperty, path: Path, column: Column) -> None:
        if self.record_type.model is None:
            return
        if declared.classification not in {None, str(column.classification)}:
            self.problems.add(
                (*path, "classification"), "classification",
                f"The field {column.name} is classified {column.classification} by its record type.",
                "Write that, or leave the key out.",
            )  # fmt: skip
        logical = _LOGICAL_TYPES.get(column.sql_type, "number")
        if declared.logicalType not in {None, logical}:
            self.problems.add(
                (*path, "logicalType"), "logical-type",
                f"The field {column.name} has the logical type {logical}.",
                "logicalType describes the field, not the source's column; write that or leave it out.",
            )  # fmt: skip


def read_source_key(
    schema: SchemaObject, found: RecordType, mapping: tuple[FieldMapping, ...], problems: Problems
) -> tuple[str, ...]:
    """The canonical fields that name a record at the source: those marked as primary key, in their order."""
    marked = [
        (declared.primaryKeyPosition or position + 1, declared.name or "")
        for position, declared in enumerate(schema.properties or [])
        if declared.primaryKey
    ]
    key = tuple(name for _, name in sorted(marked)) or found.natural_key
    unmapped = sorted({*found.natural_key, *key} - {each.field for each in mapping})
    if unmapped and found.model is not None:
        problems.add(
            ("schema", 0), "key",
            f"The key of {found.name} needs {', '.join(unmapped)}, which is not mapped.",
            "Map every field of the key.",
        )  # fmt: skip
    return key
