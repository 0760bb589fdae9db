"""Canonical bytes (RFC 8785) and SHA-256, so that two programs hash the same thing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import rfc8785

__all__ = ["canonical_json", "sha256", "sha256_hex", "sha256_of"]


def canonical_json(obj: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON-shaped object.

    Raises:
        rfc8785.CanonicalizationError: When the object has no canonical form (an integer beyond
            2^53, NaN, a key that is not a string).
    """
    return rfc8785.dumps(obj)


def sha256(*parts: bytes) -> bytes:
    """Return the SHA-256 digest of the parts, one after the other."""
    return _digest(parts).digest()


def sha256_hex(*parts: bytes) -> str:
    """Return the SHA-256 digest of the parts as lower-case hex."""
    return _digest(parts).hexdigest()


def sha256_of(obj: Any) -> str:
    """Return the hex SHA-256 of an object's canonical JSON."""
    return sha256_hex(canonical_json(obj))


def _digest(parts: Iterable[bytes]) -> hashlib._Hash:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest
