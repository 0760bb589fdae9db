"""Checks a receipt with the log's public key alone: this file shares no code with the bus.

A receipt is a C2SP `tlog-proof`: the log entry, its index, an RFC 6962 audit path and a signed checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from foundation.errors import IntegrityBroken

_NUMBER = "(0|[1-9][0-9]{0,18})"
_EMPTY = hashlib.sha256(b"").digest()


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
            material = _decoded(encoded)
        except ValueError:
            raise ReceiptInvalid("The verifier key of the log is malformed") from None
        digest = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
        if digest.hex() != key_id or len(material) != 33 or material[0] != 1 or not name:
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
    match = re.fullmatch(f"c2sp.org/tlog-proof@v1\nextra (.*)\nindex {_NUMBER}((?:\n.+)*)", head)
    if match is None:
        raise ReceiptInvalid("The receipt is not a tlog-proof with its entry")
    try:
        entry, path = _decoded(match[1]), [_decoded(line) for line in match[3].split("\n")[1:]]
    except ValueError:
        raise ReceiptInvalid("The receipt is not a tlog-proof with its entry") from None
    origin, size, root = open_checkpoint(checkpoint, key)
    leaf, index = hashlib.sha256(b"\x00" + entry).digest(), int(match[2])
    if _root(leaf, index, size, path) != root:
        raise ReceiptInvalid("The entry does not stand at this index of the log")
    return ProvenEntry(_content(entry), leaf, index, size, origin, checkpoint)


def open_checkpoint(note: str, key: LogKey) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint.

    Raises:
        ReceiptInvalid: When it is malformed, the log has not signed it, or a signature in the log's name
            is false.
    """
    body, _, signatures = note.rpartition("\n\n")
    try:
        if re.search("[\0-\t\v-\x1f]", note) or not signatures.endswith("\n"):
            raise ValueError
        signed = [_signed_by(key, line, f"{body}\n".encode()) for line in signatures[:-1].split("\n")]
        origin, size, root = _head(body)
    except ValueError:
        raise ReceiptInvalid("The checkpoint is malformed") from None
    except InvalidSignature:
        raise ReceiptInvalid("The checkpoint carries a false signature") from None
    if not any(signed) or origin != key.name:
        raise ReceiptInvalid("The checkpoint is not signed by the key of the log")
    return origin, size, root


def _head(body: str) -> tuple[str, int, bytes]:
    lines = body.split("\n")
    if len(lines) < 3 or not all(lines) or not re.fullmatch(_NUMBER, lines[1]):
        raise ValueError
    size, root = int(lines[1]), _decoded(lines[2])
    if size >> 63 or len(root) != len(_EMPTY) or (size == 0 and root != _EMPTY):
        raise ValueError
    return lines[0], size, root


def _signed_by(key: LogKey, line: str, signed: bytes) -> bool:
    """Whether this key made a line; those of other keys are passed over, once they are lines at all."""
    match = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
    material = _decoded(match[2]) if match is not None else b""
    if match is None or len(material) < 5:
        raise ValueError
    if (match[1], material[:4]) != (key.name, key.key_id):
        return False
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(material[4:], signed)
    return True


def _root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """RFC 9162 section 2.1.3.2: the root that leaf and path lead to, or None where they cannot."""
    if not 0 <= index < size or any(len(item) != len(_EMPTY) for item in (leaf, *path)):
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


def _decoded(text: str) -> bytes:
    """Base64 in its one canonical form."""
    data = base64.b64decode(text.encode("ascii"), validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError
    return data


def _content(entry: bytes) -> dict[str, Any]:
    try:
        content = json.loads(entry)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ReceiptInvalid("The entry that was proven is of no known kind")
    return content
