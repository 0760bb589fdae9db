"""The practice health office: patients, JKN coverage and immunizations on a FHIR R4 server, over TLS."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from foundation.files import write_private
from foundation.tls import LocalAuthority
from sandbox.access_log import AccessLog
from sandbox.address import LOCALHOST
from sandbox.datasets import HEALTH_OFFICE
from sandbox.health_books import HealthBooks
from sandbox.health_desk import TokenDesk
from sandbox.health_resources import WRITERS
from sandbox.health_web import create_service
from sandbox.population import Population
from sandbox.web_office import CLIENT_ID, WebOffice


class HealthService(WebOffice[TokenDesk]):
    """One FHIR server at `/fhir-r4/v1`, one client that may search it, and switches for what may go wrong."""

    name = "health-service"

    def __init__(self, directory: Path, authority: LocalAuthority, *, host: str = LOCALHOST) -> None:
        super().__init__(directory, authority, host=host)
        self.served = AccessLog(directory, HEALTH_OFFICE)
        self.books = HealthBooks()

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
        self._prepare()
        self._desk = TokenDesk(
            CLIENT_ID, self.client_secret, token_seconds=token_seconds, lockout_seconds=lockout_seconds
        )
        self._open(create_service(self.books, self._desk, self.faults, self.practice_key, self.served), port)

    def forgive(self) -> None:
        """Let a client try again that was locked out after a refused login."""
        if self._desk is not None:
            self._desk.forgive()

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
