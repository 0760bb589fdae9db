"""The real Airflow as part of our group: its configuration, its four processes, its runs.

Airflow keeps its own database (`airflow`) under a role that sees nothing of the bus. Its configuration stands
in one file of mode 0600 rather than in the environment, which every task would inherit.
"""

import base64
import configparser
import hashlib
import io
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from foundation.files import write_private
from foundation.settings import Settings
from lintas import loopback
from lintas.airflow_configuration import ADMIN, AirflowKeys, AirflowPlan, sections
from lintas.airflow_worker import worker_answers
from lintas.errors import AirflowRefused, NotRunning, RunDidNotFinish
from lintas.supervisor import ProcessSpec

__all__ = ["AirflowApi", "AirflowInstallation", "DagRun"]

WORKER = ("celery", "worker", "--skip-serve-logs", "--without-mingle", "--without-gossip")
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server", "--workers", "1"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
START_SECONDS = 240.0
"""Four Pythons that import Airflow at once need 15 s on two idle cores, and minutes on a busy machine."""
STOP_SECONDS = {"triggerer": 4.0, "worker": 60.0}
"""A triggerer that is asked to end while it starts waits ten seconds for a reason of its own; a worker ends
its tasks first."""
LOCAL_SETTINGS = """from lintas.airflow_preload import preload

preload({forks_tasks!r})
"""
HEALTH_KEYS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


@dataclass(frozen=True)
class AirflowInstallation:
    """Where Airflow lives and how it is set up."""

    home: Path
    """The home of the bus; Airflow's own is `<home>/airflow`."""
    port: int
    parallelism: int = 4
    planned: AirflowPlan | None = None

    @classmethod
    def of(cls, settings: Settings) -> "AirflowInstallation":
        """The Airflow that the settings describe."""
        return cls(
            settings.home, settings.airflow_port, settings.airflow_parallelism, AirflowPlan.of(settings)
        )

    @property
    def plan(self) -> AirflowPlan:
        """How it is to run."""
        return self.planned or AirflowPlan(self.port, parallelism=self.parallelism)

    @property
    def folder(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home.absolute() / "airflow"

    @property
    def environment(self) -> dict[str, str]:
        """What the processes need beyond their configuration file; no secret is in it."""
        return {
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW_CONFIG": str(self.folder / "airflow.cfg"),
            "SCARF_ANALYTICS": "false",
            "DO_NOT_TRACK": "1",
            "PYTHONWARNINGS": "ignore",
            "NO_COLOR": "1",
        }

    def configure(self, database_url: str) -> None:
        """Write the configuration, keys and password file; keep keys that exist.

        Args:
            database_url: SQLAlchemy URL of the database `airflow`, with a host or a socket directory.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "plugins").mkdir(exist_ok=True)
        (self.folder / "config").mkdir(exist_ok=True)
        local_settings = LOCAL_SETTINGS.format(forks_tasks="celery" if self.plan.celery else "scheduler")
        write_private(self.folder / "config" / "airflow_local_settings.py", local_settings.encode())
        passwords = self.folder / "passwords.json"
        if not passwords.exists():
            write_private(passwords, json.dumps({ADMIN: secrets.token_urlsafe(18)}).encode() + b"\n")
        parser = configparser.RawConfigParser()
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_dict(_escaped(sections(self.plan, self._keys(), self.folder, database_url)))
        text = io.StringIO()
        parser.write(text)
        write_private(self.folder / "airflow.cfg", text.getvalue().encode())

    def migrate(self, pools: Mapping[str, int]) -> None:
        """Bring Airflow's own database to its current schema and pools; quick when it is there already.

        Args:
            pools: How many tasks of each pool may run at once.
        """
        from dags.pools import pools_file

        marker, listed = self.folder / "migrated", pools_file(self.home)
        configuration = (self.folder / "airflow.cfg").read_bytes()
        described = _described(pools)
        wanted = f"{_airflow_version()} {hashlib.sha256(configuration + described).hexdigest()}"
        if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
            return
        proposed = listed.with_suffix(".proposed.json")
        write_private(proposed, described)
        subprocess.run(
            (sys.executable, "-m", "lintas.airflow_setup", str(proposed)),
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            check=True,
        )
        proposed.replace(listed)  # from now on the DAGs may name them
        write_private(marker, wanted.encode())

    @property
    def components(self) -> dict[str, tuple[str, ...]]:
        """Airflow's processes, each with the arguments of its command."""
        found = {name: (*arguments, *self._listen(name)) for name, arguments in COMPONENTS.items()}
        return found | ({"worker": WORKER} if self.plan.celery else {})

    def processes(self, environment: Mapping[str, str], after: tuple[str, ...] = ()) -> list[ProcessSpec]:
        """Airflow's processes for the supervisor, each watched through its own heartbeat."""
        return [self._process(name, environment, after) for name in self.components]

    def _process(self, name: str, environment: Mapping[str, str], after: tuple[str, ...]) -> ProcessSpec:
        launch = _Launch()
        return ProcessSpec(
            name=f"airflow-{name}",
            command=_command(*self.components[name]),
            environment={**environment, **self.environment},
            healthy=self.health_check(name, launch=launch),
            prepare=launch.note,
            after=after,
            start_timeout=START_SECONDS,
            stop_timeout=STOP_SECONDS.get(name, 10.0),
        )

    def health_check(
        self, component: str, *, launch: "_Launch | None" = None, worker: str = ""
    ) -> Callable[[], bool]:
        """A question that says whether a component is well.

        Args:
            component: One of `components`.
            launch: When it was started: an older heartbeat is that of a predecessor.
            worker: Which Celery worker to ask; this machine's by default.
        """
        if component == "worker":
            return lambda: worker_answers(
                self._option("celery", "broker_url"), worker, ca_file=self.plan.broker_ca_file
            )
        address = urlsplit(self.plan.base_url)

        def healthy() -> bool:
            answer = loopback.ask(
                address.port or 80,
                "/api/v2/monitor/health",
                host=address.hostname or loopback.HOST,
                timeout=3.0,
            )
            if component == "api-server":
                return answer.status == 200
            report = answer.body[HEALTH_KEYS[component]]
            heartbeat = next(value for key, value in report.items() if key.startswith("latest_"))
            own = launch is None or launch.is_before(datetime.fromisoformat(heartbeat))
            return report["status"] == "healthy" and own

        return healthy

    def password(self) -> str:
        """The password of the one administrator."""
        passwords: dict[str, str] = json.loads((self.folder / "passwords.json").read_text(encoding="utf-8"))
        return passwords[ADMIN]

    def _listen(self, component: str) -> tuple[str, ...]:
        listens = component == "api-server"
        return ("--host", self.plan.host, "--port", str(self.port)) if listens else ()

    def _option(self, section: str, name: str) -> str:
        parser = configparser.ConfigParser()
        parser.read(self.folder / "airflow.cfg")
        return parser.get(section, name)

    def _keys(self) -> AirflowKeys:
        return AirflowKeys(
            self._secret("fernet_key"), self._secret("api_secret_key"), self._secret("jwt_secret")
        )

    def _secret(self, name: str) -> str:
        """One of Airflow's own keys; made once. Fernet wants exactly 32 bytes, the others take as much."""
        path = self.folder / f"{name}.key"
        if not path.exists():
            write_private(path, base64.urlsafe_b64encode(secrets.token_bytes(32)))
        return path.read_text(encoding="ascii")


@dataclass
class _Launch:
    """When a process was last started by us, if it was."""

    moment: datetime | None = None

    def note(self) -> None:
        self.moment = datetime.now(UTC)

    def is_before(self, heartbeat: datetime) -> bool:
        return self.moment is None or heartbeat >= self.moment


@dataclass(frozen=True)
class DagRun:
    """One run of one DAG as Airflow sees it."""

    dag_id: str
    run_id: str
    state: str

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {"success", "failed"}


class AirflowApi:
    """Triggers and watches DAG runs over Airflow's own public API."""

    def __init__(self, installation: AirflowInstallation) -> None:
        self._installation = installation
        self._token: str | None = None

    def dag_ids(self) -> list[str]:
        """The DAGs that Airflow has parsed, sorted."""
        return sorted(
            dag["dag_id"] for dag in self._call("GET", "/api/v2/dags?limit=100", "list the DAGs")["dags"]
        )

    def import_errors(self) -> list[str]:
        """What Airflow could not parse, as it says it."""
        found = self._call("GET", "/api/v2/importErrors", "list import errors")["import_errors"]
        return [error["stack_trace"] for error in found]

    def trigger(self, dag_id: str, run_id: str) -> DagRun:
        """Ask for a run now."""
        body = {"dag_run_id": run_id, "logical_date": None}
        answer = self._call("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", f"run {dag_id}", body)
        return DagRun(dag_id, answer["dag_run_id"], answer["state"])

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """The state of a run."""
        answer = self._call("GET", self._run_path(dag_id, run_id), f"show a run of {dag_id}")
        return DagRun(dag_id, run_id, answer["state"])

    def failed_runs(self, run_ids: set[str]) -> set[tuple[str, str]]:
        """DAG and run of those of the latest runs that failed, out of some run ids."""
        path = "/api/v2/dags/~/dagRuns?state=failed&limit=100&order_by=-run_after"
        found = self._call("GET", path, "list failed runs")["dag_runs"]
        return {(each["dag_id"], each["dag_run_id"]) for each in found if each["dag_run_id"] in run_ids}

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """The state of each task of a run."""
        path = f"{self._run_path(dag_id, run_id)}/taskInstances"
        found = self._call("GET", path, f"list the tasks of {dag_id}")["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def wait(
        self,
        dag_id: str,
        run_id: str,
        timeout: float = 300.0,
        on_change: Callable[[dict[str, str | None]], None] | None = None,
    ) -> DagRun:
        """Wait until a run has finished.

        Raises:
            RunDidNotFinish: When it failed or takes longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        last: dict[str, str | None] = {}
        while True:
            run = self.run(dag_id, run_id)
            if on_change is not None and (states := self.task_states(dag_id, run_id)) != last:
                on_change(states)
                last = states
            if run.state == "success":
                return run
            if run.finished or time.monotonic() > deadline:
                raise RunDidNotFinish(dag_id, run_id, run.state)
            time.sleep(0.3)

    def wait_for_dags(self, expected: set[str], timeout: float = 60.0) -> None:
        """Wait until Airflow has parsed the expected DAGs.

        Raises:
            NotRunning: When it has not in time.
        """
        deadline = time.monotonic() + timeout
        while not expected <= set(self.dag_ids()):
            if time.monotonic() > deadline:
                missing = ", ".join(sorted(expected - set(self.dag_ids())))
                raise NotRunning(f"Airflow's DAG processor (no DAG yet for {missing})")
            time.sleep(0.3)

    @staticmethod
    def _run_path(dag_id: str, run_id: str) -> str:
        return f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"

    def _call(self, method: str, path: str, action: str, body: Mapping[str, Any] | None = None) -> Any:
        for _attempt in range(2):
            try:
                answer = loopback.ask(
                    self._installation.port, path, method=method, body=body, token=self._login(), timeout=30.0
                )
            except OSError:
                raise NotRunning("Airflow's API server") from None
            if answer.status != 401:
                break
            self._token = None
        if answer.status >= 300:
            raise AirflowRefused(action, answer.status)
        return answer.body

    def _login(self) -> str:
        if self._token is None:
            body = {"username": ADMIN, "password": self._installation.password()}
            answer = loopback.ask(
                self._installation.port, "/auth/token", method="POST", body=body, timeout=30.0
            )
            if answer.status >= 300:
                raise AirflowRefused("log in", answer.status)
            self._token = str(answer.body["access_token"])
        return self._token


def _command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "airflow", *arguments)


def _described(pools: Mapping[str, int]) -> bytes:
    """The pools in the form that `airflow pools import` reads."""
    return json.dumps(
        {
            name: {
                "slots": slots,
                "description": "Readers of this agency",
                "include_deferred": True,
            }
            for name, slots in sorted(pools.items())
        },
        indent=2,
    ).encode()


def _airflow_version() -> str:
    from importlib.metadata import version

    return version("apache-airflow")


def _escaped(sections: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {
        name: {key: value.replace("%", "%%") for key, value in options.items()}
        for name, options in sections.items()
    }
