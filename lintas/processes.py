"""The group that `lintas up` starts: what each process runs and needs, and how it shows that it is well."""

import sys
from collections.abc import Callable
from pathlib import Path

from foundation.files import make_private_directory
from foundation.settings import Settings
from lintas import loopback
from lintas.airflow import COMPONENTS, AirflowInstallation
from lintas.heartbeat import Heartbeat
from lintas.supervisor import ProcessSpec

__all__ = ["AIRFLOW_NAMES", "bus_processes", "command", "practice_processes"]

AIRFLOW_NAMES = tuple(f"airflow-{name}" for name in COMPONENTS)
BEAT_LIMIT_SECONDS = 15.0


def bus_processes(settings: Settings) -> list[ProcessSpec]:
    """Database, sequencer, dispatcher, monitor, API and Airflow."""
    return [
        _beating(settings, "database", stop_timeout=30.0),
        _beating(settings, "sequencer", after=("database",)),
        _beating(settings, "dispatcher", after=("database",)),
        _beating(settings, "monitor", after=("database",)),
        ProcessSpec(
            "api",
            command("api"),
            _environment(settings),
            healthy=_api_is_ready(settings),
            after=("database",),
            stop_timeout=10.0,
        ),
        ProcessSpec(
            "airflow-database",
            command("airflow-database"),
            _environment(settings),
            once=True,
            after=("database",),
        ),
        *AirflowInstallation.of(settings).processes(_environment(settings), after=("airflow-database",)),
        *_own_witness(settings),
    ]


def _own_witness(settings: Settings) -> list[ProcessSpec]:
    """A witness beside the bus, where the operator has made one; it is not independent of the bus."""
    folder = settings.witness_directory
    if folder is None:
        return []
    return [
        ProcessSpec(
            "witness",
            command("witness", "run", str(folder)),
            _environment(settings),
            healthy=_witness_is_well(folder),
            stop_timeout=10.0,
        )
    ]


def _witness_is_well(folder: Path) -> Callable[[], bool]:
    def well() -> bool:
        from audit.witnesses.folder import WitnessFolder

        witness = WitnessFolder(folder)
        _, port = witness.address()
        ca_file = folder / "tls" / "ca.pem" if witness.tls_hosts() else None
        return loopback.ask(port, "/health", ca_file=ca_file, timeout=3.0).status == 200

    return well


def practice_processes(settings: Settings) -> list[ProcessSpec]:
    """The practice agencies and their introduction to the bus."""
    return [
        _beating(settings, "sandbox", start_timeout=300.0, stop_timeout=20.0),
        ProcessSpec(
            "introduction",
            command("practice", "introduce"),
            _environment(settings),
            once=True,
            after=("database", "sandbox"),
        ),
    ]


def command(*arguments: str) -> tuple[str, ...]:
    """A command line of ours, run by this very interpreter."""
    return (sys.executable, "-m", "lintas", *arguments)


def _environment(settings: Settings) -> dict[str, str]:
    """The settings, and a folder for temporary files that nobody else can look into."""
    temporary = make_private_directory(settings.home / "tmp")
    return {**settings.as_environment(), "TMPDIR": str(temporary)}


def _beating(
    settings: Settings,
    name: str,
    *,
    after: tuple[str, ...] = (),
    start_timeout: float = 120.0,
    stop_timeout: float = 15.0,
) -> ProcessSpec:
    heartbeat = Heartbeat(settings.home, name)
    return ProcessSpec(
        name,
        command(name),
        _environment(settings),
        healthy=lambda: heartbeat.age() < BEAT_LIMIT_SECONDS,
        prepare=heartbeat.clear,
        after=after,
        start_timeout=start_timeout,
        stop_timeout=stop_timeout,
    )


def _api_is_ready(settings: Settings) -> Callable[[], bool]:
    def ready() -> bool:
        ca_file = authority_file(settings)
        return loopback.ask(settings.api_port, "/health/ready", ca_file=ca_file, timeout=3.0).status == 200

    return ready


def authority_file(settings: Settings) -> Path:
    """The certificate of the installation's own authority."""
    return settings.home / "tls" / "ca.pem"
