"""Reads ``quality[]`` of a contract into rules over a batch."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Any, TypeVar

from open_data_contract_standard.model import DataQuality

from schemas.kinds import CodeKind
from schemas.marked_yaml import Path
from schemas.problems import Problems
from schemas.quality import Comparison, DatasetReference, Dimension, Metric, QualityRule, Severity, Unit
from schemas.record_types import RecordType

ENGINE = "lintas"
"""The engine that a contract names for metrics that are not of the standard's library."""

_OURS = frozenset({Metric.DANGLING_REFERENCES})
_LIBRARY = tuple(metric for metric in Metric if metric not in _OURS)
DATASET_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*/[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_REFERENCE_ARGUMENTS = frozenset({"properties", "dataset", "referencedProperty", "when"})
_OLD_RULE_NAMES = {"nullCheck": "nullValues", "duplicateCount": "duplicateValues", "rowCount": "rowCount"}
_DEFAULT_DIMENSION = {
    Metric.NULL_VALUES: Dimension.COMPLETENESS,
    Metric.MISSING_VALUES: Dimension.COMPLETENESS,
    Metric.INVALID_VALUES: Dimension.CONFORMITY,
    Metric.DUPLICATE_VALUES: Dimension.UNIQUENESS,
    Metric.ROW_COUNT: Dimension.COVERAGE,
    Metric.DANGLING_REFERENCES: Dimension.CONSISTENCY,
}


def read_rule(
    quality: DataQuality, path: Path, field_name: str | None, record_type: RecordType, problems: Problems
) -> QualityRule | None:
    """Read one rule of a contract; None if it is only text or could not be read."""
    kind = quality.type or "library"
    if kind == "text":
        return None
    metrics: Collection[Metric] = _LIBRARY
    if kind == "custom" and quality.engine == ENGINE and isinstance(quality.implementation, dict):
        quality, metrics = _unpacked(quality, quality.implementation), _OURS
    elif kind != "library":
        problems.add(
            path, "quality-type", f"Quality rules of type {kind} are not run.",
            f"Use type library, or custom with engine: {ENGINE} and its metrics: a contract carries no code.",
        )  # fmt: skip
        return None
    before = len(problems.found)
    rule = _Reader(quality, metrics, path, record_type, problems).read(field_name)
    return rule if len(problems.found) == before else None


def _unpacked(quality: DataQuality, implementation: dict[str, Any]) -> DataQuality:
    """A rule of our own as if it were of the library: the standard keeps all of it in ``implementation``."""
    named = {"metric", *Comparison}
    given = {name: value for name, value in implementation.items() if name in named}
    arguments = {name: value for name, value in implementation.items() if name not in named}
    return quality.model_copy(update={**given, "arguments": arguments})


_Choice = TypeVar("_Choice", bound=StrEnum)


class _Reader:
    def __init__(
        self,
        quality: DataQuality,
        metrics: Collection[Metric],
        path: Path,
        record_type: RecordType,
        problems: Problems,
    ) -> None:
        self.quality = quality
        self.metrics = metrics
        self.path = path
        self.record_type = record_type
        self.problems = problems

    def read(self, field_name: str | None) -> QualityRule | None:
        metric = self._metric()
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

    def _metric(self) -> Metric | None:
        named = self.quality.metric or _OLD_RULE_NAMES.get(self.quality.rule or "")
        choice = f"Choose one of: {', '.join(self.metrics)}."
        if named is None:
            self._problem("metric", "The rule names no metric.", choice)
        elif named in _OURS and named not in self.metrics:
            self._problem(
                "metric", f"The metric {named} is not of the standard's library.",
                f"Write type: custom, engine: {ENGINE}, and the rest below implementation.",
            )  # fmt: skip
        elif named not in self.metrics:
            self._problem("metric", f"'{named}' is not a metric of such quality rules.", choice)
        else:
            return Metric(named)
        return None

    def _choice(self, key: str, kind: type[_Choice], value: str | None) -> _Choice | None:
        if value is None:
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
                "Put it below a property, or name fields in properties (of arguments or implementation).",
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
                "Add dataset (<agency>/<dataset>) and referencedProperty.",
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
