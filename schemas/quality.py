"""Rules over a whole batch, from ``quality[]`` of a contract."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Metric(StrEnum):
    """What is measured: the library of ODCS, and a metric of our own. SQL of a contract's own is not run."""

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
