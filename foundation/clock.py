"""The one clock: aware UTC moments that tests and drills can set.

Everything that stores or compares time asks :func:`now`, never SQL's ``now()``, so that a test
which moves the clock moves the whole bus. The setting is per process: all threads see it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

__all__ = ["fixed", "now", "shifted"]

_LOCK = threading.Lock()
_Reading = Callable[[], datetime]


def _process_clock() -> _Reading:
    offset = timedelta(seconds=float(os.environ.get("LINTAS_CLOCK_OFFSET_SECONDS") or 0))
    return lambda: datetime.now(UTC) + offset


_READINGS: list[_Reading] = [_process_clock()]


def now() -> datetime:
    """Return the present moment as an aware UTC datetime."""
    return _READINGS[-1]()


@contextmanager
def fixed(moment: datetime) -> Iterator[datetime]:
    """Stand the clock still at a moment (which must be aware)."""
    if moment.tzinfo is None:
        raise ValueError("the clock needs an aware moment, such as datetime(2026, 1, 31, tzinfo=UTC)")
    still = moment.astimezone(UTC)
    with _reading(lambda: still):
        yield still


@contextmanager
def shifted(delta: timedelta) -> Iterator[None]:
    """Let the clock run ahead of (or behind) what it showed before."""
    before = _READINGS[-1]
    with _reading(lambda: before() + delta):
        yield


@contextmanager
def _reading(reading: _Reading) -> Iterator[None]:
    with _LOCK:
        _READINGS.append(reading)
    try:
        yield
    finally:
        with _LOCK:
            _READINGS.remove(reading)
