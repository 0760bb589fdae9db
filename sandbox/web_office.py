"""An office that answers over HTTPS: its address, its one client's secret, and when its doors are open."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from foundation.files import read_private, write_private
from foundation.tls import LocalAuthority
from sandbox.address import LOCALHOST, listening_on
from sandbox.faults import FaultBoard
from sandbox.population import Population
from sandbox.web_server import Application, WebServer

__all__ = ["CLIENT_ID", "WebOffice"]

CLIENT_ID = "lintas-diskominfo-mojokerto"


class LoginDesk(Protocol):
    """Gives tokens to the one client of an office."""

    def change_secret(self, secret: str) -> None:
        """Take another secret; every token ends."""

    def expire_tokens(self) -> None:
        """End every token."""


Desk = TypeVar("Desk", bound=LoginDesk)


class WebOffice(ABC, Generic[Desk]):
    """What every office on the web has in common; its books and its way of answering are its own.

    Args:
        directory: Where it keeps its things.
        authority: Issues its certificate.
        host: The name under which it is found.
    """

    name: str
    """Name of the office, which its certificate is kept under."""

    def __init__(self, directory: Path, authority: LocalAuthority, *, host: str = LOCALHOST) -> None:
        self.directory = directory
        self.host = host
        self.authority = authority
        self.faults = FaultBoard()
        self._server: WebServer | None = None
        self._desk: Desk | None = None

    @abstractmethod
    def load(self, population: Population) -> None:
        """Put a population into the books, in place of what they hold."""

    @abstractmethod
    def _save(self) -> None:
        """Write the books down."""

    @abstractmethod
    def _recall(self) -> None:
        """Take up the books that were written down, when there are none yet."""

    @property
    def port(self) -> int:
        """The port at which clients find the office."""
        return self._server.port if self._server else 0

    @property
    def endpoint_url(self) -> str:
        """Where the office is."""
        return f"https://{self.host}:{self.port}"

    @property
    def client_secret(self) -> str:
        """The secret of the one client."""
        return read_private(self.directory / "client.secret").decode().strip()

    @property
    def practice_key(self) -> str:
        """What opens the switches from outside the process."""
        return read_private(self.directory / "practice.key").decode().strip()

    def stop(self) -> None:
        """Close the office; what stands in its books is kept."""
        self.hang_up()
        self._save()

    def listen(self) -> None:
        """Let clients in, at the same port as before."""
        if self._server is not None:
            self._server.start()

    def hang_up(self) -> None:
        """Be unreachable."""
        if self._server is not None:
            self._server.stop()

    def change_secret(self) -> str:
        """Give the client another secret, which the bus does not know yet; every token ends."""
        secret = secrets.token_urlsafe(24)
        write_private(self.directory / "client.secret", f"{secret}\n".encode())
        if self._desk is not None:
            self._desk.change_secret(secret)
        return secret

    def expire_tokens(self) -> None:
        """End every token given out so far."""
        if self._desk is not None:
            self._desk.expire_tokens()

    def _prepare(self) -> None:
        """Make the secrets that are not there yet, and take up the books."""
        for name in ("client.secret", "practice.key"):
            if not (self.directory / name).exists():
                write_private(self.directory / name, f"{secrets.token_urlsafe(24)}\n".encode())
        self._recall()

    def _open(self, service: Application, port: int) -> None:
        """Serve at a port; 0 takes a free one."""
        names = sorted({self.host, LOCALHOST, "127.0.0.1"})
        certificate, key = self.authority.issue(self.name, names)
        self._server = WebServer(service, certificate, key, host=listening_on(self.host))
        self._server.start(port)
