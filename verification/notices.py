"""Notices: what portals are owed, numbered, in order, until it was delivered or somebody gave it up.

Invariant: the numbers of a system's notices have no gaps and become visible in their order, because a number
is given under a row lock that is held until the commit; so a portal that remembers the last number it read
misses nothing. Of one application no notice is sent before an earlier one was delivered, dropped or
discarded.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import psycopg

from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from consent.decision import Decision
from foundation import clock
from verification.answers import AnswerRecord, seal, unseal
from verification.errors import NoticeUnknown
from verification.journey import Question

Connection = psycopg.Connection[Any]

CHANNEL = "lintas_notice"
"""PostgreSQL channel on which a new notice wakes the dispatchers."""


class NoticeState(StrEnum):
    """Where a notice stands."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"
    DISCARDED = "discarded"


@dataclass(frozen=True)
class Notice:
    """A notice: that an answer was reviewed. What is about the person is sealed under their key."""

    notice_id: UUID
    system: str
    consumer: str
    purpose: str
    needs_consent: bool
    subject: SubjectHandle
    number: int
    application: bytes = field(repr=False)
    answer_id: UUID
    review_id: UUID
    service: str
    sealed: bytes = field(repr=False)
    found_at: datetime
    queued_at: datetime
    until: datetime
    state: NoticeState
    due_at: datetime
    attempts: int
    last_error: str | None
    is_logged: bool
    ended_at: datetime | None

    @property
    def details(self) -> dict[str, Any]:
        """What entries about it say."""
        return {
            "notice": self.notice_id,
            "number": self.number,
            "answer": self.answer_id,
            "review": self.review_id,
            "service": self.service,
        }

    def references(self, keys: SubjectKeys) -> dict[str, str | None]:
        """The portal's own reference of the application, and the first answer of its line."""
        return unseal(keys, self.notice_id, self.sealed)


@dataclass(frozen=True)
class Owed:
    """What a review leaves to be told."""

    record: AnswerRecord
    question: Question
    decision: Decision
    keys: SubjectKeys
    found_at: datetime
    until: datetime


_COLUMNS = (
    "notice_id, system, consumer, purpose, needs_consent, subject, number, application, answer_id, "
    "review_id, service, sealed, found_at, queued_at, until, state, due_at, attempts, last_error, is_logged, "
    "ended_at"
)
_QUALIFIED = ", ".join(f"n.{name}" for name in _COLUMNS.split(", "))
_QUEUE = """
WITH stream AS (
    INSERT INTO verification.notice_stream AS s (system, last) VALUES (%(system)s, 1)
    ON CONFLICT (system) DO UPDATE SET last = s.last + 1 RETURNING last
)
INSERT INTO verification.notice (notice_id, system, consumer, purpose, needs_consent, subject, number,
    application, answer_id, review_id, service, sealed, found_at, queued_at, until, state, due_at)
SELECT %(notice_id)s, %(system)s, %(consumer)s, %(purpose)s, %(needs_consent)s, %(subject)s, last,
    %(application)s, %(answer_id)s, %(review_id)s, %(service)s, %(sealed)s, %(found_at)s, %(now)s, %(until)s,
    'queued', %(now)s FROM stream
"""
_CLAIM = f"""
SELECT {_QUALIFIED} FROM verification.notice n
  JOIN verification.webhook h ON h.system = n.system AND h.status = 'active'
 WHERE n.state = 'queued' AND n.due_at <= %(now)s AND n.system <> ALL(%(resting)s)
   AND NOT EXISTS (SELECT FROM verification.notice e WHERE e.system = n.system
        AND e.application = n.application AND e.state IN ('queued', 'dead') AND e.number < n.number)
 ORDER BY n.due_at, n.number LIMIT 1 FOR UPDATE OF n SKIP LOCKED
"""  # noqa: S608
_SAID_NO = """
EXISTS (SELECT FROM consent.consent c
         WHERE c.subject = n.subject AND c.consumer = n.consumer AND c.purpose = n.purpose
           AND (SELECT r.state FROM consent.consent_revision r WHERE r.consent_id = c.consent_id
                 ORDER BY r.revision DESC LIMIT 1) <> 'granted')
"""
_OBJECTED = f"""
SELECT {_QUALIFIED} FROM verification.notice n
 WHERE n.state = 'queued' AND n.needs_consent AND {_SAID_NO}
 ORDER BY n.number LIMIT 100 FOR UPDATE OF n SKIP LOCKED
"""  # noqa: S608
_LIST = f"""
SELECT {_COLUMNS} FROM verification.notice
 WHERE (%(system)s::text IS NULL OR system = %(system)s) AND (%(state)s::text IS NULL OR state = %(state)s)
 ORDER BY queued_at DESC, number DESC LIMIT %(limit)s
"""  # noqa: S608
_AFTER = f"""
SELECT {_QUALIFIED} FROM verification.notice n
 WHERE n.system = %s AND n.number > %s AND n.state NOT IN ('dropped', 'discarded')
   AND NOT (n.needs_consent AND {_SAID_NO}) ORDER BY n.number LIMIT %s
"""  # noqa: S608
_FIND = f"SELECT {_COLUMNS} FROM verification.notice WHERE notice_id = %s"  # noqa: S608


def queue(connection: Connection, secret: bytes, owed: Owed) -> UUID:
    """Owe a portal the notice of a review, in the transaction that stores the new answer; call it last."""
    notice_id, record, question = uuid4(), owed.record, owed.question
    references = {"application": question.case_number, "origin": str(question.origin)}
    connection.execute(
        _QUEUE,
        {
            "notice_id": notice_id,
            "system": record.system,
            "consumer": record.consumer,
            "purpose": record.purpose,
            "needs_consent": owed.decision.consent is not None,
            "subject": record.subject,
            "application": application_tag(secret, record.system, question),
            "answer_id": question.reviews,
            "review_id": record.answer_id,
            "service": record.service,
            "sealed": seal(owed.keys, notice_id, references),
            "found_at": owed.found_at,
            "until": owed.until,
            "now": clock.now(),
        },
    )
    connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return notice_id


def application_tag(secret: bytes, system: str, question: Question) -> bytes:
    """What notices of one application have in common, without saying which application it is."""
    named = question.case_number or str(question.origin)
    return hmac.digest(secret, f"application\x00{system}\x00{named}".encode(), "sha256")


def claim(connection: Connection, now: datetime, resting: Sequence[str] = ()) -> Notice | None:
    """Lock the next notice that may be sent now; it is this transaction's until the transaction ends."""
    row = connection.execute(_CLAIM, {"now": now, "resting": list(resting)}).fetchone()
    return _notice(row) if row else None


def objected(connection: Connection) -> list[Notice]:
    """Lock queued notices about people who took their consent back."""
    return [_notice(row) for row in connection.execute(_OBJECTED).fetchall()]


def settle(connection: Connection, notice: Notice, state: NoticeState, problem: str | None = None) -> None:
    """End a notice."""
    connection.execute(
        "UPDATE verification.notice SET state = %s, attempts = %s, last_error = %s, is_logged = %s,"
        " ended_at = %s WHERE notice_id = %s",
        (str(state), notice.attempts, problem, notice.is_logged, clock.now(), notice.notice_id),
    )


def postpone(connection: Connection, notice: Notice, due_at: datetime, problem: str) -> None:
    """Let a notice wait until a moment."""
    connection.execute(
        "UPDATE verification.notice SET due_at = %s, attempts = %s, last_error = %s, is_logged = %s"
        " WHERE notice_id = %s",
        (due_at, notice.attempts, problem, notice.is_logged, notice.notice_id),
    )


def requeue(connection: Connection, notice: Notice) -> None:
    """Let a notice be sent from the beginning, under its own id and number."""
    connection.execute(
        "UPDATE verification.notice SET state = 'queued', due_at = %s, attempts = 0, is_logged = false,"
        " ended_at = NULL WHERE notice_id = %s",
        (clock.now(), notice.notice_id),
    )


def find(connection: Connection, notice_id: UUID, *, locked: bool = False) -> Notice:
    """Find a notice.

    Raises:
        NoticeUnknown: When there is none.
    """
    row = connection.execute(f"{_FIND} FOR UPDATE" if locked else _FIND, (notice_id,)).fetchone()
    if row is None:
        raise NoticeUnknown("There is no such notice", remedy="`lintas notices list` shows them")
    return _notice(row)


def listed(
    connection: Connection, *, system: str | None = None, state: str | None = None, limit: int = 50
) -> list[Notice]:
    """Notices, the newest first."""
    wanted = {"system": system, "state": state, "limit": limit}
    return [_notice(row) for row in connection.execute(_LIST, wanted).fetchall()]


def after(connection: Connection, system: str, number: int, limit: int) -> list[Notice]:
    """The notices of a system after a number, in their order."""
    return [_notice(row) for row in connection.execute(_AFTER, (system, number, limit)).fetchall()]


def _notice(row: Sequence[Any]) -> Notice:
    values = list(row)
    values[15] = NoticeState(values[15])
    return Notice(*values)
