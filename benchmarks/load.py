"""A load from a process of its own, over keep-alive TLS connections, on loopback only."""

from __future__ import annotations

import http.client
import multiprocessing
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Load:
    """What came of it: seconds in all, begin and end of each call, how often each status came.

    Moments are those of `time.perf_counter`, which is one clock for all processes.
    """

    seconds: float
    spans: tuple[tuple[float, float], ...]
    statuses: dict[int, int]

    @property
    def latencies(self) -> list[float]:
        """Seconds of each call."""
        return [end - begin for begin, end in self.spans]


def drive(port: int, ca_file: Path, calls: Sequence[Call], connections: int, rate: float = 0.0) -> Load:
    """Sends every call once over `connections` connections; `rate` > 0 paces them (calls a second)."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_drive, args=(port, str(ca_file), list(calls), connections, rate, send))
    process.start()
    load: Load = receive.recv()
    process.join()
    return load


def _drive(  # noqa: PLR0917 - a process gets its arguments by position
    port: int, ca_file: str, calls: list[Call], connections: int, rate: float, send: Connection
) -> None:
    tls = ssl.create_default_context(cafile=ca_file)
    spans: list[tuple[float, float]] = []
    statuses: dict[int, int] = {}
    lock = threading.Lock()
    begin = threading.Barrier(connections + 1)
    started = [0.0]

    def work(number: int) -> None:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=30)
        connection.connect()
        own: list[tuple[float, float]] = []
        seen: dict[int, int] = {}
        begin.wait()
        for index in range(number, len(calls), connections):
            call = calls[index]
            due = started[0] + index / rate if rate else 0.0
            if due and (wait := due - time.perf_counter()) > 0:
                time.sleep(wait)
            # A paced call is late from the moment it was due, not from when it could be sent.
            sent = due or time.perf_counter()
            connection.request(call.method, call.path, body=call.body, headers=call.headers)
            response = connection.getresponse()
            response.read()
            own.append((sent, time.perf_counter()))
            seen[response.status] = seen.get(response.status, 0) + 1
        connection.close()
        with lock:
            spans.extend(own)
            for status, count in seen.items():
                statuses[status] = statuses.get(status, 0) + count

    threads = [threading.Thread(target=work, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    started[0] = time.perf_counter()
    begin.wait()
    for thread in threads:
        thread.join()
    send.send(Load(time.perf_counter() - started[0], tuple(spans), statuses))
    send.close()
