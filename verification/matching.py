"""Matching what changed with what is watched, set-based, in the order in which changes became visible.

The position is not a number but a snapshot: exactly the set of transactions whose changes were matched. A
serial or a moment as a watermark would lose the change of a transaction that began earlier and committed
later; here a change is new if the last pass could not see it and this one can, whatever its number.

A watch that commits while a pass runs is met by a later pass: it is then new itself, and is matched with
every change since the transaction from which on its answer could have missed one.

Invariant: every change that an answer's evidence did not see, committed while it is watched, puts the answer
into the queue of reviews at least once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors as postgres_errors
from psycopg import sql

from foundation import clock
from records.shapes import DatasetShape, forget, shapes_of
from records.tags import TagKey

Connection = psycopg.Connection[Any]

_ONE_MATCHER = 0x6C696E7461730008
"""Advisory lock of whoever matches; others let it."""
_REST_SECONDS = 30
"""How old the position may grow while nothing changes."""


@dataclass(frozen=True)
class Position:
    """Where matching stands: what was seen, what is seen now, and from where on to look."""

    seen: str
    now: str
    low: str
    has_new_watches: bool
    is_watching: bool
    is_foreign: bool
    age: float


def match(connection: Connection, tags: TagKey) -> int | None:
    """Match everything that became visible since the last pass; returns how many answers are to be reviewed.

    None when another process matches at the moment.

    Args:
        connection: In the dispatcher's role, in autocommit, and in no transaction.
        tags: The key of the tags.
    """
    locked = connection.execute("SELECT pg_try_advisory_lock(%s)", (_ONE_MATCHER,)).fetchone()
    if locked is None or not locked[0]:
        return None
    try:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            found = _pass(connection, tags)
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        return found
    except postgres_errors.SerializationFailure:  # another process matched just before we got the lock
        return None
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_ONE_MATCHER,))


_POSITION = """
SELECT m.position::text, s.snapshot::text, least(pg_snapshot_xmin(m.position), fresh.seen_from)::text,
       fresh.seen_from IS NOT NULL, EXISTS (SELECT FROM verification.watch),
       pg_snapshot_xmin(m.position) > pg_snapshot_xmax(s.snapshot),
       extract(epoch FROM %(now)s - m.matched_at)::float
  FROM verification.matching m, (SELECT pg_current_snapshot() AS snapshot) s,
LATERAL (SELECT min(w.seen_from) AS seen_from FROM verification.watch w
          WHERE w.transaction >= pg_snapshot_xmin(m.position)
            AND NOT pg_visible_in_snapshot(w.transaction, m.position)) fresh
"""
_CHANGED_DATASETS = """
SELECT DISTINCT dataset_id FROM records.change_feed WHERE transaction >= %(low)s::xid8
 UNION SELECT DISTINCT dataset_id FROM verification.signal WHERE transaction >= %(low)s::xid8
"""
_ADVANCE = "UPDATE verification.matching SET position = %(now)s::pg_snapshot, matched_at = %(at)s"


def _pass(connection: Connection, tags: TagKey) -> int:
    position = _position(connection)
    at = clock.now()
    if position.is_foreign:
        return _begin_anew(connection, position)
    found, changed = 0, _changed(connection, position)
    if changed and position.is_watching:
        found = _queue(connection, position, changed, tags)
    if changed or position.has_new_watches or not 0 <= position.age < _REST_SECONDS:
        connection.execute(_ADVANCE, {"now": position.now, "at": at})
    return found


def _position(connection: Connection) -> Position:
    row = connection.execute(_POSITION, {"now": clock.now()}).fetchone()
    assert row is not None, "the migration writes the one row"
    return Position(*row)


def _changed(connection: Connection, position: Position) -> list[str]:
    rows = connection.execute(_CHANGED_DATASETS, {"low": position.low}).fetchall()
    return [row[0] for row in rows]


_MATCH = """
WITH change AS MATERIALIZED (
    SELECT f.transaction, f.dataset_id, f.record_id, f.batch_id,
           NOT pg_visible_in_snapshot(f.transaction, %(seen)s::pg_snapshot) AS is_fresh
      FROM records.change_feed f
     WHERE f.transaction >= %(low)s::xid8
       AND (%(new_watches)s OR NOT pg_visible_in_snapshot(f.transaction, %(seen)s::pg_snapshot))
), named (transaction, dataset_id, is_fresh, identifier) AS (
    {named}
), met AS (
    SELECT DISTINCT transaction, dataset_id, is_fresh, {tag} AS thing FROM named
     WHERE identifier IS NOT NULL
     UNION ALL
    SELECT g.transaction, g.dataset_id,
           NOT pg_visible_in_snapshot(g.transaction, %(seen)s::pg_snapshot), g.thing
      FROM verification.signal g WHERE g.transaction >= %(low)s::xid8
)
INSERT INTO verification.review (answer_id, datasets, found_at, due_at)
SELECT w.answer_id, array_agg(DISTINCT m.dataset_id), %(at)s, %(at)s
  FROM met m JOIN verification.watch w ON w.thing = m.thing AND m.dataset_id = ANY(w.datasets)
 WHERE w.until > %(at)s
   AND (m.is_fresh OR (m.transaction >= w.seen_from
        AND NOT pg_visible_in_snapshot(w.transaction, %(seen)s::pg_snapshot)))
 GROUP BY w.answer_id
"""
_NAMED = """
SELECT c.transaction, c.dataset_id, c.is_fresh, r.{subject}::text FROM change c
  JOIN {current} r ON r.record_id = c.record_id WHERE c.dataset_id = {dataset}
 UNION
SELECT c.transaction, c.dataset_id, c.is_fresh, h.{subject}::text FROM change c
  JOIN {history} h ON h.record_id = c.record_id AND h.superseded_by = c.batch_id
 WHERE c.dataset_id = {dataset}
"""
_NOBODY = "SELECT NULL::xid8, NULL::text, NULL::boolean, NULL::text WHERE false"


def _queue(connection: Connection, position: Position, changed: Sequence[str], tags: TagKey) -> int:
    """Queue the answers that relied on what changed, each once."""
    connection.execute("SET LOCAL jit = off")
    shapes = shapes_of(connection, list(changed))
    parts = [_named(shape) for shape in shapes.values() if shape.subject_column is not None]
    named = sql.SQL(" UNION ALL ").join(parts) if parts else sql.SQL(_NOBODY)
    query = sql.SQL(_MATCH).format(named=named, tag=sql.SQL(tags.sql_subject.format("identifier")))
    given = {
        "seen": position.seen,
        "low": position.low,
        "new_watches": position.has_new_watches,
        "at": clock.now(),
        **tags.parameters,
    }
    return connection.execute(query, given).rowcount


def _named(shape: DatasetShape) -> sql.Composed:
    """The numbers that changed records of a dataset carry, or carried before."""
    return sql.SQL(_NAMED).format(
        subject=sql.Identifier(shape.subject_column or ""),
        current=shape.table,
        history=sql.Identifier("records", f"{shape.table_name}_history"),
        dataset=sql.Literal(shape.dataset_id),
    )


def _begin_anew(connection: Connection, position: Position) -> int:
    """Review everything: the data was moved to a server whose transactions are counted anew."""
    forget()
    at = clock.now()
    connection.execute(
        "UPDATE verification.watch SET seen_from = pg_snapshot_xmin(pg_current_snapshot()),"
        " transaction = pg_current_xact_id()"
    )
    queued = connection.execute(
        "INSERT INTO verification.review (answer_id, datasets, found_at, due_at)"
        " SELECT DISTINCT answer_id, '{}'::text[], %(at)s, %(at)s FROM verification.watch"
        " WHERE until > %(at)s",
        {"at": at},
    )
    connection.execute(_ADVANCE, {"now": position.now, "at": at})
    return queued.rowcount
