"""Tiles of the tree (C2SP tlog-tiles): paths, growth by whole drains, and proofs from stored tiles.

A tile holds up to 256 hashes of one level; a hash on level n + 1 is the root of a full tile on level n.
A partial tile is a prefix of every later tile at its place, so one stored row serves all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

import psycopg

from audit.errors import LogDamaged, ProofError
from audit.tree.merkle import HASH_SIZE, node_hash, root_of

__all__ = [
    "TILE_WIDTH",
    "DatabaseTiles",
    "TileAddress",
    "TileReader",
    "consistency_proof",
    "fold",
    "grow",
    "inclusion_proof",
    "right_edge",
    "tree_root",
]

TILE_WIDTH = 256
_ENTRIES = "entries"
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<high>(?:x[0-9]{3}/)*)(?P<low>[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class TileAddress:
    """Where a tile or an entry bundle (`level` None) stands, and how wide it is."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def path(self) -> str:
        """Its path below the log's prefix."""
        groups = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03d}")
            rest //= 1000
        suffix = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        level = _ENTRIES if self.level is None else str(self.level)
        return f"tile/{level}/{'/'.join(groups)}{suffix}"

    @classmethod
    def parse(cls, path: str) -> TileAddress:
        """Read a path strictly: every tile has exactly one.

        Raises:
            ProofError: when it is not the path of a tile.
        """
        match = _PATH.fullmatch(path)
        if match is None:
            raise ProofError("This is not the path of a tile.")
        level = None if match["level"] == _ENTRIES else int(match["level"])
        index = int(match["high"].replace("x", "").replace("/", "") + match["low"])
        address = cls(level, index, int(match["width"] or TILE_WIDTH))
        if index >= 1 << 63 or (level or 0) > 63 or address.path() != path:
            raise ProofError("This is not the path of a tile.")
        return address


class TileReader(Protocol):
    """Where tiles come from: the database, files, or another log's server."""

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """Exactly `width` hashes of a tile, joined."""
        ...


@dataclass(slots=True)
class DatabaseTiles:
    """Tiles stored in `audit.tiles`, remembered for the time of a few proofs."""

    connection: psycopg.Connection[Any]
    _seen: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """Exactly `width` hashes of a stored tile.

        Raises:
            LogDamaged: when the tile is missing or narrower.
        """
        found = self._seen.get((level, index), b"")
        if len(found) < width * HASH_SIZE:
            row = self.connection.execute(
                "SELECT hashes FROM audit.tiles WHERE level = %s AND tile_index = %s",
                (level, index),
                binary=True,
            ).fetchone()
            found = bytes(row[0]) if row else b""
            self._seen[level, index] = found
        if len(found) < width * HASH_SIZE:
            raise LogDamaged(
                f"The tile at level {level}, index {index} has fewer than {width} hashes.",
                remedy="Run `lintas audit verify`.",
                level=level,
                tile_index=index,
            )
        return found[: width * HASH_SIZE]


def right_edge(size: int) -> list[TileAddress]:
    """The partial tiles of a tree, one for each level that has one."""
    edge = []
    level, nodes = 0, size
    while nodes:
        if nodes % TILE_WIDTH:
            edge.append(TileAddress(level, nodes // TILE_WIDTH, nodes % TILE_WIDTH))
        level, nodes = level + 1, nodes // TILE_WIDTH
    return edge


def grow(edge: Mapping[int, bytes], size: int, leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """The tiles that change when leaves are added, by (level, index).

    Args:
        edge: hashes of the partial tile of each level, as `right_edge(size)` lists them.
        size: tree size before.
        leaves: leaf hashes to add.
    """
    changed: dict[tuple[int, int], bytes] = {}
    level, nodes, added = 0, size, list(leaves)
    while added:
        first, held = divmod(nodes, TILE_WIDTH)
        prefix = edge.get(level, b"")[: held * HASH_SIZE]
        if len(prefix) != held * HASH_SIZE:
            raise LogDamaged(f"The partial tile of level {level} does not fit the tree size {size}.")
        row = prefix + b"".join(added)
        added = []
        for offset in range(0, len(row), TILE_WIDTH * HASH_SIZE):
            tile = row[offset : offset + TILE_WIDTH * HASH_SIZE]
            changed[level, first + offset // (TILE_WIDTH * HASH_SIZE)] = tile
            if len(tile) == TILE_WIDTH * HASH_SIZE:
                added.append(fold(tile))
        level, nodes = level + 1, first
    return changed


def tree_root(tiles: TileReader, size: int) -> bytes:
    """Root of the tree of this size."""
    return root_of(()) if size == 0 else _subtree(tiles, size, 0, size)


def inclusion_proof(tiles: TileReader, index: int, size: int) -> list[bytes]:
    """RFC 6962 section 2.1.1 audit path of a leaf, computed from tiles alone.

    Raises:
        ProofError: when the index is outside the tree.
    """
    if not 0 <= index < size:
        raise ProofError(f"The leaf index {index} is outside a tree of {size} leaves.")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(tiles, size, middle, end))
            end = middle
        else:
            path.append(_subtree(tiles, size, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(tiles: TileReader, size1: int, size2: int) -> list[bytes]:
    """RFC 6962 section 2.1.2 consistency proof between two sizes, computed from tiles alone.

    Raises:
        ProofError: when the sizes are not 0 < size1 <= size2.
    """
    if not 0 < size1 <= size2:
        raise ProofError(f"There is no consistency proof from size {size1} to size {size2}.")
    path: list[bytes] = []
    start, end, complete = 0, size2, True
    while size1 != end:
        middle = start + _split(end - start)
        if size1 <= middle:
            path.append(_subtree(tiles, size2, middle, end))
            end = middle
        else:
            path.append(_subtree(tiles, size2, start, middle))
            start, complete = middle, False
    if not complete:
        path.append(_subtree(tiles, size2, start, end))
    return path[::-1]


def _subtree(tiles: TileReader, size: int, start: int, end: int) -> bytes:
    """Hash of the leaves from start to end: one lookup when the range is complete and aligned."""
    length = end - start
    if length & (length - 1) == 0 and start % length == 0:
        level, rest = divmod(length.bit_length() - 1, 8)
        tile, offset = divmod(start >> 8 * level, TILE_WIDTH)
        width = min(TILE_WIDTH, (size >> 8 * level) - tile * TILE_WIDTH)
        hashes = tiles.hashes(level, tile, width)
        return fold(hashes[offset * HASH_SIZE : (offset + (1 << rest)) * HASH_SIZE])
    middle = start + _split(length)
    return node_hash(_subtree(tiles, size, start, middle), _subtree(tiles, size, middle, end))


def fold(row: bytes) -> bytes:
    """Root of a full subtree, from its joined hashes (their number is a power of two)."""
    while len(row) > HASH_SIZE:
        # Two hashes that stand side by side are already joined: as `node_hash`, without a call for each.
        pairs = (row[i : i + 2 * HASH_SIZE] for i in range(0, len(row), 2 * HASH_SIZE))
        row = b"".join([sha256(b"\x01" + pair).digest() for pair in pairs])
    return row


def _split(length: int) -> int:
    """The largest power of two smaller than the length."""
    return 1 << (length - 1).bit_length() - 1
