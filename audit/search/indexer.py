"""Building the search index behind the log.

Appending pays for two indexes only: the place of an entry (its primary key) and its id. Everything else is
built here, by a follower of the sequencer: per block of 256 entries the set of terms in it, and counts by
hour. Ten million entries are 39,063 blocks, so one GIN index over them stays small.

Invariants:
- A block is indexed once, when it is whole; blocks, counts and the mark move in one transaction.
- What is above the mark is searched directly, so a search misses nothing while the follower is behind.
- While many entries wait for their number, or are numbered, the follower gives way, for a minute at most.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import psycopg

from audit.search.terms import terms_of
from audit.tree.tiles import TILE_WIDTH
from foundation import telemetry
from foundation.database import Role
from foundation.errors import RetryLater

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["BLOCK", "Indexer"]

log = telemetry.logger(__name__)

BLOCK = TILE_WIDTH
BLOCKS_AT_ONCE = 32
IDLE_SECONDS = 1.0
GIVE_WAY_SECONDS = 60.0
_MANY_WAITING = 4096
_MANY_A_SECOND = 2_000
_PACE = (
    "SELECT tree_size, (SELECT count(*) FROM (SELECT FROM audit.outbox LIMIT %s) AS w) FROM audit.log_state"
)
_FOLLOWER_LOCK = 0x736561726368  # "search"

_CountKey = tuple[datetime, str, str, str, str, str]


@dataclass(slots=True)
class _Block:
    """What is learnt about one block while its entries are read."""

    number: int
    times: list[datetime] = field(default_factory=list)
    terms: set[int] = field(default_factory=set)

    def row(self) -> tuple[Any, ...]:
        return self.number, min(self.times), max(self.times), sorted(self.terms)


class Indexer:
    """The follower that indexes what the sequencer has numbered.

    Args:
        installation: whose log is indexed.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._connection: psycopg.Connection[Any] | None = None
        self._gave_way_from: float | None = None
        self._seen: tuple[float, int] | None = None

    def __enter__(self) -> Indexer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, stop: threading.Event) -> None:
        """Follow the log until told to stop; the database may go away and come back meanwhile."""
        while not stop.is_set():
            try:
                if self._gives_way() or self.step() == 0:
                    stop.wait(IDLE_SECONDS)
            except (psycopg.OperationalError, RetryLater) as error:
                log.warning("indexer_lost_database", error=type(error).__name__)
                self.close()
                stop.wait(IDLE_SECONDS)
            except psycopg.Error as error:
                # Search can be rebuilt, and works without: the log must go on whatever happens here.
                log.error("indexer_failed", error=type(error).__name__)
                self.close()
                stop.wait(10 * IDLE_SECONDS)
        self.close()

    def catch_up(self) -> int:
        """Index every whole block; for tests, benchmarks and rebuilding.

        Returns:
            How many entries were indexed.
        """
        total = 0
        while done := self.step():
            total += done
        return total

    def step(self) -> int:
        """Index some blocks in one transaction.

        Returns:
            How many entries were indexed; 0 also when another process is at it.
        """
        connection = self._connected()
        with connection.transaction():
            free = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_FOLLOWER_LOCK,)).fetchone()
            if free is None or not free[0]:
                return 0
            start, end = _next_range(connection)
            if start >= end:
                return 0
            blocks, counts = _read(connection, start, end)
            _save_blocks(connection, blocks)
            _save_counts(connection, counts)
            connection.execute("UPDATE audit.search_state SET indexed_to = %s", (end,))
        return end - start

    def close(self) -> None:
        """Give up the connection."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def _gives_way(self) -> bool:
        """Whether to wait, because the log is busy: it goes first, but not for ever."""
        now = time.monotonic()
        if not self._log_is_busy(now):
            self._gave_way_from = None
            return False
        if self._gave_way_from is None:
            self._gave_way_from = now
        return now < self._gave_way_from + GIVE_WAY_SECONDS

    def _log_is_busy(self, now: float) -> bool:
        """Whether many entries wait for their number, or many got theirs since the last look."""
        row = self._connected().execute(_PACE, (_MANY_WAITING,)).fetchone()
        size, waiting = row if row else (0, 0)
        before, self._seen = self._seen, (now, size)
        then, size_then = before or (now, size)
        return bool(waiting >= _MANY_WAITING or size - size_then > _MANY_A_SECOND * (now - then))

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.broken:
            self._connection = self._installation.database.connect(Role.SEQUENCER, autocommit=True)
        return self._connection


def _next_range(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    row = connection.execute(
        "SELECT greatest(indexed_to, minimum_index), tree_size"
        " FROM audit.search_state, audit.retention_state, audit.log_state"
    ).fetchone()
    start, size = row if row else (0, 0)
    return start, min(size // BLOCK * BLOCK, start + BLOCKS_AT_ONCE * BLOCK)


def _read(
    connection: psycopg.Connection[Any], start: int, end: int
) -> tuple[list[_Block], Counter[_CountKey]]:
    rows = connection.execute(
        "SELECT entry_index, occurred_at, kind, coalesce(provider, ''), coalesce(consumer, ''),"
        " coalesce(purpose, ''), coalesce(outcome, ''), entry"
        " FROM audit.entries WHERE entry_index >= %s AND entry_index < %s ORDER BY entry_index",
        (start, end),
        binary=True,
    )
    blocks: dict[int, _Block] = {}
    counts: Counter[_CountKey] = Counter()
    for index, moment, kind, provider, consumer, purpose, outcome, encoded in rows:
        block = blocks.setdefault(index // BLOCK, _Block(index // BLOCK))
        block.times.append(moment)
        with suppress(orjson.JSONDecodeError, KeyError, AttributeError):  # damage is for verification to tell
            block.terms.update(terms_of(orjson.loads(encoded)))
        hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        counts[hour, kind, provider, consumer, purpose, outcome] += 1
    return list(blocks.values()), counts


def _save_blocks(connection: psycopg.Connection[Any], blocks: Iterable[_Block]) -> None:
    target = "COPY audit.search_blocks (block, first_at, last_at, terms) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(target) as copy:
        copy.set_types(["int8", "timestamptz", "timestamptz", "int8[]"])
        for block in blocks:
            copy.write_row(block.row())


def _save_counts(connection: psycopg.Connection[Any], counts: Counter[_CountKey]) -> None:
    rows = [(*key, count) for key, count in counts.items()]
    connection.execute(_ADD_COUNTS, [list(column) for column in zip(*rows, strict=True)])


_ADD_COUNTS = """
INSERT INTO audit.entry_counts AS known (hour, kind, provider, consumer, purpose, outcome, entries)
SELECT * FROM unnest(
    %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[]
)
ON CONFLICT (hour, kind, provider, consumer, purpose, outcome)
DO UPDATE SET entries = known.entries + EXCLUDED.entries
"""
