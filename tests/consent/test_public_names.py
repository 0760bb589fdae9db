import importlib
import pkgutil

import pytest

import consent

MODULES = sorted(
    f"consent.{module.name}"
    for module in pkgutil.iter_modules(consent.__path__)
    if module.name != "migrations"
)


def test_the_room_offers_exactly_these_names():
    assert sorted(consent.__all__) == [
        "Channel",
        "ConsentState",
        "Decision",
        "ExchangeRequest",
        "Explanation",
        "Facts",
        "Giver",
        "GuardianGround",
        "LegalBasis",
        "Mode",
        "Outcome",
        "RULES",
        "RuleFinding",
        "Verb",
        "decide",
    ]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_what_it_offers(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public)
