"""What stands in `airflow.cfg`: one function from where Airflow lives and what it is given to its options."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from foundation.files import read_private
from foundation.settings import Settings

__all__ = ["ADMIN", "AirflowKeys", "AirflowPlan", "sections"]

ADMIN = "lintas"
HOST = "127.0.0.1"
LONGEST_TASK_SECONDS = 6 * 3600
"""After which the broker hands a task that nobody acknowledged to another worker."""
MOST_AT_ONCE = 256


@dataclass(frozen=True)
class AirflowPlan:
    """How Airflow is to run: where it listens, who runs its tasks, how many at once."""

    port: int
    host: str = HOST
    url: str | None = None
    """Where its other processes find its API, when they run elsewhere."""
    parallelism: int = 4
    broker_url: str | None = None
    """Redis, without its password; without a Redis the scheduler's own children run the tasks."""
    broker_password_file: Path | None = None
    broker_ca_file: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> "AirflowPlan":
        """The plan that the settings make."""
        return cls(
            settings.airflow_port,
            settings.airflow_host,
            settings.airflow_url,
            settings.airflow_parallelism,
            settings.broker_url if settings.airflow_executor == "celery" else None,
            settings.broker_password_file,
            settings.broker_ca_file,
        )

    @property
    def celery(self) -> bool:
        """Whether Celery workers run the tasks."""
        return self.broker_url is not None

    @property
    def base_url(self) -> str:
        """The address of Airflow's API server as its other processes see it."""
        return (self.url or f"http://{HOST}:{self.port}").rstrip("/")


@dataclass(frozen=True)
class AirflowKeys:
    """Keys of Airflow's own, made once."""

    fernet: str
    api: str
    jwt: str


def sections(
    plan: AirflowPlan, keys: AirflowKeys, folder: Path, database_url: str
) -> dict[str, dict[str, str]]:
    """Every option that differs from Airflow's default, by section."""
    import dags

    found = {
        "core": {
            "dags_folder": str(Path(dags.__file__).parent),
            "plugins_folder": str(folder / "plugins"),
            "executor": "CeleryExecutor" if plan.celery else "LocalExecutor",
            "parallelism": str(MOST_AT_ONCE if plan.celery else plan.parallelism),
            "max_active_runs_per_dag": "1",
            "dags_are_paused_at_creation": "False",
            "load_examples": "False",
            "fernet_key": keys.fernet,
            "simple_auth_manager_users": f"{ADMIN}:admin",
            "simple_auth_manager_passwords_file": str(folder / "passwords.json"),
            "execution_api_server_url": f"{plan.base_url}/execution/",
            "killed_task_cleanup_time": "15",
        },
        "database": {
            "sql_alchemy_conn": database_url,
            "sql_alchemy_conn_async": _asynchronous(database_url),
            "sql_alchemy_pool_size": "3",
            "sql_alchemy_max_overflow": "5",
        },
        "api": {
            "host": plan.host,
            "port": str(plan.port),
            "workers": "1",
            "base_url": plan.base_url,
            "secret_key": keys.api,
            "expose_config": "False",
            "expose_stacktrace": "False",
            "instance_name": "Lintas",
        },
        "api_auth": {"jwt_secret": keys.jwt},
        "logging": {
            "base_log_folder": str(folder / "logs"),
            "dag_processor_child_process_log_directory": str(folder / "logs" / "dag_processor"),
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
    if plan.celery:
        found |= _celery(plan, database_url)
        # A night's tasks may wait for a free worker for longer than the ten minutes of the default.
        found["scheduler"]["task_queued_timeout"] = "3600"
    return found


def _celery(plan: AirflowPlan, database_url: str) -> dict[str, dict[str, str]]:
    return {
        "celery": {
            "broker_url": _broker(plan),
            "result_backend": f"db+{database_url}",
            "worker_concurrency": str(plan.parallelism),
            "worker_prefetch_multiplier": "1",
            "task_acks_late": "True",
            "operation_timeout": "10",
            "sync_parallelism": "1",
            "ssl_active": str(_broker(plan).startswith("rediss:")),
            "ssl_mutual_tls": "False",
            "ssl_cacert": str(plan.broker_ca_file or ""),
        },
        "celery_broker_transport_options": {"visibility_timeout": str(LONGEST_TASK_SECONDS)},
    }


def _asynchronous(database_url: str) -> str:
    """The same database for asyncpg, which takes libpq's TLS parameters only inside a DSN of its own."""
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query))
    tls = {name: query.pop(name) for name in list(query) if name.startswith("ssl")}
    if tls:
        query["dsn"] = f"postgresql://?{urlencode(tls)}"
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=urlencode(query)))


def _broker(plan: AirflowPlan) -> str:
    parts = urlsplit(plan.broker_url or "")
    if plan.broker_password_file is None:
        return parts.geturl()
    password = quote(read_private(plan.broker_password_file).decode().strip(), safe="")
    return urlunsplit(parts._replace(netloc=f":{password}@{parts.netloc}"))
