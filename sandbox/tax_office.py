"""The practice tax office: taxpayers, standing and property tax over REST, with OAuth 2, pages and pauses."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from foundation.files import write_private
from foundation.tls import LocalAuthority
from sandbox.access_log import AccessLog
from sandbox.address import LOCALHOST
from sandbox.datasets import TAX_OFFICE
from sandbox.population import Population
from sandbox.tax_books import COLLECTIONS, STANDING, TaxBooks
from sandbox.tax_service import Desk, create_service
from sandbox.web_office import CLIENT_ID, WebOffice


class TaxOffice(WebOffice[Desk]):
    """Three collections of records, one client that may read them, and switches for what may go wrong."""

    name = "tax-office"

    def __init__(self, directory: Path, authority: LocalAuthority, *, host: str = LOCALHOST) -> None:
        super().__init__(directory, authority, host=host)
        self.served = AccessLog(directory, TAX_OFFICE)
        self.shelf = {each.name: TaxBooks(each) for each in COLLECTIONS}

    @property
    def books(self) -> TaxBooks:
        """The books of tax standing."""
        return self.shelf[STANDING.name]

    def start(self, port: int = 0, *, pause_every: int = 25, token_seconds: int = 300) -> None:
        """Open the office.

        Args:
            port: Where to listen; 0 takes a free port.
            pause_every: Every so many calls the office asks for a pause (429); 0 never.
            token_seconds: How long a token lasts.
        """
        self._prepare()
        self._desk = Desk(CLIENT_ID, self.client_secret, token_seconds=token_seconds, pause_every=pause_every)
        self._open(create_service(self.shelf, self._desk, self.faults, self.practice_key, self.served), port)

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
