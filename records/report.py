"""What a sync did, as the terminal, the demo and the benchmarks tell it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from uuid import UUID

from records.findings import Verdict
from records.landing import Landed

__all__ = ["StepSeconds", "SyncReport"]


@dataclass
class StepSeconds:
    """How long each step took, and the parts of landing."""

    steps: dict[str, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        started = perf_counter()
        try:
            yield
        finally:
            self.steps[name] = self.steps.get(name, 0.0) + perf_counter() - started

    def add_parts(self, landed: Iterable[Landed]) -> None:
        """Add up where landing spent its time."""
        for each in landed:
            for name in ("source", "map", "write"):
                self.parts[name] = self.parts.get(name, 0.0) + getattr(each, f"{name}_seconds")


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The figures of one sync."""

    dataset_id: str
    batch_id: UUID
    run_id: str
    resumed: bool
    read: int
    accepted: int
    quarantined: int
    reasons: Mapping[str, int]
    verdict: Verdict
    broken_rules: tuple[str, ...]
    inserted: int
    updated: int
    closed: int
    unchanged: int
    postponed: int
    flagged: int
    published: bool
    step_seconds: Mapping[str, float]
    part_seconds: Mapping[str, float]

    @property
    def held(self) -> bool:
        """Whether the batch waits for a steward."""
        return self.verdict is Verdict.HOLD and not self.published

    @property
    def changed(self) -> int:
        """Records that were written."""
        return self.inserted + self.updated + self.closed

    @property
    def seconds(self) -> float:
        """Time from beginning to end."""
        return sum(self.step_seconds.values())

    @property
    def rows_per_second(self) -> float:
        """Rows read, by the time of the whole sync."""
        return self.read / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "dataset": self.dataset_id,
            "batch": str(self.batch_id),
            "run": self.run_id,
            "resumed": self.resumed,
            "read": self.read,
            "accepted": self.accepted,
            "quarantined": self.quarantined,
            "reasons": dict(self.reasons),
            "verdict": str(self.verdict),
            "broken_rules": list(self.broken_rules),
            "inserted": self.inserted,
            "updated": self.updated,
            "closed": self.closed,
            "unchanged": self.unchanged,
            "changed": self.changed,
            "postponed": self.postponed,
            "flagged": self.flagged,
            "published": self.published,
            "held": self.held,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second),
            "step_seconds": {name: round(value, 3) for name, value in self.step_seconds.items()},
            "part_seconds": {name: round(value, 3) for name, value in self.part_seconds.items()},
        }
