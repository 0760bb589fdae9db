"""Airflow parses 300 generated contracts, beside a file that makes 300 empty DAGs, each in a fresh process.

What counts is what the DAG processor does again and again: read the file, build the DAGs, fill the bag.
Importing Airflow itself is not counted for either.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.measure import Measurement
from schemas.contracts import PACKAGED_CONTRACTS

TITLE = "Airflow parses the DAGs of many contracts"
CONTRACTS = 300
LIMIT_SECONDS = 5.0

_EMPTY = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for number in range({count}):
    with DAG(dag_id=f"empty.{{number:03d}}", schedule=None) as dag:
        for task in range({tasks}):
            EmptyOperator(task_id=f"task-{{task}}")
    globals()[dag.dag_id] = dag
"""
_PARSE = """
import json, resource, sys, time
from airflow.dag_processing.dagbag import DagBag
import airflow.sdk

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started, worked = time.perf_counter(), time.process_time()
bag = DagBag(dag_folder=sys.argv[1])
seconds, cpu = time.perf_counter() - started, time.process_time() - worked
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "cpu": cpu, "dags": len(bag.dags), "errors": len(bag.import_errors),
                  "peak_mib": after / 1024, "grown_mib": (after - before) / 1024}))
"""


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs it small."""
    count = 24 if smoke else CONTRACTS
    with tempfile.TemporaryDirectory(prefix="lintas-dags-") as folder:
        place = Path(folder)
        for name, tasks in (("empty", 0), ("four", 4)):
            (place / name).mkdir()
            text = _EMPTY.format(count=count, tasks=tasks)
            (place / name / "dags.py").write_text(text, encoding="utf-8")
        contracts = write_contracts(place / "contracts", count)
        import dags

        empty = _parse("a file of empty DAGs", place / "empty", place, contracts)
        four = _parse("a file of DAGs with four empty tasks", place / "four", place, contracts)
        loader = Path(dags.__file__).parent
        full = _parse(
            "Lintas: contracts read, checked, built into DAGs of four tasks", loader, place, contracts
        )
    empty.baseline = True
    if not smoke:
        within = "within" if full.seconds < LIMIT_SECONDS else "OVER"
        full.note += f"; {within} the limit of {LIMIT_SECONDS:g} s"
    console.print(f"[dim]{count} contracts of {len(_packaged())} kinds[/dim]")
    return [empty, four, full]


def write_contracts(folder: Path, count: int) -> Path:
    """As many contracts as asked for: the practice agencies' own, each further set under names of its own."""
    packaged = _packaged()
    ids = {f"{path.parent.name}/{path.name.removesuffix('.odcs.yaml')}" for path in packaged}
    named = re.compile("|".join(rf"{re.escape(each)}\b(?!-)" for each in sorted(ids, key=len, reverse=True)))
    for number in range(count):
        source, suffix = packaged[number % len(packaged)], f"-{number // len(packaged):03d}"
        target = folder / source.parent.name / source.name.replace(".odcs", f"{suffix}.odcs")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        target.write_text(named.sub(lambda found: found[0] + suffix, text), encoding="utf-8")  # noqa: B023
    return folder


def _packaged() -> list[Path]:
    return sorted(PACKAGED_CONTRACTS.glob("*/*.odcs.yaml"))


def _parse(what: str, folder: Path, home: Path, contracts: Path) -> Measurement:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LINTAS_")}
    environment |= {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "LINTAS_HOME": str(home / "home"),
        "LINTAS_CONTRACTS": str(contracts),
    }
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    result = Measurement(what, found["dags"], "DAGs", found["seconds"], found["peak_mib"])
    result.note = f"{found['cpu']:.2f} s CPU, {found['grown_mib']:.0f} MiB grown, {found['errors']} errors"
    return result
