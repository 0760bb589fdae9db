#!/usr/bin/env python3
"""Say since when an exported log, a checkpoint or a receipt of Lintas existed, by authorities you trust.

    python lintas_timestamps.py DIRECTORY --keys KEYS --roots ROOTS.pem [--roots …] [--within HOURS]
    python lintas_timestamps.py FILE.tlog-proof --token TOKEN.tst --keys KEYS --roots ROOTS.pem

Needs lintas_verify.py beside it, and the package `rfc3161-client` (which needs `cryptography`). FILE may be a
checkpoint, too. ROOTS are the certificates of a timestamping authority (RFC 3161), obtained from it and not
from the operator of the log; KEYS are the log's verifier keys.

An entry's time is what the operator wrote. A token shows that the tree with the entry existed at the
authority's time: whoever writes the log anew, even with its own key, gets only later times. So the delay
between the two is what tells. It is always said; with `--within` a longer one is false.

Exit code 0: all that was checked holds. 1: something is false, or too late. 2: it could not be checked.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

if TYPE_CHECKING:
    from audit.verifier import lintas_verify as verify
else:
    try:  # beside this file, when it runs alone
        import lintas_verify as verify
    except ImportError:
        from audit.verifier import lintas_verify as verify

SHA256 = "2.16.840.1.101.3.4.2.1"
SEQUENCE, CONTEXT_0 = 0x30, 0xA0
# Attributes that hold the id of the signer's certificate (RFC 2634, RFC 5035), with the hash each means.
CERTIFICATE_IDS = {
    bytes.fromhex("2a864886f70d010910020c"): "sha1",
    bytes.fromhex("2a864886f70d010910022f"): "sha256",
}
HASHES = {
    bytes.fromhex("2b0e03021a"): "sha1",
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
CLOCKS_DIFFER = timedelta(minutes=5)


class Untrusted(Exception):  # noqa: N818
    """Nobody whom the given roots vouch for signed this token."""


@dataclass
class Stamp:
    """A tree of this size existed at this time, says this authority."""

    size: int
    time: datetime
    authority: str


# --- one token -----------------------------------------------------------------------------------------


def open_token(token: bytes, text: bytes, roots: list[x509.Certificate]) -> tuple[datetime, str]:
    """Time and authority of a token that truly stamps a text."""
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        token = in_order(token)
        response = decode_timestamp_response(as_reply(token))
        stated, imprint = response.tst_info, response.tst_info.message_imprint
        certificates = [x509.load_der_x509_certificate(each) for each in response.signed_data.certificates]
        signers = list(response.signed_data.signer_infos)
    except (ValueError, LookupError, x509.InvalidVersion) as error:
        raise verify.Falsehood("the token is malformed") from error
    digest = hashlib.sha256(text).digest()
    own = [root for root in roots if root.issuer == root.subject]
    between = [root for root in roots if root.issuer != root.subject]
    try:
        VerifierBuilder(roots=own, intermediates=between).build().verify(response, imprint.message)
    except (VerificationError, ValueError) as error:
        raise Untrusted(str(error).partition("[")[0]) from error
    if imprint.hash_algorithm.dotted_string != SHA256 or imprint.message != digest:
        raise verify.Falsehood("the token stamps something else than this checkpoint")
    identity = {(each.issuer, each.serial_number) for each in signers}
    signer = next(each for each in certificates if (each.issuer, each.serial_number) in identity)
    usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise Untrusted("its certificate is not one for timestamping alone")
    if not names_signer(token, signer.public_bytes(Encoding.DER)):
        raise Untrusted("its signer does not name this certificate in what it signed")
    return stated.gen_time.astimezone(UTC), signer.subject.rfc4514_string()


def names_signer(token: bytes, certificate: bytes) -> bool:
    """Whether the signer has signed the hash of its own certificate (RFC 3161 section 2.4.2, RFC 5816)."""
    found = []
    try:
        signed_data = values(values(values(token)[0][1])[1][1])[0][1]
        signer = values(values(signed_data)[-1][1])[0][1]
        signed = next(content for tag, content, _ in values(signer) if tag == CONTEXT_0)
        for _, attribute, _ in values(signed):
            kind, stated = (content for _, content, _ in values(attribute))
            if kind in CERTIFICATE_IDS:
                first = values(values(values(values(stated)[0][1])[0][1])[0][1])
                own = first.pop(0)[1] if first[0][0] == SEQUENCE else b""
                name = HASHES[values(own)[0][1]] if own else CERTIFICATE_IDS[kind]
                found.append(first[0][1] == hashlib.new(name, certificate, usedforsecurity=False).digest())
    except (LookupError, ValueError, StopIteration) as error:
        raise verify.Falsehood("the token is malformed") from error
    return bool(found) and all(found)


def in_order(token: bytes) -> bytes:
    """The token with its certificates in the order of DER: many authorities send them in that of the chain.

    They stand outside of what is signed, and take as much room in any order.
    """
    signed_data = values(values(values(token)[0][1])[1][1])[0][1]
    for tag, certificates, _ in values(signed_data):
        if tag == CONTEXT_0:
            ordered = b"".join(sorted(whole for _, _, whole in values(certificates)))
            return token.replace(certificates, ordered, 1)
    return token


def values(content: bytes) -> list[tuple[int, bytes, bytes]]:
    """Tag, content and both with the length of each DER value in a row; others parse them strictly."""
    found, place = [], 0
    while place < len(content):
        start, tag, length, place = place, content[place], content[place + 1], place + 2
        if length & 0x80:
            octets = length & 0x7F
            length, place = int.from_bytes(content[place : place + octets], "big"), place + octets
        found.append((tag, content[place : place + length], content[start : place + length]))
        place += length
    return found


def as_reply(token: bytes) -> bytes:
    """The token as the reply (`TimeStampResp`, granted) that libraries read."""
    content = b"\x30\x03\x02\x01\x00" + token
    octets = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return b"\x30" + bytes([0x80 | len(octets)]) + octets + content


def read_roots(files: list[Path]) -> list[x509.Certificate]:
    """Every certificate of some PEM files."""
    try:
        found = [each for file in files for each in x509.load_pem_x509_certificates(verify.read_bytes(file))]
    except ValueError as error:
        raise verify.Unchecked("the roots are not certificates (PEM)") from error
    if not any(each.issuer == each.subject for each in found):
        raise verify.Unchecked("none of the given certificates is a root")
    return found


# --- an exported log -----------------------------------------------------------------------------------


def check_log(
    directory: Path, keys: verify.Keys, roots: list[x509.Certificate], within: timedelta | None
) -> None:
    """Say since when each part of an exported log existed."""
    origin, size, _ = verify.open_checkpoint(verify.read_text(directory / "checkpoint"), keys)
    stamps = list(read_stamps(directory, keys, roots, origin))
    if not stamps:
        raise verify.Unchecked("no token of an authority whom these roots vouch for")
    for stamp in stamps:
        verify.say(
            f"proven: the tree of {stamp.size} entries existed on {shown(stamp.time)}: {stamp.authority}"
        )
    newest = max(stamp.size for stamp in stamps)
    if newest < size:
        verify.say(f"not stamped: the entries from {newest} to {size - 1}")
    if not (directory / "tile" / "entries").is_dir():
        verify.say("not compared: the times of entries, for only hashes were exported")
        return
    compare_times(directory, size, stamps, within)


def read_stamps(
    directory: Path, keys: verify.Keys, roots: list[x509.Certificate], origin: str
) -> Iterator[Stamp]:
    """Each token beside the checkpoint that it must stamp; those of others are named and passed over."""
    for file in sorted((directory / "timestamps").glob("*.tst")):
        number = file.name.partition(".")[0]
        if not number.isdecimal():
            raise verify.Falsehood(f"{file.name} is not named after a tree size")
        note = verify.read_text(directory / "checkpoints" / number)
        name, size, _ = verify.open_checkpoint(note, keys)
        if (name, size) != (origin, int(number)):
            raise verify.Falsehood(f"the checkpoint {number} is of another tree")
        try:
            time, authority = open_token(verify.read_bytes(file), signed_text(note), roots)
        except Untrusted as error:
            verify.say(f"not checked: {file.name}: {error}")
            continue
        except verify.Falsehood as error:
            raise verify.Falsehood(f"{file.name}: {error}") from error
        yield Stamp(size, time, authority)


def compare_times(directory: Path, size: int, stamps: list[Stamp], within: timedelta | None) -> None:
    """The time in each entry against that of the first token which covers it."""
    worst, worst_index = timedelta.min, -1
    ahead = covered(stamps)
    for index, claimed in entry_times(directory, size):
        while ahead and ahead[-1][0] <= index:
            ahead.pop()
        if not ahead:
            break
        covering = ahead[-1][1]
        if claimed > covering + CLOCKS_DIFFER:
            raise verify.Falsehood(
                f"entry {index} is dated {shown(claimed)}, but it was stamped on {shown(covering)} already"
            )
        if covering - claimed > worst:
            worst, worst_index = covering - claimed, index
    if worst_index < 0:
        return
    worst = max(worst, timedelta(0))  # authorities cut the fraction of a second off
    told = f"entry {worst_index} was stamped {hours(worst)} after the time that it states"
    if within is not None and worst > within:
        raise verify.Falsehood(f"{told}: written or changed later, or no authority stamped then")
    verify.say(f"the longest delay: {told}")


def covered(stamps: list[Stamp]) -> list[tuple[int, datetime]]:
    """Sizes, the largest first, each with the earliest time of a token on a tree of that size or more."""
    found: list[tuple[int, datetime]] = []
    for stamp in sorted(stamps, key=lambda each: each.size, reverse=True):
        found.append((stamp.size, min(stamp.time, found[-1][1]) if found else stamp.time))
    return found


def entry_times(directory: Path, size: int) -> Iterator[tuple[int, datetime]]:
    """Number and time of each exported entry."""
    for start in range(verify.read_minimum(directory) // 256 * 256, size, 256):
        width = min(256, size - start)
        for index, entry in enumerate(verify.read_bundle(directory, start // 256, width), start):
            try:
                yield index, datetime.fromisoformat(json.loads(entry)["time"])
            except (ValueError, KeyError, TypeError) as error:
                raise verify.Falsehood(f"entry {index} has no time") from error


# --- one file ------------------------------------------------------------------------------------------


def check_file(file: Path, token: Path, keys: verify.Keys, roots: list[x509.Certificate]) -> None:
    """Say since when a checkpoint, or the entry of a receipt under it, existed."""
    note = verify.read_text(file)
    if note.startswith("c2sp.org/tlog-proof@v1\n"):
        verify.verify_receipt(file, keys)
        note = note.partition("\n\n")[2]
    origin, size, _ = verify.open_checkpoint(note, keys)
    try:
        time, authority = open_token(verify.read_bytes(token), signed_text(note), roots)
    except Untrusted as error:
        raise verify.Unchecked(f"{token.name}: {error}") from error
    verify.say(f"proven: the tree of {size} entries of {origin} existed on {shown(time)}: {authority}")


# --- the command ---------------------------------------------------------------------------------------


def signed_text(note: str) -> bytes:
    """What of a note is signed, and stamped: all before its blank line."""
    return (note.rpartition("\n\n")[0] + "\n").encode()


def shown(moment: datetime) -> str:
    """A moment in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def hours(span: timedelta) -> str:
    """A span of time."""
    return f"{span.total_seconds() / 3600:,.1f} hours"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path, help="an exported log, a checkpoint, or a receipt")
    parser.add_argument("--keys", type=Path, required=True, help="file of verifier keys")
    parser.add_argument(
        "--roots", type=Path, action="append", required=True, help="whom tokens are trusted by"
    )
    parser.add_argument("--token", type=Path, help="the token, for a checkpoint or a receipt")
    parser.add_argument("--within", type=float, metavar="HOURS", help="the longest delay that is accepted")
    options = parser.parse_args(arguments)
    try:
        keys, roots = verify.read_keys(options.keys), read_roots(options.roots)
        if not options.path.is_dir():
            if options.token is None:
                raise verify.Unchecked("a checkpoint or a receipt needs --token")
            check_file(options.path, options.token, keys, roots)
        else:
            if code := verify.main(["log", str(options.path), "--keys", str(options.keys)]):
                return code
            within = None if options.within is None else timedelta(hours=options.within)
            check_log(options.path, keys, roots, within)
    except verify.Falsehood as error:
        verify.say(f"FALSE: {error}")
        return verify.FALSE
    except (*verify.UNREADABLE, ImportError) as error:
        verify.say(f"NOT CHECKED: {error}")
        return verify.UNCHECKED
    return verify.HOLDS


if __name__ == "__main__":
    sys.exit(main())
