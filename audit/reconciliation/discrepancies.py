"""What a comparison with the outside has found: each contradiction by name, with its window and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

__all__ = ["CERTAIN", "Discrepancy", "DiscrepancyKind", "Reconciliation", "Window"]


class DiscrepancyKind(StrEnum):
    """How the log and the world outside contradict each other."""

    PROMISE_BROKEN = "promise-broken"
    PROMISE_LATE = "promise-late"
    ENTRY_DIFFERS = "entry-differs"
    RECEIPT_INVALID = "receipt-invalid"
    RECEIPT_CONTRADICTS = "receipt-contradicts"
    ANSWER_UNLOGGED = "answer-unlogged"
    EXCHANGE_WITHOUT_ANSWER = "exchange-without-answer"
    ACCESS_UNLOGGED = "access-unlogged"
    SYNC_WITHOUT_ACCESS = "sync-without-access"
    LOOKUP_WITHOUT_ACCESS = "lookup-without-access"
    MORE_SERVED_THAN_READ = "more-served-than-read"
    READ_UNEXPLAINED = "read-unexplained"
    FOREIGN_SESSION = "foreign-session"


REMEDIES: dict[DiscrepancyKind, str] = {
    DiscrepancyKind.PROMISE_BROKEN: (
        "Keep the promise: it is the bus's own signature that this entry would stand in the log."
        " Preserve the database and its backups, and tell the steward, the portal and the supervisory body."
    ),
    DiscrepancyKind.PROMISE_LATE: "See with `lintas status` whether the sequencer runs; compare again.",
    DiscrepancyKind.ENTRY_DIFFERS: (
        "Run `lintas audit verify`; keep the receipt: it proves which bytes were logged first."
    ),
    DiscrepancyKind.RECEIPT_INVALID: (
        "Ask the portal for its original file; this one is damaged, or was never signed by this log."
    ),
    DiscrepancyKind.RECEIPT_CONTRADICTS: (
        "The log's key has signed two histories: keep both, stop the bus, publish both checkpoints."
    ),
    DiscrepancyKind.ANSWER_UNLOGGED: (
        "Keep the signed answer: it left the bus without an entry. Preserve the database and its backups."
    ),
    DiscrepancyKind.EXCHANGE_WITHOUT_ANSWER: (
        "Ask the portal whether it asked. If it did not, somebody asked in its name: suspend the system"
        " and roll its key."
    ),
    DiscrepancyKind.ACCESS_UNLOGGED: (
        "Ask who held the bus's account at that source in this window; change its secret."
    ),
    DiscrepancyKind.SYNC_WITHOUT_ACCESS: (
        "Ask the agency whether its access log is complete, and whether the batch came from that system."
    ),
    DiscrepancyKind.LOOKUP_WITHOUT_ACCESS: (
        "Ask the agency whether its access log is complete, and who answered in its place."
    ),
    DiscrepancyKind.MORE_SERVED_THAN_READ: (
        "Pages asked for again after an error explain it; otherwise ask where the other rows went."
    ),
    DiscrepancyKind.READ_UNEXPLAINED: (
        "Ask who had access to the database then; turn on the server's statement log to know more."
    ),
    DiscrepancyKind.FOREIGN_SESSION: "Ask who works in the database with this role, and why.",
}

CERTAIN = frozenset(DiscrepancyKind) - {
    DiscrepancyKind.MORE_SERVED_THAN_READ,
    DiscrepancyKind.READ_UNEXPLAINED,
    DiscrepancyKind.FOREIGN_SESSION,
    DiscrepancyKind.PROMISE_LATE,
}
"""Contradictions as such; the other kinds only raise a question."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, both ends included; without an end it is open."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it."""
        return (self.since is None or self.since <= moment) and (self.until is None or moment <= self.until)

    def as_dict(self) -> dict[str, str | None]:
        """Both ends as text."""
        return {
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
        }


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One contradiction: what, when, and where it was seen; ids and names only, never a value."""

    kind: DiscrepancyKind
    what: str
    window: Window
    seen_in: str

    @property
    def is_certain(self) -> bool:
        """Whether it contradicts the log, and does not only raise a question."""
        return self.kind in CERTAIN

    @property
    def remedy(self) -> str:
        """What to do next."""
        return REMEDIES[self.kind]

    def as_dict(self) -> dict[str, Any]:
        """As data."""
        return {
            "kind": str(self.kind),
            "certain": self.is_certain,
            "what": self.what,
            "window": self.window.as_dict(),
            "seen_in": self.seen_in,
            "remedy": self.remedy,
        }


@dataclass(slots=True)
class Reconciliation:
    """All that one comparison has looked at and found.

    Attributes:
        window: What is compared.
        pruned_until: When the latest entry that was pruned had happened; what is older cannot be judged.
        compared: How many of which things were compared.
        pending: Promises and answers that are not due yet.
        beyond: Things too old to be compared, because their entries may have been pruned.
        found: Contradictions and questions.
    """

    window: Window
    pruned_until: datetime | None = None
    compared: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    beyond: int = 0
    found: list[Discrepancy] = field(default_factory=list)

    def add(self, found: Iterable[Discrepancy]) -> None:
        """Note what a part of the comparison has found."""
        self.found += found

    def may_be_pruned(self, moment: datetime, tolerance: timedelta = timedelta(0)) -> bool:
        """Whether the entry about something of that moment may have been pruned."""
        return self.pruned_until is not None and moment - tolerance <= self.pruned_until

    @property
    def contradictions(self) -> list[Discrepancy]:
        """What contradicts the log."""
        return [each for each in self.found if each.is_certain]

    @property
    def questions(self) -> list[Discrepancy]:
        """What only raises a question."""
        return [each for each in self.found if not each.is_certain]

    def counts(self) -> dict[str, int]:
        """Discrepancies by kind."""
        return dict(sorted(Counter(str(each.kind) for each in self.found).items()))
