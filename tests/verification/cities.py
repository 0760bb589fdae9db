"""Copies of one founded city: found once in a session, so that each test begins in a fresh one at once."""

from __future__ import annotations

import gc
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from foundation.installation import Installation
from foundation.keyring import KeyPair
from tests.conftest import DatabaseCopies
from tests.verification.city import City, found_city


@dataclass
class CityCopies:
    """Where copies of the founded city come from."""

    template: Installation
    keys: dict[str, KeyPair]
    databases: DatabaseCopies
    directory: Path

    @classmethod
    def found(
        cls, directory: Path, installation_template: Installation, databases: DatabaseCopies
    ) -> CityCopies:
        """Found the city that is copied."""
        name = databases.take()
        home = directory / f"city-{uuid.uuid4().hex[:8]}"
        shutil.copytree(installation_template.home, home)
        changes = {"home": home, "database_name": name}
        template = Installation.open(installation_template.settings.model_copy(update=changes))
        keys = found_city(template).keys
        return cls(template, keys, DatabaseCopies(template.database), directory)

    @contextmanager
    def city(self) -> Iterator[City]:
        """A copy, taken back when the test is over."""
        name = self.databases.take()
        home = self.directory / f"{name}-{uuid.uuid4().hex[:8]}"
        shutil.copytree(self.template.home, home)
        changes = {"home": home, "database_name": name}
        settings = self.template.settings.model_copy(update=changes)
        yield City(Installation.open(settings), self.keys)
        gc.collect(1)  # a connection left open is reported by the test that left it
        self.databases.give_back(name)
        shutil.rmtree(home, ignore_errors=True)
