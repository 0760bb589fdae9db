"""A careful reading of CEL: what parses here is typed, three-valued, and means the same to the CEL library.

The CEL library has no type checker: `1 + "x"` compiles there and `1 == "1"` is false in silence. This
module reads the part of CEL that criteria need, checks every reference and type, and cuts the expression at
`&&`, `||` and `!` into atoms. Atoms are run by the library; the logic between them is Kleene's and stands in
`verification.criteria`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from verification.tokens import RESERVED, Finding, ReadingError, Token, tokens
from verification.types import BOOL, BROKEN, DATE, INT, RECORD, STRING, Kind, Scope, ValueType

Reference: TypeAlias = tuple[str, str | None]
"""A record and one of its fields; the field is None where the whole record, or a plain value, is meant."""


@dataclass(frozen=True)
class Atom:
    """A part without logic of its own; it has a value only if everything it refers to has one."""

    source: str
    references: frozenset[Reference]


@dataclass(frozen=True)
class Not:
    """Kleene negation."""

    inner: Node


@dataclass(frozen=True)
class AllOf:
    """Kleene conjunction."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class AnyOf:
    """Kleene disjunction."""

    parts: tuple[Node, ...]


Node: TypeAlias = Atom | Not | AllOf | AnyOf


@dataclass(frozen=True)
class Reading:
    """What came of reading an expression: a tree when there are no findings."""

    node: Node | None
    findings: tuple[Finding, ...]


def read(source: str, scope: Scope) -> Reading:
    """Parse and check one expression against the names it may use; collects every finding."""
    try:
        parser = _Parser(source, scope, tokens(source))
        part = parser.whole()
    except ReadingError as stop:
        return Reading(None, (stop.finding,))
    if part.type not in (BOOL, BROKEN):
        parser.report(0, f"the expression is of type {part.type}, not bool", "Write a comparison.")
    if not part.references and not parser.findings:
        parser.report(0, "the expression refers to no evidence and no claim", "Name at least one field.")
    if parser.findings:
        return Reading(None, tuple(sorted(parser.findings, key=lambda finding: finding.column)))
    return Reading(part.node(source), ())


def references(node: Node) -> frozenset[Reference]:
    """Everything that a checked expression refers to."""
    if isinstance(node, Atom):
        return node.references
    if isinstance(node, Not):
        return references(node.inner)
    return frozenset().union(*(references(part) for part in node.parts))


DEEPEST = 16


@dataclass(frozen=True)
class _Part:
    """A stretch of source with its type; `logic` rebuilds the tree where the part is itself and/or/not."""

    start: int
    end: int
    type: ValueType
    references: frozenset[Reference] = frozenset()
    logic: Callable[[str], Node] | None = None
    literal: str | None = None
    literals: tuple[str, ...] = ()

    def node(self, source: str) -> Node:
        if self.logic is not None:
            return self.logic(source)
        return Atom(source[self.start : self.end], self.references)


@dataclass(frozen=True)
class _Function:
    takes: tuple[Kind, ...]
    gives: ValueType


FUNCTIONS = {
    "age": _Function((Kind.DATE, Kind.DATE), INT),
    "recorded": _Function((Kind.RECORD,), BOOL),
    "size": _Function((Kind.STRING,), INT),
}
"""Called as `name(…)`: completed years between two dates, whether a record exists, the length of a text."""

METHODS = {
    "startsWith": _Function((Kind.STRING, Kind.STRING), BOOL),
    "endsWith": _Function((Kind.STRING, Kind.STRING), BOOL),
    "contains": _Function((Kind.STRING, Kind.STRING), BOOL),
    "getFullYear": _Function((Kind.DATE,), INT),
}
"""Called as `value.name(…)`, all of them CEL's own."""


@dataclass
class _Parser:
    source: str
    scope: Scope
    tokens: list[Token]
    position: int = 0
    findings: list[Finding] = field(default_factory=list)
    depth: int = 0

    def report(self, column: int, what: str, remedy: str) -> ValueType:
        self.findings.append(Finding(column, what, remedy))
        return BROKEN

    def stop(self, what: str, remedy: str = "Correct the expression.") -> NoReturn:
        raise ReadingError(Finding(self.here.start, what, remedy))

    @property
    def here(self) -> Token:
        return self.tokens[self.position]

    def take(self, *texts: str) -> Token | None:
        token = self.here
        if token.kind in ("sign", "name") and token.text in texts:
            self.position += 1
            return token
        return None

    def expect(self, text: str) -> Token:
        return self.take(text) or self.stop(f"expected {text!r}, found {self.here.text or 'the end'!r}")

    def whole(self) -> _Part:
        part = self.any_of()
        if self.here.kind != "end":
            self.stop(f"did not expect {self.here.text!r} here")
        return part

    def any_of(self) -> _Part:
        return self._chain("||", self.all_of, AnyOf)

    def all_of(self) -> _Part:
        return self._chain("&&", self.comparison, AllOf)

    def _chain(
        self, sign: str, inner: Callable[[], _Part], join: Callable[[tuple[Node, ...]], Node]
    ) -> _Part:
        parts = [inner()]
        while self.take(sign):
            parts.append(inner())
        if len(parts) == 1:
            return parts[0]
        for part in parts:
            self._must_be(part, Kind.BOOL, f"each side of {sign}")
        seen = frozenset().union(*(part.references for part in parts))
        return _Part(
            parts[0].start,
            parts[-1].end,
            BOOL,
            seen,
            logic=lambda source: join(tuple(part.node(source) for part in parts)),
        )

    def comparison(self) -> _Part:
        left = self.sum()
        sign = self.take("==", "!=", "<", "<=", ">", ">=", "in")
        if sign is None:
            return left
        right = self.sum()
        if self.here.text in ("==", "!=", "<", "<=", ">", ">=", "in") and self.here.kind != "text":
            self.stop("comparisons cannot be chained", "Join two comparisons with &&.")
        self._check_comparison(sign, left, right)
        return _Part(left.start, right.end, BOOL, left.references | right.references)

    def _check_comparison(self, sign: Token, left: _Part, right: _Part) -> None:
        if BROKEN in (left.type, right.type):
            return
        if sign.text == "in":
            self._check_membership(sign, left, right)
            return
        if left.type.kind is not right.type.kind or left.type.kind in (Kind.RECORD, Kind.LIST):
            self.report(
                sign.start,
                f"{left.type} {sign.text} {right.type} compares unlike things",
                "Compare like with like.",
            )
        elif sign.text not in ("==", "!=") and left.type.kind not in (Kind.INT, Kind.DATE):
            self.report(sign.start, f"{left.type} has no order", "Use == or !=, or compare int or date.")
        else:
            self._check_codes(sign, left, right.literal)
            self._check_codes(sign, right, left.literal)

    def _check_membership(self, sign: Token, left: _Part, right: _Part) -> None:
        if right.type.kind is not Kind.LIST:
            self.report(sign.start, "the right side of `in` must be a list", "Write [a, b, c].")
        elif right.type.of is not left.type.kind:
            self.report(
                sign.start, f"{left.type} in {right.type} compares unlike things", "Compare like with like."
            )
        for literal in right.literals:
            self._check_codes(sign, left, literal)

    def _check_codes(self, sign: Token, part: _Part, literal: str | None) -> None:
        if literal is not None and part.type.codes is not None and literal not in part.type.codes:
            known = ", ".join(sorted(part.type.codes))
            self.report(sign.start, f"{literal!r} is not in the field's code list", f"Use one of: {known}.")

    def sum(self) -> _Part:
        return self._arithmetic(("+", "-"), self.product)

    def product(self) -> _Part:
        return self._arithmetic(("*",), self.unary)

    def _arithmetic(self, signs: tuple[str, ...], inner: Callable[[], _Part]) -> _Part:
        left = inner()
        while sign := self.take(*signs):
            right = inner()
            for part in (left, right):
                self._must_be(part, Kind.INT, f"each side of {sign.text}")
            left = _Part(left.start, right.end, INT, left.references | right.references)
        return left

    def unary(self) -> _Part:
        if sign := self.take("!"):
            inner = self.member()
            self._must_be(inner, Kind.BOOL, "what follows !")
            return _Part(
                sign.start, inner.end, BOOL, inner.references, logic=lambda source: Not(inner.node(source))
            )
        if sign := self.take("-"):
            inner = self.member()
            self._must_be(inner, Kind.INT, "what follows -")
            return _Part(sign.start, inner.end, INT, inner.references)
        return self.member()

    def _must_be(self, part: _Part, kind: Kind, place: str) -> None:
        if part.type.kind not in (kind, Kind.BROKEN):
            self.report(part.start, f"{place} must be {kind}, not {part.type}", "Correct the types.")

    def member(self) -> _Part:
        part = self.primary()
        while self.take("."):
            name = self._name()
            if self.take("("):
                part = self._call(name, METHODS, [part, *self._arguments(")")], part.start)
            else:
                self.report(
                    part.start, f"{part.type} has no field {name.text!r}", "Name a field of a record."
                )
                part = _Part(part.start, name.end, BROKEN, part.references)
        return part

    def primary(self) -> _Part:
        token = self.here
        if self.take("("):
            inner = self._nested()
            closing = self.expect(")")
            return _Part(
                token.start,
                closing.end,
                inner.type,
                inner.references,
                inner.logic,
                inner.literal,
                inner.literals,
            )
        if self.take("["):
            return self._list(token)
        if token.kind in ("number", "text"):
            self.position += 1
            return self._literal(token)
        if token.kind != "name":
            self.stop(f"expected a value, found {token.text or 'the end'!r}")
        if self.take("true", "false"):
            return _Part(token.start, token.end, BOOL)
        return self._named()

    def _nested(self) -> _Part:
        self.depth += 1
        if self.depth > DEEPEST:
            self.stop(f"brackets are nested more than {DEEPEST} deep", "Split the criterion.")
        inner = self.any_of()
        self.depth -= 1
        return inner

    def _literal(self, token: Token) -> _Part:
        if token.kind == "text":
            return _Part(token.start, token.end, STRING, literal=token.text[1:-1])
        if "." in token.text or int(token.text) >= 2**63:
            kind = self.report(
                token.start, "numbers are whole and fit 64 bits", "Count money in whole rupiah."
            )
            return _Part(token.start, token.end, kind)
        return _Part(token.start, token.end, INT)

    def _list(self, opening: Token) -> _Part:
        items = self._arguments("]")
        end = self.tokens[self.position - 1].end
        kinds = {item.type.kind for item in items}
        if len(kinds) != 1 or any(item.references for item in items):
            kind = self.report(opening.start, "a list holds constants of one type", "Write e.g. [1, 2].")
            return _Part(opening.start, end, kind)
        literals = tuple(item.literal for item in items if item.literal is not None)
        return _Part(opening.start, end, ValueType(Kind.LIST, of=kinds.pop()), literals=literals)

    def _arguments(self, closing: str) -> list[_Part]:
        items: list[_Part] = []
        while not self.take(closing):
            if items:
                self.expect(",")
            items.append(self._nested())
        return items

    def _name(self) -> Token:
        token = self.here
        if token.kind != "name" or token.text in RESERVED:
            self.stop(
                f"expected a name, found {token.text or 'the end'!r}",
                "null is never written: it is `unknown`.",
            )
        self.position += 1
        return token

    def _named(self) -> _Part:
        name = self._name()
        if self.take("("):
            return self._call(name, FUNCTIONS, self._arguments(")"), name.start)
        if name.text in self.scope.values:
            return _Part(name.start, name.end, self.scope.values[name.text], frozenset())
        if name.text not in self.scope.records:
            known = ", ".join(sorted([*self.scope.records, *self.scope.values]))
            kind = self.report(name.start, f"there is nothing called {name.text!r}", f"Use one of: {known}.")
            return _Part(name.start, name.end, kind)
        if not self.take("."):
            return _Part(name.start, name.end, RECORD, frozenset({(name.text, None)}))
        fields, after = self.scope.records[name.text], self._name()
        if after.text not in fields:
            known = ", ".join(sorted(fields))
            kind = self.report(
                after.start, f"{name.text} has no field {after.text!r}", f"Use one of: {known}."
            )
            return _Part(name.start, after.end, kind)
        return _Part(name.start, after.end, fields[after.text], frozenset({(name.text, after.text)}))

    def _call(self, name: Token, table: dict[str, _Function], arguments: list[_Part], start: int) -> _Part:
        end = self.tokens[self.position - 1].end
        seen: frozenset[Reference] = frozenset().union(*(part.references for part in arguments))
        known = table.get(name.text)
        if known is None:
            kind = self.report(
                name.start, f"there is no function {name.text!r}", f"Use one of: {', '.join(sorted(table))}."
            )
            return _Part(start, end, kind, seen)
        if len(arguments) != len(known.takes):
            self.report(name.start, f"{name.text} takes {len(known.takes)} values", "Correct the call.")
        for part, kind_taken in zip(arguments, known.takes, strict=False):
            self._must_be(part, kind_taken, f"what {name.text} is given")
        return _Part(start, end, known.gives, seen)


TODAY = {"today": DATE}
"""The plain values every criterion may use: today's date where the service is given."""
