"""Small paths into FHIR resources, written in a contract, compiled once, evaluated a page at a time.

The language is a sliver of FHIRPath, and a path is one line that an agency's engineer can read::

    birthDate                                           an element
    name[use=official].text                             elements that carry a value
    name[0].text                                        one of several
    identifier[system=https://fhir.kemkes.go.id/id/nik].value
    beneficiary.getReferenceKey(Patient)                the id in a reference to a type
    beneficiary.resolve().identifier[system=…].value    into a resource that this one contains
    deceasedBoolean | deceasedDateTime.isPresent()      whatever one of several paths finds

A path that finds nothing gives null, one that finds a single value gives it, and one that finds several which
differ gives them all: no rule of a contract accepts a list by accident, so that nobody picks one in silence.
Nothing outside of the resource is ever asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.errors import ConfigurationInvalid

Resource = Mapping[str, Any]
#: Takes what the steps before it found (one cell a resource) and the resources themselves.
_Step = Callable[[list[Any], Sequence[Resource]], list[Any]]

_LONGEST = 400
_NAME = r"[A-Za-z_][A-Za-z0-9]*"
_TOKEN = re.compile(
    rf"(?:(?P<function>resolve|isPresent)\(\)|getReferenceKey\((?P<type>[A-Z][A-Za-z]*)\)|(?P<name>{_NAME}))"
    rf"(?P<brackets>(?:\[[^\]]*\])*)"
)
_BRACKET = re.compile(rf"\[(?:(?P<index>[0-9]{{1,3}})|(?P<path>{_NAME}(?:\.{_NAME})*)=(?P<value>[^\]]+))\]")


@dataclass(frozen=True, slots=True)
class FhirPath:
    """A path, compiled."""

    text: str
    _ways: tuple[tuple[_Step, ...], ...]

    @classmethod
    def compile(cls, text: str) -> FhirPath:
        """Read a path.

        Raises:
            ConfigurationInvalid: When it is none; says where reading stopped.
        """
        if len(text) > _LONGEST:
            raise ConfigurationInvalid([f"a path is longer than {_LONGEST} characters"])
        return cls(text, tuple(_compiled(way.strip(), text) for way in text.split(" | ")))

    @property
    def roots(self) -> frozenset[str]:
        """The elements of the resource that it begins with, and where it looks for what they refer to."""
        begun = {match[0] for way in self.text.split(" | ") if (match := re.match(_NAME, way.strip()))}
        return frozenset(begun | ({"contained"} if "resolve()" in self.text else set()))

    def values(self, resources: Sequence[Resource]) -> list[Any]:
        """What it finds in each resource."""
        found = [self._followed(way, resources) for way in self._ways]
        if len(found) == 1:
            return [_single(cell) for cell in found[0]]
        return [
            _single([each for cell in cells for each in _many(cell)]) for cells in zip(*found, strict=True)
        ]

    @staticmethod
    def _followed(way: tuple[_Step, ...], resources: Sequence[Resource]) -> list[Any]:
        cells: list[Any] = list(resources)
        for step in way:
            cells = step(cells, resources)
        return cells


def path_problems(name: str, text: str) -> list[str]:
    """What is wrong with the path of a column; nothing when it can be read."""
    try:
        FhirPath.compile(text)
    except ConfigurationInvalid as error:
        return [f"columns.{name}: {problem}" for problem in error.attributes["problems"]]
    return []


def _compiled(way: str, whole: str) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    place = 0
    while True:
        token = _TOKEN.match(way, place)
        if token is None:
            raise _not_read(whole, way[:place])
        steps.append(_step(token))
        steps += [_bracket(each, whole) for each in re.findall(r"\[[^\]]*\]", token["brackets"])]
        place = token.end()
        if place == len(way):
            return tuple(steps)
        if way[place] != ".":
            raise _not_read(whole, way[:place])
        place += 1


def _step(token: re.Match[str]) -> _Step:
    if token["name"]:
        return _element(token["name"])
    if token["type"]:
        return _reference_key(token["type"])
    return _contained if token["function"] == "resolve" else _present


def _bracket(text: str, whole: str) -> _Step:
    found = _BRACKET.fullmatch(text)
    if found is None:
        raise _not_read(whole, text)
    if found["index"] is not None:
        return _at(int(found["index"]))
    return _where(tuple(found["path"].split(".")), found["value"])


def _element(name: str) -> _Step:
    def step(cells: list[Any], _: Sequence[Resource]) -> list[Any]:
        return [cell.get(name) if type(cell) is dict else _elements(cell, name) for cell in cells]

    return step


def _elements(cell: Any, name: str) -> Any:
    """The element of each of several nodes, as one list."""
    if type(cell) is not list:
        return None  # nothing, or a value that has no elements
    return [each for node in cell if type(node) is dict for each in _many(node.get(name))]


def _where(path: tuple[str, ...], value: str) -> _Step:
    """The nodes whose element carries a value; a single one as itself, for that is quicker to follow."""
    *before, last = path
    wanted = (value, {"true": True, "false": False}.get(value, value))

    def carries(node: Any) -> bool:
        for name in before:
            node = node.get(name) if type(node) is dict else None
        return type(node) is dict and node.get(last) in wanted

    def among(cell: Any) -> Any:
        if type(cell) is not list:
            return cell if carries(cell) else None
        found = [node for node in cell if carries(node)]
        return found[0] if len(found) == 1 else found

    def step(cells: list[Any], _: Sequence[Resource]) -> list[Any]:
        return [among(cell) for cell in cells]

    return step


def _at(index: int) -> _Step:
    def step(cells: list[Any], _: Sequence[Resource]) -> list[Any]:
        return [nodes[index] if len(nodes := _many(cell)) > index else None for cell in cells]

    return step


def _reference_key(kind: str) -> _Step:
    """The id in a relative reference to this type; one into another server names nobody that we know."""
    form = re.compile(rf"{kind}/([A-Za-z0-9.-]{{1,64}})(?:/_history/[A-Za-z0-9.-]{{1,64}})?")

    def key(node: Any) -> str | None:
        text = node.get("reference") if type(node) is dict else None
        found = form.fullmatch(text) if isinstance(text, str) else None
        return found[1] if found else None

    def step(cells: list[Any], _: Sequence[Resource]) -> list[Any]:
        return [[key(node) for node in _many(cell)] for cell in cells]

    return step


def _contained(cells: list[Any], resources: Sequence[Resource]) -> list[Any]:
    """The resources within the resource that references point at (`#…`)."""
    return [
        [found for node in _many(cell) for found in _within(node, resource)]
        for cell, resource in zip(cells, resources, strict=True)
    ]


def _within(node: Any, resource: Resource) -> list[Any]:
    text = node.get("reference") if type(node) is dict else None
    if not isinstance(text, str) or not text.startswith("#"):
        return []
    return [
        each
        for each in _many(resource.get("contained"))
        if type(each) is dict and each.get("id") == text[1:] and text != "#"
    ]


def _present(cells: list[Any], _: Sequence[Resource]) -> list[Any]:
    return [True if _many(cell) else None for cell in cells]


def _many(cell: Any) -> list[Any]:
    if cell is None:
        return []
    return cell if type(cell) is list else [cell]


def _single(cell: Any) -> Any:
    """One value where all that was found is the same; several as a list."""
    if type(cell) is not list:
        return cell
    if len(cell) == 1:
        return cell[0]
    distinct: list[Any] = []
    for each in cell:
        if each is not None and not any(each == other and type(each) is type(other) for other in distinct):
            distinct.append(each)
    if not distinct:
        return None
    return distinct[0] if len(distinct) == 1 else distinct


def _not_read(whole: str, read: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([f"the path {whole!r} cannot be read{f' beyond {read!r}' if read else ''}"])
