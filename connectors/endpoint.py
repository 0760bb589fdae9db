"""The address of a SQL database, as the operator registered it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from connectors.errors import ConfigurationInvalid
from connectors.line import Line

_POSTGRES_PORT = 5432


@dataclass(frozen=True, slots=True)
class SqlEndpoint:
    """Where a SQL database is, without credentials.

    Attributes:
        url: The address as SQLAlchemy reads it, without user and password.
        ca_pem: Certificates that may vouch for the server; the machine's own when None.
        negotiation: Whether TLS begins at once (`direct`) or is asked for (`postgres`).
        timeout: Seconds that a step may take.
    """

    url: URL
    ca_pem: str | None
    negotiation: Literal["direct", "postgres"]
    timeout: float

    @classmethod
    def parse(
        cls,
        address: str | None,
        *,
        ca_pem: str | None,
        negotiation: Literal["direct", "postgres"],
        timeout: float,
        files: Path | None = None,
    ) -> SqlEndpoint:
        """Read the address that the operator registered.

        Database files (SQLite) are for drills of the reader: no registered address leads to a file of this
        machine unless the caller, who no contract speaks for, names the folder.

        Raises:
            ConfigurationInvalid: When there is none, or it carries credentials or names an unknown database.
        """
        try:
            url = make_url(address or "")
        except ArgumentError:
            raise ConfigurationInvalid(
                ["the system's endpoint_url is missing or is not an address"]
            ) from None
        problems = []
        if url.username or url.password:
            problems.append("the system's endpoint_url must not carry credentials: they belong into a secret")
        if url.query:
            problems.append("the system's endpoint_url must not carry options")
        if url.get_backend_name() != "postgresql" and not _is_file_in(files, url):
            problems.append(f"no driver for {url.get_backend_name()} databases is built in")
        if url.get_backend_name() == "postgresql" and not (url.host and url.database):
            problems.append("the system's endpoint_url must name a host and a database")
        if problems:
            raise ConfigurationInvalid(problems)
        return cls(url=url, ca_pem=ca_pem, negotiation=negotiation, timeout=timeout)

    @property
    def is_postgresql(self) -> bool:
        """Whether the database speaks PostgreSQL's protocol."""
        return self.url.get_backend_name() == "postgresql"

    @property
    def line(self) -> Line:
        """The way to the server."""
        return Line(
            host=self.url.host or "",
            port=self.url.port or _POSTGRES_PORT,
            timeout=self.timeout,
            ca_pem=self.ca_pem,
            protocol="postgresql" if self.negotiation == "direct" else None,
            ask_first=self.negotiation == "postgres",
        )


def _is_file_in(folder: Path | None, url: URL) -> bool:
    """Whether the address is that of a SQLite file in the folder."""
    if folder is None or url.get_backend_name() != "sqlite" or not url.database:
        return False
    return Path(url.database).resolve().is_relative_to(folder.resolve())
