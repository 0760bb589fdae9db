"""Signed notes and verifier keys (C2SP signed-note): signatures of logs and cosignatures of witnesses.

Parsing is strict: what is mangled is refused; a signature by a key that is not known is ignored; a
false signature by a known key refuses the whole note.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoints.signature_types import (
    COSIGNATURE_TYPES,
    ED25519,
    LONGEST_NAME,
    ML_DSA_44_COSIGNATURE,
    PUBLIC_KEY_SIZES,
    verify_signature,
)
from audit.checkpoints.strict_base64 import decode_base64, encode_base64
from audit.errors import NoteInvalid

__all__ = [
    "ED25519",
    "NoteSignature",
    "OpenedNote",
    "SignedNote",
    "VerifierKey",
    "decode_base64",
    "open_note",
    "sign_note",
]

MAXIMUM_NOTE_BYTES = 1_000_000
MAXIMUM_SIGNATURES = 64
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_DASH = "— "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A key that notes are verified with, written `name+keyid+base64(type || public key)`."""

    name: str
    public_key: bytes
    signature_type: int = ED25519

    def __post_init__(self) -> None:
        _check_name(self.name)
        if PUBLIC_KEY_SIZES.get(self.signature_type) != len(self.public_key):
            raise NoteInvalid(
                "The verifier key is of a kind that this version does not know.",
                remedy="Use a key of type 0x01 (log), 0x04 or 0x06 (witness), of that type's length.",
            )
        if self.signature_type == ML_DSA_44_COSIGNATURE and len(self.name.encode()) > LONGEST_NAME:
            raise NoteInvalid(f"The name of a key of type 0x06 must have at most {LONGEST_NAME} bytes.")

    @property
    def is_witness(self) -> bool:
        """Whether this key makes cosignatures, rather than the signatures of a log."""
        return self.signature_type in COSIGNATURE_TYPES

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256 over name, newline, type and public key."""
        material = self.name.encode() + b"\n" + bytes([self.signature_type]) + self.public_key
        return hashlib.sha256(material).digest()[:4]

    def __str__(self) -> str:
        encoded = encode_base64(bytes([self.signature_type]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a verifier key.

        Raises:
            NoteInvalid: when any part is mangled, or the key id is not the one of this name and key.
        """
        parts = text.split("+", 2)
        if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
            raise NoteInvalid("The verifier key is malformed.", remedy="Write it as name+keyid+base64.")
        material = decode_base64(parts[2], "verifier key")
        if not material:
            raise NoteInvalid("The verifier key is empty.")
        key = cls(parts[0], material[1:], material[0])
        if key.key_id.hex() != parts[1]:
            raise NoteInvalid("The key id does not belong to this name and public key.")
        return key

    def verify(self, text: str, signature: bytes) -> bool:
        """Whether this is a true signature of the text by this key."""
        return verify_signature(self.signature_type, self.name, self.public_key, text, signature)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, not yet verified."""

    name: str
    key_id: bytes
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """Read a signature line, without its newline.

        Raises:
            NoteInvalid: when it is not one.
        """
        if not line.startswith(_DASH):
            raise NoteInvalid("A signature line does not start with an em dash and a space.")
        name, separator, encoded = line[len(_DASH) :].partition(" ")
        if not separator:
            raise NoteInvalid("A signature line has no signature.")
        _check_name(name)
        blob = decode_base64(encoded, "signature")
        if len(blob) < 5:
            raise NoteInvalid("A signature is too short.")
        return cls(name, blob[:4], blob[4:])

    def line(self) -> str:
        """The line as it stands in a note."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A parsed note: its text (ending in a newline) and its signature lines, not yet verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, note: str | bytes) -> SignedNote:
        """Read a note strictly.

        Raises:
            NoteInvalid: when it is not exactly a text, a blank line and signature lines.
        """
        content = _decode(note)
        text, separator, tail = content.rpartition("\n\n")
        if not separator or not tail.endswith("\n"):
            raise NoteInvalid("The note is not a text, a blank line and signature lines.")
        lines = tail[:-1].split("\n")
        if len(lines) > MAXIMUM_SIGNATURES:
            raise NoteInvalid(f"The note has more than {MAXIMUM_SIGNATURES} signatures.")
        return cls(text + "\n", tuple(NoteSignature.parse(line) for line in lines))

    def __str__(self) -> str:
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note of which at least one signature by a known key is true, and none by a known key false."""

    text: str
    signed_by: tuple[VerifierKey, ...]
    ignored: int


def sign_note(text: str, name: str, private_key: Ed25519PrivateKey) -> str:
    """Sign a text; return the note.

    Raises:
        NoteInvalid: when the text or the name cannot stand in a note.
    """
    if not text.endswith("\n"):
        raise NoteInvalid("The text of a note must end in a newline.")
    key = VerifierKey(name, private_key.public_key().public_bytes_raw())
    try:
        signature = NoteSignature(name, key.key_id, private_key.sign(text.encode()))
    except UnicodeEncodeError as error:
        raise NoteInvalid("The text cannot stand in a note: it is not UTF-8.") from error
    note = str(SignedNote(text, (signature,)))
    if SignedNote.parse(note).text != text:
        raise NoteInvalid("The text cannot stand in a note.")
    return note


def open_note(note: str | bytes, keys: Sequence[VerifierKey]) -> OpenedNote:
    """Verify a note against known keys.

    Raises:
        NoteInvalid: when the note is mangled, a signature by a known key is false, or no known key
            signed it.
    """
    parsed = SignedNote.parse(note)
    known = _by_identity(keys)
    signed: list[VerifierKey] = []
    ignored = 0
    for line in parsed.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            ignored += 1
            continue
        if not key.verify(parsed.text, line.signature):
            raise NoteInvalid("The note carries a false signature by a known key.", key_name=key.name)
        if key not in signed:
            signed.append(key)
    if not signed:
        raise NoteInvalid(
            "No known key signed this note.", remedy="Check that you use the verifier key of this log."
        )
    return OpenedNote(parsed.text, tuple(signed), ignored)


def _by_identity(keys: Iterable[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        identity = (key.name, key.key_id)
        if known.get(identity, key) != key:
            raise NoteInvalid("Two different verifier keys share one name and key id.")
        known[identity] = key
    return known


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() or ord(c) < 0x20 for c in name):
        raise NoteInvalid("A key name must not be empty or contain spaces or a plus sign.")
    if any("\ud800" <= c <= "\udfff" for c in name):  # from a file of octets, such as a policy
        raise NoteInvalid("A key name must be UTF-8.")


def _decode(note: str | bytes) -> str:
    try:
        data = note if isinstance(note, bytes) else note.encode("utf-8")
        if len(data) > MAXIMUM_NOTE_BYTES:
            raise NoteInvalid("The note is too large.")
        content = data.decode("utf-8")
    except UnicodeError as error:
        raise NoteInvalid("The note is not UTF-8.") from error
    if any(ord(c) < 0x20 and c != "\n" for c in content):
        raise NoteInvalid("The note contains control characters.")
    return content
