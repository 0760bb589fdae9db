"""Refusals of callers that nobody knows, told to the log in sums, so that a flood of them cannot choke it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation import clock, telemetry

log = telemetry.logger(__name__)

FLUSH_SECONDS = 10.0
TOKENS = "/oauth/token"
"""The operation at which callers prove who they are."""


class RefusalTally:
    """Counts refusals by problem and operation; writes one entry per kind and interval.

    Args:
        connect: Opens a connection of the API role, as a context manager that commits.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[psycopg.Connection[Any]]]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._since = clock.now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusal-tally", daemon=True)

    def start(self) -> None:
        """Begin to write entries."""
        self._thread.start()

    def close(self) -> None:
        """Write what is left and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def count(self, problem: str, operation: str) -> None:
        """Note one refusal."""
        with self._lock:
            self._counts[problem, operation] += 1

    def flush(self) -> None:
        """Write one entry for each kind of refusal since the last time."""
        with self._lock:
            counts, since, until = self._counts, self._since, clock.now()
            self._counts, self._since = Counter(), until
        if not counts:
            return
        try:
            with self._connect() as connection:
                for (problem, operation), count in sorted(counts.items()):
                    kind = EntryKind.LOGIN_REFUSED if operation == TOKENS else EntryKind.EXCHANGE_REFUSED
                    details = {
                        "problem": problem,
                        "operation": operation,
                        "count": count,
                        "since": since,
                        "until": until,
                    }
                    append(connection, EntryDraft(kind=kind, outcome="unauthenticated", details=details))
        except Exception as error:
            log.error("refusals_not_written", error=type(error).__name__)
            with self._lock:
                self._counts.update(counts)
                self._since = since

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()
