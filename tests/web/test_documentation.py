"""What the API can say stands in its reference page."""

from __future__ import annotations

import ast
from pathlib import Path

from foundation.installation import Installation
from foundation.settings import Settings
from web.app import create_app
from web.problem_list import PROBLEMS
from web.problems import TOLD

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/http-api.md").read_text("utf-8")


def codes_in_the_source() -> set[str]:
    """Every literal problem code of the web room."""
    found = set(TOLD)
    for file in (ROOT / "web").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            made = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem" and node.args
            if made and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    return found | {"not-found", "method-not-allowed", "request-failed", "token-request-invalid"}


def test_every_problem_type_is_explained() -> None:
    assert codes_in_the_source() == set(PROBLEMS)


def test_what_is_explained_says_the_status_that_is_sent() -> None:
    assert {code: str(told.status) for code, told in TOLD.items()} == {
        code: PROBLEMS[code].status for code in TOLD
    }


def test_every_operation_is_listed(tmp_path: Path) -> None:
    app = create_app(Installation.open(Settings(home=tmp_path)))
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in PAGE


def test_the_public_names_are_exact() -> None:
    import verification
    import web

    for room in (verification, web):
        assert all(hasattr(room, name) for name in room.__all__)
        assert (room.__doc__ or "").split(":")[0].isupper()
