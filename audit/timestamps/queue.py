"""The queue of checkpoints that wait for a token, and the tokens that came.

A request is made when a checkpoint has changed and its time has come, whether the authority is there or not.
When it is back, the newest checkpoint goes first, for its token covers everything before it; then what waits,
from the oldest on, so that receipts under those checkpoints have tokens of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from audit.timestamps.token import Timestamp
from foundation import clock

__all__ = [
    "AuthorityState",
    "StoredTimestamp",
    "Waiting",
    "first_stamped",
    "newest_checkpoint",
    "next_waiting",
    "postpone",
    "queue_changed",
    "save",
    "settle",
    "states",
    "stored",
    "take_up",
]

Connection = psycopg.Connection[Any]

WORTH_WAITING_FOR = timedelta(days=7)
"""After that a waiting request is dropped if a newer one exists: the newer token covers it all the same."""

_QUEUE = """
WITH newest AS (
    SELECT tree_size FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1
), due AS (
    UPDATE audit.timestamp_authorities SET queued_size = newest.tree_size, queued_at = %(at)s
      FROM newest
     WHERE newest.tree_size > queued_size AND (queued_at IS NULL OR queued_at <= %(before)s)
    RETURNING name, newest.tree_size
)
INSERT INTO audit.timestamp_requests (authority, tree_size, queued_at)
SELECT d.name, d.tree_size, %(at)s FROM due d
 WHERE NOT EXISTS (SELECT FROM audit.timestamps t WHERE (t.tree_size, t.authority) = (d.tree_size, d.name))
ON CONFLICT DO NOTHING
"""
_DROP = """
DELETE FROM audit.timestamp_requests r
 WHERE queued_at < %(before)s
   AND EXISTS (SELECT FROM audit.timestamp_requests n
                WHERE n.authority = r.authority AND n.tree_size > r.tree_size)
"""
_NEXT = """
SELECT a.name AS authority, r.tree_size, c.note, a.failures
  FROM audit.timestamp_authorities a
 CROSS JOIN LATERAL (
       SELECT coalesce(max(tree_size), 0) AS size FROM audit.timestamps WHERE authority = a.name
 ) AS stamped
 CROSS JOIN LATERAL (
       SELECT tree_size FROM audit.timestamp_requests WHERE authority = a.name
        ORDER BY CASE WHEN tree_size > stamped.size THEN -tree_size END NULLS LAST, tree_size LIMIT 1
 ) AS r
  JOIN audit.checkpoints c USING (tree_size)
 WHERE a.next_at <= %s
 ORDER BY a.next_at, a.name
 LIMIT 1
"""
_SAVE = """
INSERT INTO audit.timestamps (tree_size, authority, imprint, token, generated_at, received_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (tree_size, authority) DO NOTHING
"""
_ANSWERED = """
UPDATE audit.timestamp_authorities
   SET failures = 0, failing_since = NULL, trouble = NULL, next_at = %(at)s, ahead_seconds = %(ahead)s
 WHERE name = %(name)s
"""
_POSTPONE = """
UPDATE audit.timestamp_authorities
   SET failures = failures + 1, failing_since = coalesce(failing_since, %(at)s), trouble = %(trouble)s,
       next_at = %(until)s
 WHERE name = %(name)s
"""
_STATES = """
SELECT a.name, a.next_at, a.failures, a.failing_since, a.trouble, a.ahead_seconds,
       (SELECT count(*) FROM audit.timestamp_requests r WHERE r.authority = a.name) AS waiting,
       t.tree_size, t.generated_at
  FROM audit.timestamp_authorities a
  LEFT JOIN LATERAL (
       SELECT tree_size, generated_at FROM audit.timestamps WHERE authority = a.name
        ORDER BY tree_size DESC LIMIT 1
  ) AS t ON true
 ORDER BY a.name
"""
_STORED = """
SELECT t.tree_size, t.authority, t.imprint, t.token, t.generated_at, t.received_at, c.note
  FROM audit.timestamps t JOIN audit.checkpoints c USING (tree_size)
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A checkpoint that waits for a token of an authority."""

    authority: str
    tree_size: int
    note: str
    failures: int


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """How an authority answered last, and what it stamped last."""

    name: str
    next_at: datetime
    failures: int
    failing_since: datetime | None
    trouble: str | None
    ahead_seconds: float | None
    """By how much its time was ahead of ours (behind, when negative)."""
    waiting: int
    tree_size: int | None
    generated_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredTimestamp:
    """A token that is kept, with the checkpoint that it stamps."""

    tree_size: int
    authority: str
    imprint: bytes
    token: bytes
    generated_at: datetime
    received_at: datetime
    note: str


def take_up(connection: Connection, names: Sequence[str]) -> None:
    """Ask these authorities from now on, and no other; tokens of others stay."""
    with connection.transaction():
        connection.execute("DELETE FROM audit.timestamp_authorities WHERE name <> ALL (%s)", (list(names),))
        connection.execute(
            "INSERT INTO audit.timestamp_authorities (name, next_at)"
            " SELECT name, %s FROM unnest(%s::text[]) AS name ON CONFLICT DO NOTHING",
            (clock.now(), list(names)),
        )


def queue_changed(connection: Connection, every: timedelta) -> int:
    """Queue the newest checkpoint for each authority whose time has come, if it has changed.

    Returns:
        How many requests were added.
    """
    moment = clock.now()
    with connection.transaction():
        added = connection.execute(_QUEUE, {"at": moment, "before": moment - every}).rowcount
        if added:
            connection.execute(_DROP, {"before": moment - WORTH_WAITING_FOR})
    return added


def next_waiting(connection: Connection) -> Waiting | None:
    """What is asked for next, of an authority that may be asked now."""
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(_NEXT, (clock.now(),)).fetchone()


def newest_checkpoint(connection: Connection) -> tuple[int, str] | None:
    """Size and note of the newest checkpoint, as the log signed it."""
    row = connection.execute(
        "SELECT tree_size, note FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1"
    ).fetchone()
    return None if row is None else (row[0], row[1])


def save(connection: Connection, tree_size: int, found: Timestamp, asked_at: datetime) -> StoredTimestamp:
    """Keep a verified token; its request is done, and the authority is well."""
    moment = clock.now()
    # Authorities cut the fraction of a second off.
    late, early = found.generated_at - moment, found.generated_at + timedelta(seconds=1) - asked_at
    ahead = max(late.total_seconds(), 0.0) + min(early.total_seconds(), 0.0)
    with connection.transaction():
        connection.execute(
            _SAVE,
            (tree_size, found.authority, found.imprint, found.token, found.generated_at, moment),
        )
        settle(connection, found.authority, tree_size)
        connection.execute(_ANSWERED, {"at": moment, "name": found.authority, "ahead": ahead})
    return stored(connection, tree_size, found.authority)[0]


def settle(connection: Connection, authority: str, tree_size: int) -> None:
    """Take a request off the queue: its token is there."""
    connection.execute(
        "DELETE FROM audit.timestamp_requests WHERE (authority, tree_size) = (%s, %s)", (authority, tree_size)
    )


def postpone(connection: Connection, authority: str, trouble: str, pause: timedelta) -> None:
    """Note what went wrong; the authority is left alone for a while, and its requests wait."""
    moment = clock.now()
    connection.execute(
        _POSTPONE, {"at": moment, "until": moment + pause, "trouble": trouble, "name": authority}
    )


def first_stamped(connection: Connection, index: int) -> int | None:
    """Size of the smallest stamped tree that holds the entry of this number."""
    row = connection.execute(
        "SELECT tree_size FROM audit.timestamps WHERE tree_size > %s ORDER BY tree_size LIMIT 1", (index,)
    ).fetchone()
    return None if row is None else int(row[0])


def states(connection: Connection) -> list[AuthorityState]:
    """How each authority stands."""
    with connection.cursor(row_factory=class_row(AuthorityState)) as cursor:
        return cursor.execute(_STATES).fetchall()


def stored(
    connection: Connection, tree_size: int | None = None, authority: str | None = None
) -> list[StoredTimestamp]:
    """The tokens that are kept, in the order of what they stamp."""
    query = (
        f"{_STORED} WHERE (%(size)s::bigint IS NULL OR tree_size = %(size)s)"
        " AND (%(name)s::text IS NULL OR t.authority = %(name)s) ORDER BY tree_size, t.authority"
    )
    with connection.cursor(row_factory=class_row(StoredTimestamp)) as cursor:
        return cursor.execute(query, {"size": tree_size, "name": authority}).fetchall()
