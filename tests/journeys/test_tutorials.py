"""Each tutorial, followed to the letter by somebody new: every command and every line of Python is run."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Role
from records.quarantine import list_rows
from sandbox.fixed_people import FIXED

pytestmark = [
    pytest.mark.journey,
    pytest.mark.airflow,
    pytest.mark.xdist_group("journeys"),
    pytest.mark.timeout(600),  # whichever comes first starts the bus
]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
DONE_BY_THE_FIXTURE = ("make up", ". .venv/bin/activate")


@pytest.fixture
def desk(synced: Any, tmp_path: Path) -> Path:
    """A checkout with a running practice bus, as a new user has it in the second terminal."""
    for name in ("schemas", "audit", "sandbox"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".lintas").symlink_to(synced.settings.home)
    return tmp_path


@pytest.mark.parametrize("page", ["agency-it-team", "data-steward", "portal"])
def test_a_tutorial_can_be_followed_to_its_end(synced: Any, desk: Path, page: str) -> None:
    person = desk / "person"
    person.write_text(f"{FIXED.verified.nik}\n")
    text = (ROOT / "docs" / "tutorial" / f"{page}.md").read_text(encoding="utf-8")
    text = text.replace("/path/to/file", str(person))
    text = text.replace("https://127.0.0.1:8800", f"https://127.0.0.1:{synced.settings.api_port}")
    text = text.replace("quarantine show 1 ", f"quarantine show {_a_row_of_the_registry(synced)} ")
    blocks = BLOCK.findall(text)
    commands = "\n".join(body for language, body in blocks if language == "sh")
    program = "\n".join(body for language, body in blocks if language == "python")
    if commands:
        _follow(commands, desk, synced.settings)
    if program:
        _run([sys.executable, "-c", program], desk, _environment(synced.settings))


def _a_row_of_the_registry(synced: Any) -> int:
    """An id as the tutorial's list shows it."""
    with synced.installation.database.connect(Role.STEWARD) as connection:
        return list_rows(connection, dataset_id="dukcapil-mojokerto/persons", limit=1)[0].row_id


def _follow(commands: str, desk: Path, settings: Any) -> None:
    """Type the commands into one shell that stops at the first that fails."""
    lines = [line for line in commands.splitlines() if line.strip() not in DONE_BY_THE_FIXTURE]
    _run(["bash", "-e", "-x", "-c", "\n".join(lines)], desk, _environment(settings))


def _environment(settings: Any) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **settings.as_environment(), "PATH": path, "PYTHONPATH": str(ROOT)}


def _run(command: list[str], desk: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=desk, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert FIXED.verified.nik not in done.stdout + done.stderr
