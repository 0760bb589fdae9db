"""A real uvicorn over TLS in a thread of the test."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from tests.verification.city import City
from web.server import configured


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(city: City) -> Iterator[str]:
    """The URL of the running API."""
    server = uvicorn.Server(configured(city.installation))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.started
        yield f"https://127.0.0.1:{city.installation.settings.api_port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def browser(url: str, city: City) -> Iterator[httpx.Client]:
    """A plain client that trusts the authority of the installation."""
    trust = ssl.create_default_context(cafile=str(city.installation.authority.ca_path))
    with httpx.Client(base_url=url, verify=trust, trust_env=False, timeout=30) as client:
        yield client
