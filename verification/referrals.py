"""Referrals: what the bus alone cannot say yes to, a named office decides in time, with reasons, signed.

The clock counts working days and can be stopped while the applicant supplies something. A referral ends only
in an officer's decision, signed with the officer's own key and reasoned; the reasons are sealed under the
subject's key, and the entry commits to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.log import Promise, append
from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from consent.decision import Decision
from consent.exchange import ExchangeRequest
from foundation import clock
from verification.answers import seal
from verification.catalogue import Service
from verification.criteria import Outcome
from verification.errors import ReferralClosed, ReferralUnknown
from verification.officer_decision import OfficerDecision
from verification.outcomes import CriterionOutcome
from verification.working_days import deadline, working_days_between

Connection = psycopg.Connection[Any]


class ReferralState(StrEnum):
    """Where a referral stands."""

    OPEN = "open"
    STOPPED = "stopped"
    DECIDED = "decided"


@dataclass(frozen=True)
class Referral:
    """A referral as its owner sees it."""

    referral_id: UUID
    answer_id: UUID
    owner: str
    consumer: str
    service: str
    subject: SubjectHandle
    criteria: tuple[str, ...]
    opened_at: datetime
    due_at: datetime
    stopped_at: datetime | None = None
    decided_at: datetime | None = None
    verdict: str | None = None

    @property
    def state(self) -> ReferralState:
        """Open, stopped, or decided."""
        if self.decided_at is not None:
            return ReferralState.DECIDED
        return ReferralState.OPEN if self.stopped_at is None else ReferralState.STOPPED

    def is_overdue(self, at: datetime) -> bool:
        """Whether its time ran out undecided, with the clock running."""
        return self.state is ReferralState.OPEN and at > self.due_at


@dataclass(frozen=True)
class ClockEvent:
    """The clock was stopped or resumed, why (a code), and by whom."""

    name: str
    reason: str
    officer: str


def plan(
    service: Service, answer_id: UUID, request: ExchangeRequest, outcomes: Sequence[CriterionOutcome]
) -> Referral:
    """The referral that an answer announces; it exists once `open_referral` committed."""
    if request.subject is None:
        raise ValueError("only a question about a person is referred")
    terms = service.definition.referral
    return Referral(
        referral_id=uuid4(),
        answer_id=answer_id,
        owner=terms.owner,
        consumer=request.consumer,
        service=service.identifier,
        subject=request.subject,
        criteria=tuple(each.identifier for each in outcomes if each.outcome is not Outcome.MET),
        opened_at=request.at,
        due_at=deadline(request.at, terms.workingDays),
    )


_INSERT = """
INSERT INTO verification.referral
    (referral_id, answer_id, owner, consumer, service, subject, opened_at, due_at, criteria)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_INSERT_TOGETHER = """
INSERT INTO verification.referral
    (referral_id, answer_id, owner, consumer, service, subject, opened_at, due_at, criteria)
SELECT r.id, r.answer_id, r.owner, r.consumer, r.service, r.subject, r.opened_at, r.due_at,
       string_to_array(r.criteria, ' ')
  FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::timestamptz[],
              %s::timestamptz[], %s::text[])
       AS r (id, answer_id, owner, consumer, service, subject, opened_at, due_at, criteria)
"""
_COLUMNS = (
    "referral_id, answer_id, owner, consumer, service, subject, criteria, opened_at, due_at, stopped_at, "
    "decided_at, verdict"
)
_FIND = f"SELECT {_COLUMNS} FROM verification.referral WHERE referral_id = %s AND owner = %s"  # noqa: S608
_LIST = f"""
SELECT {_COLUMNS} FROM verification.referral
WHERE owner = %(owner)s AND decided_at IS NULL AND (due_at, referral_id) > (%(due_at)s, %(referral_id)s)
ORDER BY due_at, referral_id LIMIT %(limit)s
"""  # noqa: S608
_DECIDE = """
UPDATE verification.referral
SET decided_at = %s, verdict = %s, officer_id = %s, kid = %s, sealed = %s, entry_id = %s, stopped_at = NULL
WHERE referral_id = %s
"""
_CLOCK = "UPDATE verification.referral SET stopped_at = %s, due_at = %s WHERE referral_id = %s"
_EVENT = """
INSERT INTO verification.referral_clock (referral_id, position, event, at, reason, officer_id)
SELECT %(id)s, count(*) + 1, %(event)s, %(at)s, %(reason)s, %(officer)s
FROM verification.referral_clock WHERE referral_id = %(id)s
"""


def open_referral(connection: Connection, referral: Referral, decision: Decision, keys: SubjectKeys) -> None:
    """Store a referral and its entry in the transaction that stores the answer."""
    connection.execute(_INSERT, (*_values(referral), list(referral.criteria)))
    append(connection, opening_entry(referral, decision, keys))


def store_together(connection: Connection, opened: Sequence[Referral]) -> None:
    """Store several referrals in the transaction that stores their answers, and appends their entries."""
    columns = zip(*((*_values(each), " ".join(each.criteria)) for each in opened), strict=True)
    connection.execute(_INSERT_TOGETHER, [list(column) for column in columns])


def _values(referral: Referral) -> tuple[Any, ...]:
    return (
        referral.referral_id,
        referral.answer_id,
        referral.owner,
        referral.consumer,
        referral.service,
        referral.subject,
        referral.opened_at,
        referral.due_at,
    )


def opening_entry(referral: Referral, decision: Decision, keys: SubjectKeys) -> EntryDraft:
    """The entry that says that a referral was opened."""
    return EntryDraft(
        kind=EntryKind.REFERRAL_OPENED,
        consumer=referral.consumer,
        system=decision.request.system,
        purpose=decision.request.purpose,
        decision_id=decision.decision_id,
        outcome="opened",
        subject=keys,
        details={
            "referral": referral.referral_id,
            "service": referral.service,
            "answer": referral.answer_id,
            "owner": referral.owner,
            "deadline": referral.due_at,
        },
    )


def find(connection: Connection, referral_id: UUID, owner: str, *, locked: bool = False) -> Referral:
    """Find a referral of this owner; locked, nobody else changes it before the transaction ends.

    Raises:
        ReferralUnknown: When there is none, or another office owns it: the two look alike.
    """
    query = f"{_FIND} FOR UPDATE" if locked else _FIND
    row = connection.execute(query, (referral_id, owner)).fetchone()
    if row is None:
        raise ReferralUnknown("There is no such referral", remedy="List your open referrals")
    return _referral(row)


def open_referrals(
    connection: Connection, owner: str, *, after: tuple[datetime, UUID] | None = None, limit: int = 50
) -> list[Referral]:
    """The undecided referrals of an office, the most urgent first."""
    due_at, referral_id = after or ("-infinity", UUID(int=0))
    wanted = {"owner": owner, "due_at": due_at, "referral_id": referral_id, "limit": limit}
    return [_referral(row) for row in connection.execute(_LIST, wanted).fetchall()]


def stop_clock(connection: Connection, referral: Referral, reason: str, officer: str) -> Referral:
    """Stop the clock, for instance while the applicant supplies a document."""
    if referral.state is not ReferralState.OPEN:
        raise ReferralClosed("The clock does not run", remedy="Only the clock of an open referral stops")
    return _move_clock(
        connection, referral, ClockEvent("stopped", reason, officer), clock.now(), referral.due_at
    )


def resume_clock(connection: Connection, referral: Referral, reason: str, officer: str) -> Referral:
    """Let the clock run again; the working days it stood still are added to the deadline."""
    if referral.stopped_at is None or referral.decided_at is not None:
        raise ReferralClosed("The clock is not stopped", remedy="Only a stopped clock resumes")
    lost = working_days_between(referral.stopped_at, clock.now())
    due_at = deadline(referral.due_at, lost) if lost else referral.due_at
    return _move_clock(connection, referral, ClockEvent("resumed", reason, officer), None, due_at)


def decide_referral(
    connection: Connection, referral: Referral, decision: OfficerDecision, keys: SubjectKeys
) -> Promise:
    """End a referral with an officer's decision that `officer_decision.check` has verified.

    Call it in a transaction, with the referral found `locked`.

    Raises:
        ReferralClosed: When it was decided before.
    """
    if referral.state is ReferralState.DECIDED:
        raise ReferralClosed("The referral was decided already", remedy="Read the decision that stands")
    promise = append(
        connection,
        EntryDraft(
            kind=EntryKind.REFERRAL_DECIDED,
            consumer=referral.consumer,
            actor=decision.officer,
            outcome=str(decision.verdict),
            subject=keys,
            sealed={"reason": decision.reason, "signed": decision.signed},
            details={
                "referral": referral.referral_id,
                "service": referral.service,
                "answer": referral.answer_id,
                "owner": referral.owner,
                "key": decision.kid,
            },
        ),
    )
    sealed = seal(keys, referral.referral_id, {"reason": decision.reason, "signed": decision.signed})
    connection.execute(
        _DECIDE,
        (
            clock.now(),
            str(decision.verdict),
            decision.officer,
            decision.kid,
            sealed,
            promise.entry_id,
            referral.referral_id,
        ),
    )
    return promise


def _move_clock(
    connection: Connection,
    referral: Referral,
    event: ClockEvent,
    stopped_at: datetime | None,
    due_at: datetime,
) -> Referral:
    connection.execute(_CLOCK, (stopped_at, due_at, referral.referral_id))
    connection.execute(
        _EVENT,
        {
            "id": referral.referral_id,
            "event": event.name,
            "at": clock.now(),
            "reason": event.reason,
            "officer": event.officer,
        },
    )
    return find(connection, referral.referral_id, referral.owner)


def _referral(row: Sequence[Any]) -> Referral:
    values = list(row)
    values[6] = tuple(values[6])
    return Referral(*values)
