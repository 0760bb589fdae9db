"""The practice tax office: tax standing over REST, with OAuth 2, cursor pages and pauses."""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import polars as pl

from foundation.files import read_private, write_private
from foundation.tls import LocalAuthority
from sandbox.faults import FaultBoard
from sandbox.population import Population
from sandbox.tax_books import TaxBooks
from sandbox.tax_service import Desk, create_service
from sandbox.web_server import WebServer

CLIENT_ID = "lintas-diskominfo-mojokerto"
HOST = "localhost"
_BOOKS = "tax.parquet"


class TaxOffice:
    """One collection of records, one client that may read it, and switches for what may go wrong."""

    def __init__(self, directory: Path, authority: LocalAuthority) -> None:
        self.directory = directory
        self.authority = authority
        self.faults = FaultBoard()
        self.books = TaxBooks()
        self._server: WebServer | None = None
        self._desk: Desk | None = None

    @property
    def port(self) -> int:
        """The port at which clients find the office."""
        return self._server.port if self._server else 0

    @property
    def endpoint_url(self) -> str:
        """Where the office is."""
        return f"https://{HOST}:{self.port}"

    @property
    def client_secret(self) -> str:
        """The secret of the one client."""
        return read_private(self.directory / "client.secret").decode().strip()

    @property
    def practice_key(self) -> str:
        """What opens the switches from outside the process."""
        return read_private(self.directory / "practice.key").decode().strip()

    def start(self, port: int = 0, *, pause_every: int = 25, token_seconds: int = 300) -> None:
        """Open the office.

        Args:
            port: Where to listen; 0 takes a free port.
            pause_every: Every so many calls the office asks for a pause (429); 0 never.
            token_seconds: How long a token lasts.
        """
        for name in ("client.secret", "practice.key"):
            if not (self.directory / name).exists():
                write_private(self.directory / name, f"{secrets.token_urlsafe(24)}\n".encode())
        self._recall()
        self._desk = Desk(CLIENT_ID, self.client_secret, token_seconds=token_seconds, pause_every=pause_every)
        service = create_service(self.books, self._desk, self.faults, self.practice_key)
        certificate, key = self.authority.issue("tax-office", [HOST, "127.0.0.1"])
        self._server = WebServer(service, certificate, key)
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

    def expire_tokens(self) -> None:
        """End every token given out so far."""
        if self._desk is not None:
            self._desk.expire_tokens()

    def load(self, population: Population) -> None:
        """Put a population into the books, in place of what they hold."""
        self.books.rows = population.tax
        self._save()

    @property
    def is_loaded(self) -> bool:
        """Whether there is anything in the books."""
        return self.books.rows.height > 0

    def _save(self) -> None:
        if self.is_loaded:
            buffer = io.BytesIO()
            self.books.rows.write_parquet(buffer)
            write_private(self.directory / _BOOKS, buffer.getvalue())

    def _recall(self) -> None:
        stored = self.directory / _BOOKS
        if not self.is_loaded and stored.exists():
            self.books.rows = pl.read_parquet(stored)
