"""How often a client may ask, counted over all processes.

Invariant: within one window all processes together let no more requests of a client pass than the limit. Each
process leases small blocks of the window's allowance, so that the database is asked once per block.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

WINDOW_SECONDS = 60

_LEASE = """
INSERT INTO verification.request_window AS w (client, window_start, leased)
VALUES (%(client)s, %(start)s, least(%(block)s, %(limit)s))
ON CONFLICT (client, window_start) DO UPDATE
   SET leased = least(w.leased + %(block)s, %(limit)s)
 WHERE w.leased < %(limit)s
RETURNING new.leased - coalesce(old.leased, 0), new.leased
"""
_FORGET = "DELETE FROM verification.request_window WHERE window_start < %s"


@dataclass(frozen=True)
class Allowance:
    """Whether a request may pass, and what the reply's RateLimit headers say."""

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """RateLimit header fields (IETF httpapi draft)."""
        policy = f'"default";q={self.limit};w={WINDOW_SECONDS}'
        state = f'"default";r={self.remaining};t={self.reset}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


@dataclass
class _Window:
    start: int
    units: int = 0
    leased_by_all: int = 0


class RateLimiter:
    """Lets each client pass so many times a minute.

    Args:
        connect: Opens a connection for a lease, as a context manager that commits.
        per_minute: The limit of each client.
        clock: Seconds since the epoch; the system's clock unless a test says otherwise.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[psycopg.Connection[Any]]],
        per_minute: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self._limit = per_minute
        self._block = max(1, min(per_minute // 20, 500))
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def take(self, client: str) -> Allowance:
        """Count one request of a client."""
        now = self._clock()
        start = int(now) - int(now) % WINDOW_SECONDS
        with self._lock:
            window = self._windows.get(client)
            if window is None or window.start != start:
                window = self._windows[client] = _Window(start)
            if window.units == 0 and window.leased_by_all < self._limit:
                self._lease(client, window)
            allowed = window.units > 0
            window.units -= allowed
            remaining = max(0, self._limit - window.leased_by_all) + window.units
        return Allowance(allowed, self._limit, remaining, max(1, start + WINDOW_SECONDS - int(now)))

    def _lease(self, client: str, window: _Window) -> None:
        start = datetime.fromtimestamp(window.start, UTC)
        wanted = {"client": client, "start": start, "block": self._block, "limit": self._limit}
        with self._connect() as connection:
            row = connection.execute(_LEASE, wanted).fetchone()
            if window.leased_by_all == 0:
                connection.execute(_FORGET, (start - timedelta(seconds=10 * WINDOW_SECONDS),))
        granted, by_all = row if row else (0, self._limit)
        window.units += granted
        window.leased_by_all = by_all
