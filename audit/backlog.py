"""Whether the log keeps up: entries of exchanges are taken only while somebody gives them their numbers.

Invariant: the sequencer alone puts off the moment until which exchanges are accepted, and only while it
works and no more than so many entries wait. Where it is silent the moment passes, and exchanges stop.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg

from audit.errors import LogBehind

__all__ = ["IS_BEHIND", "Acceptance", "await_acceptance", "is_behind", "refuse_behind"]

IS_BEHIND = """
CASE WHEN b.accepting_until IS NOT NULL THEN b.accepting_until < clock_timestamp()
     ELSE (SELECT count(*) > b.most_entries FROM (SELECT id FROM audit.outbox LIMIT b.most_entries + 1) AS w)
END
"""
"""SQL over `audit.backlog b`: one row is read. Before any sequencer has worked, what waits is counted."""

_RETRY_SECONDS = 5
_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_COUNT_SECONDS = 1.0


class Acceptance:
    """What the leading sequencer tells the writers: how long they may go on, or that they must stop.

    Args:
        most_entries: more than so many waiting entries stop exchanges; half as many let them go on.
        most_seconds: how long exchanges go on after the sequencer was heard last.
    """

    def __init__(self, most_entries: int, most_seconds: int) -> None:
        self._most_entries = most_entries
        self._most_seconds = most_seconds
        self._refusing = False
        self._looked_at = self._told_at = float("-inf")

    def tell(self, connection: psycopg.Connection[Any], *, caught_up: bool) -> None:
        """Put off the moment, or let it pass; most calls do nothing, for a drain happens often."""
        now = time.monotonic()
        if now < self._looked_at + (0 if caught_up and self._refusing else _COUNT_SECONDS):
            return
        self._looked_at = now
        waiting = 0 if caught_up else self._count(connection)
        refusing = waiting > (self._most_entries // 2 if self._refusing else self._most_entries)
        if refusing == self._refusing and now < self._told_at + self._most_seconds / 4:
            return
        connection.execute(
            "UPDATE audit.backlog SET most_entries = %s, waiting = %s,"
            " accepting_until = clock_timestamp() + %s * interval '1 second'",
            (self._most_entries, waiting, -1 if refusing else self._most_seconds),
        )
        self._refusing, self._told_at = refusing, now

    def _count(self, connection: psycopg.Connection[Any]) -> int:
        """How many entries wait, as far as it matters."""
        query = "SELECT count(*) FROM (SELECT id FROM audit.outbox LIMIT %s) AS waiting"
        row = connection.execute(query, (self._most_entries + 1,)).fetchone()
        return int(row[0]) if row else 0


def is_behind(connection: psycopg.Connection[Any]) -> bool:
    """Whether exchanges are refused now because the log does not keep up."""
    row = connection.execute(f"SELECT {IS_BEHIND} FROM audit.backlog b").fetchone()  # noqa: S608
    return row is None or bool(row[0])


def refuse_behind() -> None:
    """Refuse an exchange.

    Raises:
        LogBehind: always.
    """
    raise LogBehind(
        "The log does not keep up, so no exchange is made.",
        why="Nobody numbers its entries, or too many wait for their number.",
        remedy="Try again in some seconds; where it lasts, `lintas status` tells the operator why.",
        retry_after=_RETRY_SECONDS,
    )


def await_acceptance(connection: psycopg.Connection[Any], seconds: float = _WAIT_SECONDS) -> None:
    """Wait until exchanges are accepted: what is in no hurry waits instead of adding to what waits.

    The connection must not be inside a transaction that others wait for.

    Raises:
        LogBehind: when they are still refused after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while is_behind(connection):
        if time.monotonic() >= deadline:
            refuse_behind()
        time.sleep(min(_PAUSE_SECONDS, seconds))
