"""What a sync is given: the installation, who operates the bus, how sources are opened, and who watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from connectors.registry import open_source
from connectors.source import Source
from foundation.database import Role, translated
from foundation.secrets import SecretResolver
from participants.registry import system
from records.tags import TagKey
from schemas.contract import Contract

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["Observer", "Progress", "SourceOpener", "SyncContext", "registered_source"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward, for whoever watches; figures only."""

    dataset_id: str
    step: str
    read: int = 0
    accepted: int = 0
    quarantined: int = 0
    detail: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


Observer = Callable[[Progress], None]
SourceOpener = Callable[["SyncContext", Contract], Source]


def _silent(_: Progress) -> None:
    return


def registered_source(context: SyncContext, contract: Contract) -> Source:
    """Open the system that the operator registered for the contract, with the agency's own secrets."""
    with context.connection() as connection:
        registered = system(connection, contract.server.system_id)
    resolver = SecretResolver(contract.agency, context.installation.settings)
    home = context.installation.home
    return open_source(
        contract.server,
        registered,
        resolver,
        columns=contract.source_columns,
        spool=home / "spool",
        drops=home / "drops" / contract.agency,
    )


@dataclass(frozen=True)
class SyncContext:
    """Everything the steps of a sync need besides the contract.

    Attributes:
        installation: The installation.
        observer: Told of every page and step.
        source_of: How the source of a contract is opened.
        operator: The agency that operates the bus, the consumer of every collection.
        system: The bus, as registered.
    """

    installation: Installation
    observer: Observer = _silent
    source_of: SourceOpener = registered_source
    operator: str = "diskominfo-mojokerto"
    system: str = "lintas"

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in the ingest role that commits statement by statement; errors carry no values."""
        with translated(), self.installation.database.connect(Role.INGEST, autocommit=True) as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in the ingest role, inside one transaction."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @property
    def tags(self) -> TagKey:
        """The key of the tags."""
        return TagKey.of(self.installation.keyring)
