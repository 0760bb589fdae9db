"""What the health office has written down, and how it is searched."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from foundation import clock
from sandbox.health_resources import IHS_SYSTEM, JKN_SYSTEM, MOTHER_SYSTEM, NIK_SYSTEM, WRITERS

_LONGEST_PAGE = 1_000
_INSTANT = re.compile(r"(eq|ge|gt|le|lt)?([0-9]{4}-[0-9]{2}-[0-9]{2}T.+)")
_COMPARED: dict[str, Callable[[pl.Expr, datetime], pl.Expr]] = {
    "eq": lambda column, moment: column == moment,
    "ge": lambda column, moment: column >= moment,
    "gt": lambda column, moment: column > moment,
    "le": lambda column, moment: column <= moment,
    "lt": lambda column, moment: column < moment,
}
#: For each type of resource the parameters that look for a number, and where the numbers of a system stand.
_NUMBERS: dict[str, dict[str, dict[str, str]]] = {
    "Patient": {"identifier": {IHS_SYSTEM: "ihs_number", NIK_SYSTEM: "nik", MOTHER_SYSTEM: "nik_ibu"}},
    "Coverage": {
        "identifier": {JKN_SYSTEM: "subscriber_id"},
        "beneficiary:identifier": {NIK_SYSTEM: "nik"},
    },
    "Immunization": {"patient:identifier": {NIK_SYSTEM: "nik"}},
}
#: The same for parameters that take a plain text.
_TEXTS: dict[str, dict[str, str]] = {
    "Patient": {"_id": "ihs_number"},
    "Coverage": {"_id": "id", "beneficiary": "ihs_number", "subscriber-id": "subscriber_id"},
    "Immunization": {"_id": "id", "patient": "ihs_number", "status": "status"},
}
_TABLES = {"Patient": "patients", "Coverage": "coverage", "Immunization": "immunizations"}


_ALWAYS_SHOWN = frozenset({"resourceType", "id", "meta", "status"})
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


class QuestionError(ValueError):
    """A search that the office does not understand."""


@dataclass(frozen=True, slots=True)
class Question:
    """A search: which rows, how many of them a page, from where on."""

    kind: str
    conditions: tuple[tuple[str, str], ...]
    count: int = 100
    offset: int = 0
    elements: frozenset[str] = frozenset()

    @classmethod
    def read(cls, kind: str, parameters: Sequence[tuple[str, str]]) -> Question:
        """Read the parameters of a search.

        Raises:
            QuestionError: When there is no such resource or parameter.
        """
        if kind not in WRITERS:
            raise QuestionError("not-supported")
        conditions, count, offset, elements = [], 100, 0, frozenset[str]()
        for name, value in parameters:
            if name == "_count":
                count = max(1, min(int(value) if value.isdigit() else 100, _LONGEST_PAGE))
            elif name == "_page":
                offset = _offset(value)
            elif name == "_elements":
                elements = frozenset(value.split(","))
            elif name not in ("_sort", "_format", "_total"):
                conditions.append((name, value))
        return cls(kind, tuple(conditions), count, offset, elements)

    def shown(self, resource: dict[str, Any]) -> dict[str, Any]:
        """A resource as far as it was asked for; what is left of it says that it is a part."""
        if not self.elements:
            return resource
        kept = {name: value for name, value in resource.items() if name in self.elements | _ALWAYS_SHOWN}
        kept["meta"] = {**kept.get("meta", {}), "tag": [_SUBSETTED]}
        return kept

    @property
    def page(self) -> int:
        """Number of the page, from 0."""
        return self.offset // self.count

    def at(self, offset: int) -> list[tuple[str, str]]:
        """The parameters of another page of the same search."""
        token = base64.urlsafe_b64encode(json.dumps({"o": offset}).encode()).decode()
        return [*self.conditions, ("_count", str(self.count)), ("_page", token)]


@dataclass(slots=True)
class HealthBooks:
    """The rows of each type of resource; thread-safe."""

    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fill(self, population: Any) -> None:
        """Take over a population's patients, coverage and immunizations."""
        with self._lock:
            self.frames = {kind: getattr(population, table) for kind, table in _TABLES.items()}

    @property
    def is_filled(self) -> bool:
        """Whether there is anything in the books."""
        return any(frame.height for frame in self.frames.values())

    def search(self, question: Question) -> tuple[pl.DataFrame, int]:
        """The rows of a page, and how many there are in all.

        Raises:
            QuestionError: When a parameter cannot be read.
        """
        with self._lock:
            frame = self.frames.get(question.kind, pl.DataFrame())
        if question.conditions:
            frame = frame.filter(_condition(question.kind, *each) for each in question.conditions)
        return frame.slice(question.offset, question.count), frame.height

    def change(self, kind: str, nik: str, values: Mapping[str, Any]) -> int:
        """Change what the books say of a person; tells how many rows that were."""
        with self._lock:
            frame = self.frames[kind]
            same = (pl.col("nik") == nik).fill_null(value=False)
            changed = {**values, "last_updated": clock.now()}
            self.frames[kind] = frame.with_columns(
                pl.when(same).then(pl.lit(value, frame.schema[name])).otherwise(pl.col(name)).alias(name)
                for name, value in changed.items()
            )
            return int(frame.select(same.sum()).item())


def _condition(kind: str, name: str, value: str) -> pl.Expr:
    if name == "_lastUpdated":
        return _updated(value)
    numbers = _NUMBERS[kind].get(name)
    if numbers is not None:
        system, _, number = value.rpartition("|")
        columns = [numbers[system]] if system in numbers else [] if system else list(numbers.values())
        return pl.any_horizontal(pl.lit(False), *(pl.col(column) == number for column in columns))
    if name in _TEXTS[kind]:
        return pl.col(_TEXTS[kind][name]) == value.removeprefix("Patient/")
    raise QuestionError("not-supported")


def _updated(value: str) -> pl.Expr:
    found = _INSTANT.fullmatch(value)
    try:
        moment = datetime.fromisoformat(found[2]) if found else None
    except ValueError:
        moment = None
    if found is None or moment is None:
        raise QuestionError("value")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _COMPARED[found[1] or "eq"](pl.col("last_updated"), moment)


def _offset(token: str) -> int:
    try:
        offset = json.loads(base64.urlsafe_b64decode(token))["o"]
    except (ValueError, KeyError, TypeError):
        offset = None
    if not isinstance(offset, int) or offset < 0:
        raise QuestionError("value")
    return offset
