"""Keyed tags: how evidence sees that a quarantined or held row names a person, without the row.

A tag is HMAC-SHA256 under a key of this installation. Whoever has the tables but not the keyring cannot
try numbers against them.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from foundation.keyring import Keyring

__all__ = ["KEY_NAME", "TagKey"]

KEY_NAME = "tags"
_BLOCK = 64
_SUBJECT = b"subject\x00"
_ROW_KEY = b"row-key\x00"


@dataclass(frozen=True, slots=True)
class TagKey:
    """The key of the tags, with the two padded blocks that let PostgreSQL compute the same HMAC."""

    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, keyring: Keyring) -> TagKey:
        """Take the key from the keyring; opening a key costs a decryption, so it is kept with its keyring."""
        if keyring not in _OPENED:
            _OPENED[keyring] = cls(keyring.secret(KEY_NAME))
        return _OPENED[keyring]

    def subject(self, identifier: str) -> bytes:
        """Tag of the person or business with this number."""
        return hmac.digest(self.secret, _SUBJECT + identifier.encode(), "sha256")

    def row_key(self, dataset_id: str, source_key: str) -> bytes:
        """Tag of the row with this key in this dataset."""
        return hmac.digest(self.secret, _ROW_KEY + f"{dataset_id}\x00{source_key}".encode(), "sha256")

    @property
    def sql_subject(self) -> str:
        """SQL for `subject` over a text expression put in place of `{}`; parameters from `parameters`."""
        return (
            "sha256(%(tag_outer)s::bytea || sha256(%(tag_inner)s::bytea || %(tag_subject)s::bytea"
            " || convert_to({}, 'UTF8')))"
        )

    @property
    def sql_row_key(self) -> str:
        """SQL for `row_key` over a text expression put in place of `{}`."""
        return (
            "sha256(%(tag_outer)s::bytea || sha256(%(tag_inner)s::bytea || %(tag_row)s::bytea"
            " || convert_to(%(dataset)s, 'UTF8') || '\\x00'::bytea || convert_to({}, 'UTF8')))"
        )

    @property
    def parameters(self) -> dict[str, bytes]:
        """Parameters of both SQL forms."""
        key = self.secret if len(self.secret) <= _BLOCK else hashlib.sha256(self.secret).digest()
        key = key.ljust(_BLOCK, b"\x00")
        return {
            "tag_inner": bytes(byte ^ 0x36 for byte in key),
            "tag_outer": bytes(byte ^ 0x5C for byte in key),
            "tag_subject": _SUBJECT,
            "tag_row": _ROW_KEY,
        }


_OPENED: WeakKeyDictionary[Keyring, TagKey] = WeakKeyDictionary()
