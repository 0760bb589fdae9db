"""The practice tax office: taxpayers, standing and property tax over REST, with OAuth 2, pages and pauses."""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import polars as pl

from foundation.files import read_private, write_private
from foundation.tls import LocalAuthority
from sandbox.address import LOCALHOST, listening_on
from sandbox.faults import FaultBoard
from sandbox.population import Population
from sandbox.tax_books import COLLECTIONS, STANDING, TaxBooks
from sandbox.tax_service import Desk, create_service
from sandbox.web_server import WebServer

CLIENT_ID = "lintas-diskominfo-mojokerto"


class TaxOffice:
    """Three collections of records, one client that may read them, and switches for what may go wrong."""

    def __init__(self, directory: Path, authority: LocalAuthority, *, host: str = LOCALHOST) -> None:
        self.directory = directory
        self.host = host
        self.authority = authority
        self.faults = FaultBoard()
        self.shelf = {each.name: TaxBooks(each) for each in COLLECTIONS}
        self._server: WebServer | None = None
        self._desk: Desk | None = None

    @property
    def books(self) -> TaxBooks:
        """The books of tax standing."""
        return self.shelf[STANDING.name]

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
        service = create_service(self.shelf, self._desk, self.faults, self.practice_key)
        certificate, key = self.authority.issue("tax-office", sorted({self.host, LOCALHOST, "127.0.0.1"}))
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

    def expire_tokens(self) -> None:
        """End every token given out so far."""
        if self._desk is not None:
            self._desk.expire_tokens()

    def load(self, population: Population) -> None:
        """Put a population into the books, in place of what they hold."""
        for name, books in self.shelf.items():
            books.rows = getattr(population, name)
        self._save()

    @property
    def is_loaded(self) -> bool:
        """Whether there is anything in the books."""
        return all(books.rows.height > 0 for books in self.shelf.values())

    def _save(self) -> None:
        for name, books in self.shelf.items():
            if books.rows.height:
                buffer = io.BytesIO()
                books.rows.write_parquet(buffer)
                write_private(self._stored(name), buffer.getvalue())

    def _recall(self) -> None:
        for name, books in self.shelf.items():
            if not books.rows.height and self._stored(name).exists():
                books.rows = pl.read_parquet(self._stored(name))

    def _stored(self, name: str) -> Path:
        return self.directory / f"{name}.parquet"
