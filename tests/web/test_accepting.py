"""Processes that share a socket take connections by turns, and wait for nobody who does not come."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.verification.city import City
from tests.web.test_crashes import process
from web.accepting import MOST_WAITING_SECONDS, TALLY_FILE, Tally

ROOT = Path(__file__).parents[2]
SERVING = """
import asyncio, os, socket, sys
from web.accepting import EvenLoop

class Names(asyncio.Protocol):
    def __init__(self):
        self.gone = asyncio.Event()

    def connection_made(self, transport):
        transport.write(b"%d\\n" % os.getpid())

    def connection_lost(self, error):
        self.gone.set()

async def main():
    listening = socket.socket(fileno=int(sys.argv[1]))
    server = await asyncio.get_running_loop().create_server(Names, sock=listening)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    print("closed", flush=True)
    await asyncio.Event().wait()

with asyncio.Runner(loop_factory=EvenLoop) as runner:
    runner.run(main())
"""
"""A process that tells who calls which process took the call; it takes no more when its input ends."""


@pytest.fixture
def tally(tmp_path: Path) -> Path:
    file = tmp_path / "tally"
    Tally.make(file)
    return file


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen()
        yield found


Running = subprocess.Popen[str]


@contextmanager
def serving(listening: socket.socket, tally: Path, number: int = 1) -> Iterator[list[Running]]:
    """So many processes that take connections."""
    descriptor = listening.fileno()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SERVING, str(descriptor)],
            cwd=ROOT,
            env={**os.environ, TALLY_FILE: str(tally)},
            pass_fds=[descriptor],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    try:
        for each in running:
            _read_until(each, "ready")
        yield running
    finally:
        for each in running:
            each.kill()
            each.wait()
            for pipe in (each.stdin, each.stdout):
                assert pipe is not None
                pipe.close()


def _read_until(running: Running, line: str) -> None:
    assert running.stdout is not None
    while (said := running.stdout.readline().strip()) != line:
        assert said, "the process has ended"


class Callers:
    """Those who called, which process took each, and how long that took."""

    def __init__(self, listening: socket.socket) -> None:
        self._address = listening.getsockname()
        self.connections: list[socket.socket] = []
        self.took: list[float] = []

    def call(self, number: int) -> list[int]:
        return [self._call() for _ in range(number)]

    def _call(self) -> int:
        began = time.monotonic()
        connection = socket.create_connection(self._address, timeout=20)
        self.connections.append(connection)
        taken_by = int(connection.recv(100))
        self.took.append(time.monotonic() - began)
        return taken_by

    def leave(self) -> None:
        for connection in self.connections:
            connection.close()
        self.connections.clear()


@pytest.fixture
def callers(listening: socket.socket) -> Iterator[Callers]:
    found = Callers(listening)
    yield found
    found.leave()


def test_connections_are_spread_evenly(listening: socket.socket, tally: Path, callers: Callers) -> None:
    with serving(listening, tally, 3):
        taken = Counter(callers.call(30))
    assert set(taken.values()) == {10}


def test_those_who_leave_are_counted_no_more(listening: socket.socket, tally: Path, callers: Callers) -> None:
    with serving(listening, tally) as (first,):
        assert set(callers.call(8)) == {first.pid}
        callers.leave()
        with watched(tally) as counts:
            _wait_until(lambda: counts() == [0])
        with serving(listening, tally):
            assert set(Counter(callers.call(8)).values()) == {4}


def test_who_takes_no_more_is_not_waited_for(listening: socket.socket, tally: Path, callers: Callers) -> None:
    with serving(listening, tally, 2) as (staying, leaving):
        callers.call(2)
        assert leaving.stdin is not None
        leaving.stdin.close()
        _read_until(leaving, "closed")
        assert set(callers.call(40)) == {staying.pid}
    assert sum(took < MOST_WAITING_SECONDS for took in callers.took[2:]) > 20


def test_who_does_not_come_holds_nobody_up(listening: socket.socket, tally: Path, callers: Callers) -> None:
    with serving(listening, tally, 2) as (awake, asleep):
        asleep.send_signal(signal.SIGSTOP)
        assert set(callers.call(10)) == {awake.pid}
        asleep.send_signal(signal.SIGCONT)
        assert set(callers.call(10)) == {asleep.pid}
    assert min(callers.took[1:10]) >= MOST_WAITING_SECONDS / 2, "the other was not left the connection"


def test_the_place_of_the_dead_is_taken_again(
    listening: socket.socket, tally: Path, callers: Callers
) -> None:
    with serving(listening, tally, 2) as (_, killed):
        callers.call(10)
        killed.kill()
        killed.wait()
        with serving(listening, tally) as (successor,):
            assert Counter(callers.call(5)) == {successor.pid: 5}
            assert set(Counter(callers.call(10)).values()) == {5}


def test_where_no_place_is_left_connections_are_taken_as_ever(
    listening: socket.socket, tally: Path, callers: Callers
) -> None:
    tally.write_bytes(tally.read_bytes()[:8])
    with serving(listening, tally, 2) as running:
        assert set(callers.call(20)) <= {each.pid for each in running}


@pytest.mark.timeout(240)
def test_workers_of_the_api_take_as_many_each_and_forget_who_cannot_shake_hands(city: City) -> None:
    trust = ssl.create_default_context(cafile=str(city.installation.authority.ca_path))
    with process(city, workers=2) as (running, url), ExitStack() as calling, ExitStack() as callers:
        address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        counts = calling.enter_context(watched(_tally_of(running)))
        _wait_until(lambda: counts() == [0, 0])
        for _ in range(6):
            with socket.create_connection(address) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                stranger.settimeout(20)
                with suppress(ConnectionError):
                    stranger.recv(100)
        _wait_until(lambda: counts() == [0, 0])
        for _ in range(12):
            plain = callers.enter_context(socket.create_connection(address))
            callers.enter_context(trust.wrap_socket(plain, server_hostname="127.0.0.1"))
        assert counts() == [6, 6]
        callers.close()
        _wait_until(lambda: counts() == [0, 0])


@contextmanager
def watched(tally: Path) -> Iterator[Callable[[], list[int]]]:
    """What the others hold, as one sees it who takes nothing."""
    with closing(Tally(tally)) as watching:
        watching.leave()
        yield lambda: watching.counts


def _tally_of(running: subprocess.Popen[bytes]) -> Path:
    for worker in psutil.Process(running.pid).children():
        if file := worker.environ().get(TALLY_FILE):
            return Path(file)
    raise AssertionError("no worker knows of a tally")


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
