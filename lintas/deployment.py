"""What the servers of a deployment need before they start: passwords and certificates, as files.

Each server is given a folder of its own with nothing but its own secrets. A password that exists is
kept, a certificate is renewed before it ends.
"""

import secrets
from pathlib import Path

from foundation.files import make_private_directory, read_private, write_once, write_private
from foundation.installation import Installation

__all__ = ["provide_broker_secrets", "provide_database_secrets"]

BROKER_RULES = """\
# Written by `lintas deployment secrets` at every start; changes made here are lost.
# The queue outlives a restart; should it be lost all the same, Airflow's database knows what was in it.
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""


def provide_database_secrets(installation: Installation, directory: Path, host: str) -> None:
    """Password of the administrator, certificate and key of the PostgreSQL server.

    Args:
        installation: Whose authority vouches for the server.
        directory: Where the server looks for them.
        host: The name under which the others reach it.
    """
    _password(directory)
    _certificate(installation, directory, "database", host)


def provide_broker_secrets(installation: Installation, directory: Path, host: str) -> None:
    """Password, certificate, key and configuration of the Redis server, which speaks TLS only.

    Args:
        installation: Whose authority vouches for the server.
        directory: Where the server looks for them.
        host: The name under which the others reach it.
    """
    password = _password(directory)
    certificate, key = _certificate(installation, directory, "broker", host)
    lines = [
        f"requirepass {password}",
        "port 0",
        "tls-port 6379",
        f"tls-cert-file {certificate}",
        f"tls-key-file {key}",
        f"tls-ca-cert-file {directory / 'ca.pem'}",
        "tls-auth-clients no",
    ]
    write_private(directory / "redis.conf", (BROKER_RULES + "\n".join(lines) + "\n").encode())


def _password(directory: Path) -> str:
    file = make_private_directory(directory) / "password"
    write_once(file, f"{secrets.token_hex(32)}\n".encode())
    return read_private(file).decode().strip()


def _certificate(installation: Installation, directory: Path, name: str, host: str) -> tuple[Path, Path]:
    certificate, key = installation.authority.issue(name, [host, "localhost", "127.0.0.1"])
    write_private(directory / "server.pem", certificate.read_bytes(), 0o644)
    write_private(directory / "server.key", key.read_bytes())
    write_private(directory / "ca.pem", installation.authority.ca_path.read_bytes(), 0o644)
    return directory / "server.pem", directory / "server.key"
