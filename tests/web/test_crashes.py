"""The API is killed while it answers; what it leaves behind is whole."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from foundation.database import Role
from foundation.errors import LintasError
from sandbox.portal import Portal
from tests.verification.city import BUDI, CLAIMS, PORTAL, SERVICE, SITI, City
from verification.context import AnsweringContext

ROOT = Path(__file__).parents[2]
CODE = (
    "import web.server; from foundation.installation import Installation; web.server.run(Installation.open())"
)


@contextmanager
def process(city: City, workers: int = 1) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The API as an operator runs it, in a process group of its own."""
    settings = city.installation.settings.model_copy(update={"api_workers": workers})
    environment = {**os.environ, **settings.as_environment(), "LINTAS_API_WORKERS": str(workers)}
    environment |= {"LINTAS_API_PORT": str(settings.api_port)}
    command, quiet = [sys.executable, "-c", CODE], subprocess.DEVNULL
    running = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True, stderr=quiet)
    try:
        url = f"https://127.0.0.1:{settings.api_port}"
        _wait_until_it_listens(running, settings.api_port)
        yield running, url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _wait_until_it_listens(running: subprocess.Popen[bytes], port: int) -> None:
    """By plain connections: a portal's client would leave an API in peace that refused it a few times."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert running.poll() is None, "the API ended before it listened"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("the API never listened")


def client(url: str, city: City) -> Portal:
    return Portal(url, city.installation.authority.ca_path, PORTAL, city.keys[PORTAL])


@pytest.mark.timeout(240)
def test_killed_between_decision_and_reply_it_leaves_no_answer_without_entry(city: City) -> None:
    context = AnsweringContext.open(city.installation)
    for citizen in (SITI, BUDI):
        city.consent_of(context, citizen)
    context.close()
    told: list[str] = []
    for _ in range(2):
        with process(city) as (running, url), client(url, city) as portal:
            end = threading.Event()
            askers = [threading.Thread(target=_ask, args=(portal, told, end)) for _ in range(4)]
            for asker in askers:
                asker.start()
            time.sleep(random.uniform(0.8, 1.6))
            os.killpg(running.pid, signal.SIGKILL)
            end.set()
            for asker in askers:
                asker.join()
    answered = [entry["details"]["answer"] for entry in city.entries("exchange.answered")]
    referred = [entry["details"]["answer"] for entry in city.entries("referral.opened")]
    with city.connect(Role.MIGRATOR) as connection:
        stored = connection.execute(
            "SELECT answer_id::text, entry_id::text FROM verification.answer"
        ).fetchall()
        waiting = connection.execute("SELECT answer_id::text FROM verification.referral").fetchall()
    assert sorted(answered) == sorted(answer for answer, _ in stored)
    assert {entry["id"] for entry in city.entries("exchange.answered")} == {entry for _, entry in stored}
    assert sorted(referred) == sorted(answer for (answer,) in waiting)
    assert set(told) <= set(answered)
    assert told


def _ask(portal: Portal, told: list[str], end: threading.Event) -> None:
    while not end.is_set():
        with suppress(LintasError):
            citizen = random.choice((SITI, BUDI))
            told.append(portal.verify(SERVICE, citizen.body, citizen.claims).answer_id)


@pytest.mark.timeout(240)
def test_several_workers_serve_as_one(city: City) -> None:
    with process(city, workers=2) as (running, url), client(url, city) as portal:
        consent = portal.give_consent(SERVICE, SITI.body)
        given = {portal.verify(SERVICE, SITI.body, CLAIMS, idempotency_key="one").jws for _ in range(6)}
        assert len(given) == 1
        assert portal.withdraw_consent(consent["consent_id"])["state"] == "withdrawn"
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
