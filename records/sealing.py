"""Sealing quarantined rows: whoever lands a page can close the envelope, only a steward can open it.

Each page has a fresh data key, sealed by HPKE (RFC 9180, X25519) to the installation's quarantine key; each
row is AES-256-GCM under that data key, bound to its place.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from foundation.errors import IntegrityBroken

if TYPE_CHECKING:
    from foundation.keyring import Keyring

__all__ = ["KEY_NAME", "Envelope", "Place", "SealBroken", "open_row", "seal_page"]

KEY_NAME = "quarantine"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INFO = b"lintas/quarantine/v1"
_NONCE_BYTES = 12


class SealBroken(IntegrityBroken):
    """A quarantined row does not open: it was changed, moved, or sealed to another key."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page stands; a row moved elsewhere no longer opens."""

    batch_id: UUID
    slice_id: str
    page_no: int

    def bytes_of(self, position: int) -> bytes:
        """The place of one row."""
        return f"{self.batch_id}/{self.slice_id}/{self.page_no}/{position}".encode()


@dataclass(frozen=True, slots=True)
class Envelope:
    """The data key of one page, sealed, and its open form while the page is being written."""

    place: Place
    kid: str
    sealed_key: bytes
    _key: AESGCM = field(repr=False)

    def seal(self, position: int, row: Mapping[str, Any]) -> bytes:
        """Seal one row."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = orjson.dumps(dict(row), default=_plain, option=orjson.OPT_NON_STR_KEYS)
        return nonce + self._key.encrypt(nonce, content, self.place.bytes_of(position))


def seal_page(keyring: Keyring, place: Place) -> Envelope:
    """Make the envelope of a page; needs only the public key."""
    pair = keyring.current(KEY_NAME)
    public = pair.public_key
    assert isinstance(public, X25519PublicKey)
    data_key = AESGCM.generate_key(256)
    return Envelope(place, pair.kid, _SUITE.encrypt(data_key, public, _INFO), AESGCM(data_key))


def open_row(
    keyring: Keyring, kid: str, sealed_key: bytes, *, place: Place, position: int, sealed: bytes
) -> dict[str, Any]:
    """Open one row; needs the private key.

    Raises:
        SealBroken: When it does not open.
    """
    private = keyring.by_kid(KEY_NAME, kid).private_key
    assert isinstance(private, X25519PrivateKey)
    try:
        key = AESGCM(_SUITE.decrypt(sealed_key, private, _INFO))
        content = key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.bytes_of(position))
    except InvalidTag:
        raise SealBroken(
            "A quarantined row does not open",
            why="It was changed or moved after it was sealed",
            remedy="Restore the row from a backup; the source still has it, so a new sync reads it again",
            batch=str(place.batch_id),
        ) from None
    row: dict[str, Any] = orjson.loads(content)
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return str(value)
