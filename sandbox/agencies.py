"""The practice agencies together: started, described to the bus, stopped."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from foundation.files import make_private_directory, write_private
from foundation.tls import LocalAuthority
from sandbox import web_office
from sandbox.address import LOCALHOST
from sandbox.civil_registry import CivilRegistry
from sandbox.datasets import CIVIL_REGISTRY, DATASETS, HEALTH_OFFICE, LICENSING_OFFICE, TAX_OFFICE
from sandbox.health_service import HealthService
from sandbox.licensing_office import LicensingOffice
from sandbox.population import DEFAULT_SEED, Population
from sandbox.practice_person import PracticePerson
from sandbox.tax_office import TaxOffice

_STATE = "population.json"
_PORTS = "ports.json"
_FORM = 3
"""Form of what the agencies keep; what another form left is filled anew."""


class Office(Protocol):
    """What every practice agency can do."""

    @property
    def port(self) -> int:
        """The port at which clients find it."""

    @property
    def endpoint_url(self) -> str:
        """Where it is, without credentials."""

    @property
    def is_loaded(self) -> bool:
        """Whether there is anything in its books."""

    def load(self, population: Population) -> None:
        """Put a population into its books, in place of what they hold."""

    def listen(self) -> None:
        """Let clients in, at the same port as before."""

    def hang_up(self) -> None:
        """Be unreachable, as an agency whose line is down."""

    def stop(self) -> None:
        """Close; what it holds is kept."""


@dataclass(frozen=True, slots=True)
class PracticeAgencies:
    """Four agencies that serve on loopback.

    Attributes:
        directory: Where they keep everything.
        registry: The civil registry.
        tax: The tax office.
        licensing: The licensing office.
        health: The health office.
        authority: Who vouches for their certificates.
        population: The people they were filled with; they may have changed since.
    """

    directory: Path
    registry: CivilRegistry
    tax: TaxOffice
    licensing: LicensingOffice
    health: HealthService
    authority: LocalAuthority
    population: Population

    @property
    def offices(self) -> dict[str, Office]:
        """Each office by the name of its system."""
        return _offices(self.registry, self.tax, self.licensing, self.health)

    @property
    def ca_pem(self) -> str:
        """The certificate that vouches for those that speak TLS."""
        return self.authority.ca_pem

    @property
    def endpoints(self) -> dict[str, str]:
        """Address of each system, without credentials."""
        return {system: office.endpoint_url for system, office in self.offices.items()}

    @property
    def proofs(self) -> dict[str, str]:
        """By what each system proves itself: an authority's certificate, or its own host key."""
        return {**dict.fromkeys(self.offices, self.ca_pem), "oss-daerah": self.licensing.host_key}

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        """What each agency hands the bus, by the names that the contracts refer to."""
        return {
            CIVIL_REGISTRY: {"siak-password": self.registry.password},
            TAX_OFFICE: {
                "kswp-client-id": web_office.CLIENT_ID,
                "kswp-client-secret": self.tax.client_secret,
            },
            LICENSING_OFFICE: {"oss-daerah-password": self.licensing.password},
            HEALTH_OFFICE: {
                "satusehat-client-id": web_office.CLIENT_ID,
                "satusehat-client-secret": self.health.client_secret,
            },
        }

    @property
    def figures(self) -> dict[str, Any]:
        """How many rows each dataset has, and the errors put into them by kind."""
        people = self.population
        return {
            "seed": people.seed,
            "rows": {dataset: people.table(dataset).height for dataset in DATASETS},
            "errors": {
                dataset: dict(Counter(error.kind for error in people.errors if error.dataset == dataset))
                for dataset in DATASETS
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
        for office in self.offices.values():
            office.load(self.population)
        for board in (self.tax.faults, self.licensing.faults, self.health.faults):
            board.clear()

    def stop(self) -> None:
        """Stop serving; what the agencies hold is kept."""
        for office in reversed(self.offices.values()):
            office.stop()


def start(
    directory: Path,
    people: int = 5_000,
    seed: int = DEFAULT_SEED,
    *,
    guests: Sequence[PracticePerson] = (),
    pause_every: int = 25,
    ports: Mapping[str, int] | None = None,
    host: str = LOCALHOST,
) -> PracticeAgencies:
    """Start the agencies, filled with a population; what an earlier start left is served again.

    Args:
        directory: Where they keep everything.
        people: How many people live in the city.
        seed: The same seed and number give the same people.
        guests: More practice people.
        pause_every: Every so many calls the tax office asks for a pause; 0 never.
        ports: Where a system listens, by its name; else at the port of last time, or a free one.
        host: The name under which they are reached; under another than `localhost` they listen everywhere.
    """
    make_private_directory(directory, 0o711)
    population = Population.generate(people, seed=seed, guests=guests)
    authority = LocalAuthority(directory / "authority", "Lintas practice agencies")
    authority.ensure()
    registry = civil_registry_at(directory, host=host)
    tax = TaxOffice(make_private_directory(directory / TAX_OFFICE), authority, host=host)
    licensing = LicensingOffice(make_private_directory(directory / LICENSING_OFFICE), authority, host=host)
    health = HealthService(make_private_directory(directory / HEALTH_OFFICE), authority, host=host)
    offices = _offices(registry, tax, licensing, health)
    taken = {**_read(directory / _PORTS), **(ports or {})}
    state = {"people": people, "seed": seed, "guests": [guest.nik for guest in guests], "form": _FORM}
    known = _read(directory / _STATE) == state
    try:
        registry.start(_free(taken.get("siak", 0)))
        tax.start(_free(taken.get("kswp", 0)), pause_every=pause_every)
        licensing.start(_free(taken.get("oss-daerah", 0)))
        health.start(_free(taken.get("satusehat", 0)))
        for office in offices.values():
            if not (known and office.is_loaded):
                office.load(population)
    except BaseException:
        for office in reversed(offices.values()):
            office.stop()
        raise
    _write(directory / _PORTS, {system: office.port for system, office in offices.items()})
    _write(directory / _STATE, state)
    return PracticeAgencies(directory, registry, tax, licensing, health, authority, population)


def _offices(
    registry: CivilRegistry, tax: TaxOffice, licensing: LicensingOffice, health: HealthService
) -> dict[str, Office]:
    return {"siak": registry, "kswp": tax, "oss-daerah": licensing, "satusehat": health}


def civil_registry_at(directory: Path, *, host: str = LOCALHOST) -> CivilRegistry:
    """The registry that keeps its things here; its administrator works while another process serves it."""
    authority = LocalAuthority(directory / "authority", "Lintas practice agencies")
    return CivilRegistry(make_private_directory(directory / CIVIL_REGISTRY, 0o711), authority, host=host)


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
