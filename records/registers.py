"""How the identifiers of several registers belong to one subject: NIK, family card, NPWP, NIB, BPJS, IHS.

Nothing is guessed: an identifier belongs to a subject where an open record carries both numbers. Over such an
identifier the subject is linked to records that carry it but not the subject's own number: an immunization
that knows only the patient number, a license that knows only its business, the family card of a member.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation import clock
from records.evidence import EASTERNMOST
from records.shapes import DatasetShape, read_shapes
from schemas.errors import UnknownRecordType
from schemas.record_types import record_type

__all__ = ["BRIDGES", "KnownIdentifier", "identifiers_of", "link_across"]

BRIDGES = ("family-card", "npwp", "nitku", "nib", "bpjs", "ihs")
"""Kinds of identifiers that lead from one register to another."""

_OF_ANOTHER = frozenset({("Business", "npwp")})
"""Numbers that a record carries of somebody else than its subject: a company's, beside the owner's."""


@dataclass(frozen=True, slots=True)
class KnownIdentifier:
    """A number by which a register knows the subject, and the record that says so."""

    kind: str
    value: str = field(repr=False)
    dataset_id: str
    record_id: int


def identifiers_of(
    connection: psycopg.Connection[Any], nik: str, *, now: datetime | None = None
) -> list[KnownIdentifier]:
    """The identifiers that open records carry beside the subject's NIK, by dataset.

    Args:
        connection: Connection in the API or steward role.
        nik: The normalised NIK of the subject.
        now: The moment of asking.
    """
    question = _known(read_shapes(connection))
    if question is None:
        return []
    rows = connection.execute(question, {"identifier": nik, "today": _today(now)})
    return [KnownIdentifier(*row) for row in rows]


def link_across(connection: psycopg.Connection[Any], *, now: datetime | None = None) -> int:
    """Link every subject confirmed before to the records that only another of their identifiers names.

    Set-based over all open links; a link that a person has cut is not made again.

    Args:
        connection: Connection in the steward role.
        now: The moment of linking.

    Returns:
        How many links are new.
    """
    statement = _linking(read_shapes(connection))
    if statement is None:
        return 0
    moment = now or clock.now()
    made = connection.execute(statement, {"now": moment, "today": _today(moment)}).rowcount
    if made:
        details = {"method": "identifier", "count": made, "score": 1000}
        append(
            connection,
            EntryDraft(kind=EntryKind.IDENTITY_LINKED, actor="lintas", outcome="linked", details=details),
        )
    return made


def bridges_of(shape: DatasetShape) -> tuple[tuple[str, str], ...]:
    """The columns of a dataset that hold an identifier leading elsewhere, with its kind."""
    try:
        columns = record_type(shape.record_type).columns
    except UnknownRecordType:  # a type that only a contract declares says no kinds here
        return ()
    present = {name for name, _ in shape.columns}
    return tuple(
        (each.name, each.identifier_kind)
        for each in columns
        if each.identifier_kind in BRIDGES
        and each.name in present
        and (shape.record_type, each.name) not in _OF_ANOTHER
    )


@lru_cache(maxsize=16)
def _known(shapes: tuple[DatasetShape, ...]) -> bytes | None:
    parts = [
        _selected(shape, column, kind, sql.SQL("t.{} = %(identifier)s").format(_subject(shape)))
        for shape in shapes
        if shape.subject_column
        for column, kind in bridges_of(shape)
    ]
    if not parts:
        return None
    return (sql.SQL(" UNION ALL ").join(parts) + sql.SQL(" ORDER BY 3, 1, 4")).as_bytes(None)


@lru_cache(maxsize=16)
def _linking(shapes: tuple[DatasetShape, ...]) -> bytes | None:
    """From open links to the identifiers their records carry, and from these to records without the NIK."""
    carried = [
        sql.SQL(
            "SELECT l.subject_id, k.kind, k.value, k.dataset_id AS over FROM identity.link l"
            " JOIN ({}) k (kind, value, dataset_id, record_id) USING (record_id) WHERE l.recorded_to IS NULL"
        ).format(_selected(shape, column, kind, sql.SQL("true")))
        for shape in shapes
        if shape.subject_column
        for column, kind in bridges_of(shape)
    ]
    reached = [
        _selected(shape, column, kind, _not_named(shape, column))
        for shape in shapes
        for column, kind in bridges_of(shape)
    ]
    if not carried or not reached:
        return None
    return (
        sql.SQL(
            "WITH carried AS (SELECT DISTINCT ON (subject_id, kind, value) * FROM ({carried}) c"
            " ORDER BY subject_id, kind, value, over), reached (kind, value, dataset_id, record_id)"
            " AS ({reached}) INSERT INTO identity.link (record_id, dataset_id, subject_id, recorded_from,"
            " why, score, made_by) SELECT DISTINCT ON (c.subject_id, r.record_id) r.record_id, r.dataset_id,"
            " c.subject_id, %(now)s, 'the record carries the number (' || c.kind || ') that ' || c.over ||"
            " ' gives the subject', 1000,"
            " 'lintas' FROM carried c JOIN reached r USING (kind, value)"
            " WHERE NOT EXISTS (SELECT FROM identity.severance s WHERE s.subject_id = c.subject_id"
            " AND s.record_id = r.record_id AND s.recorded_to IS NULL)"
            " ON CONFLICT (subject_id, record_id) WHERE recorded_to IS NULL DO NOTHING"
        )
        .format(carried=sql.SQL(" UNION ALL ").join(carried), reached=sql.SQL(" UNION ALL ").join(reached))
        .as_bytes(None)
    )


def _selected(shape: DatasetShape, column: str, kind: str, condition: sql.Composable) -> sql.Composed:
    return sql.SQL(
        "SELECT {kind}::text AS kind, t.{column} AS value, t.dataset AS dataset_id, t.record_id"
        " FROM {table} t WHERE t.dataset = {dataset} AND t.{column} IS NOT NULL AND {condition}"
        " AND (t.valid_to IS NULL OR t.valid_to > %(today)s)"
    ).format(
        kind=sql.Literal(kind),
        column=sql.Identifier(column),
        table=shape.table,
        dataset=sql.Literal(shape.dataset_id),
        condition=condition,
    )


def _not_named(shape: DatasetShape, column: str) -> sql.Composable:
    """Records that do not say whose they are; and a family's card, which is every member's."""
    if shape.subject_column is None or (shape.record_type == "Family" and column == "family_card_number"):
        return sql.SQL("true")
    return sql.SQL("t.{} IS NULL").format(_subject(shape))


def _subject(shape: DatasetShape) -> sql.Identifier:
    return sql.Identifier(shape.subject_column or "")


def _today(now: datetime | None) -> date:
    return (now or clock.now()).astimezone(EASTERNMOST).date()
