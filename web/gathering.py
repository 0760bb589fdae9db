"""Questions that wait are answered together: whoever comes while others are answered shares the next go.

A question that finds nobody at work is taken at once; while a go is under way, questions gather, and the
next go takes them all. Those who were answered in company are likely to ask again, so the next go waits a
moment for them, as long as they come: where they did not, it waits half as long the next time. Where there is
no company, or enough of it, nobody waits. When a go takes long (it waits for a lock, or the database is
slow), another lane opens: no go holds up everybody behind it.

Invariant: every question handed in ends exactly once, whatever becomes of those it was gathered with.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue

from foundation import telemetry
from verification.answering_together import MOST_TOGETHER
from verification.asked import Asked, Ending

__all__ = ["Gatherer"]

LANES = 4
"""Goes under way at once at the most; nearly always one is."""
PATIENCE_SECONDS = 0.02
"""How long a question waits for the go before it to end, before another lane opens."""

COMPANY = 4
"""So many answered in one go are company; with fewer, waiting would cost more than it saves."""
MOST_COMPANY_SECONDS, LEAST_COMPANY_SECONDS = 0.01, 0.001
"""How long company is waited for at the most, as long as it comes, and where it does not."""
ENOUGH_SHARE = 0.75
"""Such a share of those who are expected is company enough."""

log = telemetry.logger(__name__)


@dataclass(eq=False)
class _Waiting:
    """A question that was handed in, and who waits for its ending."""

    prepare: Callable[[], Asked]
    loop: asyncio.AbstractEventLoop
    ended: asyncio.Future[Ending]
    asked: Asked | None = None
    ending: Ending | None = None

    def make_ready(self) -> frozenset[object]:
        """Make the question, or end with what is wrong with it; returns what no other may share with it."""
        if self.asked is None and self.ending is None:
            try:
                self.asked = self.prepare()
            except Exception as error:
                self.ending = error
        return self.asked.excludes if self.asked is not None else frozenset()


class Gatherer:
    """Hands what waits to a few threads, as much as goes together. Close it after use.

    Args:
        answer: Answers several questions; each ends by itself.
        most: How many at the most.
    """

    def __init__(
        self, answer: Callable[[Sequence[Asked]], Sequence[Ending]], most: int = MOST_TOGETHER
    ) -> None:
        self._answer = answer
        self._most = most
        self._guard = threading.Lock()
        self._company = threading.Condition(self._guard)
        self._expected = 0
        self._company_seconds = MOST_COMPANY_SECONDS
        self._waiting: deque[_Waiting] = deque()
        self._at_work = 0
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._lanes: list[threading.Thread] = []
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, prepare: Callable[[], Asked]) -> Ending:
        """Hand a question in, and wait for its ending.

        Args:
            prepare: Makes the question, in a lane's thread; what it raises is raised here.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(prepare, loop, loop.create_future())
        with self._guard:
            self._waiting.append(waiting)
            nobody_works = self._at_work == 0
            if self._expected and len(self._waiting) >= self._expected:
                self._company.notify()
        if nobody_works:
            loop.call_soon(self._open_lane, 0)  # not at once: what has arrived by now comes along
        if self._timer is None:
            self._timer = loop.call_later(PATIENCE_SECONDS, self._lose_patience, loop, waiting)
        return await waiting.ended

    def close(self) -> None:
        """End the lanes, once everything that was handed in has ended."""
        for _ in self._lanes:
            self._wake.put(False)
        for lane in self._lanes:
            lane.join()

    def _open_lane(self, besides: int) -> None:
        """Let a lane work besides so many, unless more than these do, or nothing waits."""
        with self._guard:
            if not self._waiting or self._at_work > besides or self._at_work >= LANES:
                return
            self._at_work += 1
            if self._at_work > len(self._lanes):
                lane = threading.Thread(target=self._run, name=f"lane {self._at_work}", daemon=True)
                self._lanes.append(lane)
                lane.start()
        self._wake.put(True)

    def _lose_patience(self, loop: asyncio.AbstractEventLoop, waiting: _Waiting) -> None:
        """Open another lane if the question still waits; go on looking while any does."""
        with self._guard:
            still_waits = waiting in self._waiting
            first = self._waiting[0] if self._waiting else None
            at_work = self._at_work
        self._timer = None
        if still_waits:
            self._open_lane(at_work)
        if first is not None:
            self._timer = loop.call_later(PATIENCE_SECONDS, self._lose_patience, loop, first)

    def _run(self) -> None:
        while self._wake.get():
            answered, took = 0, 0.0
            while together := self._take(answered, took):
                began = time.monotonic()
                self._go(together)
                _tell(together)
                answered, took = len(together), time.monotonic() - began

    def _take(self, answered: int, took: float) -> list[_Waiting]:
        """What goes together of what waits; nothing, and the lane rests, when nothing waits.

        Args:
            answered: How many were just answered by this lane.
            took: How long that took.
        """
        with self._guard:
            self._wait_for_company(answered, took)
            waiting = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._at_work -= not waiting
        used: set[object] = set()
        taken: list[_Waiting] = []
        left: list[_Waiting] = []
        for each in waiting:
            excludes = each.make_ready()
            (taken if used.isdisjoint(excludes) else left).append(each)
            used |= excludes
        with self._guard:
            self._waiting.extendleft(reversed(left))
        return taken

    def _wait_for_company(self, answered: int, took: float) -> None:
        """Under the guard: wait for those who were just answered, unless enough others wait by now."""
        is_enough = len(self._waiting) >= ENOUGH_SHARE * answered
        if answered < COMPANY or is_enough or self._at_work > 1:
            return
        self._expected = expected = min(self._most, answered + len(self._waiting))
        self._company.wait_for(lambda: len(self._waiting) >= expected, min(self._company_seconds, took))
        self._expected = 0
        if len(self._waiting) >= ENOUGH_SHARE * expected:
            self._company_seconds = min(MOST_COMPANY_SECONDS, self._company_seconds * 2)
        else:
            self._company_seconds = max(LEAST_COMPANY_SECONDS, self._company_seconds / 2)

    def _go(self, together: list[_Waiting]) -> None:
        for each in together:
            if each.asked is not None and not each.asked.is_plain:
                each.ending = each.asked.alone
        plain = [(each, each.asked) for each in together if each.asked is not None and each.ending is None]
        if not plain:
            return
        try:
            endings = self._answer([asked for _, asked in plain])
        except Exception as error:  # a mistake of our own leaves nobody waiting
            log.error("questions_failed", questions=len(plain), error=type(error).__name__)
            endings = [error] * len(plain)
        for (each, _), ending in zip(plain, endings, strict=True):
            each.ending = ending


def _tell(ended: Sequence[_Waiting]) -> None:
    """Wake those who wait, all at once."""
    with suppress(RuntimeError):  # the loop is gone, and with it whoever waited
        ended[0].loop.call_soon_threadsafe(_deliver, ended)


def _deliver(ended: Sequence[_Waiting]) -> None:
    for each in ended:
        if each.ended.cancelled():
            continue
        if isinstance(each.ending, Exception):
            each.ended.set_exception(each.ending)
        elif each.ending is not None:
            each.ended.set_result(each.ending)
