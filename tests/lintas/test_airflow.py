import configparser
import json
from pathlib import Path

import pytest

from lintas.airflow import ADMIN, COMPONENTS, AirflowInstallation

URL = "postgresql+psycopg://lintas_airflow:p%40ss@/airflow?host=%2Fvar%2Flib%2Fsocket&port=5432"


@pytest.fixture
def airflow(tmp_path: Path) -> AirflowInstallation:
    installation = AirflowInstallation(tmp_path, port=18810)
    installation.configure(URL)
    return installation


def options(airflow: AirflowInstallation) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(airflow.folder / "airflow.cfg")
    return parser


def test_no_file_of_airflow_is_readable_by_others(airflow: AirflowInstallation) -> None:
    files = [path for path in airflow.folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {
        "airflow.cfg",
        "passwords.json",
        "jwt_secret.key",
        "fernet_key.key",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_no_secret_travels_in_the_environment(airflow: AirflowInstallation) -> None:
    secrets = [path.read_text() for path in airflow.folder.glob("*.key")] + [airflow.password(), "p%40ss"]
    for spec in airflow.processes({}):
        text = json.dumps([dict(spec.environment), list(spec.command)])
        assert not any(secret in text for secret in secrets)


def test_airflow_listens_on_loopback_only(airflow: AirflowInstallation) -> None:
    found = options(airflow)
    assert found["api"]["host"] == "127.0.0.1"
    assert found["core"]["execution_api_server_url"] == "http://127.0.0.1:18810/execution/"
    commands = {spec.name: spec.command for spec in airflow.processes({})}
    assert "127.0.0.1" in commands["airflow-api-server"]
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "--skip-serve-logs" in commands[name]


def test_both_drivers_reach_the_same_database(airflow: AirflowInstallation) -> None:
    found = options(airflow)["database"]
    assert found["sql_alchemy_conn"] == URL
    assert found["sql_alchemy_conn_async"] == URL.replace("+psycopg:", "+asyncpg:")


def test_configuring_again_keeps_keys_and_password(airflow: AirflowInstallation) -> None:
    before = {path.name: path.read_text() for path in airflow.folder.iterdir() if path.is_file()}
    airflow.configure(URL)
    assert {path.name: path.read_text() for path in airflow.folder.iterdir() if path.is_file()} == before


def test_nothing_is_reported_to_anybody_and_no_examples_are_loaded(airflow: AirflowInstallation) -> None:
    found = options(airflow)
    assert found["core"]["load_examples"] == "False"
    assert found["metrics"]["statsd_on"] == "False"
    assert found["api"]["expose_config"] == "False"
    assert airflow.environment["SCARF_ANALYTICS"] == "false"


def test_the_four_components_run_side_by_side(airflow: AirflowInstallation) -> None:
    specs = airflow.processes({"LINTAS_HOME": "x"}, after=("airflow-database",))
    assert [spec.name for spec in specs] == [f"airflow-{name}" for name in COMPONENTS]
    assert all(spec.after == ("airflow-database",) for spec in specs)
    assert all(spec.environment["LINTAS_HOME"] == "x" for spec in specs)
    assert set(COMPONENTS) == {"scheduler", "dag-processor", "triggerer", "api-server"}


def test_a_killed_worker_is_noticed_within_half_a_minute(airflow: AirflowInstallation) -> None:
    scheduler = options(airflow)["scheduler"]
    beat, limit = (
        int(scheduler["task_instance_heartbeat_sec"]),
        int(scheduler["task_instance_heartbeat_timeout"]),
    )
    look = float(scheduler["task_instance_heartbeat_timeout_detection_interval"])
    assert beat * 3 < limit
    assert limit + look <= 30


def test_there_is_one_administrator(airflow: AirflowInstallation) -> None:
    assert options(airflow)["core"]["simple_auth_manager_users"] == f"{ADMIN}:admin"
    assert len(airflow.password()) >= 24
