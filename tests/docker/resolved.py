"""compose.yaml as `docker-compose` understands it; the tool is the system's package and needs no engine."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
NEEDED = {"LINTAS_API_PUBLIC_URL": "https://lintas.example.go.id", "LINTAS_LOG_ORIGIN": "example.go.id/log"}


def require(*programs: str) -> None:
    """Where a machine lacks a program of the system's, say so; where CI runs, that is a failure.

    `.ci/install tests` installs them where it may.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        text = f"missing: {', '.join(missing)}. As root, `.ci/install tests` installs them."
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


def compose(*arguments: str, given: dict[str, str], example: Path = DOCKER / "example.env") -> Any:
    """Run `docker-compose`; only the given variables and those of an environment file reach it."""
    require("docker-compose")
    files = ["--env-file", str(example), "--file", str(DOCKER / "compose.yaml")]
    return subprocess.run(
        ["docker-compose", *files, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **given},
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def _services(given: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    done = compose("--profile", "practice", "--profile", "witness", "config", given=dict(given))
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout.replace("$$", "$"))


def deployment(**given: str) -> dict[str, Any]:
    """The whole file, every profile, with the variables that must be set and those given."""
    return _services(tuple(sorted({**NEEDED, **given}.items())))


def services(**given: str) -> dict[str, dict[str, Any]]:
    """The services of the file, by name."""
    return deployment(**given)["services"]
