"""Python's search for cycles, kept out of short work that makes many objects and no cycle.

Reading a page of JSON makes tens of thousands of dictionaries and lists; looking through all of them for
cycles, again and again while they are made, takes longer than making them (5 ms of 8 ms for a page of 500
FHIR resources).
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collection_paused"]

_lock = threading.Lock()
_inside = 0
_was_on = True


@contextmanager
def collection_paused() -> Iterator[None]:
    """Let no search for cycles begin in the block, in any thread; what is not cyclic is freed as ever."""
    global _inside, _was_on  # noqa: PLW0603 - the collector is one for the process, and so is this count
    with _lock:
        if _inside == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _was_on:
                gc.enable()
