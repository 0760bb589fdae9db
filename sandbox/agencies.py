"""The practice agencies together: started, described to the bus, stopped."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.files import make_private_directory, write_private
from foundation.tls import LocalAuthority
from sandbox.civil_registry import CivilRegistry
from sandbox.datasets import DEATHS, PERSONS, TAX
from sandbox.fixed_people import PracticePerson
from sandbox.population import DEFAULT_SEED, Population
from sandbox.tax_office import CLIENT_ID, TaxOffice

CIVIL_REGISTRY = "dukcapil-mojokerto"
TAX_OFFICE = "kpp-mojokerto"
_STATE = "population.json"
_PORTS = "ports.json"


@dataclass(frozen=True, slots=True)
class PracticeAgencies:
    """Two agencies that serve on loopback.

    Attributes:
        directory: Where they keep everything.
        registry: The civil registry.
        tax: The tax office.
        authority: Who vouches for their certificates.
        population: The people they were filled with; they may have changed since.
    """

    directory: Path
    registry: CivilRegistry
    tax: TaxOffice
    authority: LocalAuthority
    population: Population

    @property
    def ca_pem(self) -> str:
        """The certificate that vouches for both."""
        return self.authority.ca_pem

    @property
    def endpoints(self) -> dict[str, str]:
        """Address of each system, without credentials."""
        return {"siak": self.registry.endpoint_url, "kswp": self.tax.endpoint_url}

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        """What each agency hands the bus, by the names that the contracts refer to."""
        return {
            CIVIL_REGISTRY: {"siak-password": self.registry.password},
            TAX_OFFICE: {"kswp-client-id": CLIENT_ID, "kswp-client-secret": self.tax.client_secret},
        }

    @property
    def figures(self) -> dict[str, Any]:
        """How many rows each dataset has, and the errors put into them by kind."""
        people = self.population
        rows = {PERSONS: people.persons.height, DEATHS: people.deaths.height, TAX: people.tax.height}
        return {
            "seed": people.seed,
            "rows": rows,
            "errors": {
                dataset: dict(Counter(error.kind for error in people.errors if error.dataset == dataset))
                for dataset in rows
            },
        }

    def install_secrets(self, directory: Path) -> None:
        """Put the secrets where the bus looks for them: one folder an agency."""
        for agency, values in self.secrets.items():
            folder = make_private_directory(directory / agency)
            for name, value in values.items():
                write_private(folder / name, f"{value}\n".encode())

    def refill(self) -> None:
        """Undo every change: the books are filled with the population again."""
        self.registry.load(self.population)
        self.tax.load(self.population)
        self.tax.faults.clear()

    def stop(self) -> None:
        """Stop serving; what the agencies hold is kept."""
        self.tax.stop()
        self.registry.stop()


def start(
    directory: Path,
    people: int = 5_000,
    seed: int = DEFAULT_SEED,
    *,
    guests: Sequence[PracticePerson] = (),
    civil_registry_port: int = 0,
    tax_office_port: int = 0,
    pause_every: int = 25,
) -> PracticeAgencies:
    """Start both agencies, filled with a population; what an earlier start left is served again.

    Args:
        directory: Where they keep everything.
        people: How many people live in the city.
        seed: The same seed and number give the same people.
        guests: More practice people.
        civil_registry_port: Where the registry listens; 0 takes the port of last time, or a free one.
        tax_office_port: Where the tax office listens; likewise.
        pause_every: Every so many calls the tax office asks for a pause; 0 never.
    """
    make_private_directory(directory, 0o711)
    population = Population.generate(people, seed=seed, guests=guests)
    authority = LocalAuthority(directory / "authority", "Lintas practice agencies")
    authority.ensure()
    registry = civil_registry_at(directory)
    tax = TaxOffice(make_private_directory(directory / TAX_OFFICE), authority)
    ports = _read(directory / _PORTS)
    state = {"people": people, "seed": seed, "guests": [guest.nik for guest in guests], "form": 2}
    known = _read(directory / _STATE) == state
    try:
        registry.start(civil_registry_port or _free(ports.get("siak", 0)))
        tax.start(tax_office_port or _free(ports.get("kswp", 0)), pause_every=pause_every)
        if not (known and registry.is_loaded):
            registry.load(population)
        if not (known and tax.is_loaded):
            tax.load(population)
    except BaseException:
        tax.stop()
        registry.stop()
        raise
    _write(directory / _PORTS, {"siak": registry.port, "kswp": tax.port})
    _write(directory / _STATE, state)
    return PracticeAgencies(directory, registry, tax, authority, population)


def civil_registry_at(directory: Path) -> CivilRegistry:
    """The registry that keeps its things here; its administrator works while another process serves it."""
    authority = LocalAuthority(directory / "authority", "Lintas practice agencies")
    return CivilRegistry(make_private_directory(directory / CIVIL_REGISTRY, 0o711), authority)


def _free(port: int) -> int:
    """The port, if nobody has taken it meanwhile; else 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    write_private(path, json.dumps(value).encode())
