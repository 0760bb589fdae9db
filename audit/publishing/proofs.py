"""Proof files (C2SP tlog-proof): an inclusion proof and the checkpoint it leads to, as text."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint
from audit.checkpoints.notes import VerifierKey, decode_base64
from audit.errors import NoteInvalid, ProofError
from audit.tree.merkle import HASH_SIZE, verify_inclusion

__all__ = ["TlogProof"]

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MAXIMUM_PATH = 64


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That a leaf stands at an index of the tree of a checkpoint."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def __str__(self) -> str:
        lines = [_HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(item).decode() for item in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint

    @classmethod
    def parse(cls, text: str | bytes) -> TlogProof:
        """Read a proof file strictly; the checkpoint in it is not verified yet.

        Raises:
            ProofError: when it is malformed.
        """
        head, checkpoint = _split(text)
        lines = head.split("\n")
        if lines.pop(0) != _HEADER:
            raise ProofError("This is not a proof file: its first line is another one.")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = _decode(lines.pop(0)[len("extra ") :])
        match = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if match is None:
            raise ProofError("The proof file has no proper index line.")
        if len(lines) > _MAXIMUM_PATH:
            raise ProofError("The proof file has too many hashes.")
        path = tuple(_decode(line) for line in lines)
        if any(len(item) != HASH_SIZE for item in path):
            raise ProofError("The proof file has a hash of the wrong length.")
        return cls(int(match[1]), path, checkpoint, extra)

    def verify(self, leaf_hash: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
        """Check the whole proof for a leaf, with public keys alone.

        Raises:
            NoteInvalid: when the checkpoint is not a true checkpoint by these keys.
            ProofError: when the leaf does not stand at this index of its tree.
        """
        checkpoint = open_checkpoint(self.checkpoint, keys)
        verify_inclusion(self.index, checkpoint.size, leaf_hash, self.path, checkpoint.root)
        return checkpoint


def _split(text: str | bytes) -> tuple[str, str]:
    try:
        content = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise ProofError("The proof file is not UTF-8.") from error
    head, separator, checkpoint = content.partition("\n\n")
    if not separator or not checkpoint:
        raise ProofError("The proof file has no checkpoint.")
    return head, checkpoint


def _decode(text: str) -> bytes:
    try:
        return decode_base64(text, "proof line")
    except NoteInvalid as error:
        raise ProofError("The proof file has a line that is not base64.") from error
