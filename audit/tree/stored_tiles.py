"""Stored tiles as verification reads them: leaves in order, and whether each level folds into the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from audit.tree.merkle import HASH_SIZE
from audit.tree.tiles import TILE_WIDTH, fold

__all__ = ["CHUNK", "LeafTiles", "first_bad_tile", "first_difference", "leaf_tiles"]

CHUNK = 20 * TILE_WIDTH
_FULL = TILE_WIDTH * HASH_SIZE
_AT_ONCE = 256


class LeafTiles:
    """Leaf hashes as the stored tiles have them, a few tiles at a time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._first: int | None = None
        self._hashes = b""

    def at(self, index: int) -> bytes | None:
        """The stored hash of a leaf, or None where no tile has it."""
        if self._first is None or not 0 <= index - self._first < CHUNK:
            self._load(index // TILE_WIDTH)
        offset = (index - (self._first or 0)) * HASH_SIZE
        found = self._hashes[offset : offset + HASH_SIZE]
        return found if len(found) == HASH_SIZE else None

    def place_of(self, leaf: bytes) -> int | None:
        """Where a leaf hash stands in the tiles, if anywhere (a full scan: for findings only)."""
        rows = self._connection.execute(
            "SELECT tile_index, hashes FROM audit.tiles"
            " WHERE level = 0 AND position(%s::bytea IN hashes) > 0 ORDER BY tile_index",
            (leaf,),
        )
        for tile, hashes in rows:
            data = bytes(hashes)
            for offset in range(0, len(data), HASH_SIZE):
                if data[offset : offset + HASH_SIZE] == leaf:
                    return int(tile) * TILE_WIDTH + offset // HASH_SIZE
        return None

    def _load(self, tile: int) -> None:
        held = leaf_tiles(self._connection, tile, tile + CHUNK // TILE_WIDTH)
        last = max(held, default=tile)
        full = [held.get(index, b"").ljust(_FULL, b"\x00") for index in range(tile, last)]
        self._first = tile * TILE_WIDTH
        self._hashes = b"".join(full) + held.get(last, b"")


def leaf_tiles(connection: psycopg.Connection[Any], first: int, after: int) -> dict[int, bytes]:
    """The stored tiles of the lowest level from one index to before another."""
    rows = connection.execute(
        "SELECT tile_index, hashes FROM audit.tiles WHERE level = 0 AND tile_index >= %s AND tile_index < %s",
        (first, after),
        binary=True,
    )
    return {int(index): bytes(hashes) for index, hashes in rows}


def first_bad_tile(
    connection: psycopg.Connection[Any], folded: Sequence[bytes] | None = None
) -> tuple[int, str] | None:
    """The first upper tile that is not made of the full tiles below it: (first entry below it, why).

    Args:
        connection: where the tiles are stored.
        folded: roots of the full leaf tiles, when they have just been computed; read and folded otherwise.
    """
    roots = list(folded) if folded is not None else _fold_leaf_tiles(connection)
    level, more = 1, True
    while more:
        stored = _read_level(connection, level)
        expected = {
            start // TILE_WIDTH: b"".join(roots[start : start + TILE_WIDTH])
            for start in range(0, len(roots), TILE_WIDTH)
        }
        for index in sorted(expected.keys() | stored.keys()):
            place = first_difference(expected.get(index, b""), stored.get(index, b""))
            if place is not None:
                detail = f"tile {index} of level {level} is not made of the tiles below it"
                return (index * TILE_WIDTH + place) * TILE_WIDTH**level, detail
        roots = [fold(tile) for _, tile in sorted(stored.items()) if len(tile) == _FULL]
        level, more = level + 1, bool(stored)
    return None


def first_difference(one: bytes, other: bytes) -> int | None:
    """At which place two rows of hashes differ first; one that is shorter differs where it ends."""
    for place, offset in enumerate(range(0, max(len(one), len(other)), HASH_SIZE)):
        if one[offset : offset + HASH_SIZE] != other[offset : offset + HASH_SIZE]:
            return place
    return None


def _fold_leaf_tiles(connection: psycopg.Connection[Any]) -> list[bytes]:
    """Roots of the full tiles of the lowest level, a few tiles in memory at a time."""
    roots: list[bytes] = []
    last = -1
    while True:
        rows = connection.execute(
            "SELECT tile_index, hashes FROM audit.tiles WHERE level = 0 AND tile_index > %s"
            " ORDER BY tile_index LIMIT %s",
            (last, _AT_ONCE),
            binary=True,
        ).fetchall()
        roots += [fold(bytes(hashes)) for _, hashes in rows if len(hashes) == _FULL]
        if len(rows) < _AT_ONCE:
            return roots
        last = rows[-1][0]


def _read_level(connection: psycopg.Connection[Any], level: int) -> dict[int, bytes]:
    rows = connection.execute(
        "SELECT tile_index, hashes FROM audit.tiles WHERE level = %s", (level,), binary=True
    )
    return {int(index): bytes(hashes) for index, hashes in rows}
