"""The log's own keys: who signs checkpoints, and with what they are verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoints.notes import VerifierKey

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["log_private_key", "log_verifier_keys"]

_LOG = "log"


def log_private_key(installation: Installation) -> Ed25519PrivateKey:
    """The key that signs checkpoints now."""
    key = installation.keyring.ensure(_LOG, "ed25519").private_key
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("the key of the log is an Ed25519 key")
    return key


def log_verifier_keys(installation: Installation) -> list[VerifierKey]:
    """Every key that ever signed checkpoints of this log, newest first."""
    keyring, origin = installation.keyring, installation.settings.log_origin
    keyring.ensure(_LOG, "ed25519")
    pairs = [keyring.get(_LOG, version) for version in reversed(keyring.versions(_LOG))]
    return [VerifierKey(origin, pair.public_key.public_bytes_raw()) for pair in pairs]
