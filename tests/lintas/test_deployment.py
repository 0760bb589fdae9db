"""What a deployment of several containers adds: Celery, secrets as files, health as a command."""

import configparser
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from foundation.files import read_private, write_private
from foundation.installation import Installation
from foundation.settings import Settings
from lintas.airflow import AirflowInstallation
from lintas.deployment import provide_broker_secrets, provide_database_secrets
from lintas.health import health_of, process_names
from lintas.heartbeat import Heartbeat
from lintas.processes import bus_processes

URL = (
    "postgresql+psycopg://lintas_airflow:p%40ss@database:5432/airflow"
    "?sslmode=verify-full&sslrootcert=%2Fhome%2Fca.pem"
)


@pytest.fixture
def celery(tmp_path: Path) -> Settings:
    password = tmp_path / "broker.password"
    write_private(password, b"hun/ter@2\n")
    return Settings(
        home=tmp_path / "home",
        airflow_executor="celery",
        airflow_host="0.0.0.0",
        airflow_url="http://airflow-api-server:8810",
        airflow_port=8810,
        airflow_parallelism=3,
        broker_url="rediss://redis:6379/0",
        broker_password_file=password,
        broker_ca_file=tmp_path / "ca.pem",
    )


def configured(settings: Settings) -> dict[str, dict[str, str]]:
    airflow = AirflowInstallation.of(settings)
    airflow.configure(URL)
    parser = configparser.ConfigParser()
    parser.read(airflow.folder / "airflow.cfg")
    return {name: dict(parser[name]) for name in parser.sections()}


def test_settings_choose_the_executor(celery: Settings, tmp_path: Path) -> None:
    assert configured(celery)["core"]["executor"] == "CeleryExecutor"
    local = configured(Settings(home=tmp_path / "local"))
    assert local["core"]["executor"] == "LocalExecutor"
    assert "celery" not in local


def test_celery_reaches_its_broker_under_tls_with_the_password_of_a_file(celery: Settings) -> None:
    found = configured(celery)["celery"]
    assert found["broker_url"] == "rediss://:hun%2Fter%402@redis:6379/0"
    assert (found["ssl_active"], found["ssl_mutual_tls"]) == ("True", "False")
    assert found["ssl_cacert"] == str(celery.broker_ca_file)
    assert found["worker_concurrency"] == "3"
    assert found["result_backend"] == f"db+{URL}"


def test_other_hosts_are_told_where_airflow_s_api_is(celery: Settings) -> None:
    found = configured(celery)
    assert found["core"]["execution_api_server_url"] == "http://airflow-api-server:8810/execution/"
    assert found["api"]["host"] == "0.0.0.0"


def test_the_asynchronous_driver_is_told_the_same_about_tls(celery: Settings) -> None:
    address = urlsplit(configured(celery)["database"]["sql_alchemy_conn_async"])
    assert address.scheme == "postgresql+asyncpg"
    (inner,) = parse_qs(address.query)["dsn"]
    assert parse_qs(urlsplit(inner).query) == {"sslmode": ["verify-full"], "sslrootcert": ["/home/ca.pem"]}


def test_every_option_that_is_written_is_one_of_airflow_s(celery: Settings) -> None:
    (airflow,) = find_spec("airflow").submodule_search_locations
    described = yaml.safe_load((Path(airflow) / "config_templates" / "config.yml").read_text())
    for provider in ("celery", "standard"):
        facts = runpy.run_path(str(Path(airflow) / "providers" / provider / "get_provider_info.py"))
        described |= facts["get_provider_info"]().get("config", {})
    free = {  # read by the simple auth manager and by the executors, described nowhere
        ("core", "simple_auth_manager_users"), ("core", "simple_auth_manager_passwords_file"),
    }  # fmt: skip
    for section, options in configured(celery).items():
        for option in options:
            known = set(described[section]["options"])
            assert option in known or (section, option) in free, f"[{section}] {option}"


def test_celery_can_be_imported_by_airflow_s_provider() -> None:
    code = "import airflow.providers.celery.executors.celery_executor_utils"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]


def test_with_celery_the_group_has_a_worker(celery: Settings) -> None:
    names = [spec.name for spec in bus_processes(celery)]
    assert "airflow-worker" in names
    assert "airflow-worker" not in [spec.name for spec in bus_processes(Settings(home=celery.home))]


@pytest.mark.parametrize(("executor", "command"), [("celery", "celery"), ("local", "scheduler")])
def test_what_every_task_needs_is_loaded_by_who_forks_the_tasks(
    celery: Settings, executor: str, command: str
) -> None:
    airflow = AirflowInstallation.of(celery.model_copy(update={"airflow_executor": executor}))
    airflow.configure(URL)
    loaded = (airflow.folder / "config" / "airflow_local_settings.py").read_text()
    assert f"preload('{command}')" in loaded
    assert airflow.components["worker" if executor == "celery" else "scheduler"][0] == command


def test_what_is_loaded_before_tasks_exists_and_starts_no_thread() -> None:
    code = (
        "import sys, threading\nfrom lintas.airflow_preload import MODULES, preload\n"
        "sys.argv = ['airflow', 'celery', 'worker']\npreload('scheduler')\n"
        "assert 'great_expectations' not in sys.modules\npreload('celery')\n"
        "assert set(MODULES) <= set(sys.modules)\nprint(threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert done.stdout.strip() == "1"


def test_secrets_of_the_servers_are_made_once_and_are_private(tmp_path: Path) -> None:
    installation = Installation.open(Settings(home=tmp_path / "home")).prepare_files()
    folders = tmp_path / "database", tmp_path / "broker"
    for _ in range(2):
        provide_database_secrets(installation, folders[0], "database")
        provide_broker_secrets(installation, folders[1], "redis")
        passwords = [read_private(folder / "password") for folder in folders]
    provide_database_secrets(installation, folders[0], "database")
    assert [read_private(folder / "password") for folder in folders] == passwords
    for folder in folders:
        assert folder.stat().st_mode & 0o077 == 0
        public = {path.name for path in folder.iterdir() if path.stat().st_mode & 0o077}
        assert public == {"server.pem", "ca.pem"}
    rules = (folders[1] / "redis.conf").read_text()
    assert "port 0\n" in rules
    assert f"requirepass {passwords[1].decode().strip()}\n" in rules


def test_the_servers_are_vouched_for_by_the_name_they_are_reached_by(tmp_path: Path) -> None:
    from cryptography import x509

    installation = Installation.open(Settings(home=tmp_path / "home")).prepare_files()
    provide_database_secrets(installation, tmp_path / "database", "database")
    (server, authority) = x509.load_pem_x509_certificates((tmp_path / "database" / "server.pem").read_bytes())
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "database" in names.get_values_for_type(x509.DNSName)


def test_asking_how_a_process_is_does_not_disturb_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    beat = Heartbeat(tmp_path, "sequencer")
    beat.beat()
    assert health_of(settings, "sequencer")()
    assert health_of(settings, "sequencer")()
    assert beat.age() < 15
    beat.clear()
    assert not health_of(settings, "sequencer")()


def test_who_cannot_be_asked_is_not_well(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, api_port=1, airflow_port=1)
    for name in process_names(settings):
        assert not health_of(settings, name)(), name
