"""How fast the bus calls a system, and when it leaves one in peace. Thread-safe, per process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from foundation import clock
from foundation.http_errors import CircuitOpen, QuotaSpent, RateLimited

__all__ = ["CircuitBreaker", "Pacer", "RateLimit"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What was agreed with the other side: calls a second (with a burst) and calls a UTC day."""

    per_second: float | None = None
    burst: int = 1
    per_day: int | None = None


class Pacer:
    """Keeps a :class:`RateLimit` by letting callers wait their turn."""

    def __init__(
        self,
        limit: RateLimit,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limit = limit
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0
        self._day = clock.now().date()
        self._spent_today = 0

    def take(self, longest_wait: float) -> None:
        """Wait for a turn.

        Raises:
            QuotaSpent: When the day's calls are used up.
            RateLimited: When the turn would come later than ``longest_wait`` seconds.
        """
        wait = self._reserve(longest_wait)
        if wait > 0:
            self._sleep(wait)

    def _reserve(self, longest_wait: float) -> float:
        with self._lock:
            self._count_day()
            if self.limit.per_second is None:
                return 0.0
            step = 1 / self.limit.per_second
            present = self._monotonic()
            begin = max(self._free_at, present - step * (self.limit.burst - 1))
            wait = begin - present
            if wait > longest_wait:
                self._spent_today -= 1
                raise RateLimited(
                    "Our own rate limit for this system is used up until after the deadline",
                    remedy="Try again later, or agree a higher rate",
                    retry_after=wait,
                )
            self._free_at = begin + step
            return max(0.0, wait)

    def _count_day(self) -> None:
        today = clock.now().date()
        if today != self._day:
            self._day, self._spent_today = today, 0
        if self.limit.per_day is not None and self._spent_today >= self.limit.per_day:
            raise QuotaSpent(
                f"The {self.limit.per_day} calls agreed for this day have been made",
                remedy="Continue tomorrow (UTC), or agree a higher quota",
            )
        self._spent_today += 1


class CircuitBreaker:
    """Stops calling a system that fails again and again; tries one call after a pause.

    States: closed (calls pass) → open after ``failures`` in a row (calls are refused at once) →
    after ``pause`` seconds half open (one call passes; it closes or opens the circuit).
    """

    def __init__(
        self, failures: int = 5, pause: float = 30.0, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause = pause
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until: float | None = None

    def before_call(self, system: str) -> None:
        """Let a call pass, or refuse it.

        Raises:
            CircuitOpen: While the system is left in peace.
        """
        with self._lock:
            if self._open_until is None:
                return
            wait = self._open_until - self._monotonic()
            if wait > 0:
                raise CircuitOpen(
                    f"{system} failed {self._failures} times in a row and is left in peace",
                    remedy=f"Try again in {wait:.0f} s",
                    retry_after=wait,
                )
            self._open_until = self._monotonic() + self._pause  # half open: only this call passes

    def succeeded(self) -> None:
        """Note that the system answered."""
        with self._lock:
            self._failures, self._open_until = 0, None

    def failed(self) -> None:
        """Note that the system did not answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._limit:
                self._open_until = self._monotonic() + self._pause
