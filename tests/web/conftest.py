"""A city behind a real API: uvicorn over TLS, the sequencer running, and a portal with its own key."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from audit.sequencer import Sequencer
from foundation.installation import Installation
from sandbox.portal import Portal
from tests.verification.city import PORTAL, City, found_city
from web.server import configured


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def city(installation: Installation) -> City:
    settings = installation.settings.model_copy(update={"api_port": free_port()})
    return found_city(Installation.open(settings))


@pytest.fixture
def sequencer(city: City) -> Iterator[None]:
    stop = threading.Event()
    worker = Sequencer(city.installation)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def api(city: City) -> Iterator[str]:
    """The URL of the running API."""
    server = uvicorn.Server(configured(city.installation))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    yield f"https://127.0.0.1:{city.installation.settings.api_port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def portal(api: str, city: City) -> Iterator[Portal]:
    with Portal(api, city.installation.authority.ca_path, PORTAL, city.keys[PORTAL]) as client:
        yield client
