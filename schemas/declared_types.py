"""A record type made from a contract's own properties, so that a new dataset needs no Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from open_data_contract_standard.model import SchemaObject, SchemaProperty
from pydantic import ValidationError

from schemas.contract_terms import FieldTerms, as_mapping
from schemas.fields import Classification
from schemas.identifiers import IDENTIFIERS
from schemas.kinds import (
    BooleanKind,
    CodeKind,
    DateKind,
    DecimalKind,
    IdentifierKind,
    IntegerKind,
    Kind,
    MomentKind,
    TextKind,
)
from schemas.marked_yaml import Path
from schemas.problems import Problems
from schemas.record_types import COLUMN_NAME, RESERVED_COLUMNS, Column, RecordType, record_types

TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]{1,39}")
LONGEST_TEXT = 10_000


def declare(
    schema: SchemaObject, major: int, subject_identifier: str | None, path: Path, problems: Problems
) -> RecordType:
    """Make the record type that a contract declares, noting what is wrong with it."""
    name = schema.name or ""
    _check_name(name, path, problems)
    columns, keys = [], []
    for position, declared in enumerate(schema.properties or []):
        place = (*path, "properties", position)
        column = _column(declared, place, problems)
        if column is not None:
            columns.append(column)
            if declared.primaryKey:
                keys.append((declared.primaryKeyPosition or position, column.name))
    if not keys:
        problems.add(
            path, "no-key", f"The record type {name} has no key.",
            "Mark the properties that tell records apart with primaryKey: true.",
        )  # fmt: skip
    return RecordType(
        name=name,
        major=major,
        model=None,
        columns=tuple(columns),
        natural_key=tuple(column for _, column in sorted(keys)),
        subject_identifier=_subject(subject_identifier, columns, path, problems),
        closed_world=False,
        description=schema.description or "",
    )


def _check_name(name: str, path: Path, problems: Problems) -> None:
    if not TYPE_NAME.fullmatch(name):
        problems.add(
            (*path, "name"), "type-name", "The name of a record type is written like BusinessLicense.",
            "Use Latin letters and digits, beginning with a capital.",
        )  # fmt: skip
    taken = {known.name.lower(): known.name for known in record_types()}
    if name.lower() in taken:
        problems.add(
            (*path, "name"), "type-name",
            f"The name is too close to the record type {taken[name.lower()]}.",
            "Use that record type as it is written, or choose another name.",
        )  # fmt: skip


def _column(declared: SchemaProperty, path: Path, problems: Problems) -> Column | None:
    name = declared.name or ""
    if not COLUMN_NAME.fullmatch(name) or name in RESERVED_COLUMNS:
        reserved = "is a word the bus keeps for itself" if name in RESERVED_COLUMNS else "is not a field name"
        problems.add(
            (*path, "name"), "field-name", f"'{name[:60]}' {reserved}.",
            "Use lower case letters, digits and underscores, such as issued_on.",
        )  # fmt: skip
        return None
    terms = _terms(declared, path, problems)
    if terms is None:
        return None
    kind = _kind(declared, terms, path, problems)
    classification = _classification(declared, path, problems)
    if kind is None or classification is None:
        return None
    nullable = not (declared.required or declared.primaryKey)
    return Column(name, kind, nullable, classification, declared.description or "")


def _terms(declared: SchemaProperty, path: Path, problems: Problems) -> FieldTerms | None:
    try:
        return FieldTerms.model_validate(as_mapping(declared.customProperties))
    except ValidationError as error:
        problems.add_validation((*path, "customProperties"), error)
        return None


def _classification(declared: SchemaProperty, path: Path, problems: Problems) -> Classification | None:
    if declared.classification in set(Classification):
        return Classification(declared.classification)
    problems.add(
        (*path, "classification"), "classification",
        f"The field {declared.name} is not classified as public, general or specific personal data.",
        "Class it after UU 27/2022, Art. 4; when in doubt, specific.",
    )  # fmt: skip
    return None


def _kind(declared: SchemaProperty, terms: FieldTerms, path: Path, problems: Problems) -> Kind | None:
    if terms.identifier is not None:
        return IdentifierKind(IDENTIFIERS[terms.identifier])
    if declared.enum:
        return CodeKind(tuple(str(entry.value) for entry in declared.enum))
    make = _KINDS.get(declared.logicalType or "")
    if make is None:
        problems.add(
            (*path, "logicalType"), "logical-type",
            f"The field {declared.name} has a logical type that no column can hold: {declared.logicalType}.",
            f"Choose one of: {', '.join(_KINDS)}.",
        )  # fmt: skip
        return None
    try:
        return make(declared.logicalTypeOptions or {}, terms)
    except (TypeError, ValueError):
        problems.add(
            (*path, "logicalTypeOptions"), "logical-type",
            f"The options of the field {declared.name} are wrong.",
            "Write whole numbers: minLength, maxLength for texts, minimum, maximum for integers.",
        )  # fmt: skip
        return None


def _text(options: dict[str, Any], _: FieldTerms) -> Kind:
    longest, shortest = int(options.get("maxLength", 1000)), int(options.get("minLength", 1))
    if not 1 <= shortest <= longest <= LONGEST_TEXT:
        raise ValueError("lengths")
    return TextKind(longest, shortest)


def _integer(options: dict[str, Any], _: FieldTerms) -> Kind:
    known = IntegerKind()
    return IntegerKind(
        max(known.minimum, int(options.get("minimum", known.minimum))),
        min(known.maximum, int(options.get("maximum", known.maximum))),
    )


_KINDS: dict[str, Callable[[dict[str, Any], FieldTerms], Kind]] = {
    "string": _text,
    "integer": _integer,
    "number": lambda _, __: DecimalKind(),
    "boolean": lambda _, __: BooleanKind(),
    "date": lambda _, terms: DateKind(in_future=terms.inFuture),
    "timestamp": lambda _, __: MomentKind(),
}


def _subject(name: str | None, columns: list[Column], path: Path, problems: Problems) -> str | None:
    if name is None:
        return next(
            (column.name for column in columns if (column.name, column.identifier_kind) == ("nik", "nik")),
            None,
        )
    column = next((column for column in columns if column.name == name), None)
    if column is None or column.identifier is None:
        problems.add(
            path, "subject", f"The subject identifier '{name}' is no identifier among the properties.",
            "Name a property with the custom property identifier.",
        )  # fmt: skip
    return name
