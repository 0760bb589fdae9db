"""The text of a checkpoint (C2SP tlog-checkpoint): origin, tree size and root hash, one a line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from audit.checkpoints.strict_base64 import decode_base64, encode_base64
from audit.errors import NoteInvalid
from audit.tree.merkle import EMPTY_ROOT, HASH_SIZE

__all__ = ["Checkpoint"]

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log at one size."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a checkpoint note strictly (extension lines are allowed, and ignored).

        Raises:
            NoteInvalid: when a line is missing, empty or malformed.
        """
        head = cls.claimed(text)
        if head.size == 0 and head.root != EMPTY_ROOT:
            raise NoteInvalid("The root hash of the checkpoint is not that of an empty tree.")
        return head

    @classmethod
    def claimed(cls, text: str) -> Checkpoint:
        """What a well-formed text claims, be it an impossible root of the empty tree.

        Raises:
            NoteInvalid: when a line is missing, empty or malformed.
        """
        if not text.endswith("\n"):
            raise NoteInvalid("The checkpoint does not end in a newline.")
        lines = text[:-1].split("\n")
        if len(lines) < 3 or not all(lines):
            raise NoteInvalid("The checkpoint has missing or empty lines.")
        if not _SIZE.fullmatch(lines[1]):
            raise NoteInvalid("The tree size of the checkpoint is not a plain decimal number.")
        size, root = int(lines[1]), decode_base64(lines[2], "root hash")
        if size >= 1 << 63 or len(root) != HASH_SIZE:
            raise NoteInvalid("The tree size or the root hash of the checkpoint is impossible.")
        return cls(lines[0], size, root)
