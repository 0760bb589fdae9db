"""The deployment of docker/compose.yaml, run for real: its own commands and environment, as processes.

PostgreSQL is reached over TCP, TLS and SCRAM; Redis carries the tasks to two Celery workers; a proxy hands
connections to two API processes in turn.
"""

import os
import shutil
import signal
import ssl
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from audit.checking.verification import verify_installation
from foundation.database import Role
from foundation.installation import Installation
from lintas import loopback
from lintas.airflow import AirflowApi, AirflowInstallation
from lintas.errors import RunDidNotFinish
from lintas.practice import PORTAL, portal_keyring
from lintas.supervisor import ProcessState
from lintas.sync_report import BatchFigures, figures_of_run
from participants.registry import find_system, register_system
from sandbox.fixed_people import FIXED
from sandbox.portal import Portal
from schemas.contracts import PACKAGED_CONTRACTS
from tests.docker.resolved import require
from tests.journeys.topology import RoundRobin, Topology, service_of, succeeds, worker_name

pytestmark = [
    pytest.mark.journey,
    pytest.mark.airflow,
    pytest.mark.xdist_group("topology"),
    pytest.mark.timeout(600),
]

PERSONS = "dukcapil-mojokerto/persons"
TAX = "kpp-mojokerto/tax-standing"
SERVICE = "bantuan-usaha-mikro"
SOONER = {  # a killed worker is noticed within seconds; half a minute in a deployment
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}
WORKERS = ("airflow-worker-1", "airflow-worker-2")


@dataclass
class Deployment:
    """The running topology, and what a journey does with it."""

    topology: Topology
    installation: Installation
    airflow: AirflowApi

    def trigger(self, dataset: str) -> str:
        run_id = f"topology-{uuid.uuid4().hex[:10]}"
        self.airflow.trigger(dag_of(dataset), run_id)
        return run_id

    def finish(self, dataset: str, run_id: str) -> BatchFigures:
        self.airflow.wait(dag_of(dataset), run_id, timeout=240)
        return figures_of_run(self.installation, dataset, run_id)

    def sync(self, dataset: str) -> BatchFigures:
        return self.finish(dataset, self.trigger(dataset))

    def portal(self) -> Portal:
        keys = portal_keyring(self.installation).current("auth")
        return Portal(self.topology.public_url, self.installation.authority.ca_path, PORTAL, keys)

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.installation.database.connect(Role.AUDITOR) as connection:
            return connection.execute(statement, parameters).fetchall()

    def persons(self) -> int:
        return self._count("SELECT count(*) FROM records.person_v1")

    def entries(self, kind: str) -> int:
        """Entries of a kind, whether they are numbered already or wait in the outbox."""
        numbered = self._count("SELECT count(*) FROM audit.entries WHERE kind = %s", kind)
        return numbered + self._count("SELECT count(*) FROM audit.outbox WHERE kind = %s", kind)

    def _count(self, statement: str, *parameters: Any) -> int:
        with self.installation.database.admin(self.installation.settings.database_name) as connection:
            return int(connection.execute(statement, parameters).fetchone()[0])

    def busy_worker(self, dag_id: str) -> str:
        """The worker that has a task of the DAG in its hands now, as Celery tells it."""
        found: list[str] = []
        wait_until(lambda: found.extend(self._active(dag_id)) or found)
        return found[0]

    def _active(self, dag_id: str) -> list[str]:
        from celery import Celery

        settings = self.topology.settings()
        password = (self.topology.directory / "secrets" / "broker" / "password").read_text().strip()
        broker = settings.broker_url.replace("://", f"://:{password}@")
        tls = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": str(settings.broker_ca_file)}
        with Celery(broker=broker, set_as_current=False, broker_use_ssl=tls) as application:
            active = application.control.inspect(timeout=2).active() or {}
        return [process for process in WORKERS if dag_id in str(active.get(worker_name(process)))]

    def kill(self, process: str) -> None:
        """`kill -9` for everything that a container would take with it."""
        (status,) = [each for each in self.topology.bus.status() if each.name == process]
        for each in psutil.Process(status.pid).children(recursive=True):
            try:
                each.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue


def dag_of(dataset: str) -> str:
    return f"sync.{dataset.replace('/', '.')}"


def wait_until(condition: Callable[[], Any], timeout: float = 120.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def impatient_contracts(folder: Path) -> Path:
    """The contracts of the practice agencies, one of them with a deadline that nobody can keep."""
    shutil.copytree(PACKAGED_CONTRACTS, folder)
    file = folder / f"{TAX}.odcs.yaml"
    text = file.read_text(encoding="utf-8")
    before, found, after = text.partition("  - property: latency\n    value: ")
    assert found
    file.write_text(f"{before}{found}0.001{after[after.index(chr(10)) :]}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    require("docker-compose", "redis-server", "redis-cli", "setpriv")
    directory = Path(tempfile.mkdtemp(prefix="lintas-topology-"))
    contracts = impatient_contracts(directory / "contracts")
    topology = Topology(
        directory,
        stay_down=WORKERS,
        LINTAS_CONTRACTS=str(contracts),
        LINTAS_SYNC_RETRIES="1",
        LINTAS_SYNC_RETRY_SECONDS="1",
        **SOONER,
    )
    try:
        topology.bus.start()
        topology.bus.wait_healthy(["init"], timeout=120)
        topology.agencies.start()
        topology.agencies.wait_healthy(timeout=240)
        topology.bus.wait_healthy(timeout=400)
        settings = topology.settings()
        airflow = AirflowApi(AirflowInstallation.of(settings))
        airflow.wait_for_dags({dag_of(PERSONS), dag_of(TAX)}, timeout=120)
        targets = [topology.ports["api-1"], topology.ports["api-2"]]
        with RoundRobin(topology.ports["public"], targets):
            yield Deployment(topology, Installation.open(settings), airflow)
    finally:
        topology.end()
        left = [each.pid for each in psutil.process_iter() if belongs(each, str(directory))]
        shutil.rmtree(directory, ignore_errors=True)
        assert not left, "the end left processes behind"


def belongs(process: psutil.Process, directory: str) -> bool:
    try:
        home = process.environ().get("LINTAS_HOME", "")
        return process.pid != os.getpid() and directory in f"{home} {' '.join(process.cmdline())}"
    except psutil.Error:
        return False


@dataclass(frozen=True)
class Night:
    """What became of two runs: one lost its worker in its last step, the other never reached its source."""

    survived: BatchFigures
    attempts: int
    entries: dict[str, int]
    failed_run: str


@pytest.fixture(scope="module")
def night(deployment: Deployment) -> Night:
    with unreachable(deployment, "kswp"):
        failing = deployment.trigger(TAX)
        with publishing_locked(deployment, PERSONS):
            run_id = deployment.trigger(PERSONS)
            wait_until(
                lambda: deployment.airflow.task_states(dag_of(PERSONS), run_id)["publish"] == "running"
            )
            deployment.kill(deployment.busy_worker(dag_of(PERSONS)))
        figures = deployment.finish(PERSONS, run_id)
        with pytest.raises(RunDidNotFinish):
            deployment.airflow.wait(dag_of(TAX), failing, timeout=180)
    (row,) = deployment.rows("SELECT attempt FROM records.batch WHERE run_id = %s", run_id)
    entries = {kind: deployment.entries(kind) for kind in ("sync.started", "sync.completed")}
    return Night(figures, row[0], entries, failing)


def test_a_sync_survives_the_kill_of_its_worker_and_nothing_is_doubled(
    deployment: Deployment, night: Night
) -> None:
    assert night.survived.status == "published"
    assert night.survived.inserted == night.survived.accepted > 900
    assert night.attempts > 1, "no later attempt took over"
    assert night.entries == {"sync.started": 2, "sync.completed": 1}, "of two runs, one has ended well"
    assert deployment.persons() == night.survived.accepted


@contextmanager
def publishing_locked(deployment: Deployment, dataset: str) -> Iterator[None]:
    """Nobody publishes the dataset meanwhile."""
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('lintas.records.publish:' || %s, 0))"
    name = deployment.installation.settings.database_name
    with deployment.installation.database.admin(name) as connection, connection.transaction():
        connection.execute(lock, [dataset])
        yield


def test_both_api_processes_answer_from_the_same_log(deployment: Deployment, night: Night) -> None:
    assert night.survived.status == "published"  # so that there are persons to ask about
    person = FIXED.verified
    applicant = {"nik": person.nik, "name": person.name, "birth_date": person.birth_date.isoformat()}
    with deployment.portal() as one, deployment.portal() as other:  # each has a connection of its own
        one.give_consent(SERVICE, applicant)
        answers = [
            portal.verify(
                SERVICE, applicant, {"amount_requested": 1_000_000, "business_nib": FIXED.verified.nib}
            )
            for portal in (one, other)
        ]
        for answer, portal in zip(answers, (other, one), strict=True):
            assert portal.read(answer.answer_id).verdict == answer.verdict
            assert portal.check_receipt(answer, portal.receipt(answer, wait=5))
    wait_until(lambda: len(set(checkpoints(deployment))) == 1)
    assert verify_installation(deployment.installation).intact


def checkpoints(deployment: Deployment) -> list[bytes]:
    import http.client

    context = ssl.create_default_context(cafile=str(deployment.installation.authority.ca_path))
    found = []
    for process in ("api-1", "api-2"):
        port = deployment.topology.ports[process]
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
        connection.request("GET", "/v1/log/checkpoint")
        found.append(connection.getresponse().read())
        connection.close()
    return found


def test_a_run_without_retries_left_ends_its_batch_and_a_missed_deadline_is_noted(
    deployment: Deployment, night: Night
) -> None:
    wait_until(lambda: deployment.entries("sync.failed") == 1)
    status = deployment.rows("SELECT status FROM records.batch WHERE run_id = %s", night.failed_run)
    assert status == [("failed",)]
    wait_until(lambda: logged(deployment, "deadline missed"))


@contextmanager
def unreachable(deployment: Deployment, system_id: str) -> Iterator[None]:
    """The system's registered address leads nowhere meanwhile."""
    with deployment.installation.database.connect(Role.STEWARD) as connection:
        system = find_system(connection, system_id)
        register_system(connection, replace(system, endpoint_url="https://localhost:1"))
    yield
    with deployment.installation.database.connect(Role.STEWARD) as connection:
        register_system(connection, system)


def logged(deployment: Deployment, text: str) -> list[Path]:
    home = deployment.topology.home
    files = [*(home / "airflow" / "logs").rglob("*"), *(home / "logs").glob("*")]
    return [path for path in files if path.is_file() and text in path.read_text(errors="replace")]


def test_every_health_check_of_the_file_is_a_command_that_says_yes(deployment: Deployment) -> None:
    topology = deployment.topology
    living = [
        status.name
        for status in (*topology.bus.status(), *topology.agencies.status())
        if status.state is not ProcessState.RESTARTING  # the worker that was killed stays down
    ]
    checked = [name for name in living if "healthcheck" in topology.services[service_of(name)]]
    expected = {name for name, described in topology.services.items() if "healthcheck" in described}
    assert {service_of(name) for name in checked} == expected

    def ask(process: str) -> tuple[str, bool]:
        return process, succeeds(topology.health_command(process), topology.environment(process))

    with ThreadPoolExecutor(2) as two:
        assert dict(two.map(ask, checked)) == dict.fromkeys(checked, True)


def test_a_health_check_says_no_when_nobody_is_there(deployment: Deployment) -> None:
    topology = deployment.topology
    environment = {**topology.environment("api-1"), "LINTAS_API_PORT": "1"}
    assert not succeeds(topology.health_command("api-1"), environment)


def test_nothing_listens_on_an_address_that_others_reach(deployment: Deployment) -> None:
    inside = {each.pid for each in psutil.process_iter() if belongs(each, str(deployment.topology.directory))}
    open_to_all = [
        (each.pid, each.laddr)
        for each in psutil.net_connections("tcp")
        if each.pid in inside
        and each.status == psutil.CONN_LISTEN
        and each.laddr.ip not in {"127.0.0.1", "::1"}
    ]
    assert not open_to_all


def test_airflow_s_own_page_leads_to_itself(deployment: Deployment) -> None:
    answer = loopback.ask(deployment.topology.ports["airflow"], "/api/v2/version")
    assert answer.body["version"].startswith("3.")
