"""What an assessment found: one finding per rule, counts only, and what they mean for the batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Assessment", "Finding", "Verdict"]


class Verdict(StrEnum):
    """What happens to a batch after its assessment."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    HOLD = "hold"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule over the batch: rows looked at, rows that broke it, and whether that is accepted.

    `skipped` says why a rule was not checked; it neither passed nor failed, and holds nothing back.
    `expectation` is the type of the expectation that measured it, if Great Expectations did.
    """

    rule: str
    dimension: str
    severity: str
    checked: int
    failed: int
    passed: bool
    description: str = ""
    skipped: str = ""
    expectation: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain data: names and counts."""
        return {
            "rule": self.rule,
            "dimension": self.dimension,
            "severity": self.severity,
            "checked": self.checked,
            "failed": self.failed,
            "passed": self.passed,
            "description": self.description,
            "skipped": self.skipped,
            "expectation": self.expectation,
        }


@dataclass(frozen=True, slots=True)
class Assessment:
    """The outcome for a batch with everything it rests on."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Assessment:
        """A broken error holds the batch, a broken warning publishes and flags."""
        found = tuple(findings)
        broken = {finding.severity for finding in found if not finding.passed}
        if "reject" in broken:
            return cls(Verdict.REJECT, found)
        if "error" in broken:
            return cls(Verdict.HOLD, found)
        return cls(Verdict.WARN if broken else Verdict.PASS, found)

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The findings that did not pass."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def broken_rules(self) -> tuple[str, ...]:
        """Their rules."""
        return tuple(finding.rule for finding in self.broken)

    @property
    def skipped(self) -> tuple[Finding, ...]:
        """The rules that could not be checked."""
        return tuple(finding for finding in self.findings if finding.skipped)

    @property
    def publishable(self) -> bool:
        """Whether the batch goes on without a steward."""
        return self.verdict in (Verdict.PASS, Verdict.WARN)
