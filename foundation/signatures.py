"""Compact JWS (RFC 7515) by a key of the keyring, with the header made once per key and type."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache

from foundation.canonical import canonical_json
from foundation.keyring import KeyPair

__all__ = ["ALGORITHM", "compact_jws", "joined", "parted"]

ALGORITHM = "Ed25519"
"""The fully specified algorithm name of RFC 9864."""


def compact_jws(pair: KeyPair, token_type: str, payload: bytes) -> str:
    """Sign a payload; any JOSE library that knows Ed25519 verifies it.

    Raises:
        WrongKeyKind: When this is not a signing key.
    """
    signed = _header(pair.kid, token_type) + b"." + _encoded(payload)
    return (signed + b"." + _encoded(pair.sign(signed))).decode("ascii")


def parted(jws: str) -> tuple[str, str, str]:
    """A compact JWS with its payload, a text, as it was signed: protected header, payload, signature."""
    header, payload, signature = jws.split(".")
    return header, urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode(), signature


def joined(parts: Sequence[str]) -> str:
    """The compact JWS that `parted` took apart, to the byte."""
    header, payload, signature = parts
    return f"{header}.{_encoded(payload.encode()).decode('ascii')}.{signature}"


@lru_cache(maxsize=64)
def _header(kid: str, token_type: str) -> bytes:
    return _encoded(canonical_json({"alg": ALGORITHM, "kid": kid, "typ": token_type}))


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
