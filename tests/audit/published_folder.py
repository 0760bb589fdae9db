"""A log of practice as static files, and what somebody who can write to them could do."""

import json
from pathlib import Path

from audit.publishing.export import tiles_of
from audit.tree.merkle import HASH_SIZE, leaf_hash
from audit.tree.tiles import TILE_WIDTH, TileAddress, grow
from tests.audit.practice_log import PracticeLog

SIZE = 600


class JsonLog(PracticeLog):
    """A practice log whose entries are JSON, as ours are."""

    def __init__(self, **further):
        super().__init__(**further)
        self.entries = [
            json.dumps({"kind": "test", "time": "2026-11-22", "n": n}).encode() for n in range(SIZE)
        ]
        self.rehash()

    def rehash(self):
        """Tiles and checkpoints over the entries as they are now."""
        self.leaves = [leaf_hash(entry) for entry in self.entries]
        self._tiles = grow({}, 0, self.leaves)


def publish(log: PracticeLog, folder: Path, size: int = SIZE, signed=(400,), entries=True) -> Path:
    """Write a log as `lintas audit export` does."""
    for address in tiles_of(size):
        write(folder / address.path(), log.hashes(address.level, address.index, address.width))
    if entries:
        write_bundles(folder, log.entries[:size], size)
    for earlier in (*signed, size):
        write(folder / "checkpoints" / str(earlier), log.note(earlier).encode())
    write(folder / "checkpoint", log.note(size).encode())
    write(folder / "keys", f"{log.key}\n".encode())
    return folder


def write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def write_bundles(folder: Path, entries: list[bytes], size: int = SIZE) -> None:
    """Bundles under the names that a tree of this size gives them; the last one takes what is left."""
    for first in range(0, size, TILE_WIDTH):
        last = first + TILE_WIDTH >= size
        part = entries[first:] if last else entries[first : first + TILE_WIDTH]
        width = min(TILE_WIDTH, size - first)
        write(folder / TileAddress(None, first // TILE_WIDTH, width).path(), bundle(part))


def bundle(entries: list[bytes]) -> bytes:
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(bytes(content))


def flip_hash(file: Path, place: int) -> None:
    flip(file, place * HASH_SIZE)
