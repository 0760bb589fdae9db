"""An attacker who reads everything but the vault: entries, side table, indexes, tiles, and backups of them.

They know this code, so they know every construction in it, and try each NIK of a district in each of them:
SHA-256 over the number in every form in which the code writes it, before and after every value found in the
data; HMAC keyed by every value found; tags, index keys and commitments under keys derived from the number;
and opening what is sealed with such keys. Every result is compared with every value found, by its first
eight bytes, so that what was cut short is found as well.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.subjects import sealing
from audit.subjects import subject_keys as subjects
from foundation.database import Database

PREFIX = 8
LOG = r"^(audit[.]|records[.]erased_leaf$)"
VAULT = r"^vault[.]"
_HEX = re.compile(r"[0-9a-f]{16,}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{22,}={0,2}")


@dataclass
class Loot:
    """Everything that was read: values to test against and to use as keys, and what is sealed."""

    values: set[bytes] = field(default_factory=set)
    sealed: dict[UUID, bytes] = field(default_factory=dict)
    commitment_names: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, database: Database, name: str, tables: str = LOG) -> Loot:
        """Read the tables of the log and what batches are proven with; the vault is another database."""
        loot = cls()
        with database.admin(name) as connection:
            found = connection.execute(
                "SELECT relnamespace::regnamespace::text || '.' || relname FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace::regnamespace::text || '.' || relname ~ %s",
                [tables],
            ).fetchall()
            for (table,) in found:
                for row in connection.execute(f"SELECT * FROM {table}"):
                    for value in row:
                        loot.take(value)
                    if table == "audit.sealed":
                        loot.sealed[row[0]] = bytes(row[1])
        return loot

    def take(self, value: Any) -> None:
        """Note a value and whatever is written in it."""
        if isinstance(value, UUID):
            self.values |= {value.bytes, str(value).encode()}
        elif isinstance(value, bytes):
            self._take_bytes(value)
        elif isinstance(value, str):
            self._take_text(value)
        elif isinstance(value, dict | list):
            self._take_text(json.dumps(value))

    def __or__(self, other: Loot) -> Loot:
        return Loot(
            self.values | other.values,
            self.sealed | other.sealed,
            self.commitment_names | other.commitment_names,
        )

    def _take_bytes(self, value: bytes) -> None:
        if value[:1] == b"{":
            self._take_text(value.decode())
            self.commitment_names |= set(json.loads(value).get("sealed", {}).get("commitments", ()))
        elif len(value) > 32 and len(value) % 32 == 0:
            self.values |= {value[place : place + 32] for place in range(0, len(value), 32)}
        elif PREFIX <= len(value) <= 64:
            self.values.add(value)
        elif len(value) > 64:  # sealed: its nonce, and where a tag or salt might stand
            self.values |= {value[1:13], value[:16], value[-16:], hashlib.sha256(value).digest()}

    def _take_text(self, text: str) -> None:
        for word in _UUID.findall(text):
            self.take(UUID(word))
        for word in _HEX.findall(text):
            self.values.add(bytes.fromhex(word[: len(word) // 2 * 2]))
        for word in _BASE64.findall(text):
            try:
                self.values.add(base64.b64decode(word.translate(_URL_SAFE) + "=" * (-len(word) % 4)))
            except binascii.Error:
                continue


_URL_SAFE = str.maketrans("-_", "+/")


def nik_forms(nik: str) -> tuple[bytes, ...]:
    """The number in every form in which this code writes one before it hashes."""
    raw = nik.encode()
    return (raw, b"nik\x00" + raw, b"subject\x00" + raw, b'"' + raw + b'"', b'{"nik":"' + raw + b'"}')


def district(kecamatan: str, birth_dates: Iterable[str], serials: Iterable[int]) -> Iterator[str]:
    """Every structurally possible NIK of men and women with these birth dates (ddmmyy) and serials."""
    numbers = list(serials)
    for date in birth_dates:
        for day in (int(date[:2]), int(date[:2]) + 40):
            yield from (f"{kecamatan}{day:02d}{date[2:]}{serial:04d}" for serial in numbers)


class Attacker:
    """Tries numbers against what was read."""

    def __init__(self, loot: Loot) -> None:
        self._loot = loot
        self._known = {value[:PREFIX] for value in loot.values if len(value) >= PREFIX}
        self._salts = sorted(value for value in loot.values if value)
        self._parts = [
            sealing.part_key(value, name) for value in self._salts for name in loot.commitment_names
        ]

    @property
    def hashes_per_number(self) -> int:
        """How many digests are computed for one number."""
        forms = len(nik_forms("0" * 16))
        return forms * (7 + 6 * len(self._salts)) + 2 * len(self._parts)

    def find(self, niks: Iterable[str]) -> set[str]:
        """Those of whom anything that was read tells."""
        return {nik for nik in niks if self._is_found(nik)}

    def _is_found(self, nik: str) -> bool:
        forms = nik_forms(nik)
        known = self._known
        if any(digest[:PREFIX] in known for form in forms for digest in self._digests(form)):
            return True
        if any(
            hmac.digest(part, form, "sha256")[:PREFIX] in known for part in self._parts for form in forms[-2:]
        ):
            return True
        return self._opens(forms)

    def _digests(self, form: bytes) -> Iterator[bytes]:
        sha256 = hashlib.sha256
        plain = sha256(form).digest()
        yield plain
        yield from (sha256(b"\x00" + form).digest(), sha256(b"\x01" + form).digest(), sha256(plain).digest())
        yield from (hashlib.md5(form).digest(), hashlib.sha1(form).digest(), hashlib.sha512(form).digest())
        mac = hmac.digest
        for salt in self._salts:
            yield sha256(salt + form).digest()
            yield sha256(form + salt).digest()
            yield sha256(b"\x00" + salt + plain).digest()  # a leaf of a batch
            yield mac(salt, form, "sha256")
            yield mac(form, salt, "sha256")
            yield mac(plain, subjects._TAG + salt, "sha256")  # a tag under a key made from the number
        yield mac(plain, subjects._INDEX, "sha256")

    def _opens(self, forms: tuple[bytes, ...]) -> bool:
        for form in forms:
            cipher = AESGCM(hashlib.sha256(form).digest())
            for entry_id, blob in self._loot.sealed.items():
                try:
                    cipher.decrypt(blob[1:13], blob[13:], sealing._CONTEXT + entry_id.bytes)
                except InvalidTag:
                    continue
                return True
        return False
