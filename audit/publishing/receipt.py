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
from audit.checkpoints.notes import VerifierKey
from audit.checkpoints.policy import Policy
from audit.errors import NoteInvalid, ProofError, ReceiptNotReady
from audit.log import Promise
from audit.publishing.proofs import TlogProof
from audit.tree.merkle import leaf_hash
from audit.tree.pruned_prefix import missing_entry
from audit.tree.tiles import DatabaseTiles, inclusion_proof
from foundation.keyring import KeyPair
from foundation.signatures import ALGORITHM, compact_jws

__all__ = [
    "Receipt",
    "VerifiedReceipt",
    "await_receipt",
    "receipt",
    "receipt_under",
    "sign_promise",
    "verify_promise",
    "verify_receipt",
]

_TYPE = "lintas-promise+jwt"

_FIND = """
SELECT e.entry_index, e.entry,
       coalesce(q.tree_size, c.tree_size), coalesce(q.note, c.note), coalesce(q.independent, c.independent, 0)
  FROM audit.entries e
  LEFT JOIN LATERAL (
       SELECT tree_size, note, independent FROM audit.cosigned_checkpoints
        WHERE tree_size > e.entry_index AND quorum_met ORDER BY tree_size LIMIT 1
  ) q ON true
  LEFT JOIN LATERAL (
       SELECT s.tree_size, coalesce(w.note, s.note) AS note, w.independent
         FROM audit.checkpoints s LEFT JOIN audit.cosigned_checkpoints w USING (tree_size)
        WHERE s.tree_size > e.entry_index ORDER BY s.tree_size LIMIT 1
  ) c ON true
 WHERE e.entry_id = %s
"""

_FIND_UNDER = """
SELECT e.entry_index, e.entry, coalesce(w.note, s.note), coalesce(w.independent, 0)
  FROM audit.entries e
  LEFT JOIN audit.checkpoints s ON s.tree_size = %s
  LEFT JOIN audit.cosigned_checkpoints w ON w.tree_size = s.tree_size
 WHERE e.entry_id = %s
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that an entry stands in the log, with the entry itself."""

    entry_id: UUID
    index: int
    entry: bytes
    proof: TlogProof
    witnesses: int = 0
    """How many independent witnesses stand behind its checkpoint, by the policy of this installation."""

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
    quorum_met: bool | None = None
    """Whether the policy's quorum stands behind it; None where no policy was given."""

    @property
    def not_proven(self) -> tuple[str, ...]:
        """What this receipt alone cannot show."""
        if self.quorum_met and self.witnesses:
            return ("that nothing else was left unlogged",)
        return (
            f"self-consistent only: {self.witnesses} independent witnesses",
            "that the log shows everybody the same history",
            "that nothing else was left unlogged",
        )


def receipt(connection: psycopg.Connection[Any], entry_id: UUID) -> Receipt:
    """The receipt of an entry, under the first checkpoint that covers it and has a quorum of witnesses.

    While none has, under the first that covers it: a receipt does not wait for witnesses.

    Raises:
        ReceiptNotReady: while no checkpoint covers the entry.
        EntryPruned: when the entry is older than what is kept.
        UnknownEntry: when no entry has this id.
    """
    row = connection.execute(_FIND, (entry_id,)).fetchone()
    if row is None and not _is_waiting(connection, entry_id):
        row = connection.execute(_FIND, (entry_id,)).fetchone()  # it may have been drained in between
        if row is None:
            raise missing_entry(connection, entry_id)
    if row is None or row[2] is None:
        raise ReceiptNotReady(
            "The entry is written, but no checkpoint covers it yet.",
            remedy="Ask again in a second.",
            retry_after=1,
            entry_id=str(entry_id),
        )
    index, encoded, size, note, witnesses = row
    path = tuple(inclusion_proof(DatabaseTiles(connection), index, size))
    return Receipt(entry_id, index, bytes(encoded), TlogProof(index, path, note, bytes(encoded)), witnesses)


def receipt_under(connection: psycopg.Connection[Any], entry_id: UUID, tree_size: int) -> Receipt:
    """The receipt of an entry under one certain checkpoint, such as one that was stamped.

    Raises:
        ReceiptNotReady: when that checkpoint does not cover the entry.
        UnknownEntry: when no entry has this id.
    """
    row = connection.execute(_FIND_UNDER, (tree_size, entry_id)).fetchone()
    if row is None:
        return receipt(connection, entry_id)  # it says what is wrong
    index, encoded, note, witnesses = row
    if note is None or index >= tree_size:
        raise ReceiptNotReady(
            f"No checkpoint of {tree_size} entries covers this entry.", entry_id=str(entry_id)
        )
    path = tuple(inclusion_proof(DatabaseTiles(connection), index, tree_size))
    return Receipt(entry_id, index, bytes(encoded), TlogProof(index, path, note, bytes(encoded)), witnesses)


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
    text: str | bytes,
    keys: Sequence[VerifierKey],
    entry: bytes | None = None,
    policy: Policy | None = None,
) -> VerifiedReceipt:
    """Check a receipt offline.

    Args:
        text: content of the `.tlog-proof` file.
        keys: verifier keys of the log.
        entry: the entry bytes, when they are kept apart from the proof.
        policy: which witnesses are trusted; where it names logs, their keys take the place of `keys`.

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
    keys = policy.log_keys(keys) if policy is not None else keys
    checkpoint = proof.verify(leaf_hash(encoded), keys)
    standing = policy.evaluate(proof.checkpoint, keys) if policy is not None else None
    return VerifiedReceipt(
        entry=entries.parse(encoded),
        index=proof.index,
        tree_size=checkpoint.size,
        origin=checkpoint.origin,
        witnesses=standing.independent if standing is not None else 0,
        quorum_met=standing.quorum_met if standing is not None else None,
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
