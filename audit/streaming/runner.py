"""The work itself: batch by batch, each destination at its own pace.

Invariant: a batch is claimed, sent, acknowledged and noted while its row is locked. A process that is killed
meanwhile loses its connection and the lock, the position stays, and the batch is sent again: entries come at
least once, in order, always under the same id and number.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import psycopg

from audit import entry as entries
from audit.streaming.delivery import Delivery, delivery_to
from audit.streaming.destination import COLUMNS, Destination, from_row
from audit.streaming.errors import StreamUnreachable
from audit.streaming.logged import LoggedEntry
from foundation import clock, telemetry
from foundation.database import Role, translated
from foundation.errors import LintasError, RetryLater

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["BackOff", "Streams", "Turn"]

log = telemetry.logger(__name__)

BATCH_ENTRIES = 500
BATCH_BYTES = 2_000_000
LOOK_AHEAD = 4_000
"""Entries that one turn looks at, at most: a narrow filter passes quickly over what is not for it."""
LOOK_SECONDS = 0.5
_RECOVERY_SECONDS = 1.0

_CLAIM = f"""
SELECT {COLUMNS}, position, sent, failures, failing_since, newest.size
  FROM audit.stream,
       LATERAL (SELECT coalesce(max(tree_size), 0) AS size FROM audit.checkpoints) AS newest
 WHERE next_attempt_at <= %(at)s AND position < newest.size
 ORDER BY next_attempt_at
 LIMIT 1
   FOR UPDATE OF stream SKIP LOCKED
"""  # noqa: S608
_READ = """
SELECT entry_index, entry FROM audit.entries
 WHERE entry_index >= %(since)s AND entry_index < %(until)s ORDER BY entry_index
"""
_ADVANCE = """
UPDATE audit.stream SET position = %(position)s, sent = sent + %(sent)s, failures = 0, problem = NULL,
       failing_since = NULL, next_attempt_at = %(at)s,
       delivered_at = CASE WHEN %(sent)s > 0 THEN %(at)s ELSE delivered_at END
 WHERE name = %(name)s
"""
_POSTPONE = """
UPDATE audit.stream SET failures = failures + 1, problem = %(problem)s, next_attempt_at = %(until)s,
       failing_since = coalesce(failing_since, %(at)s)
 WHERE name = %(name)s
"""


class Turn(StrEnum):
    """What became of one turn."""

    NOTHING_DUE = "nothing-due"
    SENT = "sent"
    PASSED = "passed"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long to wait after a failure: twice as long each time, jittered, up to a limit."""

    first: float = 1.0
    longest: float = 300.0

    def pause(self, failures: int, asked: float | None = None) -> timedelta:
        """The pause after so many failures in a row; the receiver may ask for a longer one."""
        grown = min(self.longest, self.first * 2 ** min(failures, 20))
        jittered = grown * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return timedelta(seconds=max(jittered, min(asked or 0.0, 3_600.0)))


@dataclass(frozen=True, slots=True)
class _Claimed:
    destination: Destination
    position: int
    sent: int
    failures: int
    failing_since: datetime | None
    size: int


class Streams:
    """Sends to every destination until told to stop; any number of processes may run.

    Args:
        installation: whose log is sent.
        namespace: agency whose secrets hold credentials and client certificates: the operator's.
        workers: how many destinations are served at once.
        batch: how many entries one batch carries at most.
        back_off: how long to wait after failures.
    """

    def __init__(
        self,
        installation: Installation,
        namespace: str,
        *,
        workers: int = 3,
        batch: int = BATCH_ENTRIES,
        back_off: BackOff | None = None,
    ) -> None:
        self._installation = installation
        self._namespace = namespace
        self._workers = workers
        self._batch = batch
        self._back_off = back_off or BackOff()
        self._open: dict[str, tuple[Destination, Delivery]] = {}
        self._lock = threading.Lock()

    def run(self, ending: threading.Event) -> None:
        """Send until `ending` is set; the database may go away and come back meanwhile."""
        workers = [threading.Thread(target=self._work, args=(ending,)) for _ in range(self._workers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.close()

    def close(self) -> None:
        """Close all connections to receivers."""
        with self._lock:
            for _, delivery in self._open.values():
                delivery.close()
            self._open.clear()

    def turn(self, connection: psycopg.Connection[Any]) -> Turn:
        """Serve the destination that has waited longest, once.

        Args:
            connection: in autocommit, in the monitor's role.
        """
        with translated(), connection.transaction():
            row = connection.execute(_CLAIM, {"at": clock.now()}).fetchone()
            if row is None:
                return Turn.NOTHING_DUE
            return self._serve(connection, _Claimed(from_row(row[:8]), *row[8:]))

    def _work(self, ending: threading.Event) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not ending.is_set():
            try:
                if connection is None or connection.broken:
                    connection = self._installation.database.connect(Role.MONITOR, autocommit=True)
                if self.turn(connection) in {Turn.NOTHING_DUE, Turn.POSTPONED}:
                    ending.wait(LOOK_SECONDS)
            except Exception as error:  # whatever it is, the others are served, and it is said
                log.error("stream.turn_failed", error=getattr(error, "code", type(error).__name__))
                ending.wait(_RECOVERY_SECONDS)
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _serve(self, connection: psycopg.Connection[Any], claimed: _Claimed) -> Turn:
        name = claimed.destination.name
        try:
            batch, until, missing = self._next_batch(connection, claimed)
        except LintasError as error:  # an entry in the database is no entry any more
            self._postpone(connection, claimed, error, [])
            return Turn.POSTPONED
        if missing:  # retention took them before they could be sent
            log.error("stream.entries_gone", stream=name, entries=missing, since=claimed.position)
            telemetry.count("lintas.audit.stream_entries_gone", missing, stream=name)
        if batch:
            try:
                self._delivery(claimed.destination).send(batch, claimed.sent + 1)
            except Exception as error:  # whatever a receiver says, the other streams go on
                self._postpone(connection, claimed, error, batch)
                return Turn.POSTPONED
        connection.execute(_ADVANCE, {"name": name, "position": until, "sent": len(batch), "at": clock.now()})
        telemetry.count("lintas.audit.streamed", len(batch), stream=name)
        telemetry.observe("lintas.audit.stream_waiting", claimed.size - until, stream=name)
        if claimed.failures and batch:
            log.info("stream.recovered", stream=name, failures=claimed.failures)
        return Turn.SENT if batch else Turn.PASSED

    def _next_batch(
        self, connection: psycopg.Connection[Any], claimed: _Claimed
    ) -> tuple[list[LoggedEntry], int, int]:
        """What is sent next, up to which entry that goes, and how many entries on the way are gone.

        A receiver that refused a batch gets smaller ones, so that what it cannot take is found.
        """
        limit = max(1, self._batch >> min(claimed.failures, 16))
        until = min(claimed.position + LOOK_AHEAD, claimed.size)
        rows = connection.execute(_READ, {"since": claimed.position, "until": until}).fetchall()
        batch: list[LoggedEntry] = []
        size, seen = 0, 0
        for index, encoded in rows:
            seen += 1
            data = entries.parse(bytes(encoded))
            if not claimed.destination.filter.fits(data):
                continue
            batch.append(LoggedEntry(index, data))
            size += len(encoded)
            if len(batch) == limit or size >= BATCH_BYTES:
                until = index + 1
                break
        return batch, until, until - claimed.position - seen

    def _delivery(self, destination: Destination) -> Delivery:
        with self._lock:
            known = self._open.get(destination.name)
            if known is not None and known[0] == destination:
                return known[1]
            if known is not None:
                known[1].close()
            delivery = delivery_to(destination, self._installation.settings, self._namespace)
            self._open[destination.name] = (destination, delivery)
            return delivery

    def _postpone(
        self,
        connection: psycopg.Connection[Any],
        claimed: _Claimed,
        error: Exception,
        batch: Sequence[LoggedEntry],
    ) -> None:
        name, at = claimed.destination.name, clock.now()
        asked = error.retry_after if isinstance(error, RetryLater) else None
        problem = str(getattr(error, "code", StreamUnreachable.code))
        until = at + self._back_off.pause(claimed.failures, asked)
        connection.execute(_POSTPONE, {"name": name, "problem": problem, "until": until, "at": at})
        telemetry.count("lintas.audit.stream_failures", stream=name, problem=problem)
        telemetry.observe("lintas.audit.stream_waiting", claimed.size - claimed.position, stream=name)
        alert: Callable[..., Any] = log.error if _is_to_be_told(claimed.failures + 1) else log.info
        alert(
            "stream.failing",
            stream=name,
            problem=problem,
            failures=claimed.failures + 1,
            waiting=claimed.size - claimed.position,
            error=type(error).__name__,
            first=batch[0].index if batch else claimed.position,
            last=batch[-1].index if batch else None,
        )


def _is_to_be_told(failures: int) -> bool:
    """The 1st, 2nd, 4th, 8th … failure in a row is an alert; the others between them are only noted."""
    return failures & (failures - 1) == 0
