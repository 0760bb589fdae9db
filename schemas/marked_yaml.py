"""YAML read safely, with the line of every value kept.

Contracts come from agencies, so the reader takes only what JSON could say (YAML 1.2's core schema: ``no``
is a text, dates are texts), forbids tags and duplicate keys, and limits size, depth and aliases, so that no
file can unfold into more than it weighs.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import AliasEvent, MappingEndEvent, MappingStartEvent, SequenceEndEvent, SequenceStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]

LARGEST_FILE = 256 * 1024
DEEPEST_NESTING = 24
MOST_ALIASES = 16
MOST_VALUES = 20_000
LARGEST_INTEGER = 2**53 - 1

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]


class YamlProblem(Exception):  # noqa: N818 - becomes a ContractProblem
    """Why a text is not acceptable YAML."""

    def __init__(
        self, rule: str, message: str, remedy: str, line: int | None = None, path: Path = ()
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.remedy = remedy
        self.line = line
        self.path = path


@dataclass(frozen=True)
class MarkedDocument:
    """Plain data and the line on which each part of it stands."""

    data: Any
    lines: dict[Path, int] = field(repr=False)

    def line(self, path: Path) -> int | None:
        """The line of a part, or of the nearest part around it."""
        while path not in self.lines:
            if not path:
                return None
            path = path[:-1]
        return self.lines[path]


class _CoreLoader(_SafeLoader):
    """Resolves plain scalars as YAML 1.2's core schema does."""


_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", list("-+0123456789")),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def read_marked_yaml(content: bytes | str) -> MarkedDocument:
    """Read one YAML document.

    Raises:
        YamlProblem: It is malformed, or more than a contract can be.
    """
    text = _decode(content)
    try:
        _weigh(text)
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise YamlProblem(
            "yaml",
            f"The file is not valid YAML: {problem.problem or problem.context}.",
            "Check indentation, quotes and colons at this line.",
            mark.line + 1 if mark else None,
        ) from None
    except yaml.YAMLError:
        raise YamlProblem(
            "yaml", "The file contains characters that YAML forbids.", "Save it as plain UTF-8 text."
        ) from None
    if node is None:
        raise YamlProblem("empty", "The file is empty.", "Start from an existing contract.", 1)
    lines: dict[Path, int] = {}
    return MarkedDocument(_Builder(lines).build(node, ()), lines)


def _decode(content: bytes | str) -> str:
    if len(content) > LARGEST_FILE:
        raise YamlProblem(
            "too-large",
            f"The file is larger than {LARGEST_FILE // 1024} KiB.",
            "Keep one dataset per contract; data does not belong in it.",
        )
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise YamlProblem("encoding", "The file is not UTF-8.", "Save it as UTF-8.") from None


def _weigh(text: str) -> None:
    depth = aliases = 0
    for event in yaml.parse(text, Loader=_CoreLoader):
        if isinstance(event, SequenceStartEvent | MappingStartEvent):
            depth += 1
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            depth -= 1
        elif isinstance(event, AliasEvent):
            aliases += 1
        if depth > DEEPEST_NESTING:
            raise _too_much("too-deep", "The file nests too deeply.", event)
        if aliases > MOST_ALIASES:
            raise _too_much("too-many-aliases", f"The file uses more than {MOST_ALIASES} aliases.", event)


def _too_much(rule: str, message: str, event: yaml.Event) -> YamlProblem:
    return YamlProblem(
        rule, message, "Write the values out.", event.start_mark.line + 1 if event.start_mark else None
    )


class _Builder:
    """Turns nodes into plain data, counting what aliases unfold."""

    def __init__(self, lines: dict[Path, int]) -> None:
        self._lines = lines
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: Node, path: Path) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            raise self._problem("too-many-values", "The file unfolds into too many values.", node, path)
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            raise self._problem("recursive", "A value contains itself.", node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            return self._sequence(node, path)
        finally:
            self._open.remove(id(node))

    def _sequence(self, node: Node, path: Path) -> list[Any]:
        if not isinstance(node, SequenceNode) or node.tag != "tag:yaml.org,2002:seq":
            raise self._tag(node, path)
        return [self.build(child, (*path, position)) for position, child in enumerate(node.value)]

    def _mapping(self, node: MappingNode, path: Path) -> dict[Hashable, Any]:
        if node.tag != "tag:yaml.org,2002:map":
            raise self._tag(node, path)
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            if key is None:
                raise self._problem("key", "A key is not a plain text.", key_node, path)
            if key in found:
                raise self._problem("duplicate-key", f"The key '{key}' stands here twice.", key_node, path)
            self._lines[(*path, key)] = key_node.start_mark.line + 1
            found[key] = self.build(value_node, (*path, key))
        return found

    def _scalar(self, node: ScalarNode, path: Path) -> str | int | float | bool | None:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind == "str":
            return str(node.value)
        if kind == "null":
            return None
        if kind == "bool":
            return str(node.value).lower() == "true"
        if kind == "float" and len(node.value) < 40:
            return float(node.value)
        if kind == "int" and len(node.value) < 20 and abs(int(node.value)) <= LARGEST_INTEGER:
            return int(node.value)
        if kind in {"int", "float"}:
            raise self._problem("number", "The number has too many digits.", node, path)
        raise self._tag(node, path)

    def _tag(self, node: Node, path: Path) -> YamlProblem:
        return self._problem("tag", f"The tag {node.tag} is not allowed.", node, path)

    @staticmethod
    def _problem(rule: str, message: str, node: Node, path: Path) -> YamlProblem:
        return YamlProblem(rule, message, "Write plain values.", node.start_mark.line + 1, path)
