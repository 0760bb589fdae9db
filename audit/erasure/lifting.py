"""Lifting a suppression: somebody who was erased lawfully comes back, and the next sync takes them in again.

```
requested ──approve──> lifted        two stewards, one of them the operator's
    └──────reject────> rejected
```

Invariants: nothing of what was erased comes back with it; the person is a stranger whom the bus may meet
again. The database itself lets nobody lift a suppression but two stewards (`audit.lift_suppression`). Each
step is one transaction with its entry, which names nobody, and a decided request says no longer whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg import Connection

from audit.entry import EntryDraft, EntryKind
from audit.erasure.grounds import LiftGround
from audit.erasure.suppression import is_suppressed, lock_key
from audit.errors import ErasureRefused
from audit.log import append
from foundation import clock

__all__ = ["Lift", "approve_lift", "lifts", "reject_lift", "request_lift"]


@dataclass(frozen=True, slots=True)
class Lift:
    """A request that somebody who was erased may be taken in again."""

    lift_id: UUID
    ground: LiftGround
    state: str
    requested_by: str
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @property
    def details(self) -> dict[str, Any]:
        """What entries say about it."""
        return {
            "request": str(self.lift_id),
            "ground": str(self.ground),
            "instrument": self.ground.instrument,
        }


def request_lift(connection: Connection[Any], tag: bytes, ground: LiftGround, *, officer: str) -> Lift:
    """Ask that the person with this tag may be taken in again.

    Raises:
        ErasureRefused: When they are not suppressed, are being erased, or it was asked for already.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key(tag)])
    if not is_suppressed(connection, tag):
        raise ErasureRefused("Nobody of this number was erased", remedy="Nothing has to be lifted")
    row = connection.execute(
        "INSERT INTO audit.suppression_lift (lift_id, tag, ground, requested_by, requested_at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING lift_id",
        [uuid4(), tag, str(ground), officer, clock.now()],
    ).fetchone()
    if row is None:
        raise ErasureRefused(
            "This was asked for already",
            remedy="See `lintas audit erase lifts`; a second officer approves or rejects it",
        )
    return _logged(connection, row[0], EntryKind.SUPPRESSION_LIFT_REQUESTED, officer)


def approve_lift(connection: Connection[Any], lift_id: UUID, *, officer: str) -> Lift:
    """Approve as a second officer; from now on the person may be met again.

    Raises:
        ErasureRefused: When the officer asked for it, it is not open, or an erasure is being carried out.
    """
    found = _require(connection, lift_id)
    if found.requested_by == officer:
        raise ErasureRefused("Who asked for it cannot approve it", remedy="Let another officer approve it")
    running = connection.execute("SELECT 1 FROM audit.erasure WHERE state = 'erasing' LIMIT 1").fetchone()
    if running is not None:  # whose it is, only its vault row would tell, and that may be gone already
        raise ErasureRefused(
            "An erasure is being carried out", remedy="End it first with `lintas audit erase run`"
        )
    connection.execute("SELECT audit.lift_suppression(%s, %s, %s)", [lift_id, officer, clock.now()])
    return _logged(connection, lift_id, EntryKind.SUPPRESSION_LIFTED, officer)


def reject_lift(connection: Connection[Any], lift_id: UUID, *, officer: str) -> Lift:
    """Reject it, or withdraw one's own; the person stays suppressed.

    Raises:
        ErasureRefused: When it is not open.
    """
    _require(connection, lift_id)
    connection.execute(
        "UPDATE audit.suppression_lift SET state = 'rejected', tag = NULL, decided_by = %s, decided_at = %s"
        " WHERE lift_id = %s",
        [officer, clock.now(), lift_id],
    )
    return _logged(connection, lift_id, EntryKind.SUPPRESSION_LIFT_REJECTED, officer)


def lifts(connection: Connection[Any]) -> list[Lift]:
    """Every request, the newest first."""
    return [_lift(row) for row in connection.execute(f"{_LIFTS} ORDER BY requested_at DESC").fetchall()]


def _require(connection: Connection[Any], lift_id: UUID) -> Lift:
    row = connection.execute(f"{_LIFTS} WHERE lift_id = %s FOR UPDATE", [lift_id]).fetchone()
    if row is None or row[2] != "requested":
        raise ErasureRefused("There is no such open request", remedy="See `lintas audit erase lifts`")
    return _lift(row)


def _logged(connection: Connection[Any], lift_id: UUID, kind: EntryKind, officer: str) -> Lift:
    row = connection.execute(f"{_LIFTS} WHERE lift_id = %s", [lift_id]).fetchone()
    found = _lift(row)
    append(connection, EntryDraft(kind=kind, actor=officer, details=found.details))
    return found


def _lift(row: Any) -> Lift:
    return Lift(row[0], LiftGround(row[1]), *row[2:])


_LIFTS = """
SELECT lift_id, ground, state, requested_by, requested_at, decided_by, decided_at FROM audit.suppression_lift
"""
