"""What answering needs, opened once per process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.pq import TransactionStatus

from audit.entry import EntryDraft
from audit.search.cases import case_key
from audit.subjects.vault import Vault
from consent.commitment import QuotaLeases
from foundation import clock
from foundation.database import Role, translated
from foundation.errors import RetryLater
from foundation.keyring import KeyPair
from records.linking import Linked
from records.shapes import all_shapes
from records.tags import TagKey
from schemas.contracts import ContractSet, load_contracts
from schemas.identifiers.regions import known_regions
from verification.catalogue import Catalogue, load_catalogue
from verification.journey import Asker
from verification.signing import BusSigner
from verification.sources import LiveSources
from verification.working_days import deadline

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from foundation.installation import Installation

REQUEST_KEY = "requests"
"""The symmetric key under which idempotency keys and requests are digested."""

_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class AnsweringContext:
    """Connections, keys and the catalogue of one process that answers.

    `side_pool` serves leases of quota and rate, so that who holds a connection of `pool` never waits for
    another.
    """

    installation: Installation
    pool: ConnectionPool[Any]
    side_pool: ConnectionPool[Any]
    vault: Vault
    catalogue: Catalogue
    signer: BusSigner
    leases: QuotaLeases
    request_secret: bytes
    sources: LiveSources | None
    _closing: ExitStack
    linked: Linked = field(default_factory=Linked)

    @classmethod
    def open(cls, installation: Installation, *, connections: int = 16, role: Role = Role.API) -> Self:
        """Load the catalogue and open the pools, in the role of the process.

        Raises:
            ServiceInvalid: When a service does not load.
            ContractInvalid: When a contract does not load.
        """
        contracts = load_contracts(installation.settings.contracts)
        catalogue = open_catalogue(installation, contracts)
        with ExitStack() as opening:
            pool = installation.database.pool(
                role, min_size=2, max_size=connections, autocommit=True, plans_once=True
            )
            opening.callback(pool.close)
            vault = opening.enter_context(Vault(installation, role))
            side_pool = installation.database.pool(role, min_size=1, max_size=2)
            opening.callback(side_pool.close)
            leases = opening.enter_context(QuotaLeases(side_pool.connection))
            sources = LiveSources(installation.settings, contracts.contracts)
            opening.callback(sources.close)
            keyring = installation.keyring
            keyring.ensure(REQUEST_KEY, "symmetric")
            return cls(
                installation,
                pool,
                side_pool,
                vault,
                catalogue,
                BusSigner(keyring),
                leases,
                keyring.secret(REQUEST_KEY),
                sources,
                opening.pop_all(),
            )

    def warm_up(self) -> None:
        """Do now what the first request would wait for: read tables, open keys and connections.

        A database that is not there yet is left to the first request.
        """
        known_regions()
        deadline(clock.now(), 5)  # loads the public holidays
        self.signer.current()
        TagKey.of(self.vault.keyring)
        with suppress(RetryLater), translated():
            with self.pool.connection(timeout=_PATIENCE_SECONDS) as connection:
                all_shapes(connection)
            self.vault.warm_up(_PATIENCE_SECONDS)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in autocommit, with database errors told without values."""
        with translated(), self.pool.connection() as connection:
            yield connection

    @contextmanager
    def session(self, asker: Asker, case_number: str | None = None) -> Iterator[Session]:
        """A session of one asker, about a case, who may rest without a connection."""
        with ExitStack() as holding:
            yield Session(self, holding.enter_context(self.connection()), asker, holding, case_number)

    @property
    def bus_key(self) -> KeyPair:
        """The key that signs promises now."""
        return self.signer.pair

    @property
    def origin(self) -> str:
        """The log in which entries stand."""
        return self.installation.settings.log_origin

    def close(self) -> None:
        """Give unused quota back and close every connection."""
        self._closing.close()


@dataclass
class Session:
    """One asker's connection to the context, for one request.

    Whatever is logged about a request that has a case number is listed under its case, however it ends.
    """

    context: AnsweringContext
    connection: psycopg.Connection[Any]
    asker: Asker
    holding: ExitStack | None = None
    case_number: str | None = field(default=None, repr=False)

    def of_case(self, draft: EntryDraft) -> EntryDraft:
        """The draft of an entry, to be listed under the case of this request."""
        if self.case_number is None or draft.case_key is not None:
            return draft
        return replace(draft, case_key=case_key(self.context.vault.keyring, self.case_number))

    @property
    def may_rest(self) -> bool:
        """Whether the connection is this session's own to give back for a while."""
        return self.holding is not None

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Hold no connection while something else than the database is waited for; take one again after."""
        if self.holding is None:
            raise ValueError("the connection belongs to somebody else")
        if self.connection.info.transaction_status is not TransactionStatus.IDLE:
            raise ValueError("nobody rests inside a transaction")
        self.holding.close()
        yield
        self.connection = self.holding.enter_context(self.context.connection())


def open_catalogue(installation: Installation, contracts: ContractSet | None = None) -> Catalogue:
    """The services of an installation, checked against its contracts."""
    settings = installation.settings
    known = contracts or load_contracts(settings.contracts)
    directory: Path | None = settings.services
    return load_catalogue(directory, {contract.id: contract.record_type for contract in known})
