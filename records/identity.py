"""Who a number stands for: confirming an applicant, and linking records to subjects.

Invariant: nobody learns whether a number exists, or which element failed. A handle is minted only for a
person who was confirmed, so trying numbers leaves no trace of a person anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from audit.entry import EntryDraft, EntryKind
from audit.erasure.suppression import lock_key
from audit.log import append
from audit.subjects.subject_keys import SubjectKeys
from foundation import clock, pipelines
from records.errors import SubjectNotMatched, TooManyAttempts
from records.names import same_name
from records.shapes import DatasetShape, all_shapes
from records.tags import TagKey
from schemas.identifiers import FamilyCardNumber, Nik

if TYPE_CHECKING:
    from audit.subjects.vault import Vault

__all__ = [
    "ATTEMPTS",
    "ATTEMPT_WINDOW",
    "CONSUMER_ATTEMPTS",
    "Applicant",
    "ConfirmedSubject",
    "Link",
    "confirm",
    "count_attempt",
    "links_of",
    "not_matched",
    "relink",
    "require_attempts_left",
    "sever",
]

ATTEMPTS = 5
"""Failed attempts on one number by one consumer before it is refused."""
CONSUMER_ATTEMPTS = 200
"""Failed attempts by one consumer, on whatever numbers, before it is refused."""
ATTEMPT_WINDOW = timedelta(minutes=15)
"""How long failed attempts count."""

_BY_IDENTIFIER = "the record carries the subject's number"


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who an application says it is about: a number, and a second element that tells more than the number."""

    nik: Nik = field(repr=False)
    name: str | None = field(default=None, repr=False)
    birth_date: date | None = field(default=None, repr=False)
    family_card_number: FamilyCardNumber | None = field(default=None, repr=False)

    @property
    def has_second_element(self) -> bool:
        """Whether anything is given that the number does not tell: its digits 7 to 12 are the birth date."""
        return self.name is not None or self.family_card_number is not None


@dataclass(frozen=True, slots=True)
class ConfirmedSubject:
    """A person whose number and second element matched."""

    keys: SubjectKeys
    nik: Nik = field(repr=False)
    tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """That a record is about a subject, since when, why, and on whose word."""

    link_id: int
    record_id: int
    dataset_id: str
    recorded_from: datetime
    recorded_to: datetime | None
    why: str
    score: int
    made_by: str


def confirm(
    connection: psycopg.Connection[Any], vault: Vault, applicant: Applicant, consumer: str = ""
) -> ConfirmedSubject:
    """Confirm that the number and every second element given belong to one registered person.

    Commits by itself: a failed attempt counts even though the caller's work is undone. Call it outside a
    transaction.

    Args:
        connection: Connection in the API role, in autocommit.
        vault: Where handles are minted.
        applicant: Who is asked about.
        consumer: The agency that asks; attempts are counted by consumer and number.

    Raises:
        SubjectNotMatched: When the number is unknown, or an element is missing or does not match;
            one error for all.
        TooManyAttempts: When this consumer failed too often, on this number or over all.
    """
    now, tags = clock.now(), TagKey.of(vault.keyring)
    tag = tags.subject(applicant.nik.value)
    keys: SubjectKeys | None = None
    with pipelines.transaction(connection):
        _one_attempt_at_a_time(connection, tag, consumer)
        _not_while_erased(connection, tag)
        people, failures, over_all = _look_up(connection, applicant.nik.value, tag, consumer, now)
        refused = failures >= ATTEMPTS or over_all >= CONSUMER_ATTEMPTS
        if not refused and any(_matches(applicant, person) for person in people):
            keys = vault.handle_for("nik", applicant.nik.value)
            link_by_identifier(connection, keys, applicant.nik.value, now)
        elif not refused:
            count_attempt(connection, [tag], consumer, now)
    if refused:
        raise _too_many()
    if keys is None:
        raise not_matched()
    return ConfirmedSubject(keys, applicant.nik, tag)


def not_matched() -> SubjectNotMatched:
    """The one refusal for everybody who is not known, whatever the reason."""
    return SubjectNotMatched(
        "No person was found whose number and second element match",
        remedy="Check the number and the second element with the applicant",
    )


def require_attempts_left(
    connection: psycopg.Connection[Any], tags: Sequence[bytes], consumer: str, now: datetime
) -> None:
    """Refuse a consumer that tried too often in vain, one of these or over all.

    Others who try one of these at the same moment wait for the transaction to end, so that all are counted.

    Args:
        connection: In the transaction in which `count_attempt` counts.
        tags: What an attempt counts on: the number named, the applicant who names it.
        consumer: The agency that asks.
        now: The moment.

    Raises:
        TooManyAttempts: When it did.
    """
    asked = {"consumer": consumer, "since": now - ATTEMPT_WINDOW}
    for tag in sorted(tags):
        _one_attempt_at_a_time(connection, tag, consumer)
    for found in [connection.execute(f"SELECT {_FAILURES}", {**asked, "tag": tag}) for tag in tags]:
        row = found.fetchone()
        if row is not None and (row[0] >= ATTEMPTS or row[1] >= CONSUMER_ATTEMPTS):
            raise _too_many()


def count_attempt(
    connection: psycopg.Connection[Any],
    tags: Sequence[bytes],
    consumer: str,
    now: datetime,
    *,
    counts_over_all: bool = True,
) -> None:
    """Count an attempt in vain, in the caller's transaction.

    Args:
        connection: In a transaction, after `require_attempts_left`.
        tags: What it counts on.
        consumer: The agency that asks.
        now: The moment.
        counts_over_all: Whether it brings the consumer nearer to being refused whatever it asks about.
    """
    counted = {"consumer": consumer, "now": now, "since": now - ATTEMPT_WINDOW}
    for tag in sorted(tags):
        connection.execute(_COUNT_ON_NUMBER, {**counted, "tag": tag})
    connection.execute("SELECT identity.forget_attempts(%(since)s)", counted)
    if counts_over_all:
        connection.execute(_COUNT_OVER_ALL, counted)  # last: all failures of a consumer wait for this row


def _too_many() -> TooManyAttempts:
    seconds = int(ATTEMPT_WINDOW.total_seconds())
    return TooManyAttempts(
        "Too many attempts were made without a match",
        remedy=f"Wait {seconds // 60} minutes, or see the applicant at a counter",
        retry_after=seconds,
    )


def link_by_identifier(
    connection: psycopg.Connection[Any], keys: SubjectKeys, identifier: str, now: datetime
) -> None:
    """Link every record that carries the number to its subject, unless a person has cut that link."""
    linking = _linking(all_shapes(connection))
    if linking is not None:
        given = {"identifier": identifier, "subject": keys.handle, "now": now, "why": _BY_IDENTIFIER}
        connection.execute(linking, given)


@lru_cache(maxsize=16)
def _linking(shapes: tuple[DatasetShape, ...]) -> bytes | None:
    tables = {shape.table_name: shape for shape in shapes if shape.subject_column}
    if not tables:
        return None
    named = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT record_id, dataset FROM {} WHERE {} = %(identifier)s").format(
            shape.table, sql.Identifier(shape.subject_column or "")
        )
        for shape in tables.values()
    )
    query = sql.SQL(
        "INSERT INTO identity.link (record_id, dataset_id, subject_id, recorded_from, why, score, made_by)"
        " SELECT r.record_id, r.dataset, %(subject)s, %(now)s, %(why)s, 1000, 'lintas' FROM ({named}) r"
        " WHERE NOT EXISTS (SELECT FROM identity.link l WHERE l.subject_id = %(subject)s"
        " AND l.record_id = r.record_id AND l.recorded_to IS NULL)"
        " AND NOT EXISTS (SELECT FROM identity.severance c WHERE c.subject_id = %(subject)s"
        " AND c.record_id = r.record_id AND c.recorded_to IS NULL)"
        " ON CONFLICT (subject_id, record_id) WHERE recorded_to IS NULL DO NOTHING"
    )
    return query.format(named=named).as_bytes(None)


def links_of(
    connection: psycopg.Connection[Any], keys: SubjectKeys, *, at: datetime | None = None
) -> list[Link]:
    """The links of a subject as they are, or as they were known at a moment."""
    rows = connection.execute(
        "SELECT link_id, record_id, dataset_id, recorded_from, recorded_to, why, score, made_by FROM"
        " identity.link"
        " WHERE subject_id = %(subject)s AND recorded_from <= %(at)s"
        " AND (recorded_to IS NULL OR recorded_to > %(at)s) ORDER BY link_id",
        {"subject": keys.handle, "at": at or clock.now()},
    )
    return [Link(*row) for row in rows]


def sever(
    connection: psycopg.Connection[Any], keys: SubjectKeys, record_id: int, *, actor: str, why: str
) -> None:
    """Cut a record loose from a subject: it gives no evidence about them, whatever number it carries."""
    now = clock.now()
    given = {"subject": keys.handle, "record": record_id, "now": now, "actor": actor, "why": why}
    connection.execute(
        "UPDATE identity.link SET recorded_to = %(now)s, ended_by = %(actor)s, ended_why = %(why)s"
        " WHERE subject_id = %(subject)s AND record_id = %(record)s AND recorded_to IS NULL",
        given,
    )
    connection.execute(
        "INSERT INTO identity.severance (subject_id, record_id, recorded_from, why, made_by)"
        " VALUES (%(subject)s, %(record)s, %(now)s, %(why)s, %(actor)s) ON CONFLICT DO NOTHING",
        given,
    )
    append(
        connection,
        EntryDraft(
            kind=EntryKind.IDENTITY_UNLINKED,
            actor=actor,
            outcome="severed",
            subject=keys,
            details={"reason": why},
        ),
    )


def relink(
    connection: psycopg.Connection[Any],
    keys: SubjectKeys,
    record_id: int,
    dataset_id: str,
    *,
    actor: str,
    why: str,
) -> None:
    """Undo `sever`: a person says that the record is about the subject after all."""
    now = clock.now()
    given = {
        "subject": keys.handle, "record": record_id, "dataset": dataset_id, "now": now, "actor": actor,
        "why": why,
    }  # fmt: skip
    connection.execute(
        "UPDATE identity.severance SET recorded_to = %(now)s, ended_by = %(actor)s"
        " WHERE subject_id = %(subject)s AND record_id = %(record)s AND recorded_to IS NULL",
        given,
    )
    connection.execute(
        "INSERT INTO identity.link (record_id, dataset_id, subject_id, recorded_from, why, score, made_by)"
        " VALUES (%(record)s, %(dataset)s, %(subject)s, %(now)s, %(why)s, 1000, %(actor)s)"
        " ON CONFLICT (subject_id, record_id) WHERE recorded_to IS NULL DO NOTHING",
        given,
    )
    append(
        connection,
        EntryDraft(
            kind=EntryKind.IDENTITY_LINKED, actor=actor, outcome="linked", subject=keys,
            details={"reason": why, "method": "confirmed", "score": 1000},
        ),
    )  # fmt: skip


def _look_up(
    connection: psycopg.Connection[Any], identifier: str, tag: bytes, consumer: str, now: datetime
) -> tuple[list[Mapping[str, Any]], int, int]:
    """The persons who carry the number, and this consumer's failures on it and over all, in one question."""
    rows = connection.execute(
        _looking_up(all_shapes(connection)),
        {
            "identifier": identifier,
            "tag": tag,
            "consumer": consumer,
            "since": now - ATTEMPT_WINDOW,
            "today": now.date(),
        },
    ).fetchall()
    people: list[Mapping[str, Any]] = [
        {"name": row[3], "birth_date": row[4], "family_card_number": row[5]}
        for row in rows
        if row[3] is not None and not row[2]  # whoever was erased is not known any more
    ]
    return people, rows[0][0], rows[0][1]


@lru_cache(maxsize=16)
def _looking_up(shapes: tuple[DatasetShape, ...]) -> bytes:
    tables = {shape.table_name: shape for shape in shapes if shape.record_type == "Person"}
    found = sql.SQL(" UNION ALL ").join(map(_people, tables.values())) if tables else _nobody()
    query = sql.SQL(
        "SELECT {failures}, EXISTS (SELECT FROM audit.suppression WHERE tag = %(tag)s),"
        " p.name, p.birth_date, p.family_card_number"
        " FROM (VALUES (1)) one LEFT JOIN ({found}) p ON true"
    )
    return query.format(failures=sql.SQL(_FAILURES), found=found).as_bytes(None)


_FAILURES = (
    "coalesce((SELECT failures FROM identity.attempt WHERE subject_tag = %(tag)s"
    " AND consumer = %(consumer)s AND window_start > %(since)s), 0),"
    " coalesce((SELECT failures FROM identity.consumer_attempt WHERE consumer = %(consumer)s"
    " AND window_start > %(since)s), 0)"
)


def _people(shape: DatasetShape) -> sql.Composed:
    return sql.SQL(
        "SELECT name, birth_date, family_card_number FROM {} WHERE {} = %(identifier)s"
        " AND (valid_to IS NULL OR valid_to > %(today)s)"
    ).format(shape.table, sql.Identifier(shape.subject_column or ""))


def _nobody() -> sql.Composed:
    return sql.SQL(
        "SELECT NULL::text AS name, NULL::date AS birth_date, NULL::text AS family_card_number WHERE false"
    ).format()


def _matches(applicant: Applicant, person: Mapping[str, Any]) -> bool:
    """Every element given must match, a second one among them; all are compared, whatever the first says."""
    results = list(_compared(applicant, person))
    return applicant.has_second_element and all(results)


def _compared(applicant: Applicant, person: Mapping[str, Any]) -> Iterable[bool]:
    if applicant.name is not None:
        yield same_name(applicant.name, person["name"])
    if applicant.birth_date is not None:
        yield applicant.birth_date == person["birth_date"]
    if applicant.family_card_number is not None:
        known = (person["family_card_number"] or "").encode()
        yield hmac.compare_digest(applicant.family_card_number.value.encode(), known)


def _one_attempt_at_a_time(connection: psycopg.Connection[Any], tag: bytes, consumer: str) -> None:
    """Many attempts at once must not all see the count that was there before the first of them failed."""
    key = hashlib.sha256(b"attempt\x00" + tag + consumer.encode()).digest()[:8]
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(key, signed=True)])


def _not_while_erased(connection: psycopg.Connection[Any], tag: bytes) -> None:
    """An erasure of the person waits for this transaction, or this one sees that they are suppressed."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [lock_key(tag)])


_ONE_MORE = """
DO UPDATE SET failures = CASE WHEN a.window_start > %(since)s THEN a.failures + 1 ELSE 1 END,
    window_start = CASE WHEN a.window_start > %(since)s THEN a.window_start ELSE %(now)s END
"""
_COUNT_ON_NUMBER = f"""
INSERT INTO identity.attempt AS a (subject_tag, consumer, window_start, failures)
VALUES (%(tag)s, %(consumer)s, %(now)s, 1) ON CONFLICT (subject_tag, consumer) {_ONE_MORE}
"""  # noqa: S608
_COUNT_OVER_ALL = f"""
INSERT INTO identity.consumer_attempt AS a (consumer, window_start, failures)
VALUES (%(consumer)s, %(now)s, 1) ON CONFLICT (consumer) {_ONE_MORE}
"""  # noqa: S608
