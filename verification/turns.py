"""Whose turn it is: no receiver holds the senders that others wait for.

Invariant: of one dispatcher's senders, at most `each` are at work for one receiver (one, if it was slow or
failed the last time), and at most `struggling` for all such receivers together. So whoever takes what is sent
waits for no one who does not.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from foundation import clock
from foundation.errors import LintasError

__all__ = ["SLOW_SECONDS", "Turns"]

SLOW_SECONDS = 1.0
"""A receiver that takes longer to answer than this is struggling until it is quick again."""


class _OfSystem(Protocol):
    @property
    def system(self) -> str: ...


Chosen = TypeVar("Chosen", bound=_OfSystem)


class Turns:
    """Which receivers are being sent to, and which are to be left out of the next choice.

    Args:
        senders: How many senders share these turns.
        monotonic: Measures how long a receiver takes.
    """

    def __init__(self, senders: int = 4, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._each = max(1, senders // 2)
        self._for_struggling = max(1, senders // 2)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._choosing = threading.Lock()
        self._at_work: Counter[str] = Counter()
        self._struggling: set[str] = set()
        self._resting: dict[str, datetime] = {}

    def choose(self, claim: Callable[[list[str]], Chosen | None]) -> Chosen | None:
        """Choose what is sent next, one sender at a time, and begin its turn; `end` it in any case.

        Args:
            claim: Given the systems to leave out, gives what is sent next, if anything is due.
        """
        with self._choosing:
            chosen = claim(self.left_out())
            if chosen is not None:
                with self._lock:
                    self._at_work[chosen.system] += 1
            return chosen

    def end(self, system: str) -> None:
        """A sender is free again."""
        with self._lock:
            self._at_work[system] -= 1
            self._at_work += Counter()  # forgets who is at nought

    def rest(self, system: str, seconds: float) -> None:
        """Leave a receiver in peace for a while."""
        with self._lock:
            self._resting[system] = clock.now() + timedelta(seconds=seconds)

    def left_out(self) -> list[str]:
        """The systems that are not sent to now: they rest, or hold as many senders as they may."""
        now = clock.now()
        with self._lock:
            self._resting = {system: until for system, until in self._resting.items() if until > now}
            held = sum(self._at_work[system] for system in self._struggling)
            full = {system for system, count in self._at_work.items() if count >= self._share_of(system)}
            if held >= self._for_struggling:
                full |= self._struggling
            return sorted(full | set(self._resting))

    @contextmanager
    def measured(self, system: str) -> Iterator[None]:
        """Judge a receiver by how it takes what is sent meanwhile."""
        began = self._monotonic()
        try:
            yield
        except LintasError:
            self._judge(system, struggles=True)
            raise
        self._judge(system, struggles=self._monotonic() - began > SLOW_SECONDS)

    def _share_of(self, system: str) -> int:
        return 1 if system in self._struggling else self._each

    def _judge(self, system: str, *, struggles: bool) -> None:
        with self._lock:
            if struggles:
                self._struggling.add(system)
            else:
                self._struggling.discard(system)
