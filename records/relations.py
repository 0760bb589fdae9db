"""What the registers say about two subjects together: who is guardian of a child, who owns a business.

A relation is proven by identifiers in records that hold today and are fresh, never by likeness of names.
Invariant: `related` gives a relation only where nothing about it is stale, held, quarantined or contradicted;
`relation_evidence` says which of these it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import psycopg

from foundation import clock
from records.evidence import EASTERNMOST, EvidenceStatus
from records.identity import ConfirmedSubject
from records.relation_question import STATES, question
from records.shapes import DatasetShape, all_shapes
from records.tags import TagKey

__all__ = [
    "Relation",
    "RelationEvidence",
    "RelationKind",
    "RelationTarget",
    "related",
    "relation_evidence",
    "relations_together",
]

MAJORITY = 18
"""Age at which guardianship by parents ends (UU 35/2014 on child protection, UU 16/2019 on marriage)."""
_WARDS = frozenset({"child", "grandchild", "other_family"})
"""How a child must stand on the family card for its head to be their guardian."""


class RelationKind(StrEnum):
    """How a subject stands to what an application is about."""

    GUARDIAN_OF = "guardian_of"
    OWNER_OF = "owner_of"


@dataclass(frozen=True, slots=True)
class RelationTarget:
    """Whom or what the relation leads to.

    Attributes:
        kind: Slug of the identifier: `nik` of a child, `nib` of a business.
        value: The normalised number.
        tag: Its keyed tag (`RelationTarget.tagged`); with it, rows about the target that wait in quarantine
            or in a held batch are seen.
    """

    kind: str
    value: str = field(repr=False)
    tag: bytes | None = field(default=None, repr=False)

    @classmethod
    def tagged(cls, kind: str, value: str, tags: TagKey) -> RelationTarget:
        """The target with its tag."""
        return cls(kind, value, tags.subject(value))


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that was proven, and what it rests on.

    Attributes:
        kind: Which relation.
        target: Whom it leads to.
        grounds: Why, as slugs: `birth-deed`, `parent-in-registry`, `head-of-family`, `business`, `license`.
        record_ids: The records it rests on.
        datasets: The datasets of these records.
        as_of: The oldest of their sources' moments.
        fresh_until: When the first of them becomes stale.
    """

    kind: RelationKind
    target: RelationTarget
    grounds: tuple[str, ...]
    record_ids: tuple[int, ...]
    datasets: tuple[str, ...]
    as_of: datetime
    fresh_until: datetime


@dataclass(frozen=True, slots=True)
class RelationEvidence:
    """How far the registers' word about a relation can be relied on.

    `present` comes with the relation; `absent` says that fresh registers know the target and do not show the
    relation; anything else is no answer.
    """

    status: EvidenceStatus
    relation: Relation | None = None
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """A record that may prove something."""

    role: str
    record_id: int
    dataset: str
    values: Mapping[str, Any] = field(repr=False)
    disputed: bool


_Proof = tuple[str, tuple[_Row, ...]]
"""Why the relation holds, and the records that show it together."""


@dataclass(frozen=True, slots=True)
class _State:
    """Where a dataset stands."""

    source_time: datetime | None
    fresh_until: datetime | None
    quarantined: bool
    held: bool
    closed_world: bool


def related(
    connection: psycopg.Connection[Any],
    subject: ConfirmedSubject,
    relation: RelationKind | str,
    target: RelationTarget,
    *,
    now: datetime | None = None,
) -> Relation | None:
    """The relation, when open and fresh records prove it by identifiers; None in every other case.

    Args:
        connection: Connection in the API role.
        subject: The confirmed subject, who should be the guardian or the owner.
        relation: Which relation.
        target: The child's NIK or the business's NIB.
        now: The moment of the exchange.
    """
    return relation_evidence(connection, subject, relation, target, now=now).relation


def relation_evidence(
    connection: psycopg.Connection[Any],
    subject: ConfirmedSubject,
    relation: RelationKind | str,
    target: RelationTarget,
    *,
    now: datetime | None = None,
) -> RelationEvidence:
    """As `related`, telling a relation that does not hold from one about which nothing can be said."""
    return relations_together(connection, relation, [(subject, target)], now=now)[0]


def relations_together(
    connection: psycopg.Connection[Any],
    relation: RelationKind | str,
    asked: Sequence[tuple[ConfirmedSubject, RelationTarget]],
    *,
    now: datetime | None = None,
) -> list[RelationEvidence]:
    """One relation of several subjects, each to a target of their own, in one question to the database."""
    kind, moment = RelationKind(relation), now or clock.now()
    places = [place for place, (_, target) in enumerate(asked) if target.kind == _TARGETS[kind]]
    found = [RelationEvidence(EvidenceStatus.UNKNOWN)] * len(asked)
    if not places:
        return found
    shapes = tuple(each for each in all_shapes(connection) if each.record_type in _TYPES[kind])
    today = moment.astimezone(EASTERNMOST).date()
    states, rows = _asked(connection, kind, shapes, [asked[place] for place in places], today)
    judge = _guardianship if kind is RelationKind.GUARDIAN_OF else _ownership
    for number, place in enumerate(places):
        subject, target = asked[place]
        finding = judge(rows.get(number, []), subject.nik.value, today)
        found[place] = _judged(kind, target, finding, states.get(number, {}), moment)
    return found


@dataclass(frozen=True, slots=True)
class _Finding:
    """What the rows alone say: what proves the relation, whether they contradict it, whether all is known."""

    proofs: tuple[_Proof, ...]
    contradicted: bool = False
    known: bool = True


def _judged(
    kind: RelationKind,
    target: RelationTarget,
    found: _Finding,
    states: Mapping[str, _State],
    now: datetime,
) -> RelationEvidence:
    consulted = tuple(sorted(states))
    if found.contradicted:
        return RelationEvidence(EvidenceStatus.CONFLICT, datasets=consulted)
    fresh = [
        (ground, rows)
        for ground, rows in found.proofs
        if all(_usable(states[row.dataset], now) for row in rows)
    ]
    if fresh:
        used = {row.record_id: row.dataset for _, rows in fresh for row in rows}
        rests_on = [states[dataset] for dataset in set(used.values())]
        relation = Relation(
            kind,
            target,
            tuple(sorted({ground for ground, _ in fresh})),
            tuple(sorted(used)),
            tuple(sorted(set(used.values()))),
            min(each.source_time for each in rests_on if each.source_time),
            min(each.fresh_until for each in rests_on if each.fresh_until),
        )
        return RelationEvidence(EvidenceStatus.PRESENT, relation, consulted)
    return RelationEvidence(_without_proof(found, states.values(), now), datasets=consulted)


def _without_proof(found: _Finding, states: Iterable[_State], now: datetime) -> EvidenceStatus:
    """Why nothing is proven: the worst that is true of any register that could have proven it."""
    read = list(states)
    if any(each.quarantined for each in read):
        return EvidenceStatus.QUARANTINED
    if any(each.held for each in read):
        return EvidenceStatus.HELD
    if not read or any(each.fresh_until is None for each in read):
        return EvidenceStatus.UNKNOWN
    # whether a number exists is not told: where one register is complete, an unknown target is a stranger's
    if not found.known and not any(each.closed_world for each in read):
        return EvidenceStatus.UNKNOWN
    if any(each.fresh_until is None or now > each.fresh_until for each in read):
        return EvidenceStatus.STALE
    return EvidenceStatus.ABSENT


def _usable(state: _State, now: datetime) -> bool:
    fresh = state.fresh_until is not None and now <= state.fresh_until
    return fresh and not state.quarantined and not state.held


def _guardianship(rows: Sequence[_Row], guardian: str, today: date) -> _Finding:
    """A minor's mother or father by deed or registry, or the head of the family card they stand on.

    That registers contradict each other about a child is told only to whom some record shows as the guardian.
    """
    children, births = _of(rows, "child"), _of(rows, "birth")
    dates = {row.values["birth_date"] for row in (*children, *births)}
    # the age is not certain, or two persons bear one NIK
    contradicted = len(children) > 1 or len(dates) > 1 or any(row.disputed for row in (*children, *births))
    if not dates or (not contradicted and _age(date.fromisoformat(dates.pop()), today) >= MAJORITY):
        return _Finding((), known=bool(children or births))
    proofs: list[_Proof] = [("birth-deed", (row,)) for row in births if guardian in _parents(row)]
    proofs += [("parent-in-registry", (row,)) for row in children if guardian in _parents(row)]
    for child in children:
        if child.values["relationship_to_head"] in _WARDS:
            card = child.values["family_card_number"]
            proofs += [("head-of-family", (child, row)) for row in _heads(rows, guardian, card)]
    if contradicted:
        return _Finding((), contradicted=bool(proofs), known=bool(children))
    return _Finding(tuple(proofs), known=bool(children))


def _heads(rows: Sequence[_Row], guardian: str, card: str) -> Iterable[_Row]:
    """The records that say that the guardian heads the family card, unless one names another head."""
    families = [row for row in _of(rows, "family") if row.values["family_card_number"] == card]
    if any(row.values["head_nik"] != guardian for row in families):
        return []
    heads = [
        row
        for row in _of(rows, "guardian")
        if row.values["family_card_number"] == card and row.values["relationship_to_head"] == "head"
    ]
    return [*families, *heads]


def _ownership(rows: Sequence[_Row], owner: str, today: date) -> _Finding:
    """The business, or a license under its number, is registered on the owner's NIK."""
    del today
    businesses, licenses = _of(rows, "business"), _of(rows, "license")
    proofs = [(row.role, (row,)) for row in (*businesses, *licenses) if row.values["owner_nik"] == owner]
    if any(row.values["owner_nik"] not in (owner, None) for row in businesses):
        return _Finding((), contradicted=bool(proofs))
    return _Finding(tuple(proofs), known=bool(businesses or licenses))


def _parents(row: _Row) -> tuple[Any, Any]:
    return row.values["mother_nik"], row.values["father_nik"]


def _of(rows: Iterable[_Row], role: str) -> list[_Row]:
    return [row for row in rows if row.role == role]


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


_TARGETS = {RelationKind.GUARDIAN_OF: "nik", RelationKind.OWNER_OF: "nib"}
_TYPES = {
    RelationKind.GUARDIAN_OF: ("Person", "Birth", "Family"),
    RelationKind.OWNER_OF: ("Business", "License"),
}


def _asked(
    connection: psycopg.Connection[Any],
    kind: RelationKind,
    shapes: tuple[DatasetShape, ...],
    asked: Sequence[tuple[ConfirmedSubject, RelationTarget]],
    today: date,
) -> tuple[dict[int, dict[str, _State]], dict[int, list[_Row]]]:
    """Where the datasets stand for each, and what they say; in a pipeline the two travel together."""
    given: dict[str, Any] = {
        "person": list(range(len(asked))),
        "target": [target.value for _, target in asked],
        "identifier": [subject.nik.value for subject, _ in asked],
        "subject": [subject.keys.handle for subject, _ in asked],
        "tag": [subject.tag for subject, _ in asked],
        "target_tag": [target.tag or subject.tag for subject, target in asked],
        "today": today,
        "datasets": [each.dataset_id for each in shapes],
    }
    statement = question(str(kind), shapes)
    standing = connection.execute(STATES, given)
    saying = connection.execute(statement, given) if statement is not None else ()
    states: dict[int, dict[str, _State]] = {}
    for person, dataset, *state in standing:
        states.setdefault(person, {})[dataset] = _State(*state)
    rows: dict[int, list[_Row]] = {}
    for person, *row in saying:
        rows.setdefault(person, []).append(_Row(*row))
    return states, rows
