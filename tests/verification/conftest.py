"""A founded city, and a context that answers in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from foundation.installation import Installation
from tests.verification.city import City, found_city
from verification.context import AnsweringContext


@pytest.fixture
def city(installation: Installation) -> City:
    return found_city(installation)


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
