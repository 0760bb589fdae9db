"""What Airflow makes of the loader: fixed shape, sorted, cheap to parse, nothing heavy imported."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.contracts import PACKAGED_CONTRACTS

LOAD = """
    import json
    from pathlib import Path
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.file import list_py_file_paths
    import dags

    folder = str(Path(dags.__file__).parent)
    bag = DagBag(dag_folder=folder)

    def shape(dag):
        deadlines = dag.deadline if isinstance(dag.deadline, list) else [dag.deadline]
        return {
            "tasks": {t.task_id: sorted(t.downstream_task_ids) for t in dag.tasks},
            "retries": sorted({t.retries for t in dag.tasks}),
            "catchup": dag.catchup, "runs": dag.max_active_runs, "schedule": dag.timetable.expression,
            "owner": dag.owner, "doc": dag.doc_md, "tags": sorted(dag.tags),
            "outlets": {t.task_id: [a.uri for a in t.outlets] for t in dag.tasks if t.outlets},
            "deadline": [d.interval.total_seconds() for d in deadlines],
        }

    found = {
        "errors": bag.import_errors, "files": [Path(f).name for f in list_py_file_paths(folder)],
        "dags": {name: shape(dag) for name, dag in sorted(bag.dags.items())},
    }
    print(); print(json.dumps(found))
"""

PARSE = """
    import json, os, sys, time
    import airflow.sdk, schemas.contracts, dags.sync, dags.contracts

    opened = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)

    def parse(folder):
        os.environ["LINTAS_CONTRACTS"] = folder
        opened.clear()
        started = time.process_time(); found = dags.contracts.contracts_to_schedule()
        load = time.process_time() - started
        files = sum(name.endswith(".odcs.yaml") for name in opened)
        started = time.process_time(); built = [dags.sync.build_sync_dag(each) for each in found]
        build = time.process_time() - started
        return {"load": load, "build": build, "dags": [dag.dag_id for dag in built], "files": files}

    parse(sys.argv[1])
    found = {"few": parse(sys.argv[1]), "many": parse(sys.argv[2])}
    found["modules"] = sorted({name.partition(".")[0] for name in sys.modules})
    print(); print(json.dumps(found))
"""

HEAVY = {"great_expectations", "pandas", "splink", "duckdb", "dlt", "zeep", "fhir", "records", "connectors"}
PERSONS = "sync.dukcapil-mojokerto.persons"


@pytest.fixture(scope="module")
def loaded(in_airflow: Any) -> Any:
    return in_airflow(LOAD)


@pytest.fixture(scope="module")
def parsed(in_airflow: Any, contract_folders: tuple[Path, Path]) -> Any:
    return in_airflow(PARSE, *map(str, contract_folders))


def test_each_contract_becomes_one_dag_of_the_same_four_tasks(loaded: Any) -> None:
    assert loaded["errors"] == {}
    contracts = PACKAGED_CONTRACTS.glob("*/*.odcs.yaml")
    names = {f"sync.{path.parent.name}.{path.name.partition('.')[0]}" for path in contracts}
    assert set(loaded["dags"]) == names >= {PERSONS}
    for dag in loaded["dags"].values():
        assert set(dag["tasks"]) == {"open_batch", "land", "assess", "publish"}
        assert "land" in dag["tasks"]["open_batch"]
        assert dag["tasks"]["land"] == ["assess"]
        assert dag["tasks"]["assess"] == ["publish"]
        assert (dag["catchup"], dag["runs"], dag["retries"]) == (False, 1, [4])


def test_a_dag_says_what_it_syncs_and_promises(loaded: Any) -> None:
    dag = loaded["dags"][PERSONS]
    assert dag["owner"] == "dukcapil-mojokerto"
    assert "Residents of Kota Mojokerto" in dag["doc"]
    assert "`tgl_lhr`" in dag["doc"]
    assert dag["outlets"] == {"publish": ["lintas://records/dukcapil-mojokerto/persons"]}
    assert dag["deadline"] == [36 * 3600]
    assert dag["schedule"] == "15 1 * * *"
    assert {"sync", "Person", "dukcapil-mojokerto"} <= set(dag["tags"])


def test_airflow_parses_the_loader_alone(loaded: Any) -> None:
    assert loaded["files"] == ["loader.py"]


def test_a_hundred_contracts_are_read_once_each_and_building_costs_less_than_reading(parsed: Any) -> None:
    many = parsed["many"]
    assert many["files"] == 101  # the broken one, too, is looked at once
    assert many["build"] < many["load"]


def test_a_broken_contract_costs_only_its_own_dag_and_the_others_stand_sorted(parsed: Any) -> None:
    expected = [f"{PERSONS}-{number:03d}" for number in range(101) if number != 50]
    assert parsed["many"]["dags"] == expected


def test_parsing_grows_no_faster_than_the_contracts(parsed: Any) -> None:
    seconds = {size: parsed[size]["load"] + parsed[size]["build"] for size in ("few", "many")}
    assert seconds["many"] < 10 * seconds["few"]


def test_parsing_imports_nothing_heavy(parsed: Any) -> None:
    assert not HEAVY & set(parsed["modules"])


def test_dag_files_hold_no_logic_of_ours() -> None:
    from dags import contracts

    files = sorted(Path(contracts.__file__).parent.glob("*.py"))
    assert [path.stem for path in files] == [
        "__init__", "contracts", "documentation", "loader", "outcomes", "pools", "redaction", "steps",
        "sync",
    ]  # fmt: skip
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) < 540


@pytest.mark.parametrize("name", ["dags.contracts", "dags.documentation"])
def test_what_needs_no_airflow_imports_none(name: str) -> None:
    code = f"import {name}, sys; sys.exit('airflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
