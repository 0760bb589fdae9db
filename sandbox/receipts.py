"""Checks a receipt with the log's public key alone: this file shares no code with the bus.

A receipt is a C2SP `tlog-proof`: the log entry, its index, an RFC 6962 audit path and a signed checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from foundation.errors import IntegrityBroken


class ReceiptInvalid(IntegrityBroken):
    """A receipt does not prove what it claims."""


@dataclass(frozen=True)
class LogKey:
    """A verifier key of the log (C2SP signed-note): name, key id, Ed25519 public key."""

    name: str
    key_id: bytes
    public_key: bytes

    @classmethod
    def parse(cls, text: str) -> LogKey:
        """Read `name+keyid+base64`, and check that the three belong together.

        Raises:
            ReceiptInvalid: When they do not.
        """
        try:
            name, key_id, encoded = text.strip().split("+", 2)
            material = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise ReceiptInvalid("The verifier key of the log is malformed") from None
        digest = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
        if digest.hex() != key_id or len(material) != 33 or material[0] != 1:
            raise ReceiptInvalid("The verifier key of the log does not hold together")
        return cls(name, digest, material[1:])


@dataclass(frozen=True)
class ProvenEntry:
    """A log entry that a receipt has proven."""

    entry: dict[str, Any]
    leaf_hash: bytes
    index: int
    tree_size: int
    origin: str
    checkpoint: str = ""


def verify_receipt(text: str, key: LogKey) -> ProvenEntry:
    """Check a receipt offline.

    Raises:
        ReceiptInvalid: When it is malformed, or proves nothing under this key.
    """
    head, _, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    try:
        if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("extra "):
            raise ValueError
        entry = base64.b64decode(lines[1].removeprefix("extra "), validate=True)
        index = int(lines[2].removeprefix("index "))
        path = [base64.b64decode(line, validate=True) for line in lines[3:]]
    except (ValueError, IndexError, binascii.Error):
        raise ReceiptInvalid("The receipt is not a tlog-proof with its entry") from None
    origin, size, root = open_checkpoint(checkpoint, key)
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    if _root(leaf, index, size, path) != root:
        raise ReceiptInvalid("The entry does not stand at this index of the log")
    return ProvenEntry(json.loads(entry), leaf, index, size, origin, checkpoint)


def open_checkpoint(note: str, key: LogKey) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint.

    Raises:
        ReceiptInvalid: When the log has not signed it.
    """
    body, _, signatures = note.rpartition("\n\n")
    signed = (body + "\n").encode()
    if not any(_signed_by(key, line, signed) for line in signatures.splitlines()):
        raise ReceiptInvalid("The checkpoint is not signed by the key of the log")
    try:
        origin, size, root = body.split("\n")[:3]
        if origin != key.name:
            raise ValueError
        return origin, int(size), base64.b64decode(root, validate=True)
    except (ValueError, binascii.Error):
        raise ReceiptInvalid("The checkpoint is malformed, or of another log") from None


def _signed_by(key: LogKey, line: str, signed: bytes) -> bool:
    prefix = f"— {key.name} "
    if not line.startswith(prefix):
        return False
    try:
        material = base64.b64decode(line.removeprefix(prefix), validate=True)
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(material[4:], signed)
    except (binascii.Error, InvalidSignature):
        return False
    return material[:4] == key.key_id


def _root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """RFC 9162 section 2.1.3.2: the root that leaf and path lead to, or None where they cannot."""
    if not 0 <= index < size:
        return None
    here, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if here & 1 or here == last:
            found = hashlib.sha256(b"\x01" + sibling + found).digest()
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + sibling).digest()
        here, last = here >> 1, last >> 1
    return found if last == 0 else None
