"""Witnesses in threads of this process, with folders that are put back after every attack."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from audit.checkpoints.cosignatures import Cosigner
from audit.checkpoints.notes import VerifierKey
from audit.witnesses.folder import WitnessFolder
from benchmarks.workspace import free_port
from web.witness import configured

_NAMES = ("kpk", "bpk")
_ED25519_COSIGNATURE = 0x04


class Witnesses:
    """Two witnesses under different administrations, always at the same addresses.

    Args:
        directory: where their folders stand.
        log_keys: the log that they watch.
    """

    def __init__(self, directory: Path, log_keys: Sequence[VerifierKey]) -> None:
        self._directory = directory
        self._lines = [f"log {key}\n" for key in log_keys]
        for number, name in enumerate(_NAMES):
            cosigner = Cosigner(f"{name}.example/witness", _ED25519_COSIGNATURE, bytes([number + 1]) * 32)
            port = free_port()
            folder = WitnessFolder.make(directory / name, [cosigner], host="127.0.0.1", port=port)
            for key in log_keys:
                folder.trust(key)
            self._lines.append(f"witness {name} {cosigner.key} http://127.0.0.1:{port}\n")

    def write_policy(self, file: Path) -> Path:
        """Write the policy under which both of them must have cosigned."""
        file.write_text("".join(self._lines) + f"group both 2 {' '.join(_NAMES)}\nquorum both\n")
        return file

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Let both answer."""
        started = []
        try:
            for name in _NAMES:
                server = uvicorn.Server(configured(WitnessFolder(self._directory / name)))
                thread = threading.Thread(target=server.run, daemon=True)
                thread.start()
                started.append((server, thread))
            _await_all(server for server, _ in started)
            yield
        finally:
            for server, thread in started:
                server.should_exit = server.force_exit = True
                thread.join()

    @contextmanager
    def as_they_are(self) -> Iterator[None]:
        """What they see inside is forgotten afterwards."""
        kept = self._directory.with_name("witnesses-kept")
        shutil.copytree(self._directory, kept)
        try:
            yield
        finally:
            shutil.rmtree(self._directory)
            kept.rename(self._directory)


def _await_all(servers: Iterator[uvicorn.Server]) -> None:
    deadline = time.monotonic() + 30
    for server in servers:
        while not server.started:
            if time.monotonic() > deadline:
                raise SystemExit("a witness does not start")
            time.sleep(0.005)
