"""How long the disk itself makes everybody wait while something is measured that commits."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STALL_SECONDS = 0.02
"""Writing 8 kB through to the disk takes about a millisecond; from here on it is a stall."""
_PAUSE_SECONDS = 0.05


@dataclass
class Disk:
    """What a bare write beside the measured work saw: stalls as begin and end, by `time.perf_counter`."""

    stalls: list[tuple[float, float]] = field(default_factory=list)

    @property
    def longest(self) -> float:
        """Seconds of the longest stall, 0 where there was none."""
        return max((end - begin for begin, end in self.stalls), default=0.0)

    def was_stalled(self, begin: float, end: float) -> bool:
        """Whether something under way between these moments met a stall, or the queue that one left.

        At half load a queue takes as long to go as it took to come.
        """
        return any(begin < stop + (stop - start) and end > start for start, stop in self.stalls)


@contextmanager
def watched(directory: Path) -> Iterator[Disk]:
    """Write 8 kB through to the disk again and again, beside the body, and note when that stalls."""
    disk, done = Disk(), threading.Event()
    file = directory / "disk-probe"

    def probe() -> None:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        while not done.wait(_PAUSE_SECONDS):
            begin = time.perf_counter()
            os.pwrite(descriptor, b"x" * 8192, 0)
            os.fdatasync(descriptor)
            if (end := time.perf_counter()) - begin >= STALL_SECONDS:
                disk.stalls.append((begin, end))
        os.close(descriptor)

    prober = threading.Thread(target=probe, daemon=True)
    prober.start()
    try:
        yield disk
    finally:
        done.set()
        prober.join()
        file.unlink(missing_ok=True)
