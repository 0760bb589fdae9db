"""Rules over a whole batch, from ``quality[]`` of a contract."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from open_data_contract_standard.model import DataQuality

from schemas.kinds import CodeKind
from schemas.marked_yaml import Path
from schemas.problems import Problems
from schemas.record_types import RecordType


class Metric(StrEnum):
    """What is measured: the library of ODCS. SQL of a contract's own is not run."""

    NULL_VALUES = "nullValues"
    MISSING_VALUES = "missingValues"
    INVALID_VALUES = "invalidValues"
    DUPLICATE_VALUES = "duplicateValues"
    ROW_COUNT = "rowCount"
    DANGLING_REFERENCES = "danglingReferences"
    """Rows whose value names no open record of another dataset; not of ODCS, which knows no other dataset."""


class Severity(StrEnum):
    """What a broken rule does to the batch."""

    ERROR = "error"
    """The whole batch is held."""
    WARNING = "warning"
    """The batch is published and flagged."""


class Dimension(StrEnum):
    """The dimension of quality that a rule measures (ODCS)."""

    ACCURACY = "accuracy"
    COMPLETENESS = "completeness"
    CONFORMITY = "conformity"
    CONSISTENCY = "consistency"
    COVERAGE = "coverage"
    TIMELINESS = "timeliness"
    UNIQUENESS = "uniqueness"


class Unit(StrEnum):
    """In what a measure is compared."""

    ROWS = "rows"
    PERCENT = "percent"


class Comparison(StrEnum):
    """How a measure is compared with its bounds."""

    BE = "mustBe"
    NOT_BE = "mustNotBe"
    GREATER = "mustBeGreaterThan"
    GREATER_OR_EQUAL = "mustBeGreaterOrEqualTo"
    LESS = "mustBeLessThan"
    LESS_OR_EQUAL = "mustBeLessOrEqualTo"
    BETWEEN = "mustBeBetween"
    NOT_BETWEEN = "mustNotBeBetween"


@dataclass(frozen=True, slots=True)
class DatasetReference:
    """What a value should name: an open record of another dataset.

    Attributes:
        dataset: ``<agency>/<dataset>``; until it was published once, the rule cannot be checked.
        field: The canonical field of the other dataset that carries the same value.
        when: Only rows are looked at whose field has one of the values, for every field named.
    """

    dataset: str
    field: str
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class QualityRule:
    """One rule over a batch.

    Attributes:
        name: Unique within the contract.
        metric: What is measured.
        fields: The canonical fields it looks at; empty for the whole batch.
        comparison: How the measure is compared.
        bounds: With one number, or two for between (both included).
        unit: Whether the measure is a count of rows or a percentage of the batch.
        severity: What a broken rule does.
        dimension: What it says about the data.
        valid_values: For ``invalidValues``: the closed list.
        reference: For ``danglingReferences``: the other dataset.
        description: For people.
        line: Where it stands in the contract.
    """

    name: str
    metric: Metric
    fields: tuple[str, ...]
    comparison: Comparison
    bounds: tuple[float, ...]
    unit: Unit = Unit.ROWS
    severity: Severity = Severity.ERROR
    dimension: Dimension = Dimension.COMPLETENESS
    valid_values: tuple[str, ...] = ()
    reference: DatasetReference | None = None
    description: str = ""
    line: int | None = field(default=None, compare=False)

    def holds(self, measured: float, rows: int) -> bool:
        """Whether the rule holds for a measured count in a batch of that many rows."""
        if self.unit is Unit.PERCENT:
            measured = 100.0 * measured / rows if rows else 0.0
        if self.comparison in _BETWEEN:
            inside = self.bounds[0] <= measured <= self.bounds[1]
            return inside is (self.comparison is Comparison.BETWEEN)
        return bool(_OPERATORS[self.comparison](measured, self.bounds[0]))


_BETWEEN = {Comparison.BETWEEN, Comparison.NOT_BETWEEN}
_OPERATORS: dict[Comparison, Callable[[float, float], bool]] = {
    Comparison.BE: operator.eq,
    Comparison.NOT_BE: operator.ne,
    Comparison.GREATER: operator.gt,
    Comparison.GREATER_OR_EQUAL: operator.ge,
    Comparison.LESS: operator.lt,
    Comparison.LESS_OR_EQUAL: operator.le,
}
_OLD_RULE_NAMES = {"nullCheck": "nullValues", "duplicateCount": "duplicateValues", "rowCount": "rowCount"}
_DEFAULT_DIMENSION = {
    Metric.NULL_VALUES: Dimension.COMPLETENESS,
    Metric.MISSING_VALUES: Dimension.COMPLETENESS,
    Metric.INVALID_VALUES: Dimension.CONFORMITY,
    Metric.DUPLICATE_VALUES: Dimension.UNIQUENESS,
    Metric.ROW_COUNT: Dimension.COVERAGE,
    Metric.DANGLING_REFERENCES: Dimension.CONSISTENCY,
}
DATASET_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*/[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_REFERENCE_ARGUMENTS = frozenset({"properties", "dataset", "referencedProperty", "when"})


def read_rule(
    quality: DataQuality, path: Path, field_name: str | None, record_type: RecordType, problems: Problems
) -> QualityRule | None:
    """Read one rule of a contract; None if it is only text or could not be read."""
    kind = quality.type or "library"
    if kind == "text":
        return None
    if kind != "library":
        problems.add(
            path, "quality-type", f"Quality rules of type {kind} are not run.",
            "Use type library: a contract carries no SQL and no code.",
        )  # fmt: skip
        return None
    before = len(problems.found)
    rule = _Reader(quality, path, record_type, problems).read(field_name)
    return rule if len(problems.found) == before else None


_Choice = TypeVar("_Choice", bound=StrEnum)


class _Reader:
    def __init__(self, quality: DataQuality, path: Path, record_type: RecordType, problems: Problems) -> None:
        self.quality = quality
        self.path = path
        self.record_type = record_type
        self.problems = problems

    def read(self, field_name: str | None) -> QualityRule | None:
        metric = self._choice(
            "metric", Metric, self.quality.metric or _OLD_RULE_NAMES.get(self.quality.rule or "")
        )
        comparison, bounds = self._comparison()
        if metric is None or comparison is None:
            return None
        fields = self._fields(field_name, metric)
        return QualityRule(
            name=self.quality.name or "-".join(filter(None, (_kebab(metric), *fields))),
            metric=metric,
            fields=fields,
            comparison=comparison,
            bounds=bounds,
            unit=self._choice("unit", Unit, self.quality.unit) or Unit.ROWS,
            severity=self._choice("severity", Severity, self.quality.severity) or Severity.ERROR,
            dimension=self._choice("dimension", Dimension, self.quality.dimension)
            or _DEFAULT_DIMENSION[metric],
            valid_values=self._valid_values(metric, fields),
            reference=self._reference(fields) if metric is Metric.DANGLING_REFERENCES else None,
            description=self.quality.description or "",
            line=self.problems.line(self.path),
        )

    def _choice(self, key: str, kind: type[_Choice], value: str | None) -> _Choice | None:
        if value is None:
            if key == "metric":
                self._problem(key, "The rule names no metric.", f"Choose one of: {', '.join(kind)}.")
            return None
        if value in {each.value for each in kind}:
            return kind(value)
        self._problem(
            key, f"'{value}' is not a {key} of quality rules.", f"Choose one of: {', '.join(kind)}."
        )
        return None

    def _comparison(self) -> tuple[Comparison | None, tuple[float, ...]]:
        given = [
            (each, getattr(self.quality, each))
            for each in Comparison
            if getattr(self.quality, each) is not None
        ]
        if len(given) != 1:
            self._problem(
                None, f"The rule has {len(given)} comparisons instead of one.", "Keep one, such as mustBe: 0."
            )
            return None, ()
        comparison, value = given[0]
        bounds = tuple(value) if isinstance(value, list) else (value,)
        if not all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in bounds):
            self._problem(comparison, "A count can only be compared with a number.", "Write a number.")
        return comparison, bounds

    def _fields(self, field_name: str | None, metric: Metric) -> tuple[str, ...]:
        if field_name is not None:
            return (field_name,)
        if metric is Metric.ROW_COUNT:
            return ()
        named = (self.quality.arguments or {}).get("properties", [])
        fields = tuple(named) if isinstance(named, list) else (named,)
        unknown = [each for each in fields if self.record_type.column(str(each)) is None]
        if unknown or not fields:
            self._problem(
                "arguments", "The rule does not say which fields of the record type it looks at.",
                "Put it below a property, or name fields in arguments.properties.",
            )  # fmt: skip
        return tuple(str(each) for each in fields)

    def _valid_values(self, metric: Metric, fields: tuple[str, ...]) -> tuple[str, ...]:
        if metric is not Metric.INVALID_VALUES:
            return ()
        given = (self.quality.arguments or {}).get("validValues")
        if isinstance(given, list) and given:
            return tuple(str(value) for value in given)
        column = self.record_type.column(fields[0]) if fields else None
        if column is not None and isinstance(column.kind, CodeKind):
            return column.kind.codes
        self._problem(
            "arguments", "The rule does not say which values are valid.", "Add arguments.validValues."
        )
        return ()

    def _reference(self, fields: tuple[str, ...]) -> DatasetReference | None:
        given = self.quality.arguments or {}
        unknown = sorted(set(map(str, given)) - _REFERENCE_ARGUMENTS)
        if unknown:
            self._problem(
                "arguments", f"The rule has arguments that are not known here: {', '.join(unknown)}.",
                f"Known are: {', '.join(sorted(_REFERENCE_ARGUMENTS))}.",
            )  # fmt: skip
        if len(fields) != 1:
            self._problem(
                "arguments", "A reference is of exactly one field.", "Put the rule below that property."
            )
        dataset, field = str(given.get("dataset", "")), str(given.get("referencedProperty", ""))
        if not DATASET_ID.fullmatch(dataset) or not field:
            self._problem(
                "arguments", "The rule does not say which records it looks for.",
                "Add arguments.dataset (<agency>/<dataset>) and arguments.referencedProperty.",
            )  # fmt: skip
        return DatasetReference(dataset, field, self._scope(given.get("when") or {}))

    def _scope(self, given: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
        scope = {}
        for name, values in given.items() if isinstance(given, dict) else [("", [])]:
            column = self.record_type.column(str(name))
            codes = [str(value) for value in values] if isinstance(values, list) else []
            if column is None or not column.codes or not codes or set(codes) - set(column.codes):
                self._problem(
                    "arguments", "The scope of the rule is no list of codes of fields of the record type.",
                    "Write when: {status: [approved, warned]}, with codes from the field's own list.",
                )  # fmt: skip
            scope[str(name)] = tuple(codes)
        return tuple(sorted(scope.items()))

    def _problem(self, key: str | None, message: str, remedy: str) -> None:
        self.problems.add((*self.path, key) if key else self.path, "quality", message, remedy)


def _kebab(metric: Metric) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in metric.value)
