"""The last checkpoint that a client saw, and the refusal of any that does not go on from it.

A log that shows one client two histories is caught by that client itself, even when the log's own key has
signed both. Consistency is proven from the log's public tiles (C2SP tlog-tiles); no code is shared with
the bus.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from foundation.errors import FixSource, IntegrityBroken, Refused
from sandbox.receipts import LogKey, open_checkpoint

__all__ = ["LogForked", "SeenCheckpoint"]

Tiles = Callable[[str], bytes]
"""Content of a tile by its path, such as `tile/0/000.p/17`."""
_HASH = 32
_WIDTH = 256


class LogForked(IntegrityBroken):
    """The log signed a checkpoint that contradicts one it signed before."""


class SeenCheckpoint:
    """The newest checkpoint that was seen and proven to go on from all seen before; thread-safe.

    Args:
        file: Where it is kept between runs.
        key: The verifier key of the log.
        tiles: Where tiles are fetched.
    """

    def __init__(self, file: Path, key: LogKey, tiles: Tiles) -> None:
        self.file = file
        self._key = key
        self._tiles = tiles
        self._guard = threading.Lock()

    @property
    def size(self) -> int:
        """How many entries the newest checkpoint covers; 0 before the first."""
        return open_checkpoint(self._kept(), self._key)[1] if self.file.exists() else 0

    def observe(self, note: str) -> None:
        """Take note of a checkpoint; an older one is checked, too, and the newest is kept.

        Raises:
            ReceiptInvalid: When it is not a checkpoint of this log.
            LogForked: When it and the one kept cannot both be heads of one log.
        """
        with self._guard:
            _, size, root = open_checkpoint(note, self._key)
            if not self.file.exists():
                self._keep(note)
                return
            _, seen_size, seen_root = open_checkpoint(self._kept(), self._key)
            smaller, larger = sorted([(seen_size, seen_root), (size, root)])
            if not self._goes_on(*smaller, *larger):
                raise LogForked(
                    f"The log signed a tree of {size} entries that does not agree with the one of"
                    f" {seen_size} entries seen before",
                    why="There are two histories under one key: a fork, or a restored backup.",
                    remedy=f"Keep {self.file.name} and this checkpoint; believe no receipt; tell an auditor.",
                )
            if size > seen_size:
                self._keep(note)

    def _goes_on(self, size1: int, root1: bytes, size2: int, root2: bytes) -> bool:
        if size1 in (0, size2):
            return size1 == 0 or root1 == root2
        try:
            proof = _consistency_proof(self._tiles, size1, size2)
        except (ValueError, FixSource, Refused):  # the log does not have the tiles of a tree it signed
            return False
        return _is_consistent(size1, root1, size2, root2, proof)

    def _kept(self) -> str:
        return self.file.read_text(encoding="utf-8")

    def _keep(self, note: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(note, encoding="utf-8")
        os.replace(fresh, self.file)


def _consistency_proof(tiles: Tiles, size1: int, size2: int) -> list[bytes]:
    """RFC 6962 section 2.1.2, from tiles."""
    path: list[bytes] = []
    start, end, complete = 0, size2, True
    while size1 != end:
        middle = start + _largest_power_below(end - start)
        if size1 <= middle:
            path.append(_subtree(tiles, size2, middle, end))
            end = middle
        else:
            path.append(_subtree(tiles, size2, start, middle))
            start, complete = middle, False
    if not complete:
        path.append(_subtree(tiles, size2, start, end))
    return path[::-1]


def _is_consistent(size1: int, root1: bytes, size2: int, root2: bytes, proof: list[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2, step by step."""
    path = [root1, *proof] if size1 & (size1 - 1) == 0 else list(proof)
    if not path:
        return False
    here, last = size1 - 1, size2 - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            first, second = _node(node, first), _node(node, second)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            second = _node(second, node)
        here, last = here >> 1, last >> 1
    return (first, second, last) == (root1, root2, 0)


def _subtree(tiles: Tiles, size: int, start: int, end: int) -> bytes:
    length = end - start
    if length & (length - 1) == 0 and start % length == 0:
        level, rest = divmod(length.bit_length() - 1, 8)
        tile, offset = divmod(start >> 8 * level, _WIDTH)
        width = min(_WIDTH, (size >> 8 * level) - tile * _WIDTH)
        content = tiles(_tile_path(level, tile, width))
        if len(content) != width * _HASH:
            raise ValueError("a tile has the wrong size")
        row = [content[i : i + _HASH] for i in range(offset * _HASH, (offset + (1 << rest)) * _HASH, _HASH)]
        while len(row) > 1:
            row = [_node(row[i], row[i + 1]) for i in range(0, len(row), 2)]
        return row[0]
    middle = start + _largest_power_below(length)
    return _node(_subtree(tiles, size, start, middle), _subtree(tiles, size, middle, end))


def _tile_path(level: int, index: int, width: int) -> str:
    groups = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        groups = f"x{index % 1000:03d}/{groups}"
    return f"tile/{level}/{groups}" + ("" if width == _WIDTH else f".p/{width}")


def _largest_power_below(length: int) -> int:
    return 1 << (length - 1).bit_length() - 1


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
