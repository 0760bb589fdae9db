"""How the running practice agencies say where they are: one private file, and secrets where the bus looks.

A real agency would hand these over on paper and by a visit; here the process `lintas sandbox` writes them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import make_private_directory, read_private, write_private
from foundation.installation import Installation
from lintas.errors import NotRunning

if TYPE_CHECKING:
    from sandbox.agencies import PracticeAgencies

__all__ = ["Endpoint", "Introduction", "read_agencies", "recorded_people", "write_agencies"]


@dataclass(frozen=True)
class Endpoint:
    """Where a system of an agency answers, and by what it proves itself: an authority, or its host key."""

    url: str
    proof: str


@dataclass(frozen=True)
class Introduction:
    """What the practice agencies say about themselves."""

    endpoints: Mapping[str, Endpoint]
    figures: Mapping[str, Any]

    def endpoint(self, system: str) -> Endpoint:
        """The endpoint of a system."""
        return self.endpoints[system]


def write_agencies(installation: Installation, agencies: "PracticeAgencies") -> None:
    """Write endpoints and figures, and put each agency's secrets into its own folder."""
    agencies.install_secrets(installation.home / "secrets")
    described = {
        "endpoints": {
            name: {"url": url, "proof": agencies.proofs[name]} for name, url in agencies.endpoints.items()
        },
        "figures": agencies.figures,
    }
    make_private_directory(_file(installation).parent, 0o711)
    write_private(_file(installation), json.dumps(described, indent=2).encode())


def read_agencies(installation: Installation) -> Introduction:
    """Read what the running practice agencies wrote.

    Raises:
        NotRunning: When they never ran.
    """
    path = _file(installation)
    if not path.exists():
        raise NotRunning("the practice agencies")
    described = json.loads(read_private(path))
    endpoints = {name: Endpoint(**each) for name, each in described["endpoints"].items()}
    return Introduction(endpoints, described["figures"])


def recorded_people(home: Path) -> int | None:
    """How many people the practice agencies of this home were filled with, if they were."""
    try:
        state = json.loads((home / "sandbox" / "population.json").read_bytes())
        return int(state["people"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(installation: Installation) -> Path:
    return installation.home / "sandbox" / "agencies.json"
