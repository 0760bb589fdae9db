"""Erasure, up to its approval: a request with a ground, a second officer, holds, and the retention check.

```
requested ──approve──> approved ──run──> erasing ──run──> erased
    └──────reject──────────┴──> rejected
```

Invariants: who approves is never who asked (the table says so, too). Nothing is approved, or begun, while
a hold on the person is open or an exchange about them is younger than the retention period. Whoever released
a hold neither asks for nor approves the erasure that it stood against, and the other way round. Each step is
one transaction with its entry. A rejected or carried-out request no longer says whom it was about.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from psycopg import Connection

from audit.entry import EntryDraft, EntryKind
from audit.erasure.grounds import ErasureGround, HoldGround
from audit.errors import ErasureRefused
from audit.log import append
from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from foundation import clock

__all__ = [
    "ErasureRequest",
    "ErasureState",
    "LegalHold",
    "agency_of_hold",
    "approve",
    "find_request",
    "holds",
    "lock_subject",
    "place_hold",
    "reject",
    "release_hold",
    "request_erasure",
    "requests",
    "require_erasable",
    "subject_of_hold",
]


class ErasureState(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    ERASING = "erasing"
    ERASED = "erased"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """A request that a person be erased; `subject` is forgotten with the person."""

    request_id: UUID
    subject: SubjectHandle | None
    ground: ErasureGround
    state: ErasureState
    requested_by: str
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    ended_at: datetime | None
    records: int

    @property
    def details(self) -> dict[str, Any]:
        """What entries say about it."""
        return {
            "request": str(self.request_id),
            "ground": str(self.ground),
            "instrument": self.ground.instrument,
        }


@dataclass(frozen=True, slots=True)
class LegalHold:
    """That a person's data must be kept, whoever asks that it be erased."""

    hold_id: UUID
    ground: HoldGround
    placed_by: str
    placed_at: datetime
    released_by: str | None
    released_at: datetime | None


def request_erasure(
    connection: Connection[Any],
    subject: SubjectKeys,
    ground: ErasureGround,
    *,
    officer: str,
    retention: timedelta,
) -> ErasureRequest:
    """Ask that a person be erased.

    Args:
        connection: Connection of the steward's role, in a transaction.
        subject: The person's keys.
        ground: Why the law asks for it.
        officer: Pseudonym of the officer who asks.
        retention: How long exchanges must be kept.

    Raises:
        ErasureRefused: When a request is open already, a hold stands against it, the officer released one, or
            an exchange is too young.
    """
    lock_subject(connection, subject.handle)
    _refuse_releaser(connection, subject, officer)
    require_erasable(connection, subject, retention)
    now = clock.now()
    row = connection.execute(
        "INSERT INTO audit.erasure (request_id, subject, ground, requested_by, requested_at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING request_id",
        [uuid4(), subject.handle, str(ground), officer, now],
    ).fetchone()
    if row is None:
        raise ErasureRefused(
            "An erasure of this person was asked for already",
            remedy="See `lintas audit erase list`; a second officer approves or rejects it",
        )
    found = find_request(connection, row[0])
    _log(connection, EntryKind.ERASURE_REQUESTED, officer, found.details, subject)
    return found


def approve(
    connection: Connection[Any],
    request_id: UUID,
    subject: SubjectKeys,
    *,
    officer: str,
    retention: timedelta,
) -> ErasureRequest:
    """Approve, as a second officer.

    Raises:
        ErasureRefused: When the officer asked for it or released a hold, it is not open, a hold stands
            against it, or an exchange is too young.
    """
    lock_subject(connection, subject.handle)
    found = _require(connection, request_id, ErasureState.REQUESTED)
    if found.requested_by == officer:
        raise ErasureRefused(
            "Who asked for an erasure cannot approve it", remedy="Let another officer approve it"
        )
    _refuse_releaser(connection, subject, officer)
    require_erasable(connection, subject, retention)
    return _decide(connection, found, subject, ErasureState.APPROVED, officer)


def reject(
    connection: Connection[Any], request_id: UUID, subject: SubjectKeys | None, *, officer: str
) -> ErasureRequest:
    """Reject a request, or withdraw one's own.

    Raises:
        ErasureRefused: When it is being carried out or ended.
    """
    found = _require(connection, request_id, ErasureState.REQUESTED, ErasureState.APPROVED)
    return _decide(connection, found, subject, ErasureState.REJECTED, officer)


def place_hold(
    connection: Connection[Any], subject: SubjectKeys, ground: HoldGround, *, officer: str
) -> LegalHold:
    """Say that a person's data must be kept.

    Raises:
        ErasureRefused: When the person is being erased: too late.
    """
    lock_subject(connection, subject.handle)
    begun = connection.execute(
        "SELECT 1 FROM audit.erasure WHERE subject = %s AND state = 'erasing'", [subject.handle]
    ).fetchone()
    if begun is not None:
        raise ErasureRefused("The person is being erased; nothing is left to hold")
    hold_id = uuid4()
    connection.execute(
        "INSERT INTO audit.legal_hold (hold_id, subject, ground, placed_by, placed_at)"
        " VALUES (%s, %s, %s, %s, %s)",
        [hold_id, subject.handle, str(ground), officer, clock.now()],
    )
    details = {"hold": str(hold_id), "ground": str(ground), "instrument": ground.instrument}
    _log(connection, EntryKind.HOLD_PLACED, officer, details, subject)
    return _hold(connection, hold_id)


def release_hold(
    connection: Connection[Any], hold_id: UUID, *, officer: str, subject: SubjectKeys | None = None
) -> LegalHold:
    """Release a hold; not by who has asked that the person be erased, or approved it.

    The caller checks that the officer works for the agency that placed it (`agency_of_hold`).

    Raises:
        ErasureRefused: When there is no such open hold, or the officer asked for the erasure or approved it.
    """
    if (held := subject_of_hold(connection, hold_id)) is not None:
        lock_subject(connection, held)  # so that no request of the same officer passes by
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM audit.erasure e WHERE e.subject = h.subject"
        " AND %s IN (e.requested_by, e.decided_by)"
        " AND e.state IN ('requested', 'approved')) FROM audit.legal_hold h"
        " WHERE h.hold_id = %s AND h.released_at IS NULL FOR UPDATE",
        [officer, hold_id],
    ).fetchone()
    if row is None:
        raise ErasureRefused("There is no such open hold", remedy="See `lintas audit erase holds`")
    if row[0]:
        raise ErasureRefused(
            "Who asked for the erasure or approved it cannot release a hold that stands against it",
            remedy="Let another officer release it",
        )
    connection.execute(
        "UPDATE audit.legal_hold SET released_by = %s, released_at = %s WHERE hold_id = %s",
        [officer, clock.now(), hold_id],
    )
    found = _hold(connection, hold_id)
    details = {"hold": str(hold_id), "ground": str(found.ground), "instrument": found.ground.instrument}
    _log(connection, EntryKind.HOLD_RELEASED, officer, details, subject)
    return found


def require_erasable(connection: Connection[Any], subject: SubjectKeys, retention: timedelta) -> None:
    """Check that no hold is open and that every exchange about the person is older than the retention period.

    Raises:
        ErasureRefused: When one is; the person stays.
    """
    held = connection.execute(
        "SELECT hold_id FROM audit.legal_hold WHERE subject = %s AND released_at IS NULL LIMIT 1",
        [subject.handle],
    ).fetchone()
    if held is not None:
        raise ErasureRefused(
            "A legal hold stands against the erasure",
            remedy="See `lintas audit erase holds`; it must be released first",
            hold=str(held[0]),
        )
    row = connection.execute(_LATEST_EXCHANGE, {"index_key": subject.index_key()}).fetchone()
    until = row[0] + retention if row and row[0] else None
    if until is not None and until > clock.now():
        raise ErasureRefused(
            "An exchange about the person must still be kept",
            why=f"the retention period ends on {until:%Y-%m-%d}",
            remedy="Ask again then; `LINTAS_ERASURE_RETENTION_DAYS` says how long exchanges are kept",
            until=until.isoformat(),
        )


def requests(connection: Connection[Any], *, open_only: bool = False) -> list[ErasureRequest]:
    """Every request, the newest first."""
    where = " WHERE state IN ('requested', 'approved', 'erasing')" if open_only else ""
    rows = connection.execute(f"{_REQUESTS}{where} ORDER BY requested_at DESC").fetchall()
    return [_request(row) for row in rows]


def find_request(connection: Connection[Any], request_id: UUID) -> ErasureRequest:
    """One request.

    Raises:
        ErasureRefused: When there is none of that id.
    """
    row = connection.execute(f"{_REQUESTS} WHERE request_id = %s FOR UPDATE", [request_id]).fetchone()
    if row is None:
        raise ErasureRefused("There is no such request", remedy="See `lintas audit erase list`")
    return _request(row)


def holds(connection: Connection[Any]) -> list[LegalHold]:
    """Every hold, the newest first."""
    return [_hold_of(row) for row in connection.execute(f"{_HOLDS} ORDER BY placed_at DESC").fetchall()]


def subject_of_hold(connection: Connection[Any], hold_id: UUID) -> SubjectHandle | None:
    """Whom a hold protects."""
    row = connection.execute("SELECT subject FROM audit.legal_hold WHERE hold_id = %s", [hold_id]).fetchone()
    return SubjectHandle(row[0]) if row and row[0] else None


def agency_of_hold(connection: Connection[Any], hold_id: UUID) -> str:
    """For which agency a hold was placed: only its stewards release it.

    Raises:
        ErasureRefused: When there is no such hold.
    """
    row = connection.execute(
        "SELECT coalesce(o.agency_id, '') FROM audit.legal_hold h"
        " LEFT JOIN participants.officer o ON o.pseudonym = h.placed_by WHERE h.hold_id = %s",
        [hold_id],
    ).fetchone()
    if row is None:
        raise ErasureRefused("There is no such open hold", remedy="See `lintas audit erase holds`")
    return str(row[0])


def lock_subject(connection: Connection[Any], subject: SubjectHandle) -> None:
    """One decision about a person at a time, so that a hold and an erasure never pass each other."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('lintas.audit.erasure:' || %s, 0))", [str(subject)]
    )


def _refuse_releaser(connection: Connection[Any], subject: SubjectKeys, officer: str) -> None:
    released = connection.execute(
        "SELECT 1 FROM audit.legal_hold WHERE subject = %s AND released_by = %s LIMIT 1",
        [subject.handle, officer],
    ).fetchone()
    if released is not None:
        raise ErasureRefused(
            "Who released a hold on this person has no part in the erasure",
            remedy="Let another officer ask or approve",
        )


def _require(connection: Connection[Any], request_id: UUID, *states: ErasureState) -> ErasureRequest:
    found = find_request(connection, request_id)
    if found.state not in states:
        raise ErasureRefused(f"The request is {found.state}", remedy="See `lintas audit erase list`")
    return found


def _decide(
    connection: Connection[Any],
    found: ErasureRequest,
    subject: SubjectKeys | None,
    state: ErasureState,
    officer: str,
) -> ErasureRequest:
    rejected = state is ErasureState.REJECTED
    now = clock.now()
    connection.execute(
        "UPDATE audit.erasure SET state = %s, decided_by = %s, decided_at = %s,"
        " subject = CASE WHEN %s THEN NULL ELSE subject END, ended_at = %s WHERE request_id = %s",
        [str(state), officer, now, rejected, now if rejected else None, found.request_id],
    )
    kind = EntryKind.ERASURE_REJECTED if rejected else EntryKind.ERASURE_APPROVED
    _log(connection, kind, officer, found.details, subject)
    return find_request(connection, found.request_id)


def _log(
    connection: Connection[Any],
    kind: EntryKind,
    officer: str,
    details: dict[str, Any],
    subject: SubjectKeys | None,
) -> None:
    append(connection, EntryDraft(kind=kind, actor=officer, subject=subject, details=details))


def _hold(connection: Connection[Any], hold_id: UUID) -> LegalHold:
    row = connection.execute(f"{_HOLDS} WHERE hold_id = %s", [hold_id]).fetchone()
    assert row is not None
    return _hold_of(row)


def _hold_of(row: Any) -> LegalHold:
    return LegalHold(row[0], HoldGround(row[1]), *row[2:])


def _request(row: Any) -> ErasureRequest:
    subject = SubjectHandle(row[1]) if row[1] else None
    return ErasureRequest(row[0], subject, ErasureGround(row[2]), ErasureState(row[3]), *row[4:])


_REQUESTS = """
SELECT request_id, subject, ground, state, requested_by, requested_at, decided_by, decided_at, ended_at,
       records
  FROM audit.erasure
"""
_HOLDS = "SELECT hold_id, ground, placed_by, placed_at, released_by, released_at FROM audit.legal_hold"
_LATEST_EXCHANGE = """
SELECT max(occurred_at) FROM (
    SELECT e.occurred_at, e.kind FROM audit.subject_index i JOIN audit.entries e USING (entry_id)
     WHERE i.index_key = %(index_key)s
     UNION ALL
    SELECT o.occurred_at, o.kind FROM audit.subject_index i JOIN audit.outbox o USING (entry_id)
     WHERE i.index_key = %(index_key)s
) found WHERE kind ~ '^(exchange|lookup|referral|notice|consent)[.]'
"""
