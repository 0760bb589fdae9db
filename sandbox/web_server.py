"""A web server on loopback in a thread of its own, over TLS."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

Application = Callable[..., Awaitable[Any]]
_PATIENCE = 15.0


class WebServer:
    """Serves an application; after `stop` it can be started again at the same port."""

    def __init__(
        self, application: Application, certificate: Path, key: Path, *, host: str = "127.0.0.1"
    ) -> None:
        self._application = application
        self._host = host
        self._files = (str(certificate), str(key))
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    def start(self, port: int = 0) -> None:
        """Listen, unless it does so already; port 0 takes a free one."""
        if self._server is not None:
            return
        listener = socket.create_server((self._host, port or self.port))
        # asyncio does this for its own sockets only; without it every reply waits 40 ms for the reader's word
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = int(listener.getsockname()[1])
        certificate, key = self._files
        configuration = uvicorn.Config(
            self._application,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
            loop="asyncio",
        )
        self._server = uvicorn.Server(configuration)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="practice-web", daemon=True
        )
        self._thread.start()
        self._wait_until_up()

    def stop(self) -> None:
        """Stop listening and end the thread."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_PATIENCE)
        self._server = self._thread = None

    def _wait_until_up(self) -> None:
        assert self._server is not None
        deadline = time.monotonic() + _PATIENCE
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the practice web server does not come up")
            time.sleep(0.01)
