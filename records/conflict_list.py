"""Contradictions and possible duplicates as a steward looks at them: where they stand, who is to settle.

A list holds no value. What a register says is shown only to its own agency, one contradiction at a time,
after an entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation.database import Role, translated
from participants.errors import NotYourAgency
from participants.stewards import agency_of_dataset
from records.errors import ConflictNotFound
from records.shapes import DatasetShape, read_shapes

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["Conflict", "Duplicate", "OpenedConflict", "Side", "conflicts", "duplicates", "show"]

_AUTHORITY = ("Person", "Birth", "Death", "Family")
"""Whose word counts about a person's own data: the civil registry's (UU 24/2013), in this order."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two registers tell a field of one subject differently; `authority` is the one the law relies on."""

    conflict_id: int
    field: str
    dataset_id: str
    record_id: int
    other_dataset_id: str
    other_record_id: int
    found_at: datetime
    closed_at: datetime | None
    authority: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two records that may be of one person, or rows that share one number.

    `why` is `same-mother` or `same-family` for one person under two numbers, `same-number` for rows with one
    number, which wait in quarantine.
    """

    dataset_id: str
    why: str
    records: list[int]
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Side:
    """What one register says, and since when it is known."""

    dataset_id: str
    record_id: int
    value: Any = field(repr=False)
    recorded_from: datetime


@dataclass(frozen=True, slots=True)
class OpenedConflict:
    """A contradiction with what the registers of one agency say."""

    conflict: Conflict
    sides: tuple[Side, ...]


_CONFLICTS = """
SELECT c.conflict_id, c.field, c.dataset_id, c.record_id, c.other_dataset_id, c.other_record_id, c.found_at,
       c.closed_at, CASE WHEN coalesce(array_position(%(order)s, b.record_type), 99)
                            < coalesce(array_position(%(order)s, a.record_type), 99)
                         THEN c.other_dataset_id ELSE c.dataset_id END AS authority
  FROM quality.conflict c
  LEFT JOIN records.dataset a ON a.dataset_id = c.dataset_id
  LEFT JOIN records.dataset b ON b.dataset_id = c.other_dataset_id
"""


def conflicts(
    connection: psycopg.Connection[Any],
    *,
    dataset_id: str | None = None,
    closed: bool = False,
    limit: int = 100,
) -> list[Conflict]:
    """Contradictions that stand, the latest first; with `closed`, those that ended too."""
    with connection.cursor(row_factory=class_row(Conflict)) as cursor:
        return cursor.execute(
            _CONFLICTS + " WHERE (%(closed)s OR c.closed_at IS NULL) AND (%(dataset)s::text IS NULL"
            " OR %(dataset)s IN (c.dataset_id, c.other_dataset_id)) ORDER BY c.conflict_id DESC"
            " LIMIT %(limit)s",
            {"order": list(_AUTHORITY), "closed": closed, "dataset": dataset_id, "limit": limit},
        ).fetchall()


def duplicates(
    connection: psycopg.Connection[Any], *, dataset_id: str | None = None, limit: int = 100
) -> list[Duplicate]:
    """Persons who may stand under two numbers, and rows in quarantine that share one; the latest first.

    `records` are record ids, for `same-number` the ids of quarantined rows.
    """
    with connection.cursor(row_factory=class_row(Duplicate)) as cursor:
        return cursor.execute(
            "SELECT * FROM (SELECT dataset_id, why, ARRAY[record_id, other_record_id] AS records, found_at"
            " FROM identity.duplicate WHERE closed_at IS NULL"
            " UNION ALL SELECT dataset_id, 'same-number', array_agg(row_id ORDER BY row_id),"
            " min(quarantined_at)"
            " FROM quality.quarantine_row WHERE state = 'open' AND 'duplicate-key' = ANY(rules)"
            " GROUP BY dataset_id, batch_id, key_tag) found"
            " WHERE %(dataset)s::text IS NULL OR dataset_id = %(dataset)s ORDER BY found_at DESC"
            " LIMIT %(limit)s",
            {"dataset": dataset_id, "limit": limit},
        ).fetchall()


def show(
    installation: Installation, conflict_id: int, *, agency: str, actor: str, reason: str
) -> OpenedConflict:
    """What an agency's own register says; that somebody looked is committed before it is given out.

    What the other agency says is not read: no agreement lets a steward see it.

    Raises:
        ConflictNotFound: When there is none of that id.
        NotYourAgency: When neither register is the agency's.
    """
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        with connection.cursor(row_factory=class_row(Conflict)) as cursor:
            found = cursor.execute(
                _CONFLICTS + " WHERE c.conflict_id = %(id)s", {"order": list(_AUTHORITY), "id": conflict_id}
            ).fetchone()
        if found is None:
            raise ConflictNotFound(
                "There is no such contradiction", remedy="`lintas conflicts list` shows what stands"
            )
        shapes = {each.dataset_id: each for each in read_shapes(connection)}
        both = ((found.dataset_id, found.record_id), (found.other_dataset_id, found.other_record_id))
        named = [(dataset, record) for dataset, record in both if agency_of_dataset(dataset) == agency]
        if not named:
            raise NotYourAgency(actor, agency, {agency_of_dataset(dataset) for dataset, _ in both})
        sides = [
            side
            for dataset, record in named
            if dataset in shapes
            for side in _sides(connection, shapes[dataset], record, found.field)
        ]
        append(
            connection,
            EntryDraft(
                kind=EntryKind.CONFLICT_VIEWED,
                actor=actor,
                datasets=(found.dataset_id, found.other_dataset_id),
                fields=tuple(f"{dataset}:{found.field}" for dataset, _ in named),
                outcome="viewed",
                details={"reason": reason, "conflict": str(conflict_id), "values": True, "conflicts": 1},
            ),
        )
    return OpenedConflict(found, tuple(sides))


def _sides(connection: psycopg.Connection[Any], shape: DatasetShape, record_id: int, name: str) -> list[Side]:
    if shape.sql_type(name) is None:
        return []
    query = sql.SQL("SELECT dataset, record_id, {}, recorded_from FROM {} WHERE record_id = %s").format(
        sql.Identifier(name), shape.table
    )
    return [Side(*row) for row in connection.execute(query, [record_id])]
