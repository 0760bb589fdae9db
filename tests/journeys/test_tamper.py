"""The tamper bench as a test: each attack is noticed by exactly those of whom the documentation says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from benchmarks.tamper import PAGE, Tried, documented, tried
from benchmarks.tampering.attacks import ATTACKS, Attack
from benchmarks.tampering.scene import Scene, scene

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def bus() -> Iterator[Scene]:
    with scene(200, 6) as built:
        yield built


@pytest.fixture(scope="module")
def try_once(bus: Scene) -> Callable[[Attack], Tried]:
    """Try an attack; what became of it is remembered for the test of the documentation."""
    known: dict[Attack, Tried] = {}
    return lambda attack: known.setdefault(attack, known.get(attack) or tried(bus, attack))


def named(attack: Attack) -> str:
    return f"{attack.name}, {attack.how}"


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_an_attack_is_noticed_by_exactly_those_who_can(
    bus: Scene, try_once: Callable[[Attack], Tried], attack: Attack
) -> None:
    found = try_once(attack)
    assert found.noticed.keys() == attack.noticed_by, {who: each.how for who, each in found.noticed.items()}
    assert found.as_expected
    assert not any(bus.kept.nik in each.how for each in found.noticed.values())


def test_the_documentation_says_who_notices_what(try_once: Callable[[Attack], Tried]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == documented(page, [try_once(attack) for attack in ATTACKS])
