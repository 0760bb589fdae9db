"""Tells the supervisor that a process without a port is alive: a file whose time it keeps renewing."""

import os
import time
from pathlib import Path

__all__ = ["Heartbeat"]


class Heartbeat:
    """The sign of life of one process.

    Args:
        home: The home of the bus.
        name: The process's name in the group.
    """

    def __init__(self, home: Path, name: str) -> None:
        self._path = home / "run" / f"{name}.alive"

    def beat(self) -> None:
        """Say that all is well now."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.touch(mode=0o600)
        os.utime(self._path)

    def age(self) -> float:
        """Seconds since the last sign; infinite when there was none."""
        try:
            return time.time() - self._path.stat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def clear(self) -> None:
        """Forget the last sign."""
        self._path.unlink(missing_ok=True)
