"""The newest checkpoint, kept as a file outside the database.

Whoever restores an old backup, or rolls the database back, meets this file: a log that is behind it, or
differs from it, signs nothing more, because a second history under the same key is a fork.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.notes import VerifierKey
from audit.errors import LogRolledBack
from audit.tree.tiles import DatabaseTiles, tree_root
from foundation.files import make_private_directory, write_private

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["PublishedCheckpoint"]


@dataclass(frozen=True, slots=True)
class PublishedCheckpoint:
    """The file in which the newest checkpoint stands."""

    file: Path
    keys: tuple[VerifierKey, ...]

    @classmethod
    def of(cls, installation: Installation) -> PublishedCheckpoint:
        """The file of one installation's log."""
        directory = make_private_directory(installation.settings.home / "log")
        keys: Sequence[VerifierKey] = log_verifier_keys(installation)
        return cls(directory / f"{installation.settings.database_name}.checkpoint", tuple(keys))

    def publish(self, note: str) -> None:
        """Write the newest checkpoint, whole or not at all."""
        write_private(self.file, note.encode(), 0o644)

    def publish_cosigned(self, note: str) -> None:
        """Write the newest checkpoint that witnesses have cosigned, beside the other."""
        write_private(self.file.with_suffix(".cosigned"), note.encode(), 0o644)

    def seen(self) -> list[Checkpoint]:
        """What was published, and what the operator has put into the folder `seen`, verified.

        Raises:
            NoteInvalid: when a file was changed, or is of another log.
        """
        kept = sorted((self.file.parent / "seen").glob("*"))
        files = [self.file, self.file.with_suffix(".cosigned"), *kept]
        return [open_checkpoint(file.read_bytes(), self.keys) for file in files if file.is_file()]

    def read(self) -> Checkpoint | None:
        """The checkpoint in the file, verified, or None when there is none yet.

        Raises:
            NoteInvalid: when the file was changed.
        """
        if not self.file.exists():
            return None
        return open_checkpoint(self.file.read_bytes(), self.keys)

    def refuse_rollback(self, connection: psycopg.Connection[Any]) -> None:
        """Refuse to go on when the database does not contain what was published.

        Raises:
            LogRolledBack: when the database is behind the file, or holds another history.
        """
        row = connection.execute("SELECT tree_size FROM audit.log_state").fetchone()
        size = int(row[0]) if row else 0
        tiles = DatabaseTiles(connection)
        for published in self.seen():
            if size < published.size or tree_root(tiles, published.size) != published.root:
                raise LogRolledBack(
                    f"A signed checkpoint of {published.size} entries is not contained in the database.",
                    why=f"The log in the database has {size} entries: it was rolled back or changed.",
                    remedy="Restore the newest backup, or begin a new log under a new origin, publicly.",
                    signed_size=published.size,
                    size=size,
                )
