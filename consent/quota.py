"""The agreed number of exchanges per day, taken from blocks that a process leases.

Invariant: the units leased on a day never exceed the quota, and every exchange uses a leased unit. A
process that is killed loses the rest of its block for the day; it never lets one exchange too many pass.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from types import TracebackType
from typing import Any, Self

from psycopg import Connection

from consent.decision import Decision
from consent.errors import QuotaExhausted
from foundation import clock

__all__ = ["QuotaLeases", "QuotaTaken", "quota_day", "take_quota"]

WESTERN_INDONESIA = timezone(timedelta(hours=7), "WIB")
BLOCK, MOST_BLOCK = 64, 8_192
LASTING = timedelta(seconds=10)
"""A block used up sooner is followed by one twice as large: callers wait for the commit of a lease."""

# Blocks shrink as the day's quota runs low, so that no process hoards the last units.
_LEASE = """
INSERT INTO consent.quota_day AS q (agreement_id, day, leased)
VALUES (%(agreement_id)s, %(day)s, least(%(block)s, greatest(1, %(per_day)s / 8)))
ON CONFLICT (agreement_id, day) DO UPDATE
   SET leased = q.leased + least(%(block)s, greatest(1, (%(per_day)s - q.leased) / 8))
 WHERE q.leased < %(per_day)s
RETURNING new.leased - coalesce(old.leased, 0)
"""

_RETURN = """
UPDATE consent.quota_day SET leased = greatest(0, leased - %s) WHERE agreement_id = %s AND day = %s
"""


def quota_day(at: datetime) -> date:
    """The calendar day in western Indonesian time to which an exchange counts."""
    return at.astimezone(WESTERN_INDONESIA).date()


@dataclass(frozen=True, slots=True)
class _Key:
    agreement_id: str
    day: date
    per_day: int


@dataclass(frozen=True, slots=True)
class _Block:
    """What was leased at once, and when by the monotonic clock, in seconds."""

    units: int
    since: float

    def next(self, now: float, *, least: int) -> _Block:
        """Larger where this one did not last, smaller where it lasted long."""
        lasted, units = timedelta(seconds=now - self.since), self.units
        if lasted < LASTING:
            units = min(MOST_BLOCK, units * 2)
        elif lasted > 4 * LASTING:
            units //= 2
        return _Block(max(least, units), now)


class QuotaLeases:
    """This process's leased blocks; safe to share between threads, empty again after a fork.

    Args:
        connect: Opens a connection of its own for each lease, as a context manager that commits,
            such as `pool.connection`; never the connection of the exchange.
        block: The largest number of units leased at once, up to `MOST_BLOCK` where they do not last.
    """

    def __init__(
        self, connect: Callable[[], AbstractContextManager[Connection[Any]]], *, block: int = BLOCK
    ) -> None:
        self._connect = connect
        self._block = block
        self._lock = threading.Lock()
        self._units: dict[_Key, int] = {}
        self._blocks: dict[str, _Block] = {}
        self._process = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def available(self, agreement_id: str, day: date) -> int:
        """Units that this process still holds."""
        with self._lock:
            self._forget_after_fork()
            return sum(
                units
                for key, units in self._units.items()
                if key.agreement_id == agreement_id and key.day == day
            )

    def take(self, agreement_id: str, day: date, per_day: int) -> bool:
        """Use one unit, leasing a block when none is left; False when the quota is used up."""
        key = _Key(agreement_id, day, per_day)
        with self._lock:
            self._forget_after_fork()
            units = self._units.get(key, 0) or self._lease(key)
            if units:
                self._units[key] = units - 1
            return units > 0

    def give_back(self, agreement_id: str, day: date, per_day: int) -> None:
        """Put one unit back that was taken for an exchange that did not happen."""
        key = _Key(agreement_id, day, per_day)
        with self._lock:
            self._forget_after_fork()
            self._units[key] = self._units.get(key, 0) + 1

    def close(self) -> None:
        """Return every unused unit."""
        with self._lock:
            self._forget_after_fork()
            unused = {key: units for key, units in self._units.items() if units}
            self._units.clear()
            if unused:
                with self._connect() as connection:
                    for key in sorted(unused, key=lambda key: (key.agreement_id, key.day, key.per_day)):
                        connection.execute(_RETURN, [unused[key], key.agreement_id, key.day])

    def _lease(self, key: _Key) -> int:
        now = time.monotonic()
        last = self._blocks.get(key.agreement_id)
        block = _Block(self._block, now) if last is None else last.next(now, least=self._block)
        self._blocks[key.agreement_id] = block
        with self._connect() as connection:
            return _lease_units(connection, key, block.units)

    def _forget_after_fork(self) -> None:
        if self._process != os.getpid():
            self._units.clear()
            self._blocks.clear()
            self._process = os.getpid()


def _lease_units(connection: Connection[Any], key: _Key, block: int) -> int:
    row = connection.execute(
        _LEASE,
        {"agreement_id": key.agreement_id, "day": key.day, "per_day": key.per_day, "block": block},
    ).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True)
class QuotaTaken:
    """Units taken for one exchange; give them back when its transaction did not commit."""

    keys: tuple[_Key, ...] = ()
    leases: QuotaLeases | None = None

    def give_back(self) -> None:
        """Return the units to this process's blocks (without leases the rollback has done it)."""
        if self.leases is not None:
            for key in self.keys:
                self.leases.give_back(key.agreement_id, key.day, key.per_day)


def take_quota(
    connection: Connection[Any],
    decision: Decision,
    leases: QuotaLeases | None = None,
    *,
    at: datetime | None = None,
) -> QuotaTaken:
    """Take one unit of every quota that the decision names.

    With `leases` a unit comes out of memory nearly always. Without, it is taken in the caller's
    transaction, which serialises exchanges of the same agreement: fit for a sync, not for a portal.

    Raises:
        QuotaExhausted: When one of them is used up; none is taken then.
    """
    day = quota_day(at or clock.now())
    taken: list[_Key] = []
    for agreement_id, per_day in sorted(decision.quotas.items()):
        key = _Key(agreement_id, day, per_day)
        if leases is not None:
            got = leases.take(agreement_id, day, per_day)
        else:
            got = _lease_units(connection, key, 1) > 0
        if not got:
            QuotaTaken(tuple(taken), leases).give_back()
            raise QuotaExhausted(
                f"The daily quota of the agreement {agreement_id} is used up",
                remedy="Try again after midnight in western Indonesia, or agree on a larger quota.",
                agreement_id=agreement_id,
                rules=["quota.exhausted"],
            )
        taken.append(key)
    return QuotaTaken(tuple(taken), leases)
