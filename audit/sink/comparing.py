"""Whether the copy holds what the log holds: by the log's tiles, and by the signed checkpoints in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from audit.checkpoints.checkpoint import open_checkpoint
from audit.checkpoints.notes import VerifierKey
from audit.errors import LogDamaged, NoteInvalid
from audit.sink.segments import Line
from audit.tree.merkle import Frontier, leaf_hash
from audit.tree.stored_tiles import LeafTiles
from audit.tree.tiles import DatabaseTiles, tree_root

__all__ = ["Comparison"]


class Comparison:
    """Compares line by line.

    Args:
        connection: where the log's tiles are.
        keys: verifier keys of the log.
    """

    def __init__(self, connection: psycopg.Connection[Any], keys: Sequence[VerifierKey]) -> None:
        row = connection.execute("SELECT tree_size FROM audit.log_state").fetchone()
        self.size = int(row[0]) if row else 0
        self.checkpoint_size = 0
        """The largest checkpoint that was seen."""
        self._connection = connection
        self._keys = keys
        self._leaves = LeafTiles(connection)
        self._own = Frontier()

    def problem(self, line: Line) -> str | None:
        """What is wrong with a line, if anything."""
        return self._of_checkpoint(line.content) if line.index is None else self._of_entry(line)

    def _of_entry(self, line: Line) -> str | None:
        assert line.index is not None
        leaf = leaf_hash(line.content)
        if line.index == self._own.size:
            self._own.append(leaf)
        if line.index >= self.size:
            return f"entry {line.index} stands in the copy, but the database has only {self.size} entries"
        if self._leaves.at(line.index) != leaf:
            return f"entry {line.index} of the copy is not that of the database"
        return None

    def _of_checkpoint(self, note: bytes) -> str | None:
        try:
            checkpoint = open_checkpoint(note, self._keys)
        except NoteInvalid:
            return "a checkpoint of the copy is not signed by this log"
        self.checkpoint_size = max(self.checkpoint_size, checkpoint.size)
        if checkpoint.size > self.size:
            return f"{checkpoint.size} entries were signed, but the database has only {self.size}"
        try:
            root = tree_root(DatabaseTiles(self._connection), checkpoint.size)
        except LogDamaged:
            root = b""
        if root != checkpoint.root:
            return f"the checkpoint over {checkpoint.size} entries does not fit the database"
        if self._own.size == checkpoint.size and self._own.root() != checkpoint.root:
            return f"the checkpoint over {checkpoint.size} entries does not fit the entries of the copy"
        return None
