"""`kill -9` of a real process inside `land` and `publish`: the next run has exactly the right rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .world import PERSONS, World, person

ROWS = 230
WORKER = Path(__file__).parent / "killed_worker.py"


def kill_a_worker(world: World, where: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LINTAS_")}
    root = str(WORKER.parents[2])
    environment |= world.installation.settings.as_environment() | {"PYTHONPATH": root}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(WORKER), str(ROWS), where],
        env=environment, cwd=root, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.parametrize("where", ["inside:0", "land:100", "inside:2", "merged", "committing"])
def test_after_a_kill_the_next_run_has_every_row_once_and_every_entry_once(world: World, where: str) -> None:
    rows = [person(number) for number in range(1, ROWS + 1)]
    kill_a_worker(world, where)
    assert world.value("SELECT count(*) FROM records.person_v1") == 0
    report = world.sync(PERSONS, rows, page_rows=50)
    assert report.resumed
    assert (report.read, report.accepted, report.inserted) == (ROWS, ROWS, ROWS)
    assert world.value("SELECT count(*) FROM records.person_v1") == ROWS
    assert world.value("SELECT count(DISTINCT nik) FROM records.person_v1") == ROWS
    assert world.value("SELECT count(*) FROM records.change_feed") == ROWS
    assert world.value("SELECT count(*) FROM records.page") == 5
    assert world.kinds() == ["sync.started", "sync.completed"]
    assert world.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'") == 0
    assert world.sync(PERSONS).changed == 0
