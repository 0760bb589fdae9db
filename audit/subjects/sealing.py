"""Personal and raw content of an entry: sealed beside the log, committed to inside it.

The sealed blob holds the entry's secret `r` and the content, under the subject's data key. The entry
holds the SHA-256 of the blob (so that a changed blob is noticed without any key) and, for each named
part, a commitment keyed with `r` (so that one part can be shown to an auditor without the others).
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import SealBroken
from audit.subjects.subject_keys import SubjectKeys
from foundation.canonical import canonical_json, sha256_hex

__all__ = ["OpenedSeal", "Sealed", "commitment", "part_key", "seal", "unseal"]

_VERSION = b"\x01"
_SECRET_BYTES = 32
_NONCE_BYTES = 12
_CONTEXT = b"lintas/sealed/v1\x00"


@dataclass(frozen=True, slots=True)
class Sealed:
    """What goes into the side table, and what the entry says about it."""

    blob: bytes
    digest: str
    commitments: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """What stands in the entry."""
        return {"digest": self.digest, "commitments": dict(self.commitments)}


@dataclass(frozen=True, slots=True, repr=False)
class OpenedSeal:
    """The secret `r` and the content of a sealed blob."""

    secret: bytes
    content: Mapping[str, Any]


def seal(keys: SubjectKeys, entry_id: UUID, content: Mapping[str, Any]) -> Sealed:
    """Seal content for one entry under its subject's data key."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    plain = secret + canonical_json(dict(content))
    blob = _VERSION + nonce + AESGCM(keys.data_key).encrypt(nonce, plain, _CONTEXT + entry_id.bytes)
    commitments = {name: commitment(part_key(secret, name), value) for name, value in content.items()}
    return Sealed(blob, sha256_hex(blob), commitments)


def unseal(keys: SubjectKeys, entry_id: UUID, blob: bytes) -> OpenedSeal:
    """Open a sealed blob.

    Raises:
        SealBroken: when the blob was changed, belongs to another entry or to another subject.
    """
    if blob[:1] != _VERSION or len(blob) < 1 + _NONCE_BYTES + _SECRET_BYTES + 16:
        raise SealBroken("The sealed content has an unknown form.", entry_id=str(entry_id))
    nonce = blob[1 : 1 + _NONCE_BYTES]
    try:
        plain = AESGCM(keys.data_key).decrypt(nonce, blob[1 + _NONCE_BYTES :], _CONTEXT + entry_id.bytes)
    except InvalidTag as error:
        raise SealBroken("The sealed content does not open.", entry_id=str(entry_id)) from error
    return OpenedSeal(plain[:_SECRET_BYTES], json.loads(plain[_SECRET_BYTES:]))


def part_key(secret: bytes, name: str) -> bytes:
    """The key that opens one named part's commitment, and no other's."""
    return hmac.digest(secret, b"lintas/part/v1\x00" + name.encode(), "sha256")


def commitment(key: bytes, value: Any) -> str:
    """Commitment to a value under a part key, as hex."""
    return hmac.digest(key, canonical_json(value), "sha256").hex()
