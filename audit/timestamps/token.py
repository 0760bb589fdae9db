"""Timestamp tokens (RFC 3161): what is asked for, and whether what came back proves it.

A token stamps the text of a checkpoint: the bytes that the log signed, up to the blank line. So it is the
same with and without cosignatures of witnesses.

Invariant: no token is taken for true before its nonce (on arrival), imprint, policy, signer's certificate
(critical EKU timeStamping alone, valid at that time, named in what is signed) and chain were checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from audit.checkpoints.notes import SignedNote
from audit.timestamps.der import (
    DerError,
    granted,
    parts_of_reply,
    signer_certificate_hashes,
    sorted_token,
)
from audit.timestamps.errors import Flaw, TimestampDeclined, TimestampInvalid
from foundation.errors import LintasError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

    from audit.timestamps.authorities import Authority

__all__ = ["Query", "Timestamp", "imprint_of", "open_reply", "open_token", "stamped_bytes", "stated_imprint"]

_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = (0, 1)  # granted, and granted with modifications: what was modified is checked like all else
_STATUS = {2: "rejection", 3: "waiting", 4: "revocation warning", 5: "revocation notification"}


@dataclass(frozen=True, slots=True)
class Timestamp:
    """What a verified token says: the imprint existed at this time, says this authority."""

    authority: str
    imprint: bytes
    generated_at: datetime
    serial: int
    policy: str
    token: bytes


@dataclass(frozen=True, slots=True)
class Query:
    """One request, with a fresh random nonce."""

    message: bytes
    nonce: int
    body: bytes

    @classmethod
    def of(cls, message: bytes) -> Query:
        """A request for a token on these bytes, with the certificate in it."""
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        built = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256).build()
        if built.nonce is None:  # pragma: no cover - the builder makes one unless told otherwise
            raise AssertionError("a request without a nonce could be answered by an old token")
        return cls(message, built.nonce, built.as_bytes())


def stamped_bytes(note: str | bytes) -> bytes:
    """What of a checkpoint note is stamped: its text, as the log signed it.

    Raises:
        NoteInvalid: when it is not a note.
    """
    return SignedNote.parse(note).text.encode()


def imprint_of(note: str | bytes) -> bytes:
    """The SHA-256 that a token on this checkpoint carries.

    Raises:
        NoteInvalid: when it is not a note.
    """
    return hashlib.sha256(stamped_bytes(note)).digest()


def open_reply(reply: bytes, query: Query, authority: Authority) -> Timestamp:
    """Read the answer to a request, and verify the token in it fully.

    Raises:
        TimestampDeclined: when the authority gives none.
        TimestampInvalid: when it is not exactly the token that was asked for.
    """
    from rfc3161_client import decode_timestamp_response

    with _read_as(authority.name):
        code, token = parts_of_reply(reply)
        decoded = decode_timestamp_response(granted(sorted_token(token))) if token is not None else None
    if code not in _GRANTED:
        raise TimestampDeclined(
            f"{authority.name} gives no timestamp now: {_STATUS.get(code, f'status {code}')}.",
            remedy="The request stays in the queue; if that goes on, ask the authority.",
            authority=authority.name,
        )
    if decoded is None:
        raise TimestampInvalid.of(Flaw.MALFORMED, authority.name)
    with _read_as(authority.name):
        return _verified(decoded, query.message, authority, query.nonce)


def open_token(token: bytes, message: bytes, authority: Authority) -> Timestamp:
    """Verify a token that was kept, with certificates alone; years later, as of the time that it states.

    Args:
        token: the token in DER.
        message: the bytes that it must stamp.
        authority: whose it must be.

    Raises:
        TimestampInvalid: when it does not prove that these bytes existed then.
    """
    from rfc3161_client import decode_timestamp_response

    with _read_as(authority.name):
        decoded = decode_timestamp_response(granted(sorted_token(token)))
        return _verified(decoded, message, authority, None)


def stated_imprint(token: bytes) -> bytes:
    """What a token says that it stamps; nothing about it is verified.

    Raises:
        TimestampInvalid: when it is no token.
    """
    from rfc3161_client import decode_timestamp_response

    with _read_as("an authority"):
        named = decode_timestamp_response(granted(sorted_token(token))).tst_info.message_imprint
        return bytes(named.message)


@contextmanager
def _read_as(authority: str) -> Iterator[None]:
    """What the libraries make of an authority's bytes: they let out more kinds of error than they document.

    An error without this name would hold up the other authorities, and break off a verification.
    """
    try:
        yield
    except LintasError:
        raise
    except Exception as error:
        raise TimestampInvalid.of(Flaw.MALFORMED, authority) from error


def _verified(
    response: TimeStampResponse, message: bytes, authority: Authority, nonce: int | None
) -> Timestamp:
    from rfc3161_client import VerificationError

    imprint = hashlib.sha256(message).digest()
    info: Any = response.tst_info
    named = info.message_imprint
    if named.hash_algorithm.dotted_string != _SHA256 or named.message != imprint:
        raise TimestampInvalid.of(Flaw.WRONG_IMPRINT, authority.name)
    if nonce is not None and info.nonce != nonce:
        raise TimestampInvalid.of(Flaw.WRONG_NONCE, authority.name)
    policy = info.policy.dotted_string
    if authority.policy is not None and policy != authority.policy:
        raise TimestampInvalid.of(Flaw.WRONG_POLICY, authority.name, policy=policy)
    token = response.time_stamp_token()
    _check_signer(response, token, authority)
    try:
        authority.verifier().verify(response, imprint)
    except (VerificationError, ValueError) as error:
        raise TimestampInvalid.of(Flaw.UNTRUSTED, authority.name) from error
    return Timestamp(authority.name, imprint, info.gen_time, info.serial_number, policy, token)


def _check_signer(response: TimeStampResponse, token: bytes, authority: Authority) -> None:
    """The signer is one certificate, made for timestamping alone, and it named itself in what it signed."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        signer = _signer_of(response)
        if not signer.not_valid_before_utc <= response.tst_info.gen_time <= signer.not_valid_after_utc:
            raise TimestampInvalid.of(Flaw.CERTIFICATE_EXPIRED, authority.name)
        usage = signer.extensions.get_extension_for_class(ExtendedKeyUsage)
        if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
            raise TimestampInvalid.of(Flaw.CERTIFICATE_UNFIT, authority.name)
        named = signer_certificate_hashes(token, signer.public_bytes(Encoding.DER))
    except ExtensionNotFound:
        raise TimestampInvalid.of(Flaw.CERTIFICATE_UNFIT, authority.name) from None
    if not named or any(signed != actual for signed, actual in named):
        raise TimestampInvalid.of(Flaw.SIGNER_UNNAMED, authority.name)


def _signer_of(response: TimeStampResponse) -> Certificate:
    from cryptography.x509 import load_der_x509_certificate

    signers = list(response.signed_data.signer_infos)
    if len(signers) != 1:
        raise DerError("not one signer")
    for encoded in response.signed_data.certificates:
        certificate = load_der_x509_certificate(encoded)
        if (certificate.issuer, certificate.serial_number) == (signers[0].issuer, signers[0].serial_number):
            return certificate
    raise DerError("the certificate of the signer is missing")
