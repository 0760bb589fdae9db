"""What waits goes together; every question ends once, whatever becomes of those it was gathered with."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web import gathering
from web.gathering import LANES, Gatherer


@dataclass(frozen=True)
class Said:
    """A question of a test: its name, and what it shares with others."""

    name: str
    excludes: frozenset[object] = field(default_factory=frozenset)
    is_plain: bool = True

    def alone(self) -> str:
        return f"{self.name}, alone"


class Answering:
    """Answers what it is given, remembers who came together, and waits where it is told to."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.goes: list[list[str]] = []
        self.began: list[float] = []
        self.ended: list[float] = []
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self, questions: Sequence[Any]) -> list[Any]:
        self.began.append(time.monotonic())
        self.goes.append([each.name for each in questions])
        self.begun.release()
        self.may_end.wait(20)
        time.sleep(self.seconds if len(questions) > 1 else 0.0)
        self.ended.append(time.monotonic())
        return [each.name for each in questions]


def asking(answering: Callable[..., Any], work: Callable[[Gatherer], Any], most: int = 16) -> Any:
    async def main() -> Any:
        gatherer = Gatherer(answering, most)
        try:
            return await asyncio.wait_for(work(gatherer), 30)
        finally:
            await asyncio.to_thread(gatherer.close)

    return asyncio.run(main())


async def begun(answering: Answering) -> None:
    await asyncio.to_thread(answering.begun.acquire)


def test_what_arrives_while_others_are_answered_goes_together() -> None:
    answering = Answering()

    async def work(gatherer: Gatherer) -> list[Any]:
        answering.may_end.clear()
        first = asyncio.create_task(gatherer.ask(lambda: Said("first")))
        await begun(answering)
        others = [asyncio.create_task(gatherer.ask(lambda n=n: Said(f"{n}"))) for n in range(5)]
        await asyncio.sleep(0)
        answering.may_end.set()
        return await asyncio.gather(first, *others)

    assert asking(answering, work) == ["first", "0", "1", "2", "3", "4"]
    assert answering.goes == [["first"], ["0", "1", "2", "3", "4"]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.frozensets(st.integers(0, 5), max_size=3), min_size=1, max_size=24), st.integers(1, 6))
def test_no_go_holds_more_than_may_or_what_excludes_each_other(
    shared: list[frozenset[int]], most: int
) -> None:
    answering = Answering()
    questions = [Said(f"{n}", each) for n, each in enumerate(shared)]

    async def work(gatherer: Gatherer) -> list[Any]:
        return await asyncio.gather(*(gatherer.ask(lambda each=each: each) for each in questions))

    assert asking(answering, work, most) == [each.name for each in questions]
    assert sorted(name for go in answering.goes for name in go) == sorted(each.name for each in questions)
    for go in answering.goes:
        held = [thing for name in go for thing in questions[int(name)].excludes]
        assert len(go) <= most
        assert len(held) == len(set(held))


def test_what_makes_no_sense_ends_by_itself_and_what_is_not_plain_goes_alone() -> None:
    answering = Answering()

    def nonsense() -> Any:
        raise ValueError("nonsense")

    async def work(gatherer: Gatherer) -> list[Any]:
        return await asyncio.gather(
            gatherer.ask(lambda: Said("plain")),
            gatherer.ask(nonsense),
            gatherer.ask(lambda: Said("special", is_plain=False)),
            return_exceptions=True,
        )

    plain, failed, special = asking(answering, work)
    assert plain == "plain"
    assert isinstance(failed, ValueError)
    assert special() == "special, alone"
    assert [name for go in answering.goes for name in go] == ["plain"]


def test_a_mistake_of_our_own_leaves_nobody_waiting() -> None:
    def fails(_questions: Sequence[Any]) -> list[Any]:
        raise RuntimeError

    async def work(gatherer: Gatherer) -> list[Any]:
        asks = [gatherer.ask(lambda n=n: Said(f"{n}")) for n in range(3)]
        return await asyncio.gather(*asks, return_exceptions=True)

    assert [type(each) for each in asking(fails, work)] == [RuntimeError] * 3


@pytest.mark.parametrize(
    ("together", "waiting", "waits"),
    [(3, 1, False), (4, 2, True), (4, 3, False), (8, 5, True), (8, 6, False)],
    ids=["no company", "hardly anybody waits", "enough wait", "too few wait", "enough of many wait"],
)
def test_company_is_waited_for_unless_enough_of_it_waits(
    monkeypatch: pytest.MonkeyPatch, together: int, waiting: int, *, waits: bool
) -> None:
    monkeypatch.setattr(gathering, "MOST_COMPANY_SECONDS", 0.6)
    monkeypatch.setattr(gathering, "PATIENCE_SECONDS", 60.0)
    answering = Answering(seconds=0.6)
    asking(answering, lambda gatherer: answered_in_company(gatherer, answering, together, waiting))
    waited = answering.began[2] - answering.ended[1]
    assert [len(go) for go in answering.goes[1:3]] == [together, waiting]
    assert (waited >= 0.5) is waits


def test_company_that_does_not_come_is_waited_for_half_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST_COMPANY_SECONDS", 0.8)
    monkeypatch.setattr(gathering, "LEAST_COMPANY_SECONDS", 0.01)
    monkeypatch.setattr(gathering, "PATIENCE_SECONDS", 60.0)
    answering = Answering(seconds=0.8)

    async def work(gatherer: Gatherer) -> list[float]:
        waited = []
        for _ in range(3):
            before = len(answering.goes)
            await answered_in_company(gatherer, answering, 4, 1)
            waited.append(answering.began[before + 2] - answering.ended[before + 1])
        return waited

    first, second, third = asking(answering, work)
    assert first >= 0.7
    assert 0.35 <= second < 0.7
    assert 0.15 <= third < 0.35


async def answered_in_company(gatherer: Gatherer, answering: Answering, together: int, waiting: int) -> None:
    """One goes first, so many together after it, and so many wait when those are answered."""

    def ask(number: int) -> list[asyncio.Task[Any]]:
        return [asyncio.create_task(gatherer.ask(lambda n=n: Said(f"{n}"))) for n in range(number)]

    answering.may_end.clear()
    asked = ask(1)
    await begun(answering)
    asked += ask(together)
    await asyncio.sleep(0)
    answering.may_end.set()
    await asked[0]
    await begun(answering)
    asked += ask(waiting)
    await asyncio.gather(*asked)
    await begun(answering)


def test_a_go_that_hangs_holds_nobody_up_behind_it() -> None:
    answering = Answering()

    async def work(gatherer: Gatherer) -> list[Any]:
        answering.may_end.clear()
        stuck = asyncio.create_task(gatherer.ask(lambda: Said("stuck")))
        await begun(answering)
        answering.may_end = threading.Event()
        answering.may_end.set()
        others = [await gatherer.ask(lambda n=n: Said(f"{n}")) for n in range(3)]
        assert not stuck.done()
        held.set()
        return [await stuck, *others]

    held = answering.may_end
    assert asking(answering, work) == ["stuck", "0", "1", "2"]


def test_no_more_lanes_open_than_may() -> None:
    answering = Answering()

    async def work(gatherer: Gatherer) -> list[Any]:
        answering.may_end.clear()
        asks = [asyncio.create_task(gatherer.ask(lambda n=n: Said(f"{n}"))) for n in range(LANES + 3)]
        for _ in range(LANES):
            await begun(answering)
        assert len(answering.goes) == LANES
        answering.may_end.set()
        return await asyncio.gather(*asks)

    assert asking(answering, work, 1) == [f"{n}" for n in range(LANES + 3)]


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_who_leaves_is_not_told_and_the_others_are(cancelled: int) -> None:
    answering = Answering()

    async def work(gatherer: Gatherer) -> list[Any]:
        answering.may_end.clear()
        asks = [asyncio.create_task(gatherer.ask(lambda n=n: Said(f"{n}"))) for n in range(3)]
        await begun(answering)
        asks[cancelled].cancel()
        answering.may_end.set()
        return await asyncio.gather(*asks, return_exceptions=True)

    ends = asking(answering, work)
    assert isinstance(ends.pop(cancelled), asyncio.CancelledError)
    assert ends == [f"{n}" for n in range(3) if n != cancelled]
