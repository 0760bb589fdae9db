"""A throw-away installation for a benchmark, durable as a real one is."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.installation import Installation
from foundation.settings import Settings


@contextmanager
def workspace(**settings: object) -> Iterator[Installation]:
    """A prepared installation under a temporary home; its PostgreSQL is stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="lintas-bench-"))
    home.chmod(0o711)
    installation = Installation.open(Settings(home=home / "home", **settings))  # type: ignore[arg-type]
    try:
        yield installation.prepare()
    finally:
        if installation.database.server is not None:
            installation.database.server.remove()
        shutil.rmtree(home, ignore_errors=True)


def settle(installation: Installation) -> None:
    """What the server would do in its own time after much was written, while both sides are measured."""
    with installation.database.admin(installation.settings.database_name) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
