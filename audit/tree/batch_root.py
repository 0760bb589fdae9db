"""The root over the changed rows of a batch: one entry proves a million disclosures, each one openable.

A leaf is SHA-256 over 0x00, the row's salt and its content hash, both of fixed width; the tree over the
leaves is the one of RFC 6962, in the order of the row's key. PostgreSQL computes it set by set: blocks
of 65,536 leaves, folded level by level, then the fold of the block roots. A salt kept beside the record
opens its leaf for the person concerned; without the salt a leaf says nothing about the content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from audit.errors import EntryRefused, ProofError
from audit.tree.merkle import EMPTY_ROOT, HASH_SIZE, inclusion_proof, leaf_hash, verify_inclusion

__all__ = ["SALT_BYTES", "BatchProof", "BatchRoot", "batch_root", "prove_record", "record_leaf"]

SALT_BYTES = 16
CONTENT_HASH_BYTES = 32
_BLOCK_BITS = 16

_ROOT = """
WITH chosen AS MATERIALIZED ({rows}),
leaf AS (
    SELECT row_number() OVER (ORDER BY leaf_key) - 1 AS place,
           sha256('\\x00'::bytea || leaf_salt || content_hash) AS hash,
           octet_length(leaf_salt) = {salt} AND octet_length(content_hash) = {content} AS fits
      FROM chosen
),
block AS (
    SELECT place >> {bits} AS block,
           audit.merkle_fold(string_agg(hash, ''::bytea ORDER BY place)) AS hash,
           count(*) AS leaves,
           count(*) FILTER (WHERE fits IS NOT TRUE) AS misfits
      FROM leaf
     GROUP BY 1
)
SELECT audit.merkle_fold(string_agg(hash, ''::bytea ORDER BY block)),
       sum(leaves)::bigint, sum(misfits)::bigint
  FROM block
"""

_PROOF = """
WITH chosen AS MATERIALIZED ({rows}),
leaf AS (
    SELECT row_number() OVER (ORDER BY leaf_key) - 1 AS place, leaf_key,
           CASE WHEN leaf_salt = ''::bytea THEN content_hash
                ELSE sha256('\\x00'::bytea || leaf_salt || content_hash) END AS hash
      FROM chosen
),
target AS (SELECT place, hash FROM leaf WHERE leaf_key = {key})
SELECT target.place, target.hash, blocks.joined, siblings.joined
  FROM target,
       LATERAL (SELECT string_agg(hash, ''::bytea ORDER BY place) AS joined FROM leaf
                 WHERE leaf.place >> {bits} = target.place >> {bits}) AS siblings,
       (SELECT string_agg(hash, ''::bytea ORDER BY block) AS joined FROM
           (SELECT place >> {bits} AS block,
                   audit.merkle_fold(string_agg(hash, ''::bytea ORDER BY place)) AS hash
              FROM leaf GROUP BY 1) AS folded) AS blocks
"""


@dataclass(frozen=True, slots=True)
class BatchRoot:
    """Root and number of the leaves of a batch, for the entry's `batch` figures `root` and `leaves`."""

    root: bytes
    leaves: int

    def figures(self) -> dict[str, str | int]:
        """The two figures as they stand in an entry."""
        return {"root": self.root.hex(), "leaves": self.leaves}


@dataclass(frozen=True, slots=True)
class BatchProof:
    """That one record's leaf is among those under a batch root."""

    index: int
    leaves: int
    path: tuple[bytes, ...]

    def verify(self, salt: bytes, content_hash: bytes, root: bytes) -> None:
        """Check the proof for a record, given its salt.

        Raises:
            ProofError: when the record is not proven.
        """
        verify_inclusion(self.index, self.leaves, record_leaf(salt, content_hash), self.path, root)


def record_leaf(salt: bytes, content_hash: bytes) -> bytes:
    """Leaf hash of one record version."""
    if len(salt) != SALT_BYTES or len(content_hash) != CONTENT_HASH_BYTES:
        raise ProofError("A record leaf needs a salt of 16 bytes and a content hash of 32 bytes.")
    return leaf_hash(salt + content_hash)


def batch_root(
    connection: psycopg.Connection[Any], rows: sql.Composable, parameters: Sequence[Any] = ()
) -> BatchRoot:
    """Root over the changed rows of a batch, computed by PostgreSQL.

    Args:
        connection: the transaction in which the rows were changed.
        rows: a SELECT of the columns `leaf_key` (unique, sortable), `leaf_salt` and `content_hash`.
        parameters: its parameters.

    Raises:
        EntryRefused: when a salt or hash is missing or of the wrong width.
    """
    query = sql.SQL(_ROOT).format(
        rows=rows,
        salt=sql.Literal(SALT_BYTES),
        content=sql.Literal(CONTENT_HASH_BYTES),
        bits=sql.Literal(_BLOCK_BITS),
    )
    row = connection.execute(query, list(parameters)).fetchone()
    if row is None or row[1] is None:
        return BatchRoot(EMPTY_ROOT, 0)
    root, leaves, misfits = row
    if misfits:
        raise EntryRefused(
            f"{misfits} changed rows have no salt of 16 bytes or no content hash of 32 bytes.",
            remedy="Give every record version a fresh random salt.",
        )
    return BatchRoot(bytes(root), leaves)


def prove_record(
    connection: psycopg.Connection[Any], rows: sql.Composable, parameters: Sequence[Any], leaf_key: Any
) -> BatchProof:
    """Proof for one record of a batch, over the same rows as `batch_root`.

    A row whose salt is empty stands for an erased record, of which the leaf itself is left as `content_hash`.

    Raises:
        ProofError: when the batch has no such record.
    """
    query = sql.SQL(_PROOF).format(rows=rows, key=sql.Literal(leaf_key), bits=sql.Literal(_BLOCK_BITS))
    found = connection.execute(query, list(parameters)).fetchall()
    if len(found) != 1:
        raise ProofError("The batch has no such record.")
    place, _, blocks, siblings = found[0]
    block_hashes, leaf_hashes = _split(bytes(blocks)), _split(bytes(siblings))
    block, offset = divmod(place, 1 << _BLOCK_BITS)
    path = inclusion_proof(leaf_hashes, offset) + inclusion_proof(block_hashes, block)
    last = len(leaf_hashes) if block == len(block_hashes) - 1 else None
    leaves = (block << _BLOCK_BITS) + last if last is not None else _count(connection, rows, parameters)
    return BatchProof(place, leaves, tuple(path))


def _count(connection: psycopg.Connection[Any], rows: sql.Composable, parameters: Sequence[Any]) -> int:
    query = sql.SQL("SELECT count(*) FROM ({rows}) AS chosen").format(rows=rows)
    row = connection.execute(query, list(parameters)).fetchone()
    return int(row[0]) if row else 0


def _split(joined: bytes) -> list[bytes]:
    return [joined[i : i + HASH_SIZE] for i in range(0, len(joined), HASH_SIZE)]
