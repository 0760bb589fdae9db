"""Switches for what goes wrong between offices: each is thrown for one page or all, once or for good."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What the tax office can do wrong."""

    HTML = "html"
    """A maintenance page where JSON was due."""
    CUT = "cut"
    """JSON that ends in the middle, as from a broken proxy."""
    HANG_UP = "hang-up"
    """The line is cut in the middle of the reply."""
    REPEATED_CURSOR = "repeated-cursor"
    """A page names itself as the next one."""
    CURSOR_LOOP = "cursor-loop"
    """A page leads back to the first."""
    EXPIRED_TOKENS = "expired-tokens"
    """Every token given out so far ends at once."""
    STATUS_500 = "status-500"
    """The service fails."""
    SLOW = "slow"
    """The reply takes longer than any reader waits."""
    RENAMED_COLUMN = "renamed-column"
    """`status_kswp` is called `status_wp` from now on."""
    PAUSE = "pause"
    """429 with Retry-After."""
    TRUNCATED = "truncated"
    """The listing ends early, without a word."""
    GARBAGE = "garbage"
    """Every record is rubbish."""
    NOT_AN_OBJECT = "not-an-object"
    """JSON of another shape."""
    HUGE = "huge"
    """A body far larger than any page."""
    SOMEONE_ELSE = "someone-else"
    """A look-up answers with another person's record."""
    OUT_OF_ORDER = "out-of-order"
    """403 for everything."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is switched on.

    Attributes:
        kind: What goes wrong.
        page: Number of the page (from 0) at which it does; every page when None.
        times: How often it does; for good when None.
    """

    kind: StrEnum
    page: int | None = None
    times: int | None = None


class FaultBoard:
    """The switches of one service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[StrEnum, Fault] = {}

    def switch_on(self, kind: StrEnum, *, page: int | None = None, times: int | None = None) -> None:
        """Throw a switch."""
        with self._lock:
            self._faults[kind] = Fault(kind, page, times)

    def clear(self) -> None:
        """Turn everything off."""
        with self._lock:
            self._faults.clear()

    def strikes(self, kind: StrEnum, page: int | None = None) -> bool:
        """Whether a fault strikes now; counts it."""
        with self._lock:
            fault = self._faults.get(kind)
            if fault is None or (fault.page is not None and fault.page != page):
                return False
            if fault.times is not None:
                left = fault.times - 1
                if left < 0:
                    return False
                self._faults[kind] = Fault(kind, fault.page, left)
            return True
