"""A witness's folder as the command line makes and shows it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from lintas.key_files import keys_in, verifier_keys

__all__ = ["answered", "make_witness", "shown", "trust_logs"]


def make_witness(
    folder: Path, name: str, algorithm: str, *, host: str, port: int, tls_hosts: Sequence[str]
) -> Mapping[str, Any]:
    """Make a witness with one new signing key."""
    from audit.checkpoints.cosignatures import ALGORITHMS, Cosigner
    from audit.witnesses.folder import WitnessFolder
    from foundation.tls import LocalAuthority

    if algorithm not in ALGORITHMS:
        raise typer.BadParameter(f"write one of {', '.join(sorted(ALGORITHMS))}", param_hint="--algorithm")
    cosigner = Cosigner.generate(name, algorithm)
    made = WitnessFolder.make(folder, [cosigner], host=host, port=port, tls_hosts=tls_hosts)
    if tls_hosts:
        LocalAuthority(made.path / "tls").ensure()
    return shown(folder)


def trust_logs(folder: Path, keys: Path) -> list[dict[str, str]]:
    """Watch every log whose key stands in a file."""
    from audit.witnesses.folder import WitnessFolder

    found = keys_in(sys.stdin.read(), "The input") if str(keys) == "-" else verifier_keys(keys)
    for key in found:
        WitnessFolder(folder).trust(key)
    return [{"log": key.name, "key_id": key.key_id.hex()} for key in found]


def shown(folder: Path) -> Mapping[str, Any]:
    """What others need to know of the witness, and what it saw last."""
    from audit.witnesses.folder import WitnessFolder

    witness = WitnessFolder(folder)
    host, port = witness.address()
    names = witness.tls_hosts()
    url = f"https://{names[0]}:{port}" if names else f"http://{host}:{port}"
    seen = {origin: witness.seen(origin)[0].size for origin in {key.name for key in witness.logs()}}
    fields: dict[str, Any] = {
        "folder": folder,
        "policy_lines": [f"witness {_short(each.name)} {each.key} {url}" for each in witness.cosigners()],
        "seen": [f"{origin}: {size} entries" for origin, size in sorted(seen.items())],
    }
    if names:
        fields["authority"] = folder / "tls" / "ca.pem"
    return fields


def answered() -> list[dict[str, Any]]:
    """What each witness of this installation's log answered last."""
    from foundation.database import Role
    from lintas.access import connected
    from lintas.witness_status import witnessing

    with connected(Role.STEWARD) as (_, connection):
        found = witnessing(connection)
    return [
        {
            "witness": each.name,
            "entries": each.tree_size,
            "cosigned_at": each.cosigned_at,
            "trouble": each.trouble,
        }
        for each in found.witnesses
    ]


def _short(name: str) -> str:
    """A name for a policy file: the host's, up to its first dot."""
    return name.split("/", 1)[0].split(".", 1)[0]
