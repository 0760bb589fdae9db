"""Writing to the log: a transactional outbox.

Invariant: an entry is inserted on the caller's connection, in the transaction that does what the entry
records. Either both commit or neither does; if the entry cannot be written, the exchange does not happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from audit.entry import BuiltEntry, EntryDraft, build
from audit.kinds import EntryKind
from audit.quorum import refuse_without_quorum
from foundation import clock

__all__ = ["MAXIMUM_MERGE_DELAY", "Promise", "append", "append_many", "append_together"]

MAXIMUM_MERGE_DELAY = timedelta(seconds=30)
"""How long after the append a checkpoint covers the entry at the latest; ordinarily about one second."""

_Row = tuple[Any, ...]
_COLUMNS = "entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry"
_OUTBOX = f"""
INSERT INTO audit.outbox ({_COLUMNS}) VALUES (%(id)s, %(kind)s, %(at)s, %(provider)s, %(consumer)s,
    %(purpose)s, %(outcome)s, %(entry)s)
"""  # noqa: S608
_SEALED = "INSERT INTO audit.sealed (entry_id, blob) VALUES (%(id)s, %(sealed)s)"
_INDEX_ONE = "INSERT INTO audit.subject_index (index_key, entry_id) VALUES (%(one)s, %(id)s)"
_INDEX = "INSERT INTO audit.subject_index (index_key, entry_id) SELECT unnest(%(index)s::bytea[]), %(id)s"
_CASE = "INSERT INTO audit.case_index (case_key, entry_id) VALUES (%(case)s, %(id)s)"


class Promise(NamedTuple):
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
    keys = entry.index_keys
    row = dict(zip(_NAMES, _row(entry), strict=True))
    row["one" if len(keys) == 1 else "index"] = keys[0] if len(keys) == 1 else list(keys)
    row["sealed"], row["case"] = entry.sealed_blob, entry.case_key
    statement = _statement(min(len(keys), 2), entry.sealed_blob is not None, entry.case_key is not None)
    connection.execute(statement, row)
    return Promise(entry.entry_id, entry.leaf_hash, clock.now() + MAXIMUM_MERGE_DELAY)


def append_many(connection: psycopg.Connection[Any], drafts: Iterable[EntryDraft]) -> list[Promise]:
    """Write many entries in the caller's transaction, by COPY.

    Raises:
        EntryRefused: when any draft is not an entry of its kind; nothing is written by this call.
        QuorumMissing: when one records an exchange, and witnesses have been missing for too long.
    """
    deadline = clock.now() + MAXIMUM_MERGE_DELAY
    kinds: set[EntryKind] = set()
    promises: list[Promise] = []
    rows: list[_Row] = []
    sealed: list[_Row] = []
    index: list[_Row] = []
    cases: list[_Row] = []
    for draft in drafts:
        entry = build(draft)
        kinds.add(entry.draft.kind)
        promises.append(Promise(entry.entry_id, entry.leaf_hash, deadline))
        rows.append(_row(entry))
        if entry.sealed_blob is not None:
            sealed.append((entry.entry_id, entry.sealed_blob))
        index.extend((key, entry.entry_id) for key in entry.index_keys)
        if entry.case_key is not None:
            cases.append((entry.case_key, entry.entry_id))
    refuse_without_quorum(connection, kinds)
    _copy(connection, f"audit.outbox ({_COLUMNS})", rows, _TYPES)
    _copy(connection, "audit.sealed (entry_id, blob)", sealed, ["uuid", "bytea"])
    _copy(connection, "audit.subject_index (index_key, entry_id)", sorted(index), ["bytea", "uuid"])
    _copy(connection, "audit.case_index (case_key, entry_id)", sorted(cases), ["bytea", "uuid"])
    return promises


def append_together(connection: psycopg.Connection[Any], drafts: Iterable[EntryDraft]) -> list[Promise]:
    """Write some entries in the caller's transaction by one statement, which may travel with others.

    Raises:
        EntryRefused: when any draft is not an entry of its kind; nothing is written.
        QuorumMissing: when one records an exchange, and witnesses have been missing for too long.
    """
    deadline = clock.now() + MAXIMUM_MERGE_DELAY
    entries = [build(draft) for draft in drafts]
    refuse_without_quorum(connection, {entry.draft.kind for entry in entries})
    columns = zip(*map(_row, entries), strict=True)
    index = sorted((key, entry.entry_id) for entry in entries for key in entry.index_keys)
    sealed = [(entry.entry_id, entry.sealed_blob) for entry in entries if entry.sealed_blob is not None]
    cases = sorted((entry.case_key, entry.entry_id) for entry in entries if entry.case_key is not None)
    given = {name: list(column) for name, column in zip(_NAMES, columns, strict=True)}
    given |= {"index_key": [key for key, _ in index], "index_of": [entry for _, entry in index]}
    given |= {"sealed_of": [entry for entry, _ in sealed], "blob": [blob for _, blob in sealed]}
    given |= {"case_key": [key for key, _ in cases], "case_of": [entry for _, entry in cases]}
    if entries:
        connection.execute(_TOGETHER if cases else _TOGETHER_WITHOUT_CASES, given)
    return [Promise(entry.entry_id, entry.leaf_hash, deadline) for entry in entries]


@lru_cache(maxsize=12)
def _statement(subjects: int, is_sealed: bool, has_case: bool) -> str:
    """One statement, so one round trip, for the entry and everything that stands beside it."""
    beside = {
        "indexed": (None, _INDEX_ONE, _INDEX)[subjects],
        "sealed": _SEALED if is_sealed else None,
        "cased": _CASE if has_case else None,
    }
    parts = [f"{name} AS ({insert})" for name, insert in beside.items() if insert is not None]
    return f"WITH {', '.join(parts)} {_OUTBOX}" if parts else _OUTBOX


_NAMES = ("id", "kind", "at", "provider", "consumer", "purpose", "outcome", "entry")
_TYPES = ["uuid", "text", "timestamptz", "text", "text", "text", "text", "bytea"]

_BESIDE = """
WITH indexed AS (INSERT INTO audit.subject_index (index_key, entry_id)
                 SELECT * FROM unnest(%(index_key)s::bytea[], %(index_of)s::uuid[])),
     sealed AS (INSERT INTO audit.sealed (entry_id, blob)
                SELECT * FROM unnest(%(sealed_of)s::uuid[], %(blob)s::bytea[]))
"""
_CASED = """,
     cased AS (INSERT INTO audit.case_index (case_key, entry_id)
               SELECT * FROM unnest(%(case_key)s::bytea[], %(case_of)s::uuid[]))
"""
_ENTRIES = f"""
INSERT INTO audit.outbox ({_COLUMNS})
SELECT * FROM unnest({", ".join(f"%({name})s::{kind}[]" for name, kind in zip(_NAMES, _TYPES, strict=True))})
"""  # noqa: S608
_TOGETHER = _BESIDE + _CASED + _ENTRIES
_TOGETHER_WITHOUT_CASES = _BESIDE + _ENTRIES


def _row(entry: BuiltEntry) -> _Row:
    draft = entry.draft
    return (
        entry.entry_id,
        str(draft.kind),
        draft.occurred_at,
        draft.provider,
        draft.consumer,
        draft.purpose,
        draft.outcome,
        entry.encoded,
    )


def _copy(
    connection: psycopg.Connection[Any], target: str, rows: Sequence[_Row], types: Sequence[str]
) -> None:
    if not rows:
        return
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
