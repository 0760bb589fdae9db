"""The few types that a criterion may speak about, and how they read from record types and claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from schemas.identifiers import RegionCode
from schemas.kinds import BooleanKind, CodeKind, DateKind, IntegerKind, TextKind

if TYPE_CHECKING:
    from schemas.record_types import Column


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


def type_of_column(column: Column) -> ValueType:
    """The type of a record's field; what a criterion cannot compare safely counts as an identifier."""
    kind = column.kind
    if isinstance(kind, CodeKind):
        return ValueType(Kind.STRING, codes=frozenset(kind.codes))
    if column.identifier_kind == RegionCode.kind:
        return STRING
    return next((ours for theirs, ours in _BY_KIND if isinstance(kind, theirs)), IDENTIFIER)


_BY_KIND: tuple[tuple[type, ValueType], ...] = (
    (TextKind, STRING),
    (DateKind, DATE),
    (IntegerKind, INT),
    (BooleanKind, BOOL),
)
