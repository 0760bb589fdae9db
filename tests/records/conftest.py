"""Fixtures of the sync tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from foundation.installation import Installation
from records import shapes
from tests.conftest import DatabaseCopies, InstallationCopies

from .world import World, introduce


@pytest.fixture(scope="session")
def another_world(
    session_directory: Path, installation_template: Installation, database_copies: DatabaseCopies
) -> Callable[[], AbstractContextManager[World]]:
    """As many worlds as a test needs; agencies and contracts are introduced once a session."""
    introduced: list[World] = []
    copies = InstallationCopies.of(
        installation_template,
        session_directory,
        database_copies,
        prepare=lambda installation: introduced.append(introduce(installation)),
    )

    @contextmanager
    def copied() -> Iterator[World]:
        shapes.forget()
        with copies.copy() as installation:
            yield World(installation, dict(introduced[0].contracts))
        shapes.forget()

    return copied


@pytest.fixture
def world(another_world: Callable[[], AbstractContextManager[World]]) -> Iterator[World]:
    """An installation with agencies, agreements and contracts in force."""
    with another_world() as found:
        yield found
