"""Evidence: what the registers say about a confirmed subject, and how far that can be relied on.

Read straight from the record tables by identifier, so what was published a moment ago counts at once.
Invariant: `absent` is said only of a closed-world dataset that is fresh and from which no row about the
subject waits in quarantine or in a held batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from foundation.errors import Location
from records.errors import NeedUnknown
from records.identity import ConfirmedSubject
from records.shapes import DatasetShape, shapes_of

__all__ = ["Evidence", "EvidenceStatus", "Need", "evidence"]

EASTERNMOST = timezone(timedelta(hours=9))
"""Eastern Indonesia: a day has begun for a record when it has begun anywhere in the country."""
_MOST_RECORDS = 20


class EvidenceStatus(StrEnum):
    """How far a register's word about a subject can be relied on."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    STALE = "stale"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Need:
    """What a service needs to know: some fields of one dataset, under a name of its own."""

    name: str
    dataset_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one dataset says about one subject.

    Attributes:
        need: The need it answers.
        status: How far it can be relied on.
        values: The needed fields of the record; empty unless exactly one record answers.
        provider: The agency whose word it is.
        dataset: The dataset.
        as_of: Moment of the source that was read last.
        fresh_until: When it becomes stale.
        contract_version: Contract under which it was published.
        record_ids: The records it rests on.
        seen_from: What transactions from this one on changed may not have been seen; watches begin there.
    """

    need: Need
    status: EvidenceStatus
    values: Mapping[str, Any] = field(repr=False)
    provider: str
    dataset: str
    as_of: datetime | None = None
    fresh_until: datetime | None = None
    contract_version: str | None = None
    record_ids: tuple[int, ...] = ()
    seen_from: int | None = None


def evidence(
    connection: psycopg.Connection[Any],
    subject: ConfirmedSubject,
    needs: Sequence[Need],
    now: datetime,
) -> dict[str, Evidence]:
    """Gather the evidence for all needs in one question to the database.

    Args:
        connection: Connection in the API role.
        subject: The confirmed subject.
        needs: What is needed, by name.
        now: The moment of the exchange.

    Raises:
        NeedUnknown: When a need names a field that its dataset does not have.
    """
    rows = _ask(connection, subject, needs, now, fresh=False)
    if rows is None:  # a contract changed since this process last looked
        rows = _ask(connection, subject, needs, now, fresh=True) or {}
    return {need.name: _judged(need, rows.get(number), now) for number, need in enumerate(needs)}


def _ask(
    connection: psycopg.Connection[Any],
    subject: ConfirmedSubject,
    needs: Sequence[Need],
    now: datetime,
    *,
    fresh: bool,
) -> dict[int, tuple[DatasetShape, tuple[Any, ...]]] | None:
    shapes = shapes_of(connection, [need.dataset_id for need in needs], fresh=fresh)
    known = tuple(
        (number, need, shapes[need.dataset_id])
        for number, need in enumerate(needs)
        if need.dataset_id in shapes
    )
    if not known:
        return {}
    given = {
        "identifier": subject.nik.value,
        "subject": subject.keys.handle,
        "tag": subject.tag,
        "today": now.astimezone(EASTERNMOST).date(),
    }
    rows = {row[0]: row[1:] for row in connection.execute(_question(known), given)}
    if any(rows.get(number, (None,))[0] != shape.contract_hash for number, _, shape in known) and not fresh:
        return None
    return {number: (shape, rows[number]) for number, _, shape in known if number in rows}


@lru_cache(maxsize=256)
def _question(known: tuple[tuple[int, Need, DatasetShape], ...]) -> bytes:
    parts = sql.SQL(" UNION ALL ").join(_part(number, need, shape) for number, need, shape in known)
    return parts.as_bytes(None)


def _part(number: int, need: Need, shape: DatasetShape) -> sql.Composed:
    for name in need.fields:
        if shape.sql_type(name) is None:
            raise NeedUnknown(
                f"The dataset {need.dataset_id} has no field of that name",
                remedy="Correct the service's evidence or publish a contract that has the field",
                location=Location(field=name),
                need=need.name,
            )
    records = sql.SQL("NULL::jsonb")
    if shape.subject_column is not None:
        records = _records(need, shape)  # type: ignore[assignment]
    return sql.SQL(
        "SELECT {number}::int, d.contract_hash, d.agency, d.closed_world, d.freshness, s.source_time,"
        " s.contract_version,"
        " EXISTS (SELECT FROM quality.quarantine_tag q WHERE q.tag = %(tag)s AND q.dataset_id = {dataset}),"
        " EXISTS (SELECT FROM quality.held_tag h WHERE h.tag = %(tag)s AND h.dataset_id = {dataset}),"
        " {records}, pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        " FROM records.dataset d LEFT JOIN records.dataset_state s USING (dataset_id)"
        " WHERE d.dataset_id = {dataset}"
    ).format(number=sql.Literal(number), dataset=sql.Literal(need.dataset_id), records=records)


def _records(need: Need, shape: DatasetShape) -> sql.Composed:
    """The subject's records that hold today, the latest first, but for those that a person has cut loose.

    `OFFSET 0` keeps the planner from walking the table in the order of the sort instead of by number.
    """
    order = [sql.SQL("{} DESC NULLS LAST").format(sql.Identifier("t", name)) for name in shape.order_columns]
    return sql.SQL(
        "(SELECT jsonb_agg(jsonb_build_array(r.record_id, jsonb_build_array({fields}),"
        " jsonb_build_array({latest}))) FROM (SELECT * FROM ("
        "SELECT * FROM {table} n WHERE n.{subject} = %(identifier)s AND n.dataset = {dataset}"
        " AND (n.valid_to IS NULL OR n.valid_to > %(today)s) AND NOT EXISTS (SELECT FROM identity.severance c"
        " WHERE c.subject_id = %(subject)s AND c.record_id = n.record_id AND c.recorded_to IS NULL)"
        " OFFSET 0) t ORDER BY {order} LIMIT {limit}) r)"
    ).format(
        fields=sql.SQL(", ").join(sql.Identifier("r", name) for name in need.fields),
        latest=sql.SQL(", ").join(sql.Identifier("r", name) for name in shape.order_columns),
        table=shape.table,
        subject=sql.Identifier(shape.subject_column or ""),
        dataset=sql.Literal(need.dataset_id),
        order=sql.SQL(", ").join([*order, sql.SQL("t.record_id")]),
        limit=sql.Literal(_MOST_RECORDS),
    )


def _judged(need: Need, found: tuple[DatasetShape, tuple[Any, ...]] | None, now: datetime) -> Evidence:
    provider = need.dataset_id.partition("/")[0]
    if found is None or found[1][4] is None:
        seen_from = found[1][-1] if found else None
        return Evidence(need, EvidenceStatus.UNKNOWN, {}, provider, need.dataset_id, seen_from=seen_from)
    shape, (_, agency, closed_world, freshness, source_time, version, quarantined, held, records, horizon) = (
        found
    )
    answering = _answering(records or [])
    fresh_until = source_time + freshness
    status = _status(
        answering, closed_world=closed_world, fresh=now <= fresh_until, quarantined=quarantined, held=held
    )
    one = (
        answering[0] if len(answering) == 1 or (answering and status is not EvidenceStatus.CONFLICT) else None
    )
    return Evidence(
        need=need,
        status=status,
        values=_values(need, shape, one[1]) if one else {},
        provider=agency,
        dataset=need.dataset_id,
        as_of=source_time,
        fresh_until=fresh_until,
        contract_version=version,
        record_ids=tuple(record[0] for record in answering),
        seen_from=horizon,
    )


def _answering(records: list[list[Any]]) -> list[list[Any]]:
    """The records about the latest year (or whatever else tells a subject's records apart)."""
    return [record for record in records if record[2] == records[0][2]]


def _status(
    answering: list[list[Any]], *, closed_world: bool, fresh: bool, quarantined: bool, held: bool
) -> EvidenceStatus:
    if quarantined:
        return EvidenceStatus.QUARANTINED
    if held:
        return EvidenceStatus.HELD
    if any(record[1] != answering[0][1] for record in answering[1:]):
        return EvidenceStatus.CONFLICT
    if not fresh:
        return EvidenceStatus.STALE
    if answering:
        return EvidenceStatus.PRESENT
    return EvidenceStatus.ABSENT if closed_world else EvidenceStatus.UNKNOWN


def _values(need: Need, shape: DatasetShape, found: list[Any]) -> dict[str, Any]:
    return {
        name: _typed(value, shape.sql_type(name) or "text")
        for name, value in zip(need.fields, found, strict=True)
    }


def _typed(value: Any, sql_type: str) -> Any:
    """The value as Python has it; JSON carries dates and numbers as text or as themselves."""
    if value is None:
        return None
    kind = sql_type.partition("(")[0].strip().lower()
    if kind == "date":
        return date.fromisoformat(value)
    if kind.startswith("timestamp"):
        return datetime.fromisoformat(value)
    if kind in ("numeric", "decimal"):
        return Decimal(str(value))
    return UUID(value) if kind == "uuid" else value
