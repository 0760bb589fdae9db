"""Witnesses served for real over HTTP on loopback, and one that can be stopped and started again."""

import contextlib
import socket
import threading
import time

import uvicorn

from audit.checkpoints.cosignatures import Cosigner
from audit.witnesses.folder import WitnessFolder
from web.witness import configured


class ServedWitness:
    """A witness in a thread of this process, always under the same address."""

    def __init__(self, path, name, log_keys, signature_type=0x04):
        self.cosigner = Cosigner(name, signature_type, bytes([len(name)]) * 31 + name.encode()[:1])
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self.port = chosen.getsockname()[1]
        self.folder = WitnessFolder.make(path, [self.cosigner], host="127.0.0.1", port=self.port)
        for key in log_keys:
            self.folder.trust(key)
        self._server = self._thread = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def line(self, name):
        """Its line of a policy file."""
        return f"witness {name} {self.cosigner.key} {self.url}\n"

    def start(self):
        self._server = uvicorn.Server(configured(self.folder))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return self

    def stop(self):
        if self._server is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join()
            self._server = None


@contextlib.contextmanager
def served(*witnesses):
    try:
        yield [each.start() for each in witnesses]
    finally:
        for each in witnesses:
            each.stop()
