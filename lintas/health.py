"""One process of the group, asked how it is: what containers and other supervisors call."""

from collections.abc import Callable

from foundation.settings import Settings
from lintas.airflow import AirflowInstallation
from lintas.processes import bus_processes, practice_processes

__all__ = ["health_of", "process_names"]

WORKER = "airflow-worker"
WITNESS = "witness"


def process_names(settings: Settings) -> list[str]:
    """The processes that can be asked."""
    specs = [*bus_processes(settings), *practice_processes(settings)]
    return sorted({spec.name for spec in specs if not spec.once} | {WORKER, WITNESS})


def health_of(settings: Settings, process: str, *, worker: str = "") -> Callable[[], bool]:
    """A question that says whether a process is well; one that cannot be asked is not.

    Args:
        settings: Of the installation, as the process has them.
        process: One of `process_names`.
        worker: Which Celery worker to ask; this machine's by default.
    """
    ask = _question(settings, process, worker)

    def healthy() -> bool:
        try:
            return ask()
        except Exception:  # whatever hinders the question is the answer
            return False

    return healthy


def _question(settings: Settings, process: str, worker: str) -> Callable[[], bool]:
    if process == WORKER:
        return AirflowInstallation.of(settings).health_check("worker", worker=worker)
    specs = [*bus_processes(settings), *practice_processes(settings)]
    found = {spec.name: spec.healthy for spec in specs}
    return found.get(process, lambda: False)  # a witness that this installation does not run
