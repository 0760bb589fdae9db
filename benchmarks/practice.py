"""The practice agencies, running and introduced, for benchmarks that need a source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from foundation.installation import Installation
from lintas.practice import introduce_practice_agencies
from lintas.practice_agencies import write_agencies
from sandbox import agencies
from sandbox.agencies import PracticeAgencies


@contextmanager
def practice(installation: Installation, people: int) -> Iterator[PracticeAgencies]:
    """Both agencies with so many people, registered with the bus, their agreements signed."""
    running = agencies.start(installation.home / "sandbox", people, pause_every=0)
    try:
        write_agencies(installation, running)
        introduce_practice_agencies(installation)
        yield running
    finally:
        running.stop()
        running.registry.server.remove()
