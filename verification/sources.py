"""The systems that answering may ask live: their look-ups opened once, and kept while nothing changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from connectors.errors import ConfigurationInvalid
from connectors.registry import open_lookup
from connectors.source import Lookup
from foundation import telemetry
from foundation.errors import LintasError
from foundation.secrets import SecretResolver
from participants.registry import System, system
from records.shapes import DatasetShape, shapes_of
from schemas.contract import Contract

if TYPE_CHECKING:
    from collections.abc import Callable

    from foundation.settings import Settings

_AT_ONCE = 32
"""Live questions of one process on their way at once, over all systems."""

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class LiveSource:
    """One dataset that can be asked live."""

    contract: Contract
    shape: DatasetShape
    lookup: Lookup


class LiveSources:
    """The look-ups of one process. Thread-safe; close it after use.

    Args:
        settings: Where secrets are.
        contracts: The contracts by dataset.
    """

    def __init__(self, settings: Settings, contracts: Mapping[str, Contract]) -> None:
        self._settings = settings
        self._contracts = contracts
        self._opened: dict[str, tuple[System, Lookup | None]] = {}
        self._guard = threading.Lock()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="live")

    def source(self, connection: psycopg.Connection[Any], dataset_id: str) -> LiveSource | None:
        """The dataset's source, or None when it cannot be asked live.

        That is so where the contract names no look-up, is not the one in force, or its system is unknown or
        suspended.
        """
        contract = self._contracts.get(dataset_id)
        shape = shapes_of(connection, [dataset_id]).get(dataset_id)
        if contract is None or shape is None or shape.contract_hash != contract.hash:
            return None
        with suppress(LintasError):
            registered = system(connection, contract.server.system_id)
            if registered.agency_id == contract.agency and registered.is_active:
                lookup = self._lookup(contract, registered)
                return None if lookup is None else LiveSource(contract, shape, lookup)
        return None

    def submit(self, work: Callable[[], _Found]) -> Future[_Found]:
        """Do work beside other work."""
        return self._threads.submit(work)

    def close(self) -> None:
        """Give back every connection; questions on their way end with their own budgets."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._guard:
            for _, lookup in self._opened.values():
                if lookup is not None:
                    lookup.close()
            self._opened.clear()

    def _lookup(self, contract: Contract, registered: System) -> Lookup | None:
        """The look-up, opened anew when the system was registered anew."""
        with self._guard:
            known = self._opened.get(contract.id)
            if known is not None and known[0] == registered:
                return known[1]
            try:
                opened = self._open(contract, registered)
            except LintasError as error:  # a secret is missing: looked for again with the next question
                telemetry.logger(__name__).warning(
                    "a source cannot be asked live", dataset=contract.id, error=error.code
                )
                return None
            self._opened[contract.id] = (registered, opened)
            if known is not None and known[1] is not None:
                self.submit(known[1].close)
            return opened

    def _open(self, contract: Contract, registered: System) -> Lookup | None:
        """None where the contract names no look-up, as that of a file on a server does."""
        secrets = SecretResolver(contract.agency, self._settings)
        try:
            return open_lookup(contract.server, registered, secrets, columns=contract.source_columns)
        except ConfigurationInvalid:
            return None
