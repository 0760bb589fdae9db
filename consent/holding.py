"""The last look before several exchanges leave in one transaction: each is held to what it alone rests on.

Invariant: as that of `consent.commitment`, for each of them: the locks of all are taken at once and in one
order, and everything is re-read after. What changed under one exchange stops the transaction, in which all of
them leave or none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection

from consent.commitment import look_again, require_unchanged
from consent.decision import Decision
from foundation.pipelines import Transaction

__all__ = ["Held", "hold_together"]


@dataclass(frozen=True, slots=True)
class Held:
    """One exchange: its decisions (on the applicant, and on whom else it concerns), and everybody's tags."""

    decisions: tuple[Decision, ...]
    persons: tuple[bytes, ...] = field(repr=False)


def hold_together(
    connection: Connection[Any], exchanges: Sequence[Held], at: datetime, transaction: Transaction
) -> Callable[[], None]:
    """Lock and re-read everything that several exchanges rest on.

    Args:
        connection: The connection whose transaction commits the exchanges.
        exchanges: What was decided; no emergencies, which are committed alone.
        at: The moment at which everything must be in force.
        transaction: The transaction: locks and re-reading are sent together.

    Returns:
        What waits for everything sent so far, and raises what `consent.commitment.hold` would raise about the
        first exchange that may not be committed any more.

    Raises:
        ExchangeDenied: If a decision was no allowance in the first place.
    """
    decisions = [decision for each in exchanges for decision in each.decisions]
    for decision in decisions:
        decision.require_allowed()
    if any(decision.is_emergency for decision in decisions):
        raise ValueError("an emergency access is committed alone")
    persons = sorted({tag for each in exchanges for tag in each.persons})
    current = look_again(connection, decisions, persons, at, transaction)

    def require_all_unchanged() -> None:
        found = current()
        for each in exchanges:
            for decision in each.decisions:
                require_unchanged(decision, each.persons, found)

    return require_all_unchanged
