"""A founded city, and a context that answers in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foundation.installation import Installation
from tests.conftest import DatabaseCopies
from tests.verification.cities import CityCopies
from tests.verification.city import City
from verification.context import AnsweringContext


@pytest.fixture(scope="session")
def city_copies(
    session_directory: Path, installation_template: Installation, database_copies: DatabaseCopies
) -> CityCopies:
    return CityCopies.found(session_directory, installation_template, database_copies)


@pytest.fixture
def city(city_copies: CityCopies) -> Iterator[City]:
    with city_copies.city() as city:
        yield city


@pytest.fixture
def context(city: City) -> Iterator[AnsweringContext]:
    opened = AnsweringContext.open(city.installation)
    yield opened
    opened.close()


@pytest.fixture
def another_context(city: City) -> Iterator[Callable[[], AnsweringContext]]:
    made: list[AnsweringContext] = []

    def make() -> AnsweringContext:
        made.append(AnsweringContext.open(city.installation))
        return made[-1]

    yield make
    for each in made:
        each.close()
