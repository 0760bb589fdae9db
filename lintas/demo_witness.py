"""A practice witness for the demo: a process of its own, with its own key and its own memory of the log.

It stands on the same machine, so it shows how a witness works and proves nothing to a sceptic: a real one is
run by somebody else. An installation that has a policy or a witness already keeps what it has.
"""

import socket

from foundation.files import write_private
from foundation.settings import Settings

__all__ = ["with_practice_witness"]

_NAME = "practice-witness.example/lintas"


def with_practice_witness(settings: Settings) -> Settings:
    """The settings with a witness that `lintas up` runs, and a policy that names it; made on first use."""
    from audit.checkpoints.cosignatures import Cosigner
    from audit.checkpoints.keys import log_verifier_keys
    from audit.witnesses.folder import WitnessFolder
    from foundation.installation import Installation

    if settings.log_policy is not None or settings.witness_directory is not None:
        return settings
    keys = log_verifier_keys(Installation.open(settings).prepare_files())
    folder = settings.home / "practice-witness"
    if (folder / "keys").exists():
        witness = WitnessFolder(folder)
    else:
        cosigner = Cosigner.generate(_NAME, "ed25519")
        witness = WitnessFolder.make(folder, [cosigner], host="127.0.0.1", port=_free_port())
    for key in keys:
        witness.trust(key)
    host, port = witness.address()
    lines = [f"log {key}" for key in keys]
    lines += [f"witness practice {each.key} http://{host}:{port}" for each in witness.cosigners()]
    policy = folder.with_suffix(".policy")
    write_private(policy, "\n".join([*lines, "quorum practice", ""]).encode(), 0o644)
    return settings.model_copy(update={"log_policy": policy, "witness_directory": folder})


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])
