"""Gathers everything that is wrong with a contract file, each with its line, before anything is raised."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from schemas.errors import ContractProblem
from schemas.marked_yaml import MarkedDocument, Path


class Problems:
    """The problems of one file; ``lines`` is filled in once the file could be read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[ContractProblem] = []
        self._lines: Mapping[Path, int] = {}
        self._data: Any = None

    def know(self, document: MarkedDocument) -> None:
        """From now on, name the line of each problem, and call items of lists by their names."""
        self._lines = document.lines
        self._data = document.data

    def line(self, path: Path) -> int | None:
        """The line of a part of the file, or of the nearest part around it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path)

    def add(self, path: Path, rule: str, message: str, remedy: str, *, line: int | None = None) -> None:
        """Note one problem."""
        line = line or self.line(path)
        self.found.append(ContractProblem(self.file, line, self.field(path), rule, message, remedy))

    def add_at(self, field: str, rule: str, message: str, remedy: str, *, line: int | None) -> None:
        """Note one problem at a field whose name and line are known already."""
        self.found.append(ContractProblem(self.file, line, field, rule, message, remedy))

    def field(self, path: Path) -> str | None:
        """The path as people say it: ``schema.Person.properties.sex.transformLogic``."""
        names, here = [], self._data
        for part in path:
            if isinstance(here, dict):
                here = here.get(part)
                names.append(str(part))
            else:
                here = (
                    here[part]
                    if isinstance(here, list) and isinstance(part, int) and part < len(here)
                    else None
                )
                names.append(_name_of(here) or str(part))
        return ".".join(names) or None

    def add_validation(
        self, path: Path, error: ValidationError, *, known: Collection[str | None] = ()
    ) -> None:
        """Note what a pydantic model found in the part at ``path``, except in fields already ``known``."""
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            place = (*path, *each["loc"])
            if self.field(place) in known:
                continue
            rule = str(each["type"]).replace("_", "-")
            self.add(place, rule, _sentence(each["msg"]), _remedy(each["type"]))


def _name_of(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    return next((item[key] for key in ("name", "property", "server") if isinstance(item.get(key), str)), None)


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."


def _remedy(kind: str) -> str:
    known: dict[str, Any] = {
        "missing": "Add the key.",
        "extra_forbidden": "Remove the key or correct its spelling.",
        "string_type": "Write it as text, in quotes if it looks like a number.",
        "literal_error": "Choose one of the values named.",
        "enum": "Choose one of the values named.",
        "list_type": "Write it as a list.",
        "dict_type": "Write it as a mapping.",
        "model_type": "Write it as a mapping.",
    }
    return str(known.get(kind, "Correct the value."))
