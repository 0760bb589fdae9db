"""Fixtures of the sync tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from foundation.installation import Installation
from records import shapes

from .world import World, introduce


@pytest.fixture
def world(installation: Installation) -> Iterator[World]:
    """An installation with agencies, agreements and contracts in force."""
    shapes.forget()
    yield introduce(installation)
    shapes.forget()
