"""Writing to the log: a transactional outbox.

Invariant: an entry is inserted on the caller's connection, in the transaction that does what the entry
records. Either both commit or neither does; if the entry cannot be written, the exchange does not happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg

from audit.entry import BuiltEntry, EntryDraft, build
from audit.quorum import refuse_without_quorum
from foundation import clock

__all__ = ["MAXIMUM_MERGE_DELAY", "Promise", "append", "append_many"]

MAXIMUM_MERGE_DELAY = timedelta(seconds=30)
"""How long after the append a checkpoint covers the entry at the latest; ordinarily about one second."""

_COLUMNS = "entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry"
_OUTBOX = f"""
INSERT INTO audit.outbox ({_COLUMNS}) VALUES (%(id)s, %(kind)s, %(at)s, %(provider)s, %(consumer)s,
    %(purpose)s, %(outcome)s, %(entry)s)
"""  # noqa: S608
_SEALED = "INSERT INTO audit.sealed (entry_id, blob) VALUES (%(id)s, %(sealed)s)"
_INDEX = "INSERT INTO audit.subject_index (index_key, entry_id) SELECT unnest(%(index)s::bytea[]), %(id)s"
_CASE = "INSERT INTO audit.case_index (case_key, entry_id) VALUES (%(case)s, %(id)s)"


@dataclass(frozen=True, slots=True)
class Promise:
    """The entry that will stand in the log, and by when; `receipt.sign_promise` signs it."""

    entry_id: UUID
    leaf_hash: bytes
    deadline: datetime


def append(connection: psycopg.Connection[Any], draft: EntryDraft) -> Promise:
    """Write one entry in the caller's transaction.

    Args:
        connection: connection of a writing role, inside the transaction that does what is recorded.
        draft: what to record.

    Returns:
        The promise of inclusion; it holds once the caller's transaction commits.

    Raises:
        EntryRefused: when the draft is not an entry of its kind; nothing is written.
        QuorumMissing: when it records an exchange, and witnesses have been missing for too long.
    """
    refuse_without_quorum(connection, (draft.kind,))
    entry = build(draft)
    row = dict(zip(_NAMES, _row(entry), strict=True))
    row |= {"index": list(entry.index_keys), "sealed": entry.sealed_blob, "case": entry.case_key}
    statement = _statement(bool(entry.index_keys), entry.sealed_blob is not None, entry.case_key is not None)
    connection.execute(statement, row)
    return _promise(entry)


def append_many(connection: psycopg.Connection[Any], drafts: Iterable[EntryDraft]) -> list[Promise]:
    """Write many entries in the caller's transaction, by COPY.

    Raises:
        EntryRefused: when any draft is not an entry of its kind; nothing is written by this call.
        QuorumMissing: when one records an exchange, and witnesses have been missing for too long.
    """
    entries = [build(draft) for draft in drafts]
    refuse_without_quorum(connection, {entry.kind for entry in entries})
    rows = [_row(entry) for entry in entries]
    _copy(connection, f"audit.outbox ({_COLUMNS})", rows, _TYPES)
    sealed = [(e.entry_id, e.sealed_blob) for e in entries if e.sealed_blob is not None]
    _copy(connection, "audit.sealed (entry_id, blob)", sealed, ["uuid", "bytea"])
    index = [(key, e.entry_id) for e in entries for key in e.index_keys]
    _copy(connection, "audit.subject_index (index_key, entry_id)", index, ["bytea", "uuid"])
    cases = [(e.case_key, e.entry_id) for e in entries if e.case_key is not None]
    _copy(connection, "audit.case_index (case_key, entry_id)", cases, ["bytea", "uuid"])
    return [_promise(entry) for entry in entries]


@lru_cache(maxsize=8)
def _statement(is_about_a_subject: bool, is_sealed: bool, has_case: bool) -> str:
    """One statement, so one round trip, for the entry and everything that stands beside it."""
    beside = {
        "indexed": _INDEX if is_about_a_subject else None,
        "sealed": _SEALED if is_sealed else None,
        "cased": _CASE if has_case else None,
    }
    parts = [f"{name} AS ({insert})" for name, insert in beside.items() if insert is not None]
    return f"WITH {', '.join(parts)} {_OUTBOX}" if parts else _OUTBOX


_NAMES = ("id", "kind", "at", "provider", "consumer", "purpose", "outcome", "entry")
_TYPES = ["uuid", "text", "timestamptz", "text", "text", "text", "text", "bytea"]


def _row(entry: BuiltEntry) -> tuple[Any, ...]:
    data = entry.data
    return (
        entry.entry_id,
        str(entry.kind),
        entry.occurred_at,
        data.get("provider"),
        data.get("consumer"),
        data.get("purpose"),
        data.get("outcome"),
        entry.encoded,
    )


def _copy(
    connection: psycopg.Connection[Any], target: str, rows: Sequence[tuple[Any, ...]], types: Sequence[str]
) -> None:
    if not rows:
        return
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _promise(entry: BuiltEntry) -> Promise:
    return Promise(entry.entry_id, entry.leaf_hash, clock.now() + MAXIMUM_MERGE_DELAY)
