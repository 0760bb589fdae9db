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
from urllib.parse import quote

from foundation.files import write_private
from lintas import loopback
from lintas.errors import AirflowRefused, NotRunning, RunDidNotFinish
from lintas.supervisor import ProcessSpec

__all__ = ["AirflowApi", "AirflowInstallation", "DagRun"]

ADMIN = "lintas"
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server", "--workers", "1"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
STOP_SECONDS = {"triggerer": 4.0}
"""A triggerer that is asked to end while it starts waits ten seconds for a reason of its own."""
LOCAL_SETTINGS = b"""from lintas.airflow_preload import preload

preload()
"""
HEALTH_KEYS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


@dataclass(frozen=True)
class AirflowInstallation:
    """Where Airflow lives and how it is set up."""

    home: Path
    """The home of the bus; Airflow's own is `<home>/airflow`."""
    port: int
    parallelism: int = 4

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
        write_private(self.folder / "config" / "airflow_local_settings.py", LOCAL_SETTINGS)
        passwords = self.folder / "passwords.json"
        if not passwords.exists():
            write_private(passwords, json.dumps({ADMIN: secrets.token_urlsafe(18)}).encode() + b"\n")
        parser = configparser.RawConfigParser()
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_dict(self._sections(database_url))
        text = io.StringIO()
        parser.write(text)
        write_private(self.folder / "airflow.cfg", text.getvalue().encode())

    def migrate(self) -> None:
        """Bring Airflow's own database to its current schema; quick when it is there already."""
        marker = self.folder / "migrated"
        configuration = (self.folder / "airflow.cfg").read_bytes()
        wanted = f"{_airflow_version()} {hashlib.sha256(configuration).hexdigest()}"
        if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
            return
        subprocess.run(
            _command("db", "migrate"),
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            check=True,
        )
        write_private(marker, wanted.encode())

    def processes(self, environment: Mapping[str, str], after: tuple[str, ...] = ()) -> list[ProcessSpec]:
        """Airflow's four processes for the supervisor, each watched through its own heartbeat."""
        return [
            ProcessSpec(
                name=f"airflow-{name}",
                command=_command(*arguments, *self._listen(name)),
                environment={**environment, **self.environment},
                healthy=self._health_check(name),
                after=after,
                stop_timeout=STOP_SECONDS.get(name, 10.0),
            )
            for name, arguments in COMPONENTS.items()
        ]

    def password(self) -> str:
        """The password of the one administrator."""
        passwords: dict[str, str] = json.loads((self.folder / "passwords.json").read_text(encoding="utf-8"))
        return passwords[ADMIN]

    def _listen(self, component: str) -> tuple[str, ...]:
        return ("--host", loopback.HOST, "--port", str(self.port)) if component == "api-server" else ()

    def _health_check(self, component: str) -> Callable[[], bool]:
        born = datetime.now(UTC)

        def healthy() -> bool:
            answer = loopback.ask(self.port, "/api/v2/monitor/health", timeout=3.0)
            if component == "api-server":
                return answer.status == 200
            report = answer.body[HEALTH_KEYS[component]]
            heartbeat = next(value for key, value in report.items() if key.startswith("latest_"))
            return report["status"] == "healthy" and datetime.fromisoformat(heartbeat) >= born

        return healthy

    def _sections(self, database_url: str) -> dict[str, dict[str, str]]:
        asynchronous = "postgresql+asyncpg:" + database_url.partition(":")[2]
        import dags

        return _escaped(
            {
                "core": {
                    "dags_folder": str(Path(dags.__file__).parent),
                    "plugins_folder": str(self.folder / "plugins"),
                    "executor": "LocalExecutor",
                    "parallelism": str(self.parallelism),
                    "max_active_runs_per_dag": "1",
                    "dags_are_paused_at_creation": "False",
                    "load_examples": "False",
                    "fernet_key": self._secret("fernet_key"),
                    "simple_auth_manager_users": f"{ADMIN}:admin",
                    "simple_auth_manager_passwords_file": str(self.folder / "passwords.json"),
                    "execution_api_server_url": f"http://{loopback.HOST}:{self.port}/execution/",
                    "killed_task_cleanup_time": "15",
                },
                "database": {
                    "sql_alchemy_conn": database_url,
                    "sql_alchemy_conn_async": asynchronous,
                    "sql_alchemy_pool_size": "3",
                    "sql_alchemy_max_overflow": "5",
                },
                "api": {
                    "host": loopback.HOST,
                    "port": str(self.port),
                    "workers": "1",
                    "base_url": f"http://{loopback.HOST}:{self.port}",
                    "secret_key": self._secret("api_secret_key"),
                    "expose_config": "False",
                    "expose_stacktrace": "False",
                    "instance_name": "Lintas",
                },
                "api_auth": {"jwt_secret": self._secret("jwt_secret")},
                "logging": {
                    "base_log_folder": str(self.folder / "logs"),
                    "dag_processor_child_process_log_directory": str(self.folder / "logs" / "dag_processor"),
                    "colored_console_log": "False",
                    "file_task_handler_new_folder_permissions": "0o700",
                    "file_task_handler_new_file_permissions": "0o600",
                },
                "metrics": {"statsd_on": "False"},
                "scheduler": {
                    "scheduler_heartbeat_sec": "2",
                    "scheduler_idle_sleep_time": "0.5",
                    "task_instance_heartbeat_sec": "5",
                    "task_instance_heartbeat_timeout": "20",
                    "task_instance_heartbeat_timeout_detection_interval": "5",
                    "orphaned_tasks_check_interval": "30",
                },
                "triggerer": {"capacity": "100"},
                "dag_processor": {
                    "refresh_interval": "30",
                    "min_file_process_interval": "30",
                    "parsing_processes": "1",
                    "print_stats_interval": "0",
                },
            }
        )

    def _secret(self, name: str) -> str:
        """One of Airflow's own keys; made once. Fernet wants exactly 32 bytes, the others take as much."""
        path = self.folder / f"{name}.key"
        if not path.exists():
            write_private(path, base64.urlsafe_b64encode(secrets.token_bytes(32)))
        return path.read_text(encoding="ascii")


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


def _airflow_version() -> str:
    from importlib.metadata import version

    return version("apache-airflow")


def _escaped(sections: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {
        name: {key: value.replace("%", "%%") for key, value in options.items()}
        for name, options in sections.items()
    }
