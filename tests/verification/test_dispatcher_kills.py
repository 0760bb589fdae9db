"""`kill -9` at any moment: nothing that is owed is lost, and what comes twice comes under one id."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.verification.changing import Aftermath, aftermath
from tests.verification.city import SITI, City
from verification.notices import NoticeState

ROOT = Path(__file__).parents[2]
CODE = """
import threading
from foundation.installation import Installation
from verification.dispatcher import Dispatcher
from verification.sending import Patience
Dispatcher(Installation.open(), patience=Patience(first=0.05, longest=0.1)).run(threading.Event())
"""
CASES = 12


@pytest.fixture
def after(city: City) -> Iterator[Aftermath]:
    with aftermath(city) as made:
        made.match()
        yield made


@contextmanager
def process(city: City) -> Iterator[subprocess.Popen[bytes]]:
    """A dispatcher as an operator runs it."""
    environment = {**os.environ, **city.installation.settings.as_environment()}
    running = subprocess.Popen(
        [sys.executable, "-c", CODE], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            running.send_signal(signal.SIGKILL)
        running.wait()


@pytest.mark.timeout(240)
def test_killed_at_random_it_loses_nothing_and_repeats_only_under_the_same_id(after: Aftermath) -> None:
    for number in range(CASES):
        after.answered(SITI, case=f"K-{number % 4}")
    after.listen()
    after.dies()
    kills = 0
    for _ in range(3):
        with process(after.city) as running:
            before = len(after.receiver.deliveries)
            _until(lambda seen=before: len(after.receiver.deliveries) > seen or _is_done(after), running)
            time.sleep(random.uniform(0, 0.05))
            running.send_signal(signal.SIGKILL)
            running.wait()
            kills += 1
        if _is_done(after):
            break
    with after.dispatcher():
        after.receiver.wait_for(CASES, timeout=60)
        _until(lambda: _is_done(after))
    assert kills
    owed = after.owed()
    assert [each.number for each in owed] == list(range(1, CASES + 1))
    assert {each.state for each in owed} == {NoticeState.DELIVERED}
    assert {each.event_id for each in after.receiver.notices} == {str(each.notice_id) for each in owed}
    assert after.receiver.overtaken == after.receiver.refused == []
    reviewed = [
        entry["details"]["review"]
        for entry in after.city.entries("exchange.reviewed")
        if "review" in entry["details"]
    ]
    assert sorted(reviewed) == sorted(str(each.review_id) for each in owed)
    pushed = {entry["details"]["notice"] for entry in after.city.entries("exchange.pushed")}
    assert pushed == {str(each.notice_id) for each in owed}


def _is_done(after: Aftermath) -> bool:
    owed = after.owed()
    return len(owed) == CASES and all(each.state is NoticeState.DELIVERED for each in owed)


def _until(condition, running: subprocess.Popen[bytes] | None = None, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert running is None or running.poll() is None, "the dispatcher ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.01)
