"""One running bus for all journeys: real PostgreSQL, Airflow, API, sequencer, dispatcher, and four agencies.

It takes half a minute to start, so it is started once a session; journeys leave its data as they like, and
begin with what they need. The agencies run in this process, so that a journey can change them.
"""

import os
import shutil
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from foundation.database import Role
from foundation.installation import Installation
from foundation.settings import Settings
from lintas.airflow import AirflowApi, AirflowInstallation
from lintas.practice import PORTAL, PORTALS, introduce_practice_agencies, portal_keyring
from lintas.practice_agencies import write_agencies
from lintas.processes import bus_processes
from lintas.supervisor import ProcessState, Supervisor
from lintas.sync_report import BatchFigures, figures_of_run
from sandbox.agencies import PracticeAgencies, start
from sandbox.fixed_people import PracticePerson
from sandbox.portal import Portal
from schemas.contracts import load_contracts

PEOPLE = 1200
SERVICE = "bantuan-usaha-mikro"
DATASETS = tuple(contract.id for contract in load_contracts(None))


@dataclass
class Bus:
    """The running bus, and what a journey does with it."""

    settings: Settings
    installation: Installation
    group: Supervisor
    agencies: PracticeAgencies
    airflow: AirflowApi

    def trigger(self, dataset: str) -> str:
        run_id = f"journey-{uuid.uuid4().hex[:10]}"
        self.airflow.trigger(dag_of(dataset), run_id)
        return run_id

    def finish(self, dataset: str, run_id: str, timeout: float = 240.0) -> BatchFigures:
        self.airflow.wait(dag_of(dataset), run_id, timeout=timeout)
        return figures_of_run(self.installation, dataset, run_id)

    def sync(self, dataset: str) -> BatchFigures:
        return self.finish(dataset, self.trigger(dataset))

    def portal(self, system: str = PORTAL) -> Portal:
        return Portal(
            f"https://127.0.0.1:{self.settings.api_port}",
            self.installation.authority.ca_path,
            system,
            portal_keyring(self.installation, system).current("auth"),
        )

    def portal_for(self, service: str) -> Portal:
        """The portal at which people apply for a service."""
        (found,) = [each.system_id for each in PORTALS if service in each.services]
        return self.portal(found)

    def query(self, statement: str, *parameters: Any, role: Role = Role.AUDITOR) -> list[tuple[Any, ...]]:
        with self.installation.database.connect(role) as connection:
            return connection.execute(statement, parameters).fetchall()

    def entries(self, kind: str) -> int:
        """Entries of a kind, whether they are numbered already or wait in the outbox."""
        with self.installation.database.admin(self.settings.database_name) as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM audit.entries WHERE kind = %s)"
                " + (SELECT count(*) FROM audit.outbox WHERE kind = %s)",
                [kind, kind],
            ).fetchone()
        return int(row[0])

    def process(self, name: str) -> psutil.Process:
        """The process of the group itself, below its guardian."""
        (status,) = [each for each in self.group.status() if each.name == name]
        return psutil.Process(status.pid).children()[0]

    def task_process(self, run_id: str) -> psutil.Process:
        """The process in which Airflow runs a task of the run now."""
        scheduler = self.process("airflow-scheduler")
        workers = [
            each for each in scheduler.children(recursive=True) if "python" in each.name() or each.name()
        ]
        busy = [each for each in workers if not each.children() and each.ppid() != scheduler.pid]
        assert busy, f"no task of {run_id} runs"
        return busy[0]

    def kill(self, name: str) -> None:
        """`kill -9`, then wait until the supervisor has brought it back."""
        before = self.status_of(name).restarts
        os.kill(self.process(name).pid, signal.SIGKILL)
        wait_until(
            lambda: (
                self.status_of(name).restarts > before and self.status_of(name).state is ProcessState.HEALTHY
            ),
            90,
        )

    def status_of(self, name: str) -> Any:
        (status,) = [each for each in self.group.status() if each.name == name]
        return status


def dag_of(dataset: str) -> str:
    return f"sync.{dataset.replace('/', '.')}"


def wait_until(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def applicant(person: PracticePerson) -> Mapping[str, str]:
    return {"nik": person.nik, "name": person.name, "birth_date": person.birth_date.isoformat()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def canary_person(canary_values: Any) -> PracticePerson:
    return PracticePerson(
        nik=canary_values.nik,
        family_card_number=canary_values.family_card_number,
        name=canary_values.name.upper(),
        birth_date=canary_values.birth_date,
        sex="female",
        expected="verified",
    )


@pytest.fixture(scope="session")
def canary_values(request: pytest.FixtureRequest) -> Any:
    import importlib

    for name, module in list(importlib.sys.modules.items()):
        if name.endswith("conftest") and hasattr(module, "Canary"):
            return module.Canary()
    pytest.fail("the canary of tests/conftest.py is missing")


@pytest.fixture(scope="session")
def bus(canary_person: PracticePerson) -> Iterator[Bus]:
    home = Path(tempfile.mkdtemp(prefix="lintas-journey-"))
    home.chmod(0o711)
    settings = Settings(
        home=home, api_port=free_port(), airflow_port=free_port(), people=PEOPLE, postgres_durable=False
    )
    installation = Installation.open(settings)
    group = Supervisor(home, bus_processes(settings))
    installation.prepare_files()
    group.start()
    agencies = None
    try:
        agencies = start(home / "sandbox", PEOPLE, guests=[canary_person])
        write_agencies(installation, agencies)
        group.wait_healthy(["database"], timeout=120)
        introduce_practice_agencies(installation)
        group.wait_healthy(timeout=240)
        airflow = AirflowApi(AirflowInstallation(home, settings.airflow_port, settings.airflow_parallelism))
        airflow.wait_for_dags({dag_of(dataset) for dataset in DATASETS}, timeout=120)
        yield Bus(settings, installation, group, agencies, airflow)
    finally:
        if agencies is not None:
            agencies.stop()
        group.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def synced(bus: Bus) -> Bus:
    """The bus after a first sync of every dataset by the real Airflow."""
    runs = {dataset: bus.trigger(dataset) for dataset in DATASETS}
    for dataset, run_id in runs.items():
        bus.finish(dataset, run_id)
    return bus
