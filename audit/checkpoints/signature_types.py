"""What each type of signature in a note signs, and how it is verified (C2SP signed-note, tlog-cosignature).

| type | made by | signs |
|---|---|---|
| 0x01 | a log | the text of the note, with Ed25519 |
| 0x04 | a witness | a header, the time, and the text, with Ed25519 |
| 0x06 | a witness or a log | its own name, the time, origin, size and root, with ML-DSA-44 |
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.checkpoints.tree_head import Checkpoint
from audit.errors import NoteInvalid

__all__ = [
    "COSIGNATURE_TYPES",
    "ED25519",
    "ED25519_COSIGNATURE",
    "LOG_TYPES",
    "LONGEST_NAME",
    "MAXIMUM_TIMESTAMP",
    "ML_DSA_44_COSIGNATURE",
    "PUBLIC_KEY_SIZES",
    "TIMESTAMP_SIZE",
    "cosigned_text",
    "subtree_message",
    "verify_signature",
]

ED25519 = 0x01
ED25519_COSIGNATURE = 0x04
ML_DSA_44_COSIGNATURE = 0x06
COSIGNATURE_TYPES = frozenset({ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE})
LOG_TYPES = frozenset({ED25519, ML_DSA_44_COSIGNATURE})
"""What logs sign with. Our own signs with Ed25519; tlog-checkpoint recommends ML-DSA-44 to new ones."""

PUBLIC_KEY_SIZES: Mapping[int, int] = {ED25519: 32, ED25519_COSIGNATURE: 32, ML_DSA_44_COSIGNATURE: 1312}
_SIGNATURE_SIZES: Mapping[int, int] = {ED25519: 64, ED25519_COSIGNATURE: 64, ML_DSA_44_COSIGNATURE: 2420}
TIMESTAMP_SIZE = 8
MAXIMUM_TIMESTAMP = (1 << 63) - 1
LONGEST_NAME = 255
_SUBTREE_LABEL = b"subtree/v1\n\x00"


def verify_signature(signature_type: int, name: str, public_key: bytes, text: str, signature: bytes) -> bool:
    """Whether a signature of this type is a true one of a note's text; nothing malformed raises."""
    timestamp = 0
    if signature_type in COSIGNATURE_TYPES:
        timestamp = int.from_bytes(signature[:TIMESTAMP_SIZE], "big")
        signature = signature[TIMESTAMP_SIZE:]
    if len(signature) != _SIGNATURE_SIZES[signature_type] or timestamp > MAXIMUM_TIMESTAMP:
        return False
    try:
        message = cosigned_text(signature_type, name, text, timestamp)
        if signature_type == ML_DSA_44_COSIGNATURE:
            _verify_ml_dsa_44(public_key, signature, message)
        else:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError, NoteInvalid):
        return False
    return True


def cosigned_text(signature_type: int, name: str, text: str, timestamp: int) -> bytes:
    """The bytes that a key of this type signs for a note's text at a time.

    Raises:
        NoteInvalid: when only a checkpoint can be signed so, and the text is none.
    """
    if signature_type == ED25519:
        return text.encode()
    head = Checkpoint.parse(text)
    if signature_type == ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
    return subtree_message(name, timestamp, head.origin, start=0, end=head.size, root=head.root)


def subtree_message(name: str, timestamp: int, origin: str, *, start: int, end: int, root: bytes) -> bytes:
    """The structure `cosigned_message` of tlog-cosignature.

    Raises:
        NoteInvalid: when a name is too long, or a time is given for a subtree that does not begin at 0.
    """
    names = [name.encode(), origin.encode()]
    if not all(1 <= len(each) <= LONGEST_NAME for each in names):
        raise NoteInvalid(f"The names of witness and log must have 1 to {LONGEST_NAME} bytes.")
    if start and timestamp:
        raise NoteInvalid("A subtree that does not begin at the first leaf is signed without a time.")
    cosigner, log = (bytes([len(each)]) + each for each in names)
    bounds = start.to_bytes(8, "big") + end.to_bytes(8, "big")
    return _SUBTREE_LABEL + cosigner + timestamp.to_bytes(8, "big") + log + bounds + root


def _verify_ml_dsa_44(public_key: bytes, signature: bytes, message: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

    try:
        key = MLDSA44PublicKey.from_public_bytes(public_key)
    except UnsupportedAlgorithm as error:  # an OpenSSL too old: never taken for a true signature
        raise InvalidSignature from error
    key.verify(signature, message)
