"""What can be wrong with contracts and with the shape of what a source sends.

::

    FixSource
    ├── IdentifierInvalid      a text is not the identifier it should be
    └── ColumnsChanged         the source no longer has the columns its contract names
    FixContract
    ├── ContractInvalid        one or more contract files are wrong; holds every problem found
    ├── UnknownContract        no contract of that dataset is loaded
    └── UnknownRecordType      no record type of that name exists
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foundation.errors import FixContract, FixSource, Location

if TYPE_CHECKING:
    from schemas.identifiers.identifier import IdentifierCheck


class IdentifierInvalid(FixSource):
    """A text is not the identifier it should be."""

    def __init__(self, kind: str, check: IdentifierCheck) -> None:
        super().__init__(
            check.messages[0],
            remedy=check.remedy,
            location=Location(rule=check.rule),
            identifier=kind,
        )


class ColumnsChanged(FixSource):
    """The source no longer has the columns its contract names."""

    def __init__(
        self,
        dataset: str,
        *,
        missing: Sequence[str],
        found: Sequence[str],
        suggestions: dict[str, str],
        location: Location,
    ) -> None:
        names = ", ".join(_named(column, suggestions.get(column)) for column in missing)
        super().__init__(
            f"The source of {dataset} no longer sends {names}",
            why=f"It sends: {', '.join(sorted(found)) or 'no columns'}",
            remedy=(
                "If the column was renamed, change physicalName in the contract and raise its version; "
                "otherwise ask the agency to restore it"
            ),
            location=location,
            missing=tuple(missing),
            found=tuple(found),
            suggestions=suggestions,
        )


@dataclass(frozen=True, slots=True)
class ContractProblem:
    """One thing wrong in one contract file."""

    file: str
    line: int | None
    field: str | None
    rule: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        field = f" [{self.field}]" if self.field else ""
        return f"{place}{field} {self.message} {self.remedy} ({self.rule})"

    def as_dict(self) -> dict[str, Any]:
        """The problem as plain data."""
        return {
            "file": self.file,
            "line": self.line,
            "field": self.field,
            "rule": self.rule,
            "message": self.message,
            "remedy": self.remedy,
        }


class ContractInvalid(FixContract):
    """One or more contract files are wrong; ``problems`` holds everything found, in file order."""

    def __init__(self, problems: Sequence[ContractProblem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        files = sorted({problem.file for problem in self.problems})
        listing = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"{len(self.problems)} problem(s) in {', '.join(files)}:\n{listing}\n",
            remedy="Correct the lines named and check again",
            location=Location(first.file, first.line, None, first.field, first.rule),
            problems=[problem.as_dict() for problem in self.problems],
        )

    def __str__(self) -> str:
        return f"{self.what.rstrip()}\n{self.remedy}."


class UnknownContract(FixContract):
    """No contract of that dataset is loaded."""


class UnknownRecordType(FixContract):
    """No record type of that name exists."""


def _named(column: str, suggestion: str | None) -> str:
    return f"'{column}' (is it now '{suggestion}'?)" if suggestion else f"'{column}'"
