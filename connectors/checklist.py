"""A list of named steps, each tried when those before it passed."""

from __future__ import annotations

from collections.abc import Callable

from connectors.line import Line
from connectors.source import CheckStep
from foundation.errors import LintasError


class Checklist:
    """Collects what each step gave; after a failure the rest is skipped."""

    def __init__(self) -> None:
        self.steps: list[CheckStep] = []
        self._failed = False

    def step(self, name: str, attempt: Callable[[], str]) -> None:
        """Try a step; `attempt` tells what it found, or raises a named error."""
        if self._failed:
            self.steps.append(CheckStep(name, ok=False, detail="not tried", skipped=True))
            return
        try:
            self.steps.append(CheckStep(name, ok=True, detail=attempt()))
        except LintasError as error:
            self._failed = True
            detail = f"{error.what}. {error.why}".strip()
            self.steps.append(CheckStep(name, ok=False, detail=detail, remedy=error.remedy))

    def reach(self, line: Line, *, tls: bool = True) -> None:
        """Try the way to the server: its name, its port, its certificate."""
        self.step("resolve", lambda: f"{line.host} is {line.resolve()}")
        self.step("connect", lambda: _connect(line))
        if tls:
            self.step("tls", lambda: f"{line.secure()}, the certificate proves {line.host}")

    def advise(self, name: str, detail: str, remedy: str) -> None:
        """Note what is not wrong but could be better."""
        if not self._failed:
            self.steps.append(CheckStep(name, ok=True, detail=detail, remedy=remedy))


def _connect(line: Line) -> str:
    line.connect().close()
    return f"{line.host}:{line.port} accepts connections"
