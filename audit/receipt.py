"""Receipts: at once a signed promise that an entry will stand in the log, then the proof that it does.

A receipt is one `.tlog-proof` file that carries the entry as its extra data. It is checked offline, with
public keys alone, years later.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from audit import entry as entries
from audit.errors import NoteInvalid, ProofError, ReceiptNotReady, UnknownEntry
from audit.log import Promise
from audit.merkle import leaf_hash
from audit.notes import VerifierKey
from audit.proofs import TlogProof
from audit.tiles import DatabaseTiles, inclusion_proof
from foundation.keyring import KeyPair
from foundation.signatures import ALGORITHM, compact_jws

__all__ = [
    "Receipt",
    "VerifiedReceipt",
    "await_receipt",
    "receipt",
    "sign_promise",
    "verify_promise",
    "verify_receipt",
]

_TYPE = "lintas-promise+jwt"

_FIND = """
SELECT e.entry_index, e.entry, c.tree_size, c.note
  FROM audit.entries e
  LEFT JOIN LATERAL (
       SELECT tree_size, note FROM audit.checkpoints
        WHERE tree_size > e.entry_index ORDER BY tree_size LIMIT 1
  ) c ON true
 WHERE e.entry_id = %s
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that an entry stands in the log, with the entry itself."""

    entry_id: UUID
    index: int
    entry: bytes
    proof: TlogProof

    def __str__(self) -> str:
        return str(self.proof)


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt has proven, and by whom."""

    entry: Mapping[str, Any]
    index: int
    tree_size: int
    origin: str
    witnesses: int

    @property
    def not_proven(self) -> tuple[str, ...]:
        """What this receipt alone cannot show."""
        return (
            f"self-consistent only: {self.witnesses} independent witnesses",
            "that the log shows everybody the same history",
            "that nothing else was left unlogged",
        )


def receipt(connection: psycopg.Connection[Any], entry_id: UUID) -> Receipt:
    """The receipt of an entry, under the first checkpoint that covers it, so that it never changes.

    Raises:
        ReceiptNotReady: while no checkpoint covers the entry.
        UnknownEntry: when no entry has this id.
    """
    row = connection.execute(_FIND, (entry_id,)).fetchone()
    if row is None and not _is_waiting(connection, entry_id):
        row = connection.execute(_FIND, (entry_id,)).fetchone()  # it may have been drained in between
        if row is None:
            raise UnknownEntry("No entry has this id.", entry_id=str(entry_id))
    if row is None or row[2] is None:
        raise ReceiptNotReady(
            "The entry is written, but no checkpoint covers it yet.",
            remedy="Ask again in a second.",
            retry_after=1,
            entry_id=str(entry_id),
        )
    index, encoded, size, note = row
    path = tuple(inclusion_proof(DatabaseTiles(connection), index, size))
    return Receipt(entry_id, index, bytes(encoded), TlogProof(index, path, note, bytes(encoded)))


def await_receipt(connection: psycopg.Connection[Any], entry_id: UUID, seconds: float) -> Receipt:
    """The receipt of an entry, waited for up to some seconds; the connection must be in autocommit.

    Raises:
        ReceiptNotReady: when no checkpoint covers the entry in time.
        UnknownEntry: when no entry has this id.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return receipt(connection, entry_id)
        except ReceiptNotReady:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)


def verify_receipt(
    text: str | bytes, keys: Sequence[VerifierKey], entry: bytes | None = None
) -> VerifiedReceipt:
    """Check a receipt offline.

    Args:
        text: content of the `.tlog-proof` file.
        keys: verifier keys of the log.
        entry: the entry bytes, when they are kept apart from the proof.

    Raises:
        NoteInvalid: when its checkpoint is not a true checkpoint by these keys.
        ProofError: when it is malformed, or does not prove this entry.
    """
    proof = TlogProof.parse(text)
    if entry is not None and proof.extra is not None and entry != proof.extra:
        raise ProofError("The receipt carries another entry than the one given.")
    encoded = entry if entry is not None else proof.extra
    if encoded is None:
        raise ProofError("The receipt carries no entry.", remedy="Give the entry bytes beside it.")
    checkpoint = proof.verify(leaf_hash(encoded), keys)
    return VerifiedReceipt(
        entry=entries.parse(encoded),
        index=proof.index,
        tree_size=checkpoint.size,
        origin=checkpoint.origin,
        witnesses=0,
    )


def sign_promise(promise: Promise, bus_key: KeyPair, origin: str) -> str:
    """The promise as a JWS by the bus: this leaf will stand in this log by the deadline."""
    payload = {
        "log": origin,
        "entry": str(promise.entry_id),
        "leaf": promise.leaf_hash.hex(),
        "deadline": int(promise.deadline.timestamp()),
    }
    encoded = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
    return compact_jws(bus_key, _TYPE, encoded)


def verify_promise(token: str, public_jwks: Sequence[Mapping[str, Any]]) -> Promise:
    """Read a promise, checked with the bus's public keys (JWKs with `kid`).

    Raises:
        NoteInvalid: when it is not a promise signed by one of these keys.
    """
    try:
        kid = jws.extract_compact(token.encode()).headers().get("kid")
        known = next(key for key in public_jwks if key.get("kid") == kid)
        opened = jws.deserialize_compact(token, OKPKey.import_key(dict(known)), algorithms=[ALGORITHM])
        if opened.headers().get("typ") != _TYPE:
            raise NoteInvalid("This token is not a promise of inclusion.")
        content = json.loads(opened.payload)
        return Promise(
            UUID(content["entry"]),
            bytes.fromhex(content["leaf"]),
            datetime.fromtimestamp(content["deadline"], UTC),
        )
    except (JoseError, StopIteration, KeyError, ValueError, TypeError) as error:
        raise NoteInvalid("The promise is malformed, or not signed by a known key of the bus.") from error


def _is_waiting(connection: psycopg.Connection[Any], entry_id: UUID) -> bool:
    query = "SELECT 1 FROM audit.outbox WHERE entry_id = %s LIMIT 1"
    return connection.execute(query, (entry_id,)).fetchone() is not None
