"""Walking over the entries that a filter asks for, in one direction, a few blocks at a time.

Below the indexer's mark only blocks that hold all terms are read; above it, every block. With a subject or
a case the indexes outside the log name the entries. Every entry is compared with the filter itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
import psycopg

from audit.search.filter import Hidden, LogFilter
from audit.search.indexer import BLOCK

__all__ = ["Extent", "Found", "Walk"]

_Rows = tuple[list[tuple[int, bytes]], int]
_BLOCKS_LISTED = 2_048
_NEAR = 64
_WINDOW = 65_536
_MOST_BLOCKS_AT_ONCE = 32
_NAMED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the log reaches: its size, what was pruned, what is indexed."""

    tree_size: int
    minimum_index: int
    indexed_to: int

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> Extent:
        """Read it."""
        row = connection.execute(
            "SELECT tree_size, minimum_index, indexed_to"
            " FROM audit.log_state, audit.retention_state, audit.search_state"
        ).fetchone()
        return cls(*row) if row else cls(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Found:
    """One entry that was asked for, with its exact bytes."""

    index: int
    encoded: bytes
    entry: dict[str, Any]


class Walk:
    """A walk from the newest entry down, or from the oldest up.

    Args:
        connection: connection of a role that reads the log.
        wanted: which entries are asked for.
        hidden: whom and which case they must be about.
        low: lowest index of the walk.
        high: index above the highest.
        newest_first: the direction.
        budget: how many blocks are read at most, if the entries are not named by an index.

    Attributes:
        reached: every index between the start of the walk and this one was looked at.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        wanted: LogFilter,
        hidden: Hidden,
        *,
        low: int,
        high: int,
        newest_first: bool,
        budget: int | None = None,
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._hidden = hidden
        self._low, self._high = low, high
        self._down, self._order = newest_first, "DESC" if newest_first else "ASC"
        self._budget = budget
        self._where, self._values = _column_conditions(wanted)
        self.reached = high if newest_first else low

    def __iter__(self) -> Iterator[Found]:
        for rows, boundary in self._named() if self._hidden else self._scanned():
            for index, encoded in rows:
                self.reached = index if self._down else index + 1
                data = orjson.loads(encoded)
                if self._wanted.matches(data) and self._hidden.carried_by(data):
                    yield Found(index, bytes(encoded), data)
            self.reached = min(max(boundary, self._low), self._high)

    @property
    def is_done(self) -> bool:
        """Whether nothing of the range is left."""
        return self.reached == (self._low if self._down else self._high)

    def _named(self) -> Iterator[_Rows]:
        """Entries that the indexes of subjects and cases name."""
        low, high = self._low, self._high
        query = _NAMED.format(
            ids=" INTERSECT ".join(_ids(self._hidden)), where=self._where, order=self._order
        )
        values = {"case": self._hidden.case_key, "limit": _NAMED_AT_ONCE, **self._values}
        if self._hidden.subject is not None:
            values["subject"] = self._hidden.subject.index_key()
        while True:
            rows = self._fetch(query, {**values, "low": low, "high": high})
            if len(rows) < _NAMED_AT_ONCE:
                yield rows, self._low if self._down else self._high
                return
            low, high = (low, rows[-1][0]) if self._down else (rows[-1][0] + 1, high)
            yield rows, high if self._down else low

    def _scanned(self) -> Iterator[_Rows]:
        """Entries of the blocks that may hold a match; more blocks at once while nothing is found."""
        query = _IN_BLOCKS.format(where=self._where, order=self._order)
        at_once, read = 1, 0
        blocks = self._blocks()
        while pending := list(islice(blocks, at_once)):
            values = {**self._values, "blocks": pending, "low": self._low, "high": self._high}
            rows = self._fetch(query, values)
            yield rows, pending[-1] * BLOCK + (0 if self._down else BLOCK)
            read += len(pending)
            if self._budget is not None and read >= self._budget:
                return
            at_once = min(2 * at_once, _MOST_BLOCKS_AT_ONCE)
        yield [], self._low if self._down else self._high

    def _blocks(self) -> Iterator[int]:
        """Numbers of the blocks that may hold a match, in the direction of the walk."""
        mark = min(max(Extent.of(self._connection).indexed_to, self._low), self._high)
        first, last = self._low // BLOCK, (self._high - 1) // BLOCK
        boundary = min(mark // BLOCK, last + 1)
        indexed = (first, boundary)
        above = range(max(first, boundary), last + 1)
        if self._down:
            yield from reversed(above)
            yield from self._indexed_blocks(*indexed)
        else:
            yield from self._indexed_blocks(*indexed)
            yield from above

    def _indexed_blocks(self, first: int, end: int) -> Iterator[int]:
        """What is common is found in the nearest blocks; what is rare by the index over all of them."""
        if not self._wanted.terms:
            yield from self._listed(_BLOCKS_BY_TIME, first, end)
            return
        near = (max(first, end - _NEAR), end) if self._down else (first, min(end, first + _NEAR))
        yield from self._listed(_BLOCKS_NEAR, *near)
        first, end = (first, near[0]) if self._down else (near[1], end)
        while first < end:
            window = (max(first, end - _WINDOW), end) if self._down else (first, min(end, first + _WINDOW))
            yield from self._listed(_BLOCKS_BY_TERMS, *window)
            first, end = (first, window[0]) if self._down else (window[1], end)

    def _listed(self, query: str, first: int, end: int) -> Iterator[int]:
        values: dict[str, Any] = {
            "terms": self._wanted.terms,
            "since": self._wanted.since or _LONG_AGO,
            "until": self._wanted.until or _FAR_AHEAD,
            "limit": _BLOCKS_LISTED,
        }
        query = query.format(order=self._order)
        while first < end:
            rows = self._connection.execute(query, {**values, "first": first, "end": end}).fetchall()
            yield from (row[0] for row in rows)
            if len(rows) < _BLOCKS_LISTED:
                return
            first, end = (first, rows[-1][0]) if self._down else (rows[-1][0] + 1, end)

    def _fetch(self, query: str, values: dict[str, Any]) -> list[tuple[int, bytes]]:
        return self._connection.execute(query, values, binary=True).fetchall()


def _ids(hidden: Hidden) -> list[str]:
    parts = []
    if hidden.subject is not None:
        parts.append("SELECT entry_id FROM audit.subject_index WHERE index_key = %(subject)s")
    if hidden.case_key is not None:
        parts.append("SELECT entry_id FROM audit.case_index WHERE case_key = %(case)s")
    return parts


def _column_conditions(wanted: LogFilter) -> tuple[str, dict[str, Any]]:
    """What PostgreSQL can drop already by the columns beside the bytes."""
    conditions, values = [], {}
    for name, condition in _COLUMNS.items():
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(condition)
            values[name] = value
    return "".join(f" AND {condition}" for condition in conditions), values


_COLUMNS = {
    "since": "e.occurred_at >= %(since)s",
    "until": "e.occurred_at < %(until)s",
    "kind": "(e.kind = %(kind)s OR split_part(e.kind, '.', 1) = %(kind)s)",
    "agency": "(e.provider = %(agency)s OR e.consumer = %(agency)s)",
    "provider": "e.provider = %(provider)s",
    "consumer": "e.consumer = %(consumer)s",
    "purpose": "e.purpose = %(purpose)s",
    "outcome": "e.outcome = %(outcome)s",
}
_NAMED = """
SELECT e.entry_index, e.entry
  FROM ({ids}) AS named JOIN audit.entries e USING (entry_id)
 WHERE e.entry_index >= %(low)s AND e.entry_index < %(high)s{where}
 ORDER BY e.entry_index {order} LIMIT %(limit)s
"""
_IN_BLOCKS = """
SELECT e.entry_index, e.entry
  FROM unnest(%(blocks)s::bigint[]) WITH ORDINALITY AS listed (block, place)
 CROSS JOIN LATERAL (
       -- Ordered and limited, so that every plan walks the primary key of one block, whatever the statistics.
       SELECT entry_index, entry FROM audit.entries e
        WHERE entry_index >= block * 256 AND entry_index < block * 256 + 256
          AND entry_index >= %(low)s AND entry_index < %(high)s{where}
        ORDER BY entry_index {order} LIMIT 256
 ) AS e
 ORDER BY place, e.entry_index {order}
"""
_BLOCKS_BY_TIME = """
SELECT block FROM audit.search_blocks
 WHERE block >= %(first)s AND block < %(end)s AND last_at >= %(since)s AND first_at < %(until)s
 ORDER BY block {order} LIMIT %(limit)s
"""
_BLOCKS_NEAR = """
SELECT block FROM audit.search_blocks
 WHERE block >= %(first)s AND block < %(end)s AND last_at >= %(since)s AND first_at < %(until)s
   AND terms @> %(terms)s::bigint[]
 ORDER BY block {order} LIMIT %(limit)s
"""
_BLOCKS_BY_TERMS = """
SELECT block FROM audit.blocks_with(%(terms)s::bigint[], %(first)s, %(end)s)
 WHERE last_at >= %(since)s AND first_at < %(until)s
 ORDER BY block {order} LIMIT %(limit)s
"""
_LONG_AGO = datetime.fromisoformat("0001-01-02T00:00:00+00:00")
_FAR_AHEAD = datetime.fromisoformat("9999-12-30T00:00:00+00:00")
