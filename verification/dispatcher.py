"""The dispatcher: what changed becomes reviews, what reviews change becomes notices, and notices are sent.

Three kinds of work, each taken from a queue in the database, so that any number of dispatchers may run and
any of them may be killed: one matches (whoever holds the lock), every one reviews and sends (a row is worked
on by one). PostgreSQL's NOTIFY only wakes; whoever misses it finds the same work at the next look around.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from foundation import clock, telemetry
from foundation.database import Role, translated
from foundation.errors import LintasError
from records.tags import TagKey
from verification import notices, watches
from verification.context import AnsweringContext
from verification.matching import match
from verification.reviews import review_one
from verification.sending import Patience, Sender, Sent

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["CHANGE_CHANNEL", "Dispatcher"]

CHANGE_CHANNEL = "lintas_change"
"""PostgreSQL channel on which a publish wakes the dispatchers."""

LOOK_SECONDS = 0.5
"""How long everybody sleeps at most; the price of a lost wake-up."""
HOUSEKEEPING_SECONDS = 600.0
_RECOVERY_SECONDS = 1.0
log = telemetry.logger(__name__)


class Dispatcher:
    """Watches, reviews and sends until it is asked to end."""

    def __init__(
        self,
        installation: Installation,
        *,
        reviewers: int = 2,
        senders: int = 4,
        patience: Patience | None = None,
    ) -> None:
        self._installation = installation
        self._reviewers, self._senders = reviewers, senders
        self._patience = patience
        self._awake = threading.Condition()
        self._rounds = 0
        self._tended_at = float("-inf")

    def run(self, ending: threading.Event) -> None:
        """Work until `ending` is set; what is being done is finished first."""
        connections = 2 * (self._reviewers + self._senders) + 2
        context = AnsweringContext.open(self._installation, connections=connections, role=Role.DISPATCHER)
        sender = Sender(context, self._patience, senders=self._senders)
        workers = [
            threading.Thread(target=self._work, args=(ending, turn), name=name)
            for name, count, turn in (
                ("reviewer", self._reviewers, lambda: review_one(context) is not None),
                ("sender", self._senders, lambda: sender.send_one() not in _IDLE),
            )
            for _ in range(count)
        ]
        try:
            for worker in workers:
                worker.start()
            self._watch(ending, sender)
        finally:
            ending.set()
            self._wake()
            for worker in workers:
                worker.join()
            sender.close()
            context.close()

    def _watch(self, ending: threading.Event, sender: Sender) -> None:
        """Match on a connection of its own, woken by whoever publishes."""
        while not ending.is_set():
            try:
                with self._listening() as connection:
                    self._match_until(ending, connection, sender)
            except (LintasError, psycopg.Error) as error:
                log.warning("dispatcher.interrupted", error=getattr(error, "code", type(error).__name__))
                ending.wait(_RECOVERY_SECONDS)

    def _listening(self) -> psycopg.Connection[Any]:
        connection = self._installation.database.connect(Role.DISPATCHER, autocommit=True)
        for channel in (CHANGE_CHANNEL, notices.CHANNEL):
            connection.execute(f"LISTEN {channel}")
        return connection

    def _match_until(
        self,
        ending: threading.Event,
        connection: psycopg.Connection[Any],
        sender: Sender,
    ) -> None:
        tags = TagKey.of(self._installation.keyring)
        while not ending.is_set():
            with translated():
                if match(connection, tags) or sender.drop_objected():
                    self._wake()
                self._tend(connection)
                heard = list(connection.notifies(timeout=LOOK_SECONDS, stop_after=1))
            if heard:
                self._wake()

    def _tend(self, connection: psycopg.Connection[Any]) -> None:
        """Now and then: end watches whose time is over, forget signals that were matched long ago."""
        if time.monotonic() - self._tended_at < HOUSEKEEPING_SECONDS:
            return
        self._tended_at = time.monotonic()
        ended = watches.expire(connection, clock.now())
        connection.execute("DELETE FROM verification.signal WHERE at < now() - interval '1 day'")
        if ended:
            log.info("watches.ended", count=ended)

    def _work(self, ending: threading.Event, turn: Callable[[], bool]) -> None:
        """Take turns while there is work; then sleep until there may be some again."""
        while not ending.is_set():
            seen = self._rounds
            try:
                busy = turn()
            except (LintasError, psycopg.Error) as error:
                log.warning("dispatcher.turn_failed", error=getattr(error, "code", type(error).__name__))
                busy = ending.wait(_RECOVERY_SECONDS)
            if not busy:
                self._sleep(ending, seen)

    def _sleep(self, ending: threading.Event, seen: int) -> None:
        with self._awake, suppress(RuntimeError):
            self._awake.wait_for(lambda: self._rounds != seen or ending.is_set(), timeout=LOOK_SECONDS)

    def _wake(self) -> None:
        with self._awake:
            self._rounds += 1
            self._awake.notify_all()


_IDLE = frozenset({Sent.NOTHING_DUE})
