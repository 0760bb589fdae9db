"""Contradictions between agencies, found in bulk when a batch is published and closed when they agree again.

Two open records about one subject conflict where both tell a field that registers must agree about, and tell
it differently. What they say is not kept here: only where it stands. Nothing is ever resolved by the bus.
Invariant: a contradiction stands from the very commit that brought it; datasets compare one after another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql

from records.batches import Batch
from records.evidence import EASTERNMOST
from records.shapes import DatasetShape, read_shapes

__all__ = ["Compared", "compare"]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a batch changed about contradictions and about persons who may stand twice in a register."""

    conflicts_found: int = 0
    conflicts_closed: int = 0
    duplicates_found: int = 0
    duplicates_closed: int = 0


def compare(
    connection: psycopg.Connection[Any], batch: Batch, now: datetime, *, everything: bool = False
) -> Compared:
    """Compare what the batch changed with every other register, in the publishing transaction.

    Records of other datasets that are contradicted now, or no longer, go to the change feed too: whoever
    relied on them must look again.

    Args:
        connection: The publishing transaction, in the ingest role, after the merge.
        batch: The batch.
        now: The moment of publishing.
        everything: Whether to compare every record of the dataset, not just what changed.
    """
    shapes = read_shapes(connection)
    mine = next((each for each in shapes if each.dataset_id == batch.dataset_id), None)
    if mine is None or mine.subject_column is None:
        return Compared()
    given = {
        "dataset": batch.dataset_id,
        "batch": batch.batch_id,
        "now": now,
        "today": now.astimezone(EASTERNMOST).date(),
        "everything": everything,
    }
    _one_at_a_time(connection)
    found, closed = _conflicts(connection, mine, shapes, given)
    twice, once = _duplicates(connection, mine, given)
    return Compared(found, closed, twice, once)


def _one_at_a_time(connection: psycopg.Connection[Any]) -> None:
    """Two datasets that publish at once would each not see what the other one brings."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('lintas.records.compare', 0))")


def _conflicts(
    connection: psycopg.Connection[Any],
    mine: DatasetShape,
    shapes: tuple[DatasetShape, ...],
    given: Mapping[str, Any],
) -> tuple[int, int]:
    statement = _comparing(mine, shapes)
    if statement is None:
        return 0, 0
    return _counts(connection.execute(statement, given))


def _duplicates(
    connection: psycopg.Connection[Any], mine: DatasetShape, given: Mapping[str, Any]
) -> tuple[int, int]:
    if mine.record_type != "Person":
        return 0, 0
    return _counts(connection.execute(_doubling(mine), given))


def _counts(cursor: psycopg.Cursor[Any]) -> tuple[int, int]:
    row = cursor.fetchone()
    assert row is not None
    return row[0], row[1]


_TOUCHED = """
WITH touched AS MATERIALIZED (
    SELECT record_id FROM records.change_feed
     WHERE transaction = pg_current_xact_id() AND dataset_id = %(dataset)s
    UNION ALL
    SELECT record_id FROM {mine} WHERE %(everything)s AND dataset = %(dataset)s
), spoken AS (
    SELECT t.record_id, t.{subject} AS subject, {fields} FROM {mine} t
     WHERE t.dataset = %(dataset)s AND (%(everything)s OR t.batch_id = %(batch)s)
       AND t.{subject} IS NOT NULL AND (t.valid_to IS NULL OR t.valid_to > %(today)s)
)
"""
"""What the batch touched, closed records among it, and what it says that holds today."""


@lru_cache(maxsize=64)
def _comparing(mine: DatasetShape, shapes: tuple[DatasetShape, ...]) -> bytes | None:
    pairs = [
        (other, fields)
        for other in shapes
        if other.dataset_id != mine.dataset_id and other.subject_column
        if (fields := _in_common(mine, other))
    ]
    if not pairs:
        return None
    names = sql.SQL(", ").join
    compared = dict.fromkeys(name for _, fields in pairs for name in fields)
    query = sql.SQL(
        _TOUCHED  # noqa: S608 - constant text
        + """, disagreeing AS MATERIALIZED ({pairs}),
        closed AS (
            UPDATE quality.conflict c SET closed_at = %(now)s, closed_by = %(batch)s
             WHERE c.closed_at IS NULL
               AND (c.record_id IN (SELECT record_id FROM touched)
                    OR c.other_record_id IN (SELECT record_id FROM touched))
               AND NOT EXISTS (SELECT FROM disagreeing d WHERE d.record_id = c.record_id
                               AND d.other_record_id = c.other_record_id AND d.field = c.field)
            RETURNING c.record_id, c.dataset_id, c.other_record_id, c.other_dataset_id
        ), opened AS (
            INSERT INTO quality.conflict (field, dataset_id, record_id, other_dataset_id, other_record_id,
                found_at, found_by)
            SELECT field, dataset_id, record_id, other_dataset_id, other_record_id, %(now)s, %(batch)s
              FROM disagreeing
            ON CONFLICT (record_id, other_record_id, field) WHERE closed_at IS NULL DO NOTHING
            RETURNING record_id, dataset_id, other_record_id, other_dataset_id
        ), concerned AS (
            SELECT 'contradicted' AS action, record_id, dataset_id FROM opened UNION
            SELECT 'contradicted', other_record_id, other_dataset_id FROM opened UNION
            SELECT 'agreed', record_id, dataset_id FROM closed UNION
            SELECT 'agreed', other_record_id, other_dataset_id FROM closed
        ), fed AS (
            INSERT INTO records.change_feed (dataset_id, record_id, action, batch_id)
            SELECT dataset_id, record_id, action, %(batch)s FROM concerned
             WHERE record_id NOT IN (SELECT record_id FROM touched)
        )
        SELECT (SELECT count(*) FROM opened), (SELECT count(*) FROM closed)
        """
    ).format(
        mine=mine.table,
        subject=sql.Identifier(mine.subject_column or ""),
        fields=names(sql.Identifier("t", name) for name in compared),
        pairs=sql.SQL(" UNION ").join(_pair(mine, other, fields) for other, fields in pairs),
    )
    return query.as_bytes(None)


def _in_common(mine: DatasetShape, other: DatasetShape) -> tuple[str, ...]:
    """The fields that both must tell alike, and tell in the same type."""
    return tuple(
        name
        for name in mine.comparable
        if name in other.comparable and mine.sql_type(name) == other.sql_type(name)
    )


def _pair(mine: DatasetShape, other: DatasetShape, fields: tuple[str, ...]) -> sql.Composed:
    """Where the two registers differ, each pair of records named in the order of their ids."""
    different = [
        sql.SQL("({field}, {mine} <> {other})").format(
            field=sql.Literal(name), mine=sql.Identifier("m", name), other=sql.Identifier("o", name)
        )
        for name in fields
    ]
    return sql.SQL(
        """
        SELECT f.field,
               CASE WHEN m.record_id < o.record_id THEN {mine} ELSE {theirs} END AS dataset_id,
               least(m.record_id, o.record_id) AS record_id,
               CASE WHEN m.record_id < o.record_id THEN {theirs} ELSE {mine} END AS other_dataset_id,
               greatest(m.record_id, o.record_id) AS other_record_id
          FROM spoken m JOIN {table} o ON o.dataset = {theirs} AND o.{subject} = m.subject
               AND (o.valid_to IS NULL OR o.valid_to > %(today)s)
               CROSS JOIN LATERAL (VALUES {different}) f (field, differs)
         WHERE f.differs
        """
    ).format(
        mine=sql.Literal(mine.dataset_id),
        theirs=sql.Literal(other.dataset_id),
        table=other.table,
        subject=sql.Identifier(other.subject_column or ""),
        different=sql.SQL(", ").join(different),
    )


_SAME_PERSON = ("name", "birth_date", "sex", "birth_place", "mother_nik", "family_card_number")


@lru_cache(maxsize=16)
def _doubling(mine: DatasetShape) -> bytes:
    """One person under two numbers: name, day and place of birth, sex, and mother or family card alike.

    It only raises a question: both records stay as they are, and a person must decide.
    """
    query = sql.SQL(
        _TOUCHED  # noqa: S608 - constant text
        + """, twice AS MATERIALIZED (
            SELECT birth_date, lower(name) AS spelled FROM {mine}
             WHERE dataset = %(dataset)s AND (valid_to IS NULL OR valid_to > %(today)s)
             GROUP BY 1, 2 HAVING count(*) > 1
        ), alike AS MATERIALIZED (
            SELECT least(s.record_id, t.record_id) AS record_id,
                   greatest(s.record_id, t.record_id) AS other_record_id,
                   CASE WHEN bool_or(s.mother_nik = t.mother_nik) THEN 'same-mother'
                        ELSE 'same-family' END AS why
              FROM twice w JOIN spoken s ON s.birth_date = w.birth_date AND lower(s.name) = w.spelled
              JOIN {mine} t ON t.birth_date = w.birth_date AND lower(t.name) = w.spelled
               AND t.{subject} <> s.subject AND t.sex = s.sex
               AND t.birth_place IS NOT DISTINCT FROM s.birth_place
               AND (t.mother_nik = s.mother_nik OR t.family_card_number = s.family_card_number)
             WHERE t.dataset = %(dataset)s AND (t.valid_to IS NULL OR t.valid_to > %(today)s)
             GROUP BY 1, 2
        ), closed AS (
            UPDATE identity.duplicate c SET closed_at = %(now)s, closed_by = %(batch)s
             WHERE c.closed_at IS NULL
               AND (c.record_id IN (SELECT record_id FROM touched)
                    OR c.other_record_id IN (SELECT record_id FROM touched))
               AND NOT EXISTS (SELECT FROM alike a WHERE a.record_id = c.record_id
                               AND a.other_record_id = c.other_record_id)
            RETURNING 1
        ), opened AS (
            INSERT INTO identity.duplicate (dataset_id, record_id, other_record_id, why, found_at, found_by)
            SELECT %(dataset)s, record_id, other_record_id, why, %(now)s, %(batch)s FROM alike
            ON CONFLICT (record_id, other_record_id) WHERE closed_at IS NULL DO NOTHING
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM opened), (SELECT count(*) FROM closed)
        """
    ).format(
        mine=mine.table,
        subject=sql.Identifier(mine.subject_column or ""),
        fields=sql.SQL(", ").join(sql.Identifier("t", name) for name in _SAME_PERSON),
    )
    return query.as_bytes(None)
