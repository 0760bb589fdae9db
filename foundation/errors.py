"""The one tree of exceptions, named by what the caller should do.

::

    LintasError
    ├── RetryLater        nothing is wrong with the request: try again after a pause
    ├── FixContract       a contract, service or agreement file must be changed
    ├── FixSource         the agency's system, its credentials or its data must be changed
    ├── Refused           a rule says no; trying again will not help
    ├── IntegrityBroken   what is stored contradicts itself: stop and look
    └── FixInstallation   this installation of the bus must be changed

Every room has a small ``errors.py`` (or its own leaves beside the code) below these branches.
An error says what happened, why, and what to do next. It names field, row position and rule;
it never carries the value, because errors travel into logs, traces and other people's screens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, ClassVar

__all__ = [
    "FixContract",
    "FixInstallation",
    "FixSource",
    "IntegrityBroken",
    "LintasError",
    "Location",
    "Refused",
    "RetryLater",
]

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Location:
    """Where something is wrong: any of file, line, row position, field and rule."""

    file: str | None = None
    line: int | None = None
    row: int | None = None
    field: str | None = None
    rule: str | None = None

    def __str__(self) -> str:
        parts = []
        if self.file is not None:
            parts.append(self.file if self.line is None else f"{self.file}:{self.line}")
        elif self.line is not None:
            parts.append(f"line {self.line}")
        if self.row is not None:
            parts.append(f"row {self.row}")
        if self.field is not None:
            parts.append(f"field {self.field}")
        if self.rule is not None:
            parts.append(f"rule {self.rule}")
        return ", ".join(parts)

    def as_dict(self) -> dict[str, str | int]:
        """Return the parts that are known."""
        found = ((part.name, getattr(self, part.name)) for part in fields(self))
        return {name: value for name, value in found if value is not None}


class LintasError(Exception):
    """Something the bus can explain.

    Attributes:
        code: Stable kebab-case slug of the class, also the last segment of its problem type.
        what: One sentence: what happened.
        why: One sentence: why, where known.
        remedy: One sentence: what to do next.
        location: Where, where known.
        attributes: Structured facts for programs (never personal values).
    """

    code: ClassVar[str] = "lintas-error"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            cls.code = _WORD_START.sub("-", cls.__name__).lower()

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        remedy: str = "",
        location: Location | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy
        self.location = location
        self.attributes: dict[str, Any] = attributes

    def __str__(self) -> str:
        where = f" ({self.location})" if self.location and str(self.location) else ""
        sentences = [f"{self.what.rstrip('.')}{where}.", _sentence(self.why), _sentence(self.remedy)]
        return " ".join(sentence for sentence in sentences if sentence)

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive a process boundary whole (Airflow and multiprocessing pickle exceptions)."""
        state = dict(self.__dict__)
        return (_rebuild, (type(self), self.what, state))

    def as_dict(self) -> dict[str, Any]:
        """Return the error as plain data, for ``--json`` output and problem documents."""
        found: dict[str, Any] = {"code": self.code, "what": self.what}
        if self.why:
            found["why"] = self.why
        if self.remedy:
            found["remedy"] = self.remedy
        if self.location is not None:
            found["location"] = self.location.as_dict()
        if self.attributes:
            found["attributes"] = dict(self.attributes)
        return found


class RetryLater(LintasError):  # noqa: N818 - named by what the caller should do
    """Nothing is wrong with the request: try again after a pause.

    Pass ``retry_after`` (seconds) as an attribute when the other side named a pause.
    """

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before trying again, where the other side said so."""
        value = self.attributes.get("retry_after")
        return None if value is None else float(value)


class FixContract(LintasError):  # noqa: N818 - named by what the caller should do
    """A contract, service or agreement file must be changed."""


class FixSource(LintasError):  # noqa: N818 - named by what the caller should do
    """The agency's system, its credentials or its data must be changed."""


class Refused(LintasError):  # noqa: N818 - named by what the caller should do
    """A rule says no; trying again will not help."""


class IntegrityBroken(LintasError):  # noqa: N818 - named by what the caller should do
    """What is stored contradicts itself: stop and look."""


class FixInstallation(LintasError):  # noqa: N818 - named by what the caller should do
    """This installation of the bus must be changed."""


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}." if text else ""


def _rebuild(cls: type[LintasError], what: str, state: dict[str, Any]) -> LintasError:
    error = cls.__new__(cls)
    Exception.__init__(error, what)
    error.__dict__.update(state)
    return error
