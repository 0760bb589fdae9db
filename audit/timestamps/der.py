"""As much of DER as tokens need beyond `rfc3161-client`: rewrapping, sorting, the signer's certificate id.

Authorities often send their certificates in the order of the chain. DER wants them sorted, and the reader is
strict; they stand outside of what is signed, so they are sorted here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["DerError", "granted", "parts_of_reply", "signer_certificate_hashes", "sorted_token"]

_INTEGER, _OBJECT, _SEQUENCE, _SET, _CONTEXT_0 = 0x02, 0x06, 0x30, 0x31, 0xA0
_INTEGER_ZERO = b"\x02\x01\x00"
# id-aa-signingCertificate and id-aa-signingCertificateV2 (RFC 2634, RFC 5035)
_SIGNING_CERTIFICATE = bytes.fromhex("2a864886f70d010910020c")
_SIGNING_CERTIFICATE_V2 = bytes.fromhex("2a864886f70d010910022f")
_HASHES = {
    bytes.fromhex("2b0e03021a"): "sha1",
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}


class DerError(ValueError):
    """The bytes are not the structure that was expected."""


@dataclass(frozen=True, slots=True)
class _Part:
    tag: int
    whole: bytes
    content: bytes

    def children(self) -> list[_Part]:
        return _parts(self.content)


def parts_of_reply(reply: bytes) -> tuple[int, bytes | None]:
    """Status and token (if there is one) of a `TimeStampResp`.

    Raises:
        DerError: when it is none.
    """
    parts = _one(reply, _SEQUENCE).children()
    if len(parts) not in (1, 2) or any(part.tag != _SEQUENCE for part in parts):
        raise DerError("not a status and a token")
    status = parts[0].children()
    if not status or status[0].tag != _INTEGER or len(status[0].content) != 1:
        raise DerError("not a status")
    return status[0].content[0], parts[1].whole if len(parts) == 2 else None


def granted(token: bytes) -> bytes:
    """A token as the reply of an authority that granted it."""
    return _encoded(_SEQUENCE, _encoded(_SEQUENCE, _INTEGER_ZERO) + token)


def sorted_token(token: bytes) -> bytes:
    """The token with its certificates in the order of DER; nothing that is signed changes.

    Raises:
        DerError: when it is not a CMS message.
    """
    kind, data = _content_info(token)
    body = b"".join(
        _encoded(part.tag, b"".join(sorted(each.whole for each in part.children())))
        if part.tag == _CONTEXT_0
        else part.whole
        for part in data
    )
    return _encoded(_SEQUENCE, kind.whole + _encoded(_CONTEXT_0, _encoded(_SEQUENCE, body)))


def signer_certificate_hashes(token: bytes, certificate: bytes) -> list[tuple[bytes, bytes]]:
    """What the signer signed as the hash of its own certificate, and what that hash is of a certificate.

    Raises:
        DerError: when the structure is broken, or names a hash that is not known.
    """
    _, data = _content_info(token)
    found = []
    for signer in data[-1].children():
        for attributes in (part for part in signer.children() if part.tag == _CONTEXT_0):
            for attribute in attributes.children():
                kind, values = _pair(attribute)
                if kind.content in (_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2):
                    default = "sha1" if kind.content == _SIGNING_CERTIFICATE else "sha256"
                    found.append(_first_hash(values, default, certificate))
    return found


def _first_hash(values: _Part, default: str, certificate: bytes) -> tuple[bytes, bytes]:
    """Of SET { SEQUENCE { SEQUENCE OF ESSCertID, … } }, the first id: it is the signer's own."""
    try:
        fields = values.children()[0].children()[0].children()[0].children()
        algorithm = default
        if fields[0].tag == _SEQUENCE:
            algorithm = _HASHES[fields.pop(0).children()[0].content]
        return fields[0].content, hashlib.new(algorithm, certificate, usedforsecurity=False).digest()
    except (IndexError, KeyError) as error:
        raise DerError("not a certificate id") from error


def _content_info(token: bytes) -> tuple[_Part, list[_Part]]:
    kind, wrapped = _pair(_one(token, _SEQUENCE))
    if kind.tag != _OBJECT or wrapped.tag != _CONTEXT_0:
        raise DerError("not a CMS message")
    data = _one(wrapped.content, _SEQUENCE).children()
    if len(data) < 4 or data[-1].tag != _SET:
        raise DerError("not signed data")
    return kind, data


def _pair(part: _Part) -> tuple[_Part, _Part]:
    parts = part.children()
    if len(parts) != 2:
        raise DerError("not a pair")
    return parts[0], parts[1]


def _one(content: bytes, tag: int) -> _Part:
    parts = _parts(content)
    if len(parts) != 1 or parts[0].tag != tag:
        raise DerError("not one value of the expected kind")
    return parts[0]


def _parts(content: bytes) -> list[_Part]:
    found, position = [], 0
    while position < len(content):
        part = _read(content, position)
        found.append(part)
        position += len(part.whole)
    return found


def _read(content: bytes, start: int) -> _Part:
    header = content[start : start + 2]
    if len(header) < 2 or header[0] & 0x1F == 0x1F:
        raise DerError("a value is cut")
    length, position = header[1], start + 2
    if length & 0x80:
        octets = length & 0x7F
        encoded = content[position : position + octets]
        length, position = int.from_bytes(encoded, "big"), position + octets
        if not 1 <= octets <= 4 or len(encoded) != octets or not encoded[0] or length < 0x80:
            raise DerError("a length is not the shortest")
    if position + length > len(content):
        raise DerError("a value is cut")
    return _Part(header[0], content[start : position + length], content[position : position + length])


def _encoded(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
