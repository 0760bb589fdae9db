"""Fixtures of the sync tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.installation import Installation
from tests.conftest import DatabaseCopies, InstallationCopies

from .world import World, introduce
from .worlds import AnotherWorld, copies_of


@pytest.fixture(scope="session")
def another_world(
    session_directory: Path, installation_template: Installation, database_copies: DatabaseCopies
) -> AnotherWorld:
    """As many worlds as a test needs; agencies and contracts are introduced once a session."""
    copies = InstallationCopies(installation_template, session_directory, database_copies)
    return copies_of(introduce(copies.keep()), session_directory)


@pytest.fixture
def world(another_world: AnotherWorld) -> Iterator[World]:
    """An installation with agencies, agreements and contracts in force."""
    with another_world() as found:
        yield found
