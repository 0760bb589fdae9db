"""The record types of the bus: what a record is called, which columns it has, and what identifies it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import polars as pl
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.civil import Birth, Death, Family, Person
from schemas.errors import UnknownRecordType
from schemas.fields import Classification, Described
from schemas.health import Coverage, Immunization, Patient
from schemas.identifiers import Identifier
from schemas.kinds import CodeKind, IdentifierKind, Kind
from schemas.licensing import Business, License
from schemas.record_rules import RULES, RecordRule
from schemas.tax import PropertyTax, Taxpayer, TaxStanding

RESERVED_COLUMNS = frozenset(
    {
        "agency", "dataset", "source_key", "valid_from", "valid_to", "recorded_from", "recorded_to",
        "record_id", "content_hash", "leaf_salt", "batch_id", "contract_version", "position",
    }
)  # fmt: skip
"""Columns that records/ keeps beside every record's own; no field may be called so."""

COLUMN_NAME = re.compile(r"[a-z][a-z0-9_]{0,58}")


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a record type, as tables, frames and documents need it."""

    name: str
    kind: Kind
    nullable: bool
    classification: Classification
    description: str
    comparable: bool = False

    @property
    def sql_type(self) -> str:
        """The PostgreSQL type."""
        return self.kind.sql_type

    @property
    def polars_dtype(self) -> pl.DataType:
        """The Polars type."""
        return self.kind.dtype

    @property
    def identifier(self) -> type[Identifier] | None:
        """The identifier the column holds, if any."""
        return self.kind.identifier if isinstance(self.kind, IdentifierKind) else None

    @property
    def identifier_kind(self) -> str | None:
        """The slug of the identifier the column holds (``nik``, ``family-card``, …), if any."""
        return self.identifier.kind if self.identifier else None

    @property
    def codes(self) -> tuple[str, ...]:
        """The closed list of codes, if the column has one."""
        return self.kind.codes if isinstance(self.kind, CodeKind) else ()


@dataclass(frozen=True)
class RecordType:
    """A record type in one major version.

    Attributes:
        name: ``Person``.
        major: The major version; a breaking change makes a new one, and both live side by side.
        model: The pydantic model, or None for a record type that only a contract declares.
        columns: The fields in order.
        natural_key: The fields that tell two records of one dataset apart.
        subject_identifier: The field that says whom the record is about, or None (no person).
        closed_world: Whether absence means "no" unless a contract says otherwise.
        rules: What should hold between fields; broken rules are warnings, never rejections.
        description: One sentence.
    """

    name: str
    major: int
    model: type[BaseModel] | None
    columns: tuple[Column, ...]
    natural_key: tuple[str, ...]
    subject_identifier: str | None
    closed_world: bool
    rules: tuple[RecordRule, ...] = ()
    description: str = ""

    @property
    def table_name(self) -> str:
        """The table in the PostgreSQL schema ``records``: ``tax_standing_v1``."""
        return f"{snake_case(self.name)}_v{self.major}"

    @property
    def qualified_table_name(self) -> str:
        """The table with its schema: ``records.tax_standing_v1``."""
        return f"records.{self.table_name}"

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """The names of the fields in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column | None:
        """The column of that name, if there is one."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def polars_schema(self) -> dict[str, pl.DataType]:
        """Names and types of an accepted frame."""
        return {column.name: column.polars_dtype for column in self.columns}


def record_type(name: str) -> RecordType:
    """Return the record type of that name.

    Raises:
        UnknownRecordType: Python defines none; a contract may still declare its own.
    """
    found = _registry().get(name)
    if found is None:
        close = difflib.get_close_matches(name, _registry(), n=1)
        hint = f"Did you mean '{close[0]}'? " if close else ""
        raise UnknownRecordType(
            f"There is no record type '{name}'",
            remedy=f"{hint}Known are: {', '.join(sorted(_registry()))}",
            record_type=name,
        )
    return found


def record_types() -> Iterator[RecordType]:
    """All record types that Python defines, by name."""
    yield from (found for _, found in sorted(_registry().items()))


@cache
def comparable_fields() -> Mapping[str, tuple[tuple[RecordType, Column], ...]]:
    """The fields on which all registers that tell them of one subject must agree, by their name.

    ``{"birth_date": ((Birth, birth_date), (Patient, birth_date), (Person, birth_date)), "sex": …}``
    """
    found: dict[str, list[tuple[RecordType, Column]]] = {}
    for each in record_types():
        for column in each.columns:
            if column.comparable:
                found.setdefault(column.name, []).append((each, column))
    return {what: tuple(fields) for what, fields in sorted(found.items())}


@cache
def snake_case(name: str) -> str:
    """``TaxStanding`` -> ``tax_standing``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@cache
def _registry() -> dict[str, RecordType]:
    return {
        found.name: found
        for found in (
            _from_model(Person, ("nik",), "nik"),
            _from_model(Family, ("family_card_number",), "head_nik"),
            _from_model(Birth, ("deed_number",), "nik"),
            _from_model(Death, ("deed_number",), "nik"),
            _from_model(Taxpayer, ("npwp",), "nik"),
            _from_model(TaxStanding, ("npwp", "tax_year"), "nik", world="open"),
            _from_model(PropertyTax, ("property_tax_number", "tax_year"), "nik", world="open"),
            _from_model(Business, ("nib",), "owner_nik"),
            _from_model(License, ("license_id",), "owner_nik"),
            _from_model(Patient, ("ihs_number",), "nik", world="open"),
            _from_model(Coverage, ("coverage_id",), "nik"),
            _from_model(Immunization, ("immunization_id",), "nik", world="open"),
        )
    }


def _from_model(
    model: type[BaseModel],
    natural_key: tuple[str, ...],
    subject_identifier: str | None,
    *,
    world: Literal["closed", "open"] = "closed",
) -> RecordType:
    return RecordType(
        name=model.__name__,
        major=1,
        model=model,
        columns=tuple(_column(name, field) for name, field in model.model_fields.items()),
        natural_key=natural_key,
        subject_identifier=subject_identifier,
        closed_world=world == "closed",
        rules=RULES.get(model.__name__, ()),
        description=(model.__doc__ or "").strip().split("\n")[0],
    )


def _column(name: str, field: FieldInfo) -> Column:
    members, nullable = _without_none(field.annotation)
    described = next(entry for entry in field.metadata if isinstance(entry, Described))
    kind = next((entry for entry in field.metadata if isinstance(entry, Kind)), None)
    if kind is None:
        identifier = next(
            entry for entry in members if isinstance(entry, type) and issubclass(entry, Identifier)
        )
        kind = IdentifierKind(identifier)
    return Column(name, kind, nullable, described.classification, described.description, described.comparable)


def _without_none(annotation: Any) -> tuple[tuple[Any, ...], bool]:
    if get_origin(annotation) in (Union, UnionType):
        members = tuple(member for member in get_args(annotation) if member is not type(None))
        return members, len(members) < len(get_args(annotation))
    return (annotation,), False
