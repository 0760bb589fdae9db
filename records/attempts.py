"""Attempts in vain: counted by number and consumer, so that nobody learns about people by trying.

Invariant: of many attempts at once on one number every one sees what those before it were counted as, because
who looks holds the lock of the number and the consumer until their attempt is counted or was not in vain.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from records.errors import TooManyAttempts

__all__ = [
    "ATTEMPTS",
    "ATTEMPT_WINDOW",
    "CONSUMER_ATTEMPTS",
    "FAILURES",
    "Counting",
    "Tally",
    "count_attempt",
    "lock_attempts",
    "require_attempts_left",
    "tallies",
    "too_many",
]

ATTEMPTS = 5
"""Failed attempts on one number by one consumer before it is refused."""
CONSUMER_ATTEMPTS = 200
"""Failed attempts by one consumer, on whatever numbers, before it is refused."""
ATTEMPT_WINDOW = timedelta(minutes=15)
"""How long failed attempts count."""

FAILURES = (
    "coalesce((SELECT failures FROM identity.attempt WHERE subject_tag = a.tag"
    " AND consumer = a.consumer AND window_start > %(since)s), 0),"
    " coalesce((SELECT failures FROM identity.consumer_attempt WHERE consumer = a.consumer"
    " AND window_start > %(since)s), 0)"
)
"""SQL: how often the consumer `a.consumer` failed on the number tagged `a.tag`, and over all."""


class Tally(tuple[int, int]):
    """How often a consumer failed: on one number, and over all."""

    __slots__ = ()

    @property
    def is_used_up(self) -> bool:
        """Whether nothing may be tried any more."""
        return self[0] >= ATTEMPTS or self[1] >= CONSUMER_ATTEMPTS


def lock_attempts(connection: psycopg.Connection[Any], on: Iterable[tuple[bytes, str]]) -> None:
    """Let others who try the same numbers for the same consumers wait until the transaction ends.

    Whoever takes several locks takes them in one order, and before every other lock of the transaction.
    """
    keys = sorted({_key(tag, consumer) for tag, consumer in on})
    connection.execute("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key", [keys])


def tallies(
    connection: psycopg.Connection[Any], on: Sequence[tuple[bytes, str]], now: datetime
) -> Callable[[], list[Tally]]:
    """Ask for the failures on several numbers by consumer.

    Returns:
        What gives them in the order of the numbers; calling it waits for the statement.
    """
    asked = {
        "tags": [tag for tag, _ in on],
        "consumers": [consumer for _, consumer in on],
        "since": now - ATTEMPT_WINDOW,
    }
    rows = connection.execute(_TALLIES, asked)
    return lambda: [Tally(row) for row in rows.fetchall()]


def require_attempts_left(
    connection: psycopg.Connection[Any], tags: Sequence[bytes], consumer: str, now: datetime
) -> None:
    """Refuse a consumer that tried too often in vain, one of these or over all.

    Others who try one of these at the same moment wait for the transaction to end, so that all are counted.

    Args:
        connection: In the transaction in which `count_attempt` counts.
        tags: What an attempt counts on: the number named, the applicant who names it.
        consumer: The agency that asks.
        now: The moment.

    Raises:
        TooManyAttempts: When it did.
    """
    on = [(tag, consumer) for tag in tags]
    lock_attempts(connection, on)
    if any(tally.is_used_up for tally in tallies(connection, on, now)()):
        raise too_many()


class Counting:
    """Attempts in vain within one transaction, each seen by those after it, and written in the end.

    Rows of consumers are written last, in one order, for everybody's failures wait for them.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._on_numbers: list[tuple[bytes, str]] = []
        self._over_all: Counter[str] = Counter()

    def is_used_up(self, tally: Tally, consumer: str) -> bool:
        """Whether a consumer may not try any more, with what was counted here."""
        return Tally((tally[0], tally[1] + self._over_all[consumer])).is_used_up

    def note(self, tags: Iterable[bytes], consumer: str, *, counts_over_all: bool = True) -> None:
        """Count an attempt; nobody else may try the same numbers in this transaction."""
        self._on_numbers += [(tag, consumer) for tag in tags]
        self._over_all[consumer] += counts_over_all

    def write(self, connection: psycopg.Connection[Any]) -> None:
        """Write what was counted, in the transaction that holds the locks."""
        if not self._on_numbers:
            return
        counted = {"now": self._now, "since": self._now - ATTEMPT_WINDOW}
        for tag, consumer in sorted(self._on_numbers):
            connection.execute(_COUNT_ON_NUMBER, {**counted, "tag": tag, "consumer": consumer})
        connection.execute("SELECT identity.forget_attempts(%(since)s)", counted)
        for consumer in sorted(self._over_all.elements()):
            connection.execute(_COUNT_OVER_ALL, {**counted, "consumer": consumer})


def count_attempt(
    connection: psycopg.Connection[Any],
    tags: Sequence[bytes],
    consumer: str,
    now: datetime,
    *,
    counts_over_all: bool = True,
) -> None:
    """Count an attempt in vain, in the caller's transaction.

    Args:
        connection: In a transaction, after `require_attempts_left`.
        tags: What it counts on.
        consumer: The agency that asks.
        now: The moment.
        counts_over_all: Whether it brings the consumer nearer to being refused whatever it asks about.
    """
    counting = Counting(now)
    counting.note(tags, consumer, counts_over_all=counts_over_all)
    counting.write(connection)


def too_many() -> TooManyAttempts:
    """The refusal of whoever tried too often."""
    seconds = int(ATTEMPT_WINDOW.total_seconds())
    return TooManyAttempts(
        "Too many attempts were made without a match",
        remedy=f"Wait {seconds // 60} minutes, or see the applicant at a counter",
        retry_after=seconds,
    )


def _key(tag: bytes, consumer: str) -> int:
    return int.from_bytes(
        hashlib.sha256(b"attempt\x00" + tag + consumer.encode()).digest()[:8], "big", signed=True
    )


_TALLIES = f"""
SELECT {FAILURES} FROM unnest(%(tags)s::bytea[], %(consumers)s::text[])
                       WITH ORDINALITY AS a (tag, consumer, place) ORDER BY a.place
"""  # noqa: S608
_ONE_MORE = """
DO UPDATE SET failures = CASE WHEN a.window_start > %(since)s THEN a.failures + 1 ELSE 1 END,
    window_start = CASE WHEN a.window_start > %(since)s THEN a.window_start ELSE %(now)s END
"""
_COUNT_ON_NUMBER = f"""
INSERT INTO identity.attempt AS a (subject_tag, consumer, window_start, failures)
VALUES (%(tag)s, %(consumer)s, %(now)s, 1) ON CONFLICT (subject_tag, consumer) {_ONE_MORE}
"""  # noqa: S608
_COUNT_OVER_ALL = f"""
INSERT INTO identity.consumer_attempt AS a (consumer, window_start, failures)
VALUES (%(consumer)s, %(now)s, 1) ON CONFLICT (consumer) {_ONE_MORE}
"""  # noqa: S608
