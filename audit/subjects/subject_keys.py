"""Who an entry is about, without saying so: handles, per-subject keys, tags and index keys.

A handle is a random stand-in for an identifier. Each subject has two random keys in the vault: a data
key that seals personal content, and a tag key that makes one tag per entry. Without the tag key a tag
is a random number; when the keys are destroyed, nothing that is left can be tested against a person.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import NewType
from uuid import UUID

__all__ = ["KEY_BYTES", "SubjectHandle", "SubjectKeys"]

KEY_BYTES = 32
TAG_BYTES = 16
_TAG = b"lintas/subject-tag/v1\x00"
_INDEX = b"lintas/subject-index/v1\x00"

SubjectHandle = NewType("SubjectHandle", UUID)


@dataclass(frozen=True, slots=True, repr=False)
class SubjectKeys:
    """A handle with the keys that belong to it; made by `audit.subjects.vault.Vault`, kept in memory only."""

    handle: SubjectHandle
    data_key: bytes
    tag_key: bytes
    _index_key: bytes | None = field(default=None, init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.data_key) != KEY_BYTES or len(self.tag_key) != KEY_BYTES:
            raise ValueError("subject keys are 32 bytes each")

    def tag(self, nonce: bytes) -> str:
        """The tag of this subject in the entry with this nonce, as hex."""
        # Not `hmac.digest`, which lets go of the interpreter even for so few bytes.
        return hmac.new(self.tag_key, _TAG + nonce, "sha256").digest()[:TAG_BYTES].hex()

    def index_key(self) -> bytes:
        """The key under which `audit.subject_index` lists this subject's entries."""
        known = self._index_key
        if known is None:
            known = hmac.digest(self.tag_key, _INDEX, "sha256")
            object.__setattr__(self, "_index_key", known)
        return known

    def __repr__(self) -> str:
        return f"SubjectKeys(handle={self.handle})"
