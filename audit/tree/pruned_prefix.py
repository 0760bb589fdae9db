"""Verifying what is left of pruned entries: their hashes, which must still lead to every signed root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg

from audit.errors import EntryPruned, LogDamaged, UnknownEntry
from audit.tree.merkle import HASH_SIZE, Frontier
from audit.tree.tiles import TILE_WIDTH

__all__ = ["grow_over_pruned", "is_vouched_for", "missing_entry", "pruned_to"]

_TILES_AT_ONCE = 64
_FIRST_KEPT = """
SELECT r.minimum_index, e.entry_id FROM audit.retention_state r
  LEFT JOIN audit.entries e ON e.entry_index = r.minimum_index
"""


def grow_over_pruned(
    connection: psycopg.Connection[Any], frontier: Frontier, roots: Mapping[int, bytes], minimum: int
) -> int:
    """Add the leaves below a minimum index from the stored tiles, comparing each signed root on the way.

    Returns:
        The size of the last signed tree that the hashes lead to.

    Raises:
        LogDamaged: when a tile is missing, or the hashes do not lead to a signed root.
    """
    proven = 0
    for first in range(0, minimum // TILE_WIDTH, _TILES_AT_ONCE):
        last = min(first + _TILES_AT_ONCE, minimum // TILE_WIDTH)
        leaves = _leaves(connection, first, last)
        start = frontier.size
        signed = sorted(size for size in roots if start < size <= start + len(leaves))
        for size in [*signed, start + len(leaves)]:
            frontier.extend(leaves[frontier.size - start : size - start])
            if size in roots:
                if frontier.root() != roots[size]:
                    raise LogDamaged(f"the hashes of pruned entries do not lead to the signed root of {size}")
                proven = size
    return proven


def pruned_to(data: Mapping[str, Any]) -> int:
    """Up to which index an entry says that the log was pruned; 0 if it says nothing of the kind."""
    details = data.get("details")
    if data.get("outcome") != "pruned" or not isinstance(details, dict):
        return 0
    found = details.get("minimum_index")
    return found if isinstance(found, int) else 0


def is_vouched_for(connection: psycopg.Connection[Any], minimum: int, vouched: int) -> bool:
    """Whether an entry says that the log was pruned, or may still wait to be numbered."""
    if vouched >= minimum:
        return True
    row = connection.execute(
        "SELECT count(id) FROM audit.outbox WHERE kind = 'audit.pruned' AND outcome = 'pruned'"
    ).fetchone()
    return bool(row and row[0])


def missing_entry(connection: psycopg.Connection[Any], entry: UUID | int) -> UnknownEntry:
    """Why an entry is not there: it was pruned, as far as its index or the time in its id can tell."""
    row = connection.execute(_FIRST_KEPT).fetchone()
    minimum, first = (int(row[0]), row[1]) if row else (0, None)
    if isinstance(entry, int):
        pruned = entry < minimum
    else:
        # The ids of our entries begin with the time (UUID version 7).
        pruned = first is not None and entry.version == 7 and entry.int >> 80 <= first.int >> 80
    if not minimum or not pruned:
        return UnknownEntry("No entry has this id or index.", entry=str(entry))
    return EntryPruned(
        f"The entry is not there any more: all entries before {minimum} were pruned.",
        why="They had been kept as long as the retention says; their hashes stay."
        if isinstance(entry, int)
        else "Its id is of that time; whether such an entry was ever logged, only its receipt can show.",
        remedy="A receipt that was fetched before checks as ever; whoever streams or exports the log may have"
        " the entry.",
        entry=str(entry),
        minimum_index=minimum,
    )


def _leaves(connection: psycopg.Connection[Any], first: int, last: int) -> list[bytes]:
    rows = connection.execute(
        "SELECT hashes FROM audit.tiles WHERE level = 0 AND tile_index >= %s AND tile_index < %s"
        " ORDER BY tile_index",
        (first, last),
        binary=True,
    ).fetchall()
    joined = b"".join(bytes(row[0]) for row in rows)
    if len(joined) != (last - first) * TILE_WIDTH * HASH_SIZE:
        raise LogDamaged("a tile of pruned entries is missing or too short")
    return [joined[i : i + HASH_SIZE] for i in range(0, len(joined), HASH_SIZE)]
