"""YAML that remembers its lines, so that an error can say where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Located:
    """A document, the line of each of its parts, and keys that stand twice."""

    data: Any
    lines: Mapping[Path, int]
    repeated: tuple[tuple[Path, int], ...]

    def line(self, path: Path) -> int:
        """The line of a part, or of the nearest part around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str) -> Located:
    """Parse one document.

    Raises:
        yaml.YAMLError: When the text is not YAML.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    lines: dict[Path, int] = {}
    repeated: list[tuple[Path, int]] = []
    if root is not None:
        _walk(root, (), lines, repeated)
    return Located(yaml.safe_load(text), lines, tuple(repeated))


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], repeated: list[tuple[Path, int]]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            if inner in lines:
                repeated.append((inner, key.start_mark.line + 1))
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines, repeated)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _walk(value, (*path, position), lines, repeated)
