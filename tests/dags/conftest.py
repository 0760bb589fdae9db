import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.contracts import PACKAGED_CONTRACTS

PERSONS = PACKAGED_CONTRACTS / "dukcapil-mojokerto" / "persons.odcs.yaml"


@pytest.fixture(scope="session")
def in_airflow(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs a snippet in a process of its own, because importing Airflow sets up a whole installation."""
    home = tmp_path_factory.mktemp("airflow")

    def run(code: str, *arguments: str) -> Any:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LINTAS_")}
        environment |= {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "LINTAS_HOME": str(home),
        }
        command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


def write_contracts(folder: Path, count: int) -> Path:
    text = PERSONS.read_text(encoding="utf-8")
    agency = folder / "dukcapil-mojokerto"
    agency.mkdir(parents=True)
    for number in range(count):
        name = f"persons-{number:03d}"
        changed = text.replace("id: dukcapil-mojokerto/persons\n", f"id: dukcapil-mojokerto/{name}\n")
        (agency / f"{name}.odcs.yaml").write_text(changed, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def contract_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Twenty contracts, and a hundred with a broken one among them."""
    few = write_contracts(tmp_path_factory.mktemp("few"), 20)
    many = write_contracts(tmp_path_factory.mktemp("many"), 101)
    broken = many / "dukcapil-mojokerto" / "persons-050.odcs.yaml"
    broken.write_text("apiVersion: v3.2.0\nkind: DataContract\nid: [", encoding="utf-8")
    return few, many
