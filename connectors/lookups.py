"""A live question to an agency's system: in time or not at all, and not to a system that lies down.

Invariant: `find` returns or raises when its budget ends, whatever the system, its name server or its driver
does. The question itself runs on a thread of its own, with the same deadline inside; a thread that stays
behind holds one of few places, so that a system that hangs cannot take the asking process with it.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from datetime import timedelta
from typing import Any, Protocol

import polars as pl

from connectors.errors import KeyNotSelective, LookupTimedOut, PageUnreadable, Place, placed
from foundation.errors import FixSource, RetryLater
from foundation.http import CircuitBreaker, RateLimited, TlsRefused

#: Most rows that one key may name, and most bytes that they may take.
LONGEST_ANSWER_ROWS = 200
LONGEST_ANSWER_MEGABYTES = 2
#: How many questions may be on their way to one dataset of a system.
_AT_ONCE = 8
_LONGEST_VALUE = 200
_FAILURES, _PAUSE_SECONDS = 5, 30.0

_breakers: dict[tuple[str, str], CircuitBreaker] = {}
_breakers_lock = threading.Lock()


class Question(Protocol):
    """How one kind of system is asked for the rows of a key."""

    @property
    def place(self) -> Place:
        """What is asked, for errors."""

    @property
    def key(self) -> Sequence[str]:
        """The source columns that a question carries."""

    def ask(self, key: Mapping[str, str], seconds: float, columns: Sequence[str] = ()) -> pl.DataFrame:
        """Ask, and come back with an answer or an error before the seconds are over, if it can be helped.

        The answer has these columns and no others; all that are mapped when none are named.
        """

    def close(self) -> None:
        """Give back every connection."""


class TimedLookup:
    """Asks within a budget, through the circuit breaker of the system. Thread-safe; close it after use."""

    def __init__(self, question: Question, breaker: CircuitBreaker) -> None:
        self._question = question
        self._breaker = breaker
        self._places = threading.Semaphore(_AT_ONCE)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lookup")

    @property
    def key(self) -> tuple[str, ...]:
        """The source columns that a question carries."""
        return tuple(self._question.key)

    def find(self, key: Mapping[str, str], budget: timedelta, *, columns: Sequence[str] = ()) -> pl.DataFrame:
        """Ask for the rows that carry this key, in the source's own columns; empty when none does.

        Args:
            key: For each source column of the key its value, as the source writes it.
            budget: Longest that the answer may take.
            columns: The columns that are needed, and no others; all that are mapped by default.

        Raises:
            LookupTimedOut: When the budget ends before the answer is there.
            CircuitOpen: While a system that failed again and again is left in peace.
            RetryLater: When the system cannot answer now.
            FixSource: When it answers something else than it agreed to.
            ValueError: When the key is not the one of this look-up.
        """
        self._check(key)
        with placed(self._question.place):
            seconds = budget.total_seconds()
            ends_at = time.monotonic() + seconds
            if not self._places.acquire(timeout=max(0.0, seconds)):
                raise self._too_late("Every line to the system is taken by questions it has not answered")
            try:
                self._breaker.before_call(self._question.place.system_id)
                running = self._begin(key, ends_at, columns)
            except BaseException:
                self._places.release()
                raise
            running.add_done_callback(lambda _: self._places.release())
            found = self._wait(running, ends_at)
            self._judge(found, key)
            return found

    def close(self) -> None:
        """Give back every connection."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._question.close()

    def _begin(self, key: Mapping[str, str], ends_at: float, columns: Sequence[str]) -> Future[pl.DataFrame]:
        context = contextvars.copy_context()
        left = max(0.001, ends_at - time.monotonic())
        return self._threads.submit(context.run, self._question.ask, dict(key), left, tuple(columns))

    def _wait(self, running: Future[pl.DataFrame], ends_at: float) -> pl.DataFrame:
        """Wait for the answer, and tell the breaker how it went."""
        try:
            found = running.result(max(0.0, ends_at - time.monotonic()))
        except NotInTime:
            self._breaker.failed()
            raise self._too_late("No answer came") from None
        except RateLimited:  # it answers, and is busy
            self._breaker.succeeded()
            raise
        except RetryLater as error:
            self._breaker.failed()
            if time.monotonic() >= ends_at:
                raise self._too_late(error.what) from None
            raise
        except FixSource as error:
            if not isinstance(error, TlsRefused):
                self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return found

    def _check(self, key: Mapping[str, str]) -> None:
        if set(key) != set(self._question.key):
            raise ValueError(f"this look-up takes exactly {', '.join(self._question.key)}")
        for name, value in key.items():
            whole = isinstance(value, str) and 0 < len(value) <= _LONGEST_VALUE and value.isprintable()
            if not whole:
                raise ValueError(f"the value of {name} is no text that a system could be asked for")

    def _judge(self, found: pl.DataFrame, key: Mapping[str, str]) -> None:
        """An answer is about few rows."""
        if found.height > LONGEST_ANSWER_ROWS:
            raise KeyNotSelective(
                f"More than {LONGEST_ANSWER_ROWS} rows share one key",
                why=f"The look-up asks by {', '.join(key)}",
                remedy="Name columns under lookup_key in the contract that name few rows",
                key=tuple(key),
            )

    def _too_late(self, why: str) -> LookupTimedOut:
        place = self._question.place
        return LookupTimedOut(
            f"{place.system_id} did not answer within the time that was left",
            why=why,
            remedy="Ask again later; a service may give its look-ups more time, or an agency more room",
        )


def refuse_strangers(records: Iterable[Mapping[str, Any]], key: Mapping[str, str]) -> None:
    """An answer holds rows of the key that was asked for, and no others.

    Raises:
        PageUnreadable: When it shows somebody else.
    """
    if any(str(record.get(name)) != value for record in records for name, value in key.items()):
        raise PageUnreadable(
            "The system answered with a record of another key",
            why="The reply holds rows that do not carry the key that was asked for",
            remedy="Tell the agency at once: its look-up shows other people's data",
        )


def breaker_of(system_id: str, address: str | None) -> CircuitBreaker:
    """The circuit breaker of a system, the same for every look-up of this process."""
    with _breakers_lock:
        name = (system_id, address or "")
        if name not in _breakers:
            _breakers[name] = CircuitBreaker(_FAILURES, _PAUSE_SECONDS)
        return _breakers[name]
