"""What each process of the group does between its start and the request to end it."""

import os
import signal
import threading
from pathlib import Path
from types import FrameType

from foundation import telemetry
from foundation.installation import Installation
from lintas.heartbeat import Heartbeat

__all__ = [
    "keep_database",
    "prepare_airflow",
    "run_api",
    "run_dispatcher",
    "run_monitor",
    "run_sandbox",
    "run_sequencer",
    "run_witness",
]

BEAT_SECONDS = 1.0
log = telemetry.logger(__name__)


def keep_database() -> None:
    """Prepare the installation and keep its embedded server alive; an external one is only watched."""
    from audit.retention import write_rules

    installation = _installation("database")
    ending = _ending()
    heartbeat = Heartbeat(installation.home, "database")
    server = installation.database.server
    try:
        installation.prepare()
        write_rules(installation)
        while True:
            if server is not None and not server.is_running:
                log.warning("database ended by itself, starting it again")
                server.start()
            heartbeat.beat()
            if ending.wait(BEAT_SECONDS):
                return
    finally:
        heartbeat.clear()
        installation.database.stop()


def run_sequencer() -> None:
    """Drain the outbox until asked to end; beside it the search index grows and timestamps are fetched."""
    from audit.publishing.sequencer import Sequencer
    from audit.search import Indexer
    from audit.timestamps import Stamper

    installation = _installation("sequencer")
    ending = _ending()
    heartbeat = Heartbeat(installation.home, "sequencer")
    beats = threading.Thread(target=_beat_until, args=(heartbeat, ending), daemon=True)
    follower = threading.Thread(target=Indexer(installation).run, args=(ending,), daemon=True)
    stamper = threading.Thread(target=Stamper(installation).run, args=(ending,), daemon=True)
    beats.start()
    follower.start()
    stamper.start()
    try:
        with Sequencer(installation) as worker:
            worker.run(ending)
    finally:
        ending.set()
        beats.join()
        follower.join()
        stamper.join(timeout=3.0)  # an authority may take its time; the request waits in the database
        heartbeat.clear()


def run_dispatcher() -> None:
    """Match, review and send until asked to end."""
    from verification.dispatcher import Dispatcher

    installation = _installation("dispatcher")
    ending = _ending()
    heartbeat = Heartbeat(installation.home, "dispatcher")
    beats = threading.Thread(target=_beat_until, args=(heartbeat, ending), daemon=True)
    beats.start()
    try:
        Dispatcher(installation).run(ending)
    finally:
        ending.set()
        beats.join()
        heartbeat.clear()


def run_monitor() -> None:
    """Send the log on and watch access until asked to end."""
    from audit.attention import Watch
    from audit.streaming import Streams
    from lintas.access import OPERATOR
    from verification.working_days import is_working_day

    installation = _installation("monitor")
    ending = _ending()
    heartbeat = Heartbeat(installation.home, "monitor")
    beats = threading.Thread(target=_beat_until, args=(heartbeat, ending), daemon=True)
    watching = threading.Thread(target=Watch(installation, is_working_day).run, args=(ending,))
    beats.start()
    watching.start()
    try:
        Streams(installation, OPERATOR).run(ending)
    finally:
        ending.set()
        watching.join()
        beats.join()
        heartbeat.clear()


def run_api() -> None:
    """Serve the HTTP API over TLS with this installation's certificate; there is no access log."""
    from web.server import run

    run(_installation("api"))


def run_witness(folder: Path) -> None:
    """Serve the witness of a folder; there is no access log, and no installation of the bus is needed."""
    from web.witness import serve

    telemetry.configure("witness")
    os.umask(0o077)
    serve(folder)


def run_sandbox() -> None:
    """Serve the practice agencies and write down how to reach them."""
    from lintas.practice_agencies import write_agencies
    from sandbox.agencies import start

    installation = _installation("sandbox")
    ending = _ending()
    heartbeat = Heartbeat(installation.home, "sandbox")
    settings = installation.settings
    installation.prepare_files()
    agencies = start(
        installation.home / "sandbox",
        settings.people,
        settings.seed,
        ports={
            "siak": settings.sandbox_civil_registry_port,
            "kswp": settings.sandbox_tax_office_port,
            "oss-daerah": settings.sandbox_licensing_office_port,
            "satusehat": settings.sandbox_health_office_port,
        },
        host=settings.sandbox_host,
    )
    try:
        write_agencies(installation, agencies)
        _beat_until(heartbeat, ending)
    finally:
        heartbeat.clear()
        agencies.stop()


def prepare_airflow() -> None:
    """Write Airflow's configuration, migrate its database, make a pool for each agency."""
    from dags.contracts import contracts_to_schedule
    from foundation.database import DatabaseName, Role
    from lintas.airflow import AirflowInstallation

    installation = _installation("airflow-database")
    settings = installation.settings
    airflow = AirflowInstallation.of(settings)
    url = installation.database.url(Role.AIRFLOW, DatabaseName.AIRFLOW)
    airflow.configure(url.render_as_string(hide_password=False))
    agencies = {contract.agency for contract in contracts_to_schedule()}
    airflow.migrate(dict.fromkeys(agencies, settings.airflow_slots_per_agency))


def _installation(process: str) -> Installation:
    telemetry.configure(process)
    os.umask(0o077)
    return Installation.open()


def _ending() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    event = threading.Event()

    def ask_to_end(_number: int, _frame: FrameType | None) -> None:
        event.set()

    signal.signal(signal.SIGTERM, ask_to_end)
    signal.signal(signal.SIGINT, ask_to_end)
    return event


def _beat_until(heartbeat: Heartbeat, ending: threading.Event) -> None:
    while True:
        heartbeat.beat()
        if ending.wait(BEAT_SECONDS):
            return
