"""Links by identifier: every record that carries a confirmed person's number is theirs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from records.shapes import DatasetShape, all_shapes

__all__ = ["BATCHES", "Linked", "link_together"]

BATCHES = """
(SELECT sha256(convert_to(string_agg(batch_id::text, ' ' ORDER BY dataset_id), 'UTF8'))
   FROM records.dataset_state)
"""
"""SQL: a digest of the batches published last, over all datasets: while it stays, so do the records."""

_BY_IDENTIFIER = "the record carries the subject's number"
_MOST_REMEMBERED = 50_000


class Linked:
    """Whom this process linked, and under which batches: then there is nothing to link again.

    Records appear only with a published batch, and a link that a person has cut is not made again by this.
    The batches must be read before the linking: what is published in between is then linked the next time.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, bytes] = OrderedDict()
        self._guard = threading.Lock()

    def is_current(self, subject: UUID, batches: bytes) -> bool:
        """Whether every record of the subject is linked already."""
        return self._known.get(subject) == batches

    def note(self, subject: UUID, batches: bytes) -> None:
        """Remember, once the transaction that linked has committed."""
        with self._guard:
            self._known[subject] = batches
            self._known.move_to_end(subject)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)


def link_together(
    connection: psycopg.Connection[Any], people: Sequence[tuple[UUID, str]], now: datetime
) -> None:
    """Link every record that carries a person's number to its subject, unless somebody has cut that link.

    Args:
        connection: In the transaction in which they were confirmed.
        people: Handle and number of each.
        now: The moment.
    """
    statement = _linking(all_shapes(connection))
    if statement is not None and people:
        given = {
            "subjects": [handle for handle, _ in people],
            "identifiers": [number for _, number in people],
            "now": now,
            "why": _BY_IDENTIFIER,
        }
        connection.execute(statement, given)


@lru_cache(maxsize=16)
def _linking(shapes: tuple[DatasetShape, ...]) -> bytes | None:
    tables = {shape.table_name: shape for shape in shapes if shape.subject_column}
    if not tables:
        return None
    named = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT record_id, dataset FROM {} WHERE {} = a.identifier").format(
            shape.table, sql.Identifier(shape.subject_column or "")
        )
        for shape in tables.values()
    )
    query = sql.SQL(
        "INSERT INTO identity.link (record_id, dataset_id, subject_id, recorded_from, why, score, made_by)"
        " SELECT r.record_id, r.dataset, a.subject, %(now)s, %(why)s, 1000, 'lintas'"
        " FROM unnest(%(subjects)s::uuid[], %(identifiers)s::text[]) AS a (subject, identifier)"
        " CROSS JOIN LATERAL ({named}) r"
        " WHERE NOT EXISTS (SELECT FROM identity.link l WHERE l.subject_id = a.subject"
        " AND l.record_id = r.record_id AND l.recorded_to IS NULL)"
        " AND NOT EXISTS (SELECT FROM identity.severance c WHERE c.subject_id = a.subject"
        " AND c.record_id = r.record_id AND c.recorded_to IS NULL)"
        " ORDER BY a.subject, r.record_id"
        " ON CONFLICT (subject_id, record_id) WHERE recorded_to IS NULL DO NOTHING"
    )
    return query.format(named=named).as_bytes(None)
