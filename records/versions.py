"""Every version of the records about one person, and every leaf under a batch's root.

With the salts of their versions a person opens their own leaves; without a salt a leaf says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from audit.subjects.subject_keys import SubjectKeys
from records.shapes import DatasetShape, read_shapes

__all__ = ["RecordVersion", "batch_leaves", "versions_about"]

_LEAVES = """
SELECT sha256('\\x00'::bytea || leaf_salt || content_hash) FROM {versions}
 WHERE batch_id = %s AND dataset = %s ORDER BY record_id
"""
_ABOUT = """
SELECT dataset, batch_id, contract_version, recorded_from::text, leaf_salt, content_hash
  FROM {versions} v
 WHERE record_id IN (SELECT record_id FROM identity.link WHERE subject_id = %(subject)s)
   {also}
 ORDER BY recorded_from, record_id
"""
_BATCHES = """
SELECT batch_id, dataset_id FROM records.batch WHERE status = 'published' ORDER BY started_at, batch_id
"""


@dataclass(frozen=True, slots=True)
class RecordVersion:
    """One version of one record, as a batch wrote it."""

    dataset: str
    batch: UUID
    contract_version: str
    recorded_from: str
    leaf_salt: bytes = field(repr=False)
    content_hash: bytes = field(repr=False)

    def as_dict(self) -> dict[str, str]:
        """As it stands in a person's key file."""
        return {
            "dataset": self.dataset,
            "batch": str(self.batch),
            "contract_version": self.contract_version,
            "recorded_from": self.recorded_from,
            "leaf_salt": self.leaf_salt.hex(),
            "content_hash": self.content_hash.hex(),
        }


def versions_about(
    connection: psycopg.Connection[Any], keys: SubjectKeys, identifier: str
) -> list[RecordVersion]:
    """Every version of every record that was ever linked to a subject, or carries their number.

    Args:
        connection: connection of the steward's role.
        keys: the subject's keys.
        identifier: the subject's normalised NIK.
    """
    found: dict[tuple[str, bytes], RecordVersion] = {}
    for shape in _one_a_table(connection):
        column = shape.subject_column
        also = sql.SQL("OR {} = %(identifier)s").format(sql.Identifier(column)) if column else sql.SQL("")
        query = sql.SQL(_ABOUT).format(versions=_versions(shape.table_name), also=also)
        for row in connection.execute(query, {"subject": keys.handle, "identifier": identifier}):
            version = RecordVersion(row[0], row[1], row[2], row[3], bytes(row[4]), bytes(row[5]))
            found[version.dataset, version.leaf_salt] = version
    return list(found.values())


def batch_leaves(connection: psycopg.Connection[Any]) -> Iterator[tuple[UUID, bytes]]:
    """Every published batch that wrote versions, with its leaf hashes in the order of its root."""
    tables = {shape.dataset_id: shape.table_name for shape in read_shapes(connection)}
    for batch, dataset in connection.execute(_BATCHES).fetchall():
        if dataset in tables:
            query = sql.SQL(_LEAVES).format(versions=_versions(tables[dataset]))
            leaves = b"".join(bytes(row[0]) for row in connection.execute(query, [batch, dataset]))
            if leaves:
                yield batch, leaves


def _one_a_table(connection: psycopg.Connection[Any]) -> list[DatasetShape]:
    return list({shape.table_name: shape for shape in read_shapes(connection)}.values())


def _versions(table: str) -> sql.Identifier:
    return sql.Identifier("records", f"{table}_versions")
