"""Who used my data: a subject's entries, found by their keys, and the log of having looked.

Invariant: nobody reads a subject's view, or a single entry, without an `audit.viewed` entry in the same
transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from audit import entry as entries
from audit.entry import EntryDraft, EntryKind
from audit.errors import SealBroken
from audit.log import append
from audit.subjects.sealing import unseal
from audit.subjects.subject_keys import SubjectKeys
from audit.tree.pruned_prefix import missing_entry

__all__ = ["Reader", "SubjectExchange", "ViewedEntry", "exchanges_of", "scan_for", "show_entry"]

_OF_SUBJECT = """
SELECT e.entry_index, e.entry_id, e.entry, s.blob
  FROM audit.subject_index i
  JOIN audit.entries e USING (entry_id)
  LEFT JOIN audit.sealed s USING (entry_id)
 WHERE i.index_key = %s AND e.entry_index < %s
 ORDER BY e.entry_index DESC
 LIMIT %s
"""

_SCAN_CHUNK = 5_000
_WITH_TAGS = """
SELECT entry_index, entry FROM audit.entries
 WHERE position('"subjects":['::bytea IN entry) > 0 ORDER BY entry_index
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads the log, for whom, and why; it goes into the `audit.viewed` entry."""

    actor: str
    reason: str
    consumer: str | None = None
    system: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class SubjectExchange:
    """One entry about a subject, as the subject may see it.

    `tag_matches` is whether the entry itself carries this subject's tag: the index outside the log only
    finds entries, the tag inside the log is what counts.
    """

    index: int
    entry_id: UUID
    entry: Mapping[str, Any]
    sealed: Mapping[str, Any] | None
    tag_matches: bool
    seal_intact: bool


@dataclass(frozen=True, slots=True)
class ViewedEntry:
    """One entry of the log, with its exact bytes."""

    index: int
    encoded: bytes
    entry: Mapping[str, Any]


def exchanges_of(
    connection: psycopg.Connection[Any],
    subject: SubjectKeys,
    reader: Reader,
    *,
    before: int | None = None,
    limit: int = 100,
) -> list[SubjectExchange]:
    """A subject's entries, newest first; the look itself is logged, and shows from the next look on.

    Args:
        connection: connection of a role that may read the log and write entries (API, steward, auditor).
        subject: the subject's keys, from the vault.
        reader: who looks, and why.
        before: only entries below this index (keyset paging).
        limit: how many at most.
    """
    ceiling = before if before is not None else (1 << 63) - 1
    rows = connection.execute(_OF_SUBJECT, (subject.index_key(), ceiling, limit)).fetchall()
    found = [_open(subject, *row) for row in rows]
    _log_view(connection, reader, subject, {"view": "subject", "entries": len(found)})
    return found


def scan_for(connection: psycopg.Connection[Any], subject: SubjectKeys, reader: Reader) -> list[int]:
    """Indexes of every entry that carries the subject's tag, found without any index; itself logged.

    Slow and complete: what somebody hid by deleting rows of `audit.subject_index` is found here.
    """
    found: list[int] = []
    with connection.cursor(name="audit_scan") as cursor:
        cursor.itersize = _SCAN_CHUNK
        cursor.execute(_WITH_TAGS, binary=True)
        for index, encoded in cursor:
            data = entries.parse(bytes(encoded))
            if subject.tag(bytes.fromhex(data.get("nonce", ""))) in data.get("subjects", []):
                found.append(index)
    _log_view(connection, reader, subject, {"view": "subject scan", "entries": len(found)})
    return found


def show_entry(connection: psycopg.Connection[Any], entry: UUID | int, reader: Reader) -> ViewedEntry:
    """One entry, by id or index; the look itself is logged.

    Raises:
        EntryPruned: when it is older than what is kept (also logged).
        UnknownEntry: when there is no such entry (also logged).
    """
    column = "entry_index" if isinstance(entry, int) else "entry_id"
    query = f"SELECT entry_index, entry FROM audit.entries WHERE {column} = %s"  # noqa: S608
    row = connection.execute(query, (entry,)).fetchone()
    _log_view(connection, reader, None, {"view": "entry", "entry": str(entry), "entries": 1 if row else 0})
    if row is None:
        raise missing_entry(connection, entry)
    encoded = bytes(row[1])
    return ViewedEntry(row[0], encoded, entries.parse(encoded))


def _open(
    subject: SubjectKeys, index: int, entry_id: UUID, encoded: bytes, blob: bytes | None
) -> SubjectExchange:
    data = entries.parse(bytes(encoded))
    tag = subject.tag(bytes.fromhex(data.get("nonce", "")))
    sealed: Mapping[str, Any] | None = None
    intact = "sealed" not in data
    if blob is not None:
        try:
            sealed = unseal(subject, entry_id, bytes(blob)).content
            intact = True
        except SealBroken:
            intact = False
    return SubjectExchange(index, entry_id, data, sealed, tag in data.get("subjects", []), intact)


def _log_view(
    connection: psycopg.Connection[Any],
    reader: Reader,
    subject: SubjectKeys | None,
    details: dict[str, Any],
) -> None:
    append(
        connection,
        EntryDraft(
            kind=EntryKind.AUDIT_VIEWED,
            actor=reader.actor,
            consumer=reader.consumer,
            system=reader.system,
            run_id=reader.run_id,
            subject=subject,
            details={**details, "reason": reader.reason},
        ),
    )
