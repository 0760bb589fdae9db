"""Three-valued criteria: what is not surely known is never `met` and never `not_met`.

Invariant: evidence or a claim that is null, missing, stale, quarantined, held, in conflict or out of reach
makes every atom that refers to it unknown; Kleene's logic joins the atoms, so only a result that no missing
knowledge could change is `met` or `not_met`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import cel

from schemas.identifiers import Identifier
from verification.expression import AllOf, Atom, Node, Not, Reading, Reference, read, references
from verification.tokens import Finding
from verification.types import Kind, Scope, ValueType

CLAIM = "claim"
"""The record that holds what the application itself states."""


class Outcome(StrEnum):
    """What is known about one criterion."""

    MET = "met"
    NOT_MET = "not_met"
    UNKNOWN = "unknown"
    STALE = "stale"
    CONFLICT = "conflict"
    SOURCE_DOWN = "source_down"


class Supplied(Protocol):
    """One record as it reached the criterion: `records.evidence.Evidence`, or the claims."""

    @property
    def status(self) -> str:
        """`present`, `absent`, or the reason why nothing can be said."""

    @property
    def values(self) -> Mapping[str, Any]:
        """The field values, where present."""

    @property
    def contested(self) -> frozenset[str]:
        """Fields that another register tells differently; the others can be relied on."""


@dataclass(frozen=True)
class Gap:
    """Why something is not known: which record, which field, in which state."""

    record: str
    field: str | None
    status: str

    @property
    def outcome(self) -> Outcome:
        """The outcome that this gap alone would give."""
        return _OUTCOME_OF_STATUS.get(self.status, Outcome.UNKNOWN)


_OUTCOME_OF_STATUS = {
    "stale": Outcome.STALE,
    "conflict": Outcome.CONFLICT,
    "source_down": Outcome.SOURCE_DOWN,
}
_GRAVITY = (Outcome.CONFLICT, Outcome.UNKNOWN, Outcome.SOURCE_DOWN, Outcome.STALE)


@dataclass(frozen=True)
class Judgement:
    """The outcome of one expression, with the gaps that kept it from being known."""

    outcome: Outcome
    gaps: frozenset[Gap] = frozenset()


Truth: TypeAlias = bool | frozenset[Gap]
"""True, false, or the gaps that stand in the way of knowing."""


@dataclass(frozen=True)
class Expression:
    """A checked expression, ready to run; build it with `compile_expression`."""

    source: str
    node: Node
    references: frozenset[Reference]
    programs: Mapping[str, Any]
    scope: Scope

    def judge(self, supplied: Mapping[str, Supplied], today: dt.date) -> Judgement:
        """Evaluate against what was supplied."""
        return self.judge_in(Facts(self.scope, supplied, today))

    def judge_in(self, facts: Facts) -> Judgement:
        """Evaluate against facts that several expressions share."""
        truth = _truth(self.node, lambda atom: facts.run(atom, self.programs[atom.source]))
        if isinstance(truth, bool):
            return Judgement(Outcome.MET if truth else Outcome.NOT_MET)
        found = {gap.outcome for gap in truth}
        return Judgement(next(outcome for outcome in _GRAVITY if outcome in found), truth)


def compile_expression(source: str, scope: Scope) -> Expression | tuple[Finding, ...]:
    """Check an expression and compile its atoms; findings instead of an expression if it must not load."""
    reading: Reading = read(source, scope)
    if reading.node is None:
        return reading.findings
    try:
        programs = {atom.source: cel.compile(atom.source) for atom in _atoms(reading.node)}
    except ValueError as error:
        first = str(error).splitlines()[0][:200]
        return (Finding(0, f"the CEL library refuses it: {first}", "Correct the expression."),)
    return Expression(source, reading.node, references(reading.node), programs, scope)


class Facts:
    """Everything supplied for one question, checked against the declared types and handed to CEL once."""

    def __init__(self, scope: Scope, supplied: Mapping[str, Supplied], today: dt.date) -> None:
        self._scope = scope
        self._supplied = supplied
        variables: dict[str, Any] = {"today": _as_timestamp(today)}
        for name in scope.records:
            record = supplied.get(name)
            variables[name] = None if record is None or not _is_there(record) else _cel_values(record.values)
        self._context = cel.Context(variables, _FUNCTIONS)

    def run(self, atom: Atom, program: Any) -> Truth:
        """The truth of one atom: its value if all it refers to is known, otherwise the gaps."""
        gaps = frozenset(gap for reference in atom.references if (gap := self._gap(*reference)) is not None)
        if gaps:
            return gaps
        try:
            value = program.execute(self._context)
        except (
            Exception
        ):  # whatever CEL cannot compute is not known; the reason may hold values, so it is dropped
            return self._not_computable(atom)
        return value if isinstance(value, bool) else self._not_computable(atom)

    @staticmethod
    def _not_computable(atom: Atom) -> frozenset[Gap]:
        return frozenset(Gap(record, field, "not_computable") for record, field in atom.references)

    def _gap(self, record: str, field: str | None) -> Gap | None:
        held = self._supplied.get(record)
        if held is None:
            return Gap(record, field, "missing")
        if held.status == "absent":
            return None if field is None else Gap(record, field, "absent")
        if not _is_there(held):
            return Gap(record, field, str(held.status))
        if field in held.contested:
            return Gap(record, field, "conflict")
        if field is None:
            return None
        return (
            None
            if _agrees(held.values.get(field), self._scope.records[record][field])
            else Gap(record, field, "null")
        )


def _is_there(record: Supplied) -> bool:
    """Whether one record answers; a conflict about some of its fields leaves the others as they are."""
    return record.status == "present" or (record.status == "conflict" and bool(record.contested))


def _truth(node: Node, run: Callable[[Atom], Truth]) -> Truth:
    if isinstance(node, Atom):
        return run(node)
    if isinstance(node, Not):
        inner = _truth(node.inner, run)
        return (not inner) if isinstance(inner, bool) else inner
    deciding = not isinstance(node, AllOf)
    return _join((_truth(part, run) for part in node.parts), deciding=deciding)


def _join(truths: Iterable[Truth], *, deciding: bool) -> Truth:
    """Kleene: one deciding value settles it whatever is unknown; otherwise any gap leaves it open."""
    gaps: frozenset[Gap] = frozenset()
    for truth in truths:
        if truth is deciding:
            return deciding
        if isinstance(truth, frozenset):
            gaps |= truth
    return gaps or (not deciding)


def _atoms(node: Node) -> list[Atom]:
    if isinstance(node, Atom):
        return [node]
    if isinstance(node, Not):
        return _atoms(node.inner)
    return [atom for part in node.parts for atom in _atoms(part)]


_PYTHON_TYPES: dict[Kind, type] = {Kind.BOOL: bool, Kind.INT: int, Kind.STRING: str, Kind.DATE: dt.date}


def _agrees(value: Any, expected: ValueType) -> bool:
    """Whether a value may be compared as its declared type; null and anything else may not."""
    if value is None:
        return False
    if expected.kind is Kind.IDENTIFIER:
        return True
    if isinstance(value, bool):
        return expected.kind is Kind.BOOL
    if isinstance(value, int) and abs(value) >= 2**63:
        return False
    return isinstance(value, _PYTHON_TYPES[expected.kind])


def _cel_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cel_value(value) for name, value in values.items()}


def _cel_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value if not isinstance(value, StrEnum) else str(value)
    if isinstance(value, Identifier):
        return value.value
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return _as_timestamp(value)
    return str(value)


def _as_timestamp(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)


def age(born: dt.datetime, today: dt.datetime) -> int:
    """Completed years; one born on 29 February completes a year on 1 March of a common year."""
    if born > today:
        raise ValueError("a date of birth lies in the future")
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _recorded(record: Any) -> bool:
    return record is not None


_FUNCTIONS: dict[str, Callable[..., Any]] = {"age": age, "recorded": _recorded}
