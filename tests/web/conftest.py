"""A city behind a real API: uvicorn over TLS, the sequencer running, and a portal with its own key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.publishing.sequencer import Sequencer
from foundation.installation import Installation
from sandbox.portal import Portal
from tests.conftest import DatabaseCopies
from tests.verification.cities import CityCopies
from tests.verification.city import PORTAL, City
from tests.web.serving import free_port, serving


@pytest.fixture(scope="session")
def city_copies(
    session_directory: Path, installation_template: Installation, database_copies: DatabaseCopies
) -> CityCopies:
    return CityCopies.found(session_directory, installation_template, database_copies)


@pytest.fixture
def city(city_copies: CityCopies) -> Iterator[City]:
    with city_copies.city() as found:
        settings = found.installation.settings.model_copy(update={"api_port": free_port()})
        yield City(Installation.open(settings), found.keys)


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
    with serving(city) as url:
        yield url


@pytest.fixture
def portal(api: str, city: City) -> Iterator[Portal]:
    with Portal(api, city.installation.authority.ca_path, PORTAL, city.keys[PORTAL]) as client:
        yield client
