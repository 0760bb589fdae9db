"""Evidence: what the registers say about a confirmed subject, and how far that can be relied on.

Read straight from the record tables by identifier, so what was published a moment ago counts at once.
Invariant: `absent` is said only of a closed-world dataset that is fresh and from which no row about the
subject waits in quarantine or in a held batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg

from records.evidence_question import question
from records.identity import ConfirmedSubject
from records.shapes import DatasetShape, shapes_of

__all__ = [
    "SELF",
    "About",
    "Contradiction",
    "Evidence",
    "EvidenceStatus",
    "Need",
    "evidence",
    "evidence_together",
    "not_related",
]

EASTERNMOST = timezone(timedelta(hours=9))
"""Eastern Indonesia: a day has begun for a record when it has begun anywhere in the country."""


class EvidenceStatus(StrEnum):
    """How far a register's word about a subject can be relied on."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    STALE = "stale"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    HELD = "held"
    NOT_RELATED = "not_related"
    SOURCE_DOWN = "source_down"


SELF = "self"
"""The relation of the applicant to themselves."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a service needs to know: some fields of one dataset, under a name of its own.

    Attributes:
        name: What criteria call it.
        dataset_id: The dataset.
        fields: The fields looked at.
        relation: Whom it is about, as seen from the applicant: `self`, `guardian_of`, `owner_of`.
        target_field: The field that must carry the number that the relation leads to (the NIB of a business).
        latest_by: What tells which of a subject's records counts; the dataset's own order when empty.
        maximum_age: How old a reading may be, where the service allows less than the contract.
    """

    name: str
    dataset_id: str
    fields: tuple[str, ...]
    relation: str = SELF
    target_field: str | None = None
    latest_by: tuple[str, ...] = ()
    maximum_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class About:
    """Whom the evidence of one relation is about, and of which thing of theirs where it is about a thing."""

    subject: ConfirmedSubject
    target: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """That two registers tell one field of the subject differently; never what they tell."""

    field: str
    datasets: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one dataset says about one subject.

    Attributes:
        need: The need it answers.
        status: How far it can be relied on.
        values: The needed fields of the record, but for those that another register contradicts; empty
            unless exactly one record answers.
        provider: The agency whose word it is.
        dataset: The dataset.
        as_of: Moment of the source that was read last.
        fresh_until: When it becomes stale.
        contract_version: Contract under which it was published.
        record_ids: The records it rests on; none when the source was asked live.
        live: Whether the source was asked for it just now.
        contradictions: Needed fields that another register tells differently; the status is `conflict` then.
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
    live: bool = False
    contradictions: tuple[Contradiction, ...] = ()

    @property
    def contested(self) -> frozenset[str]:
        """Needed fields on which registers disagree; all of them where none can be relied on."""
        if not self.contradictions:
            return frozenset()
        return frozenset({each.field for each in self.contradictions} if self.values else self.need.fields)


def evidence(
    connection: psycopg.Connection[Any],
    subject: ConfirmedSubject,
    needs: Sequence[Need],
    now: datetime,
    related: Mapping[str, About] | None = None,
) -> dict[str, Evidence]:
    """Gather the evidence for all needs in one question to the database.

    What is about somebody to whom no relation was proven is not asked for at all.

    Args:
        connection: Connection in the API role.
        subject: The confirmed subject.
        needs: What is needed, by name.
        now: The moment of the exchange.
        related: Whom the proven relations lead to, by relation.

    Raises:
        NeedUnknown: When a need names a field that its dataset does not have.
    """
    return evidence_together(connection, [{**(related or {}), SELF: About(subject)}], needs, now)()[0]


def evidence_together(
    connection: psycopg.Connection[Any],
    abouts: Sequence[Mapping[str, About]],
    needs: Sequence[Need],
    now: datetime,
) -> Callable[[], list[dict[str, Evidence]]]:
    """Gather the evidence about several applicants in one question to the database.

    Args:
        connection: Connection in the API role.
        abouts: For each applicant, whom the relations lead to: `self`, and the same proven ones for all.
        needs: What is needed of each, by name.
        now: The moment of the exchange.

    Returns:
        What gives the evidence about each by the names of the needs; calling it waits for the answer.

    Raises:
        NeedUnknown: When a need names a field that its dataset does not have.
    """
    asked = _ask(connection, abouts, needs, now, fresh=False)

    def told() -> list[dict[str, Evidence]]:
        rows = asked()
        if rows is None:  # a contract changed since this process last looked
            rows = _ask(connection, abouts, needs, now, fresh=True)() or {}
        return [
            {
                need.name: _judged(need, rows.get((person, number)), now)
                if need.relation in about
                else not_related(need)
                for number, need in enumerate(needs)
            }
            for person, about in enumerate(abouts)
        ]

    return told


def not_related(need: Need, status: EvidenceStatus = EvidenceStatus.NOT_RELATED) -> Evidence:
    """What is said of a need about somebody to whom no relation was proven: nothing."""
    return Evidence(need, status, {}, need.dataset_id.partition("/")[0], need.dataset_id)


_Found = tuple[DatasetShape, tuple[Any, ...]]


def _ask(
    connection: psycopg.Connection[Any],
    abouts: Sequence[Mapping[str, About]],
    needs: Sequence[Need],
    now: datetime,
    *,
    fresh: bool,
) -> Callable[[], dict[tuple[int, int], _Found] | None]:
    """Ask; what it returns gives what was found for each person and need, by their places."""
    shapes = shapes_of(connection, [need.dataset_id for need in needs], fresh=fresh)
    known = tuple(
        (number, need, shapes[need.dataset_id])
        for number, need in enumerate(needs)
        if need.dataset_id in shapes and need.relation in abouts[0]
    )
    if not known:
        return dict
    relations = tuple(sorted(abouts[0]))
    given: dict[str, Any] = {"today": now.astimezone(EASTERNMOST).date(), "person": list(range(len(abouts)))}
    for relation in relations:
        of = [about[relation] for about in abouts]
        given[f"identifier_{relation}"] = [each.subject.nik.value for each in of]
        given[f"subject_{relation}"] = [each.subject.keys.handle for each in of]
        given[f"tag_{relation}"] = [each.subject.tag for each in of]
        given[f"target_{relation}"] = [each.target for each in of]
    cursor = connection.execute(question(known, relations), given)

    def found() -> dict[tuple[int, int], _Found] | None:
        hashes = {number: shape for number, _, shape in known}
        standing: dict[tuple[int, int], tuple[Any, ...]] = {}
        records: dict[tuple[int, int], Any] = {}
        for person, number, *row in cursor.fetchall():
            if number is not None:
                standing[person, number] = tuple(row)
                continue
            for (asked, _, _), told in zip(known, row[-2], strict=True):
                records[person, asked] = told
        asked_under = {(number, row[0]) for (_, number), row in standing.items()}
        if not fresh and asked_under != {(number, shape.contract_hash) for number, shape in hashes.items()}:
            return None
        return {
            (person, number): (hashes[number], (*row[:-2], records[person, number], row[-1]))
            for (person, number), row in standing.items()
        }

    return found


def _judged(need: Need, found: _Found | None, now: datetime) -> Evidence:
    provider = need.dataset_id.partition("/")[0]
    if found is None or found[1][4] is None:
        seen_from = found[1][-1] if found else None
        return Evidence(need, EvidenceStatus.UNKNOWN, {}, provider, need.dataset_id, seen_from=seen_from)
    shape, (_, agency, closed_world, freshness, source_time, version, quarantined, held, records, horizon) = (
        found
    )
    answering = _answering(records or [])
    contradictions = _told(answering)
    fresh_until = source_time + min(freshness, need.maximum_age or freshness)
    status = _status(
        answering, closed_world=closed_world, fresh=now <= fresh_until, quarantined=quarantined, held=held
    )
    one = answering[0] if answering and all(each[1] == answering[0][1] for each in answering) else None
    if contradictions and status in (EvidenceStatus.PRESENT, EvidenceStatus.STALE):
        one = one if status is EvidenceStatus.PRESENT else None
        status = EvidenceStatus.CONFLICT
    values = _values(need, shape, one[1]) if one else {}
    return Evidence(
        need=need,
        status=status,
        values={name: values[name] for name in values.keys() - {each.field for each in contradictions}},
        provider=agency,
        dataset=need.dataset_id,
        as_of=source_time,
        fresh_until=fresh_until,
        contract_version=version,
        record_ids=tuple(record[0] for record in answering),
        seen_from=horizon,
        contradictions=contradictions,
    )


def _told(answering: list[list[Any]]) -> tuple[Contradiction, ...]:
    """The contradictions about the answering records, each once, the two registers in order."""
    found = {(field, *sorted(named)) for record in answering for field, *named in record[3] or ()}
    return tuple(Contradiction(field, (one, other)) for field, one, other in sorted(found))


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
