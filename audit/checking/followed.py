"""Following a log from outside: the last checkpoint seen, and the refusal of any that contradicts it.

Invariant: the checkpoint kept never goes back, and each one kept was proven to go on from the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint
from audit.checkpoints.notes import VerifierKey
from audit.errors import LogFileMissing, LogForked, ProofError
from audit.tree.merkle import verify_consistency
from audit.tree.tiles import TileReader, consistency_proof
from foundation.files import write_private

__all__ = ["FollowedLog"]


@dataclass(frozen=True, slots=True)
class FollowedLog:
    """A log that somebody else runs, as it was last seen.

    Attributes:
        file: Where the last checkpoint is kept between runs.
        keys: Verifier keys of the log, obtained once and kept.
    """

    file: Path
    keys: tuple[VerifierKey, ...]

    @classmethod
    def at(cls, file: Path, keys: Sequence[VerifierKey]) -> FollowedLog:
        """The log whose last checkpoint is kept in a file."""
        return cls(file, tuple(keys))

    def seen(self) -> Checkpoint | None:
        """The last checkpoint that was seen; None before the first."""
        return open_checkpoint(self.file.read_bytes(), self.keys) if self.file.exists() else None

    def observe(self, note: str, tiles: TileReader) -> Checkpoint:
        """Take note of a checkpoint that the log shows now.

        Args:
            note: the checkpoint as the log served it.
            tiles: the log's tiles, from which consistency is proven.

        Raises:
            NoteInvalid: When it is not a checkpoint of this log.
            LogForked: When it and the one kept cannot both be heads of one log.
            LogDamaged: When a tile has not the length that it must have.
            LintasError: Whatever `tiles` raises; a log that cannot be read has not been forked, and nothing
                is kept.
        """
        shown, seen = open_checkpoint(note, self.keys), self.seen()
        if seen is not None and not _agree(seen, shown, tiles):
            raise LogForked(
                f"The log shows a tree of {shown.size} entries that contradicts the one of {seen.size}"
                " entries seen before.",
                why="Two histories were signed under one key: a fork, a rollback or a restored backup.",
                remedy="Keep both checkpoints, believe no receipt of this log, and make them public.",
                shown=shown.size,
                seen=seen.size,
            )
        if seen is None or shown.size > seen.size:
            write_private(self.file, note.encode(), 0o644)
        return shown


def _agree(seen: Checkpoint, shown: Checkpoint, tiles: TileReader) -> bool:
    """Whether both can be heads of one log. Tiles of a tree that it signed are the log's to show."""
    smaller, larger = sorted((seen, shown), key=lambda each: each.size)
    try:
        return seen.origin == shown.origin and _goes_on(smaller, larger, tiles)
    except LogFileMissing:
        if shown.size < seen.size:
            return False  # it went back, and has not even the tiles of what it signed before
        raise


def _goes_on(smaller: Checkpoint, larger: Checkpoint, tiles: TileReader) -> bool:
    if smaller.size in {0, larger.size}:
        return smaller.size == 0 or smaller.root == larger.root
    try:
        proof = consistency_proof(tiles, smaller.size, larger.size)
        verify_consistency(smaller.size, larger.size, proof, smaller.root, larger.root)
    except ProofError:
        return False
    return True
