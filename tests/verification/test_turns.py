"""Who may hold how many senders."""

import threading
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation import clock
from foundation.errors import RetryLater
from verification.turns import SLOW_SECONDS, Turns


@dataclass(frozen=True)
class Due:
    system: str


class Ticking:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def queue_of(*systems: str):
    """Claims as the database does: the first that is not left out."""
    waiting = [Due(each) for each in systems]

    def claim(left_out):
        found = next((each for each in waiting if each.system not in left_out), None)
        if found:
            waiting.remove(found)
        return found

    return claim


def taken(turns: Turns, claim) -> list[str]:
    found = []
    while (chosen := turns.choose(claim)) is not None:
        found.append(chosen.system)
    return found


def struggled(turns: Turns, *systems: str) -> None:
    for system in systems:
        with pytest.raises(RetryLater), turns.measured(system):
            raise RetryLater("no answer")


def test_one_receiver_holds_at_most_half_of_the_senders() -> None:
    turns = Turns(senders=4)
    claim = queue_of("a", "a", "a", "a", "b")
    assert taken(turns, claim) == ["a", "a", "b"]
    turns.end("a")
    assert taken(turns, claim) == ["a"]


def test_one_that_failed_holds_a_single_sender_until_it_is_quick_again() -> None:
    ticking = Ticking()
    turns = Turns(senders=4, monotonic=ticking)
    struggled(turns, "a")
    assert taken(turns, queue_of("a", "a", "b", "b")) == ["a", "b", "b"]
    with turns.measured("a"):
        ticking.now += SLOW_SECONDS
    assert taken(turns, queue_of("a", "a")) == ["a"]


def test_one_that_is_slow_is_treated_as_one_that_failed() -> None:
    ticking = Ticking()
    turns = Turns(senders=4, monotonic=ticking)
    with turns.measured("a"):
        ticking.now += SLOW_SECONDS * 1.1
    assert taken(turns, queue_of("a", "a")) == ["a"]


def test_many_that_fail_hold_half_of_the_senders_together() -> None:
    turns = Turns(senders=4)
    struggled(turns, "a", "b", "c", "d")
    assert taken(turns, queue_of("a", "b", "c", "d", "e", "e")) == ["a", "b", "e", "e"]


def test_one_that_asked_for_a_pause_is_left_out_until_it_is_over() -> None:
    turns = Turns()
    turns.rest("a", 30.0)
    assert turns.left_out() == ["a"]
    with clock.fixed(clock.now() + timedelta(seconds=31)):
        assert turns.left_out() == []


def test_a_single_sender_serves_everybody_in_turn() -> None:
    turns = Turns(senders=1)
    struggled(turns, "a")
    claim = queue_of("a", "b")
    for system in ("a", "b"):
        assert turns.choose(claim) == Due(system)
        turns.end(system)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=20), st.sets(st.sampled_from("abc")), st.integers(1, 6))
def test_no_receiver_ever_holds_more_than_its_share(systems, failing, senders) -> None:
    turns = Turns(senders=senders)
    struggled(turns, *sorted(failing))
    holding = taken(turns, queue_of(*systems))
    half = max(1, senders // 2)
    assert all(holding.count(each) <= (1 if each in failing else half) for each in "abc")
    assert sum(holding.count(each) for each in failing) <= half
    for each in holding:
        turns.end(each)
    assert turns.left_out() == []


def test_two_senders_that_choose_at_once_take_no_more_than_one_alone() -> None:
    turns = Turns(senders=2)
    claim, both, found = queue_of("a", "a"), threading.Barrier(2), []

    def choose() -> None:
        both.wait()
        found.append(turns.choose(claim))

    threads = [threading.Thread(target=choose) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found, key=str) == [Due("a"), None]
