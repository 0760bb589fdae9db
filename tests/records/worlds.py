"""Copies of one world, so that each test begins in a fresh one at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from records import shapes
from tests.conftest import DatabaseCopies, InstallationCopies

from .world import World

AnotherWorld = Callable[[], AbstractContextManager[World]]


def copies_of(world: World, directory: Path) -> AnotherWorld:
    """Copies of a world, which itself must be left alone from now on."""
    copies = InstallationCopies(world.installation, directory, DatabaseCopies(world.installation.database))

    @contextmanager
    def copied() -> Iterator[World]:
        shapes.forget()
        with copies.copy() as installation:
            yield World(installation, dict(world.contracts))
        shapes.forget()

    return copied
