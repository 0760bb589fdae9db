"""Checkpoints (C2SP tlog-checkpoint): a signed note that states origin, tree size and root hash."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoints.notes import VerifierKey, open_note, sign_note
from audit.checkpoints.signature_types import ED25519, LOG_TYPES
from audit.checkpoints.tree_head import Checkpoint
from audit.errors import NoteInvalid

__all__ = ["Checkpoint", "open_checkpoint", "sign_checkpoint"]


def sign_checkpoint(checkpoint: Checkpoint, private_key: Ed25519PrivateKey) -> str:
    """Sign a checkpoint as its own log: the key name is the origin."""
    return sign_note(checkpoint.text(), checkpoint.origin, private_key)


def open_checkpoint(
    note: str | bytes, keys: Sequence[VerifierKey], cosigners: Sequence[VerifierKey] = ()
) -> Checkpoint:
    """Verify a checkpoint note: a log key whose name is the origin line must have signed it.

    Args:
        note: the checkpoint.
        keys: verifier keys of logs.
        cosigners: keys of witnesses; their cosignatures must be true, but stand in for no log's signature.

    Raises:
        NoteInvalid: when the note is mangled, falsely signed, or not signed by its own log.
    """
    opened = open_note(note, [*keys, *cosigners])
    checkpoint = Checkpoint.parse(opened.text)
    types = {
        key.signature_type
        for key in opened.signed_by
        if key in keys and key.name == checkpoint.origin and key.signature_type in LOG_TYPES
    }
    if not types:
        raise NoteInvalid("The checkpoint is not signed by the log that it names.")
    if ED25519 not in types and opened.text != checkpoint.text():
        raise NoteInvalid("The checkpoint has extension lines, which its signature does not cover.")
    return checkpoint
