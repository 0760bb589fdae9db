"""`lintas up` as a user runs it: everything comes up, Ctrl-C ends it, nothing stays behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = [
    pytest.mark.journey,
    pytest.mark.airflow,
    pytest.mark.xdist_group("journeys"),
    pytest.mark.timeout(600),
]

PORTS = (
    "LINTAS_API_PORT",
    "LINTAS_AIRFLOW_PORT",
    "LINTAS_SANDBOX_CIVIL_REGISTRY_PORT",
    "LINTAS_SANDBOX_TAX_OFFICE_PORT",
)


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    home = Path(tempfile.mkdtemp(prefix="lintas-up-"))
    home.chmod(0o711)
    ports = {}
    for name in PORTS:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports[name] = str(probe.getsockname()[1])
    yield {**os.environ, **ports, "LINTAS_HOME": str(home), "LINTAS_POSTGRES_DURABLE": "false"}
    shutil.rmtree(home, ignore_errors=True)


def belongs(process: psutil.Process, home: str) -> bool:
    try:
        return home in " ".join(process.cmdline()) or process.environ().get("LINTAS_HOME") == home
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


def ours(home: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if each.pid != os.getpid() and belongs(each, home)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_up_comes_up_and_leaves_no_process_port_or_lock(
    environment: dict[str, str], number: signal.Signals
) -> None:
    home = environment["LINTAS_HOME"]
    log = Path(home) / "up.txt"
    with log.open("w") as output:
        command = [sys.executable, "-m", "lintas", "up", "--people", "1000"]
        up = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if number is signal.SIGINT:
        wait_for(lambda: "All is up" in log.read_text(), up, 300)
    else:
        wait_for(lambda: "database" in log.read_text(), up, 120)
    assert len(ours(home)) > 5
    up.send_signal(number)
    up.wait(60)
    wait_for(lambda: not ours(home), None, 60)
    if number is signal.SIGINT:
        assert up.returncode == 0
        assert "no process, port or lock stays behind" in log.read_text()
        assert not list((Path(home) / "run").iterdir())
    for name in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", int(environment[name])))


def wait_for(condition, process: subprocess.Popen[bytes] | None, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert process is None or process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.2)
