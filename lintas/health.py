"""One process of the group, asked how it is: what containers and other supervisors call."""

from foundation.settings import Settings
from lintas.airflow import AirflowInstallation
from lintas.processes import bus_processes, practice_processes

__all__ = ["is_well", "process_names"]

WORKER = "airflow-worker"


def process_names(settings: Settings) -> list[str]:
    """The processes that can be asked."""
    specs = [*bus_processes(settings), *practice_processes(settings)]
    return sorted({spec.name for spec in specs if not spec.once} | {WORKER})


def is_well(settings: Settings, process: str, *, worker: str = "") -> bool:
    """Whether a process is well; one that cannot be asked is not."""
    if process == WORKER:
        healthy = AirflowInstallation.of(settings).health_check("worker", worker=worker)
    else:
        specs = [*bus_processes(settings), *practice_processes(settings)]
        (healthy,) = [spec.healthy for spec in specs if spec.name == process]
    try:
        return healthy()
    except Exception:  # whatever hinders the question is the answer
        return False
