"""The few types that a criterion may speak about, and how they read from record types and claims."""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin


class Kind(StrEnum):
    """What a value is, as far as a criterion can tell."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    DATE = "date"
    IDENTIFIER = "identifier"
    RECORD = "record"
    LIST = "list"
    BROKEN = "broken"


@dataclass(frozen=True)
class ValueType:
    """A kind, with the code list that a text is drawn from or the kind a list holds."""

    kind: Kind
    codes: frozenset[str] | None = None
    of: Kind | None = None

    def __str__(self) -> str:
        return f"list of {self.of}" if self.kind is Kind.LIST else str(self.kind)


BOOL = ValueType(Kind.BOOL)
INT = ValueType(Kind.INT)
STRING = ValueType(Kind.STRING)
DATE = ValueType(Kind.DATE)
IDENTIFIER = ValueType(Kind.IDENTIFIER)
RECORD = ValueType(Kind.RECORD)
BROKEN = ValueType(Kind.BROKEN)
"""The type of a part already reported as wrong: it agrees with everything, so that one fault is told once."""


@dataclass(frozen=True)
class Scope:
    """The names a criterion may use: records with their fields, and plain values."""

    records: Mapping[str, Mapping[str, ValueType]]
    values: Mapping[str, ValueType]


def type_of_annotation(annotation: Any) -> ValueType:
    """Read the type of a pydantic field; what a criterion cannot compare safely counts as an identifier."""
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return type_of_annotation(annotation.__value__)
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return type_of_annotation(get_args(annotation)[0])
    if origin is Literal:
        return ValueType(Kind.STRING, codes=frozenset(str(code) for code in get_args(annotation)))
    if origin in (typing.Union, types.UnionType):
        inner = [argument for argument in get_args(annotation) if argument is not type(None)]
        return type_of_annotation(inner[0]) if len(inner) == 1 else IDENTIFIER
    return _type_of_class(annotation)


def _type_of_class(annotation: Any) -> ValueType:
    if not isinstance(annotation, type):
        return IDENTIFIER
    if issubclass(annotation, StrEnum):
        return ValueType(Kind.STRING, codes=frozenset(str(member) for member in annotation))
    plain = {bool: BOOL, int: INT, str: STRING, dt.date: DATE}
    if annotation in plain:
        return plain[annotation]
    return STRING if annotation.__name__ == "RegionCode" else IDENTIFIER
