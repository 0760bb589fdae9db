"""The practice health office in a process of its own, so that its work is not counted as the reader's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from foundation.files import make_private_directory
from foundation.tls import LocalAuthority
from sandbox.health_service import HealthService
from sandbox.population import Population
from sandbox.web_office import CLIENT_ID


@dataclass(frozen=True)
class HealthOffice:
    """Where it is, and how to come in; also what the operator registered and the agency handed over."""

    endpoint_url: str
    ca_certificate_pem: str
    client_secret: str
    system_id: str = "satusehat"
    client_id: str = CLIENT_ID

    def resolve(self, reference: str) -> SecretStr:
        """The agency's secrets."""
        return SecretStr(self.client_id if reference.endswith("client-id") else self.client_secret)


@contextmanager
def health_office(people: int, directory: Path) -> Iterator[HealthOffice]:
    """An office with so many people."""
    command = [sys.executable, "-m", "benchmarks.health_office", str(directory), str(people)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        authority = LocalAuthority(directory / "authority", "Benchmark")
        secret = (directory / "office" / "client.secret").read_text(encoding="utf-8").strip()
        yield HealthOffice(f"https://localhost:{port}", authority.ca_pem, secret)
        process.stdin.close()


def _serve(directory: Path, people: int) -> None:
    authority = LocalAuthority(directory / "authority", "Benchmark")
    authority.ensure()
    office = HealthService(make_private_directory(directory / "office"), authority)
    office.load(Population.generate(people))
    office.start()
    print(office.port, flush=True)
    sys.stdin.read()
    office.stop()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
