import importlib
import pkgutil
import subprocess
import sys

import pytest

import foundation

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(foundation.__path__, "foundation.")
    if ".versions" not in module.name
)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_what_it_offers(name):
    module = importlib.import_module(name)
    assert module.__doc__
    assert sorted(module.__all__) == module.__all__
    assert all(hasattr(module, each) for each in module.__all__)


def test_opening_an_installation_imports_nothing_heavy():
    code = (
        "import sys, foundation.installation; "
        "print([m for m in ('sqlalchemy', 'alembic', 'airflow', 'httpx', 'pandas', 'polars') "
        "if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_error_of_the_room_has_its_heading_and_a_code_of_its_own():
    from foundation.documentation import errors_markdown

    page = errors_markdown(["foundation", "participants"])
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert len(headings) == len(set(headings))
    for heading in ("## RetryLater", "### agency-unreachable", "### key-not-valid", "### secret-foreign"):
        assert heading in headings
