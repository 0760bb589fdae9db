"""Cuts a criterion into words, and names the first thing that is not one."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing wrong with an expression, where it stands and what to do."""

    column: int
    what: str
    remedy: str


class ReadingError(Exception):
    """Reading cannot go on."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


@dataclass(frozen=True)
class Token:
    """One word of the source and where it stands."""

    kind: str
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)|(?P<number>[0-9]+(?:\.[0-9]+)?(?![A-Za-z_0-9]))|(?P<name>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<text>"[^"\\\n]*"|'[^'\\\n]*')|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!+\-*().,\[\]])""",
    re.VERBOSE,
)
RESERVED = {"true", "false", "in", "null"}
LONGEST = 1000


def tokens(source: str) -> list[Token]:
    """Cut the source into tokens, ended by one of kind `end`."""
    if len(source) > LONGEST:
        raise ReadingError(
            Finding(LONGEST, f"a criterion has at most {LONGEST} characters", "Split the criterion.")
        )
    cut: list[Token] = []
    position = 0
    while position < len(source):
        found = _TOKEN.match(source, position)
        if found is None:
            raise ReadingError(
                Finding(
                    position,
                    f"a criterion cannot contain {source[position]!r} here",
                    "Use comparisons, &&, ||, !, +, -, *, `in`, and the functions of the reference page.",
                )
            )
        kind = str(found.lastgroup)
        if kind != "space":
            cut.append(Token(kind, found.group(), found.start(), found.end()))
        position = found.end()
    cut.append(Token("end", "", len(source), len(source)))
    return cut
