"""Opens the installation for one command, with the role that the command needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from foundation.database import Role
from foundation.installation import Installation

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["OPERATOR", "connected", "opened"]

OPERATOR = "diskominfo-mojokerto"


@contextmanager
def opened() -> Iterator[Installation]:
    """The installation with its database running; a server that was not running is stopped again."""
    installation = Installation.open()
    server = installation.database.server
    started_here = server is not None and not server.is_running
    try:
        if started_here:
            installation.database.start()
        yield installation
    finally:
        if started_here:
            installation.database.stop()


@contextmanager
def connected(role: Role) -> "Iterator[tuple[Installation, Connection[Any]]]":
    """The installation and one transaction in a role."""
    with opened() as installation, installation.database.connect(role) as connection:
        yield installation, connection
