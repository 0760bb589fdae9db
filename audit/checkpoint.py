"""Checkpoints (C2SP tlog-checkpoint): a signed note that states origin, tree size and root hash."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.errors import NoteInvalid
from audit.merkle import EMPTY_ROOT, HASH_SIZE
from audit.notes import VerifierKey, decode_base64, open_note, sign_note

__all__ = ["Checkpoint", "open_checkpoint", "sign_checkpoint"]

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log at one size."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a checkpoint note strictly (extension lines are allowed, and ignored).

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
        if size >= 1 << 63 or len(root) != HASH_SIZE or (size == 0 and root != EMPTY_ROOT):
            raise NoteInvalid("The tree size or the root hash of the checkpoint is impossible.")
        return cls(lines[0], size, root)


def sign_checkpoint(checkpoint: Checkpoint, private_key: Ed25519PrivateKey) -> str:
    """Sign a checkpoint as its own log: the key name is the origin."""
    return sign_note(checkpoint.text(), checkpoint.origin, private_key)


def open_checkpoint(note: str | bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Verify a checkpoint note: a key whose name is the origin line must have signed it.

    Raises:
        NoteInvalid: when the note is mangled, falsely signed, or not signed by its own log.
    """
    opened = open_note(note, keys)
    checkpoint = Checkpoint.parse(opened.text)
    if all(key.name != checkpoint.origin for key in opened.signed_by):
        raise NoteInvalid("The checkpoint is not signed by the log that it names.")
    return checkpoint
