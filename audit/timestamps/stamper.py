"""The stamper: asks the authorities beside the sequencer, and never holds it up.

Invariants:
- What waits stands in the database, so it is asked for after every restart.
- Only a verified token is kept; one that does not verify counts as none, and is told.
- Of several processes one asks.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg

from audit.streaming.runner import BackOff
from audit.timestamps import queue
from audit.timestamps.authorities import TimestampSettings
from audit.timestamps.client import AuthorityClient
from audit.timestamps.errors import TimestampMisconfigured
from audit.timestamps.token import stamped_bytes
from foundation import clock, telemetry
from foundation.database import Role
from foundation.errors import LintasError, RetryLater

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["Stamped", "Stamper"]

log = telemetry.logger(__name__)

LOOK_SECONDS = 5.0
_MEND_SECONDS = 60.0
_LOCK = 0x747361  # "tsa"
_BACK_OFF = BackOff(first=10.0, longest=3_600.0)


@dataclass(frozen=True, slots=True)
class Stamped:
    """What became of one request: a time, or what went wrong."""

    authority: str
    tree_size: int
    generated_at: datetime | None = None
    trouble: str | None = None


class Stamper:
    """Stamps the checkpoints of one installation's log.

    Args:
        installation: whose checkpoints are stamped, by the authorities that its settings name.
        back_off: how long an authority that fails is left alone.
    """

    def __init__(self, installation: Installation, back_off: BackOff = _BACK_OFF) -> None:
        self._installation = installation
        self._back_off = back_off
        self._connection: psycopg.Connection[Any] | None = None
        self._settings = TimestampSettings()
        self._clients: dict[str, AuthorityClient] = {}

    def __enter__(self) -> Stamper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, stop: threading.Event) -> None:
        """Stamp until told to stop; without authorities it ends at once.

        The database may go away meanwhile, and the file of authorities may be mended meanwhile.
        """
        if self._installation.settings.timestamp_authorities is None:
            return
        while not stop.is_set():
            pause = LOOK_SECONDS
            try:
                if self.step() is not None:
                    continue
            except TimestampMisconfigured as error:
                log.error("timestamps_misconfigured", why=error.why)
                pause = _MEND_SECONDS
            except (psycopg.OperationalError, RetryLater) as error:
                log.warning("stamper_lost_database", error=type(error).__name__)
                self.close()
            except Exception as error:  # the log goes on whatever happens here
                log.error("stamper_failed", error=type(error).__name__)
                self.close()
                pause = _MEND_SECONDS
            stop.wait(pause)
        self.close()

    def step(self) -> Stamped | None:
        """Queue what is due, and ask for one token.

        Returns:
            What became of it; None when nothing is to do now, or another process does it.

        Raises:
            TimestampMisconfigured: when the file of authorities cannot be used.
        """
        connection = self._leading()
        if connection is None:
            return None
        queue.queue_changed(connection, self._settings.every)
        waiting = queue.next_waiting(connection)
        if waiting is None:
            return None
        return self._ask(connection, waiting)

    def stamp_now(self) -> list[Stamped]:
        """Let every authority stamp the newest checkpoint at once, whatever waits and whoever else asks.

        Raises:
            TimestampMisconfigured: when the file of authorities cannot be used.
        """
        connection = self._connected()
        newest = queue.newest_checkpoint(connection)
        if newest is None:
            return []
        return [
            self._ask(connection, queue.Waiting(each.name, *newest, failures=0))
            for each in self._settings.authorities
        ]

    def close(self) -> None:
        """Give up the lock and all connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def _ask(self, connection: psycopg.Connection[Any], waiting: queue.Waiting) -> Stamped:
        present = queue.stored(connection, waiting.tree_size, waiting.authority)
        if present:
            queue.settle(connection, waiting.authority, waiting.tree_size)
            return Stamped(waiting.authority, waiting.tree_size, present[0].generated_at)
        asked_at = clock.now()
        try:
            found = self._clients[waiting.authority].stamp(stamped_bytes(waiting.note))
        except LintasError as error:
            trouble = str(error.attributes.get("flaw") or error.code)
            pause = self._back_off.pause(waiting.failures, getattr(error, "retry_after", None))
            queue.postpone(connection, waiting.authority, trouble, pause)
            log.warning("timestamp_postponed", authority=waiting.authority, trouble=trouble)
            return Stamped(waiting.authority, waiting.tree_size, trouble=trouble)
        queue.save(connection, waiting.tree_size, found, asked_at)
        telemetry.count("lintas.audit.timestamps", 1)
        return Stamped(waiting.authority, waiting.tree_size, found.generated_at)

    def _leading(self) -> psycopg.Connection[Any] | None:
        if self._connection is not None and not self._connection.broken:
            return self._connection
        connection = self._connected()
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if row is not None and row[0]:
            return connection
        self.close()
        return None

    def _connected(self) -> psycopg.Connection[Any]:
        self.close()
        self._settings = self._load()
        self._connection = self._installation.database.connect(Role.SEQUENCER, autocommit=True)
        self._clients = {each.name: AuthorityClient(each) for each in self._settings.authorities}
        queue.take_up(self._connection, list(self._clients))
        return self._connection

    def _load(self) -> TimestampSettings:
        file = self._installation.settings.timestamp_authorities
        return TimestampSettings() if file is None else TimestampSettings.load(file)
