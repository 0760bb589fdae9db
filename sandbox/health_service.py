"""The practice health office: patients, JKN coverage and immunizations on a FHIR R4 server, over TLS."""

from __future__ import annotations

import io
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from foundation.files import read_private, write_private
from foundation.tls import LocalAuthority
from sandbox.address import LOCALHOST, listening_on
from sandbox.faults import FaultBoard
from sandbox.health_books import HealthBooks
from sandbox.health_desk import TokenDesk
from sandbox.health_resources import WRITERS
from sandbox.health_web import create_service
from sandbox.population import Population
from sandbox.web_server import WebServer

CLIENT_ID = "lintas-diskominfo-mojokerto"


class HealthService:
    """One FHIR server, one client that may search it, and switches for what may go wrong."""

    def __init__(self, directory: Path, authority: LocalAuthority, *, host: str = LOCALHOST) -> None:
        self.directory = directory
        self.host = host
        self.authority = authority
        self.faults = FaultBoard()
        self.books = HealthBooks()
        self._server: WebServer | None = None
        self._desk: TokenDesk | None = None

    @property
    def port(self) -> int:
        """The port at which clients find the office."""
        return self._server.port if self._server else 0

    @property
    def endpoint_url(self) -> str:
        """Where the office is; FHIR stands at `/fhir-r4/v1` below it."""
        return f"https://{self.host}:{self.port}"

    @property
    def client_secret(self) -> str:
        """The secret of the one client."""
        return read_private(self.directory / "client.secret").decode().strip()

    @property
    def practice_key(self) -> str:
        """What opens the switches from outside the process."""
        return read_private(self.directory / "practice.key").decode().strip()

    @property
    def tokens_asked_for(self) -> int:
        """How often somebody has been at the token endpoint."""
        return self._desk.asked if self._desk else 0

    def start(self, port: int = 0, *, token_seconds: int = 3599, lockout_seconds: float = 60.0) -> None:
        """Open the office.

        Args:
            port: Where to listen; 0 takes a free port.
            token_seconds: How long a token lasts.
            lockout_seconds: How long nobody may try again after a refused login.
        """
        for name in ("client.secret", "practice.key"):
            if not (self.directory / name).exists():
                write_private(self.directory / name, f"{secrets.token_urlsafe(24)}\n".encode())
        self._recall()
        self._desk = TokenDesk(
            CLIENT_ID, self.client_secret, token_seconds=token_seconds, lockout_seconds=lockout_seconds
        )
        service = create_service(self.books, self._desk, self.faults, self.practice_key)
        certificate, key = self.authority.issue("health-service", sorted({self.host, LOCALHOST, "127.0.0.1"}))
        self._server = WebServer(service, certificate, key, host=listening_on(self.host))
        self._server.start(port)

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

    def forgive(self) -> None:
        """Let a client try again that was locked out after a refused login."""
        if self._desk is not None:
            self._desk.forgive()

    def expire_tokens(self) -> None:
        """End every token given out so far."""
        if self._desk is not None:
            self._desk.expire_tokens()

    def load(self, population: Population) -> None:
        """Put a population into the books, in place of what they hold."""
        self.books.fill(population)
        self._save()

    def change(self, kind: str, nik: str, values: Mapping[str, Any]) -> int:
        """Change what the books say of a person: columns of `Patient`, `Coverage` or `Immunization`."""
        return self.books.change(kind, nik, values)

    @property
    def is_loaded(self) -> bool:
        """Whether there is anything in the books."""
        return self.books.is_filled

    def _save(self) -> None:
        for kind, frame in self.books.frames.items():
            buffer = io.BytesIO()
            frame.write_parquet(buffer)
            write_private(self.directory / f"{kind.lower()}.parquet", buffer.getvalue())

    def _recall(self) -> None:
        stored = {kind: self.directory / f"{kind.lower()}.parquet" for kind in WRITERS}
        if not self.is_loaded and all(path.exists() for path in stored.values()):
            self.books.frames = {kind: pl.read_parquet(path) for kind, path in stored.items()}
