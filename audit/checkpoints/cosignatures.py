"""Cosignatures (C2SP tlog-cosignature): who besides the log stands behind a checkpoint, and since when."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoints.notes import MAXIMUM_SIGNATURES, NoteSignature, SignedNote, VerifierKey
from audit.checkpoints.signature_types import (
    ED25519_COSIGNATURE,
    MAXIMUM_TIMESTAMP,
    ML_DSA_44_COSIGNATURE,
    TIMESTAMP_SIZE,
    cosigned_text,
)
from audit.checkpoints.strict_base64 import decode_base64, encode_base64
from audit.checkpoints.tree_head import Checkpoint
from audit.errors import NoteInvalid
from audit.tree.merkle import EMPTY_ROOT

__all__ = ["ALGORITHMS", "Cosigner", "cosigned_at", "true_cosignatures", "with_signatures"]

ALGORITHMS: Mapping[str, int] = {"ed25519": ED25519_COSIGNATURE, "ml-dsa-44": ML_DSA_44_COSIGNATURE}
_PREFIX = "PRIVATE+KEY+"
_SEED_SIZE = 32


class _Signing(Protocol):
    def sign(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness's private key under its name, written `PRIVATE+KEY+name+keyid+base64(type || seed)`."""

    name: str
    signature_type: int
    seed: bytes

    @classmethod
    def generate(cls, name: str, algorithm: str = "ed25519") -> Cosigner:
        """A new key.

        Raises:
            NoteInvalid: when the name cannot stand in a note.
            KeyError: when there is no such algorithm.
        """
        made = cls(name, ALGORITHMS[algorithm], secrets.token_bytes(_SEED_SIZE))
        # Say early, not at the first checkpoint, that a name cannot be signed with.
        made.cosign(Checkpoint("log", 0, EMPTY_ROOT).text(), datetime.fromtimestamp(0, UTC))
        return made

    @classmethod
    def parse(cls, text: str) -> Cosigner:
        """Read what `str` wrote.

        Raises:
            NoteInvalid: when it is not a signing key, or not one of this name.
        """
        parts = text.removeprefix(_PREFIX).split("+", 2)
        if not text.startswith(_PREFIX) or len(parts) != 3:
            raise NoteInvalid("This is not the signing key of a witness.")
        material = decode_base64(parts[2], "signing key")
        if len(material) != 1 + _SEED_SIZE or material[0] not in ALGORITHMS.values():
            raise NoteInvalid("The signing key is of a kind that this version does not know.")
        cosigner = cls(parts[0], material[0], material[1:])
        if cosigner.key.key_id.hex() != parts[1]:
            raise NoteInvalid("The key id does not belong to this name and signing key.")
        return cosigner

    def __str__(self) -> str:
        encoded = encode_base64(bytes([self.signature_type]) + self.seed)
        return f"{_PREFIX}{self.name}+{self.key.key_id.hex()}+{encoded}"

    def __repr__(self) -> str:
        return f"Cosigner({self.name!r}, type {self.signature_type:#04x})"

    @property
    def key(self) -> VerifierKey:
        """The key that others verify with."""
        return VerifierKey(self.name, self._public_key(), self.signature_type)

    def cosign(self, text: str, moment: datetime) -> NoteSignature:
        """State that, at this moment, the checkpoint is the newest that was seen, and consistent.

        Raises:
            NoteInvalid: when the text is not a checkpoint.
        """
        key_id, timestamp = self.key.key_id, int(moment.timestamp())
        message = cosigned_text(self.signature_type, self.name, text, timestamp)
        signature = self._private_key().sign(message)
        return NoteSignature(self.name, key_id, timestamp.to_bytes(TIMESTAMP_SIZE, "big") + signature)

    def _private_key(self) -> _Signing:
        if self.signature_type == ED25519_COSIGNATURE:
            return Ed25519PrivateKey.from_private_bytes(self.seed)
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

        return MLDSA44PrivateKey.from_seed_bytes(self.seed)

    def _public_key(self) -> bytes:
        if self.signature_type == ED25519_COSIGNATURE:
            return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

        return MLDSA44PrivateKey.from_seed_bytes(self.seed).public_key().public_bytes_raw()


def cosigned_at(signature: NoteSignature) -> datetime | None:
    """When a cosignature says it was made; None when it says nothing of time, or is malformed."""
    seconds = int.from_bytes(signature.signature[:TIMESTAMP_SIZE], "big")
    if len(signature.signature) <= TIMESTAMP_SIZE or not 0 < seconds <= MAXIMUM_TIMESTAMP:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def true_cosignatures(text: str, lines: str | bytes, keys: Sequence[VerifierKey]) -> list[NoteSignature]:
    """The true cosignatures by known keys among the lines that a witness answered.

    Raises:
        NoteInvalid: when a line is mangled, or a signature by a known key is false.
    """
    answered = SignedNote.parse(f"{text}\n".encode() + (lines.encode() if isinstance(lines, str) else lines))
    if answered.text != text:
        raise NoteInvalid("The witness answered something else than signature lines.")
    known = {(key.name, key.key_id): key for key in keys}
    found = []
    for signature in answered.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verify(answered.text, signature.signature):
            raise NoteInvalid("The witness answered a false signature.", key_name=key.name)
        found.append(signature)
    return found


def with_signatures(note: str, signatures: Iterable[NoteSignature]) -> str:
    """A note with further signature lines; a newer one takes the place of an older one by the same key."""
    parsed = SignedNote.parse(note)
    lines = {(each.name, each.key_id): each for each in parsed.signatures}
    lines.update({(each.name, each.key_id): each for each in signatures})
    if len(lines) > MAXIMUM_SIGNATURES:
        raise NoteInvalid(f"The note would have more than {MAXIMUM_SIGNATURES} signatures.")
    return str(SignedNote(parsed.text, tuple(lines.values())))
