"""Base64 in its one canonical form: two spellings of one value would make two notes of one."""

from __future__ import annotations

import base64
import binascii

from audit.errors import NoteInvalid

__all__ = ["decode_base64", "encode_base64"]


def decode_base64(text: str, what: str = "value") -> bytes:
    """Decode standard base64, refusing anything that is not its one canonical form.

    Raises:
        NoteInvalid: when it is not canonical base64.
    """
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise NoteInvalid(f"The {what} is not base64.") from error
    if encode_base64(decoded) != text:
        raise NoteInvalid(f"The {what} is not canonical base64.")
    return decoded


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")
