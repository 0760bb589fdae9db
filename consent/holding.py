"""The last look before several exchanges leave in one transaction: each is held to what it alone rests on.

Invariant: as that of `consent.commitment`, for each of them: the locks of all are taken at once and in one
order, everything is re-read after, and what changed under one exchange refuses that one and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection

from consent.commitment import Current, look_again, require_unchanged
from consent.decision import Decision
from foundation.errors import Refused
from foundation.pipelines import Transaction

__all__ = ["Held", "hold_together"]


@dataclass(frozen=True, slots=True)
class Held:
    """One exchange: its decisions (on the applicant, and on whom else it concerns), and everybody's tags."""

    decisions: tuple[Decision, ...]
    persons: tuple[bytes, ...] = field(repr=False)


def hold_together(
    connection: Connection[Any], exchanges: Sequence[Held], at: datetime, transaction: Transaction
) -> Callable[[], list[Refused | None]]:
    """Lock and re-read everything that several exchanges rest on; for each, why it may not be committed.

    Args:
        connection: The connection whose transaction commits the exchanges.
        exchanges: What was decided; no emergencies, which are committed alone.
        at: The moment at which everything must be in force.
        transaction: The transaction: locks and re-reading are sent together.

    Returns:
        What gives for each exchange None, or the refusal that `consent.commitment.hold` would raise. Calling
        it waits for everything sent so far, and raises UnsuitableTransaction if the connection runs no
        transaction at READ COMMITTED.
    """
    decisions = [decision for each in exchanges for decision in each.decisions]
    if any(decision.is_emergency for decision in decisions):
        raise ValueError("an emergency access is committed alone")
    persons = sorted({tag for each in exchanges for tag in each.persons})
    current = look_again(connection, decisions, persons, at, transaction)

    def refusals() -> list[Refused | None]:
        found = current()
        return [_refusal(each, found) for each in exchanges]

    return refusals


def _refusal(exchange: Held, current: Current) -> Refused | None:
    try:
        for decision in exchange.decisions:
            decision.require_allowed()
            require_unchanged(decision, exchange.persons, current)
    except Refused as refusal:
        return refusal
    return None
