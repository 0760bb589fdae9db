"""From a publish to a portal's receipt of the signed notice, beside a bare LISTEN/NOTIFY and httpx post."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from rich.console import Console

from benchmarks.measure import Measurement, measured, percentiles
from benchmarks.practice import practice
from benchmarks.verification import _applicants, _process
from benchmarks.workspace import workspace
from foundation.database import Role
from foundation.installation import Installation
from records.identity import Applicant
from records.sync import SyncContext, run_sync
from sandbox.mutations import RegistryMutations
from sandbox.web_server import WebServer
from sandbox.webhook_receiver import WebhookReceiver
from schemas.contract import Contract
from schemas.contracts import load_contracts
from schemas.identifiers import FamilyCardNumber, Nik
from verification.answering import answer
from verification.context import AnsweringContext
from verification.journey import Asker, Question
from verification.webhooks import register

TITLE = "Webhooks: from the publish of a death to the receipt of its notice"
DEATHS = "dukcapil-mojokerto/deaths"
ASKER = Asker("skck-online", "polres-mojokerto")
SERVICE = "skck"


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs it small."""
    people, rounds, at_once = (500, 3, 10) if smoke else (5_000, 40, 400)
    with workspace() as installation, practice(installation, people) as agencies:
        contracts = {contract.id: contract for contract in load_contracts(None)}
        for contract in contracts.values():
            run_sync(SyncContext(installation), contract)
        niks = _answered(installation, _applicants(agencies, 1 + rounds + at_once))
        mutations = RegistryMutations(agencies.registry)
        receiver = WebhookReceiver(installation.authority, _bus_keys(installation))
        receiver.start()
        try:
            with installation.database.connect(Role.STEWARD) as connection:
                ca = installation.authority.ca_pem
                register(connection, ASKER.system, receiver.url, by="bench", ca_pem=ca, is_operator=True)
            bare = _bare(installation, rounds)
            with _process(installation, "lintas", "dispatcher") as dispatcher:
                _one_by_one(installation, contracts[DEATHS], mutations, receiver, niks[:1])  # until it is up
                rest = niks[1:]
                one = _one_by_one(installation, contracts[DEATHS], mutations, receiver, rest[:rounds])
                many = _all_at_once(installation, contracts[DEATHS], mutations, receiver, rest[rounds:])
                one.peak_mib = many.peak_mib = dispatcher.memory_info().rss / 2**20
        finally:
            receiver.stop()
    one.note = "goal: p95 within 2 s; decided, verified again, two entries, signed, TLS"
    console.print(
        f"[dim]{len(niks)} answers watched; delay counted from the moment that publish notes,"
        " before its commit[/dim]"
    )
    return [bare, one, many]


def _bus_keys(installation: Installation) -> Any:
    pair = installation.keyring.ensure("bus")
    return lambda: [pair.public_jwk]


def _answered(installation: Installation, persons: list[dict[str, Any]]) -> list[str]:
    """Give an answer about each; they are watched from then on."""
    context = AnsweringContext.open(installation, connections=4)
    try:
        for person in persons:
            applicant = Applicant(
                Nik.parse(person["nik"]),
                family_card_number=FamilyCardNumber.parse(person["family_card_number"]),
            )
            answer(context, Question(SERVICE, applicant, request=person["nik"].encode()), ASKER)
    finally:
        context.close()
    return [person["nik"] for person in persons]


def _one_by_one(
    installation: Installation,
    deaths: Contract,
    mutations: RegistryMutations,
    receiver: WebhookReceiver,
    niks: list[str],
) -> Measurement:
    delays = []
    with measured("publish → notice received, one death at a time", len(niks), "notices") as result:
        for count, nik in enumerate(niks, start=len(receiver.notices) + 1):
            mutations.new_death(nik)
            run_sync(SyncContext(installation), deaths)
            received = receiver.wait_for(count, timeout=120)[-1].received_at
            delays.append(received - _published_at(installation))
    result.seconds = sum(delays)
    result.latencies_ms = percentiles(delays)
    return result


def _all_at_once(
    installation: Installation,
    deaths: Contract,
    mutations: RegistryMutations,
    receiver: WebhookReceiver,
    niks: list[str],
) -> Measurement:
    before = len(receiver.notices)
    for nik in niks:
        mutations.new_death(nik)
    what = f"publish → notice received, {len(niks)} deaths in one batch"
    with measured(what, len(niks), "notices") as result:
        run_sync(SyncContext(installation), deaths)
        found = receiver.wait_for(before + len(niks), timeout=300)[before:]
    published = _published_at(installation)
    delays = [notice.received_at - published for notice in found]
    result.seconds, result.latencies_ms = max(delays), percentiles(delays)
    return result


def _published_at(installation: Installation) -> float:
    with installation.database.connect(Role.STEWARD) as connection:
        row = connection.execute(
            "SELECT published_at FROM records.dataset_state WHERE dataset_id = %s", [DEATHS]
        ).fetchone()
    assert row is not None
    return float(row[0].timestamp())


def _bare(installation: Installation, count: int) -> Measurement:
    """A row inserted with NOTIFY, a listener that posts over a kept TLS connection, a plain server."""
    came = threading.Semaphore(0)
    received: list[float] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        del scope
        await receive()
        received.append(time.time())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        came.release()

    certificate, key = installation.authority.issue("bench-bare", ["localhost", "127.0.0.1"])
    server = WebServer(application, certificate, key)
    server.start()
    delays = []
    try:
        with (
            _listening(installation, f"https://localhost:{server.port}/"),
            installation.database.connect(Role.MIGRATOR, autocommit=True) as connection,
            measured("bare LISTEN/NOTIFY + httpx post", count, "notices", baseline=True) as result,
        ):
            connection.execute("CREATE TABLE IF NOT EXISTS public.bench_change (id bigint)")
            for number in range(count):
                started = time.time()
                with connection.transaction():
                    connection.execute("INSERT INTO public.bench_change VALUES (%s)", [number])
                    connection.execute("SELECT pg_notify('bench', '')")
                came.acquire()
                delays.append(received[-1] - started)
            connection.execute("DROP TABLE public.bench_change")
    finally:
        server.stop()
    result.seconds, result.latencies_ms = sum(delays), percentiles(delays)
    return result


@contextmanager
def _listening(installation: Installation, url: str) -> Iterator[None]:
    ending = threading.Event()
    ready = threading.Event()
    trust = ssl.create_default_context(cafile=str(installation.authority.ca_path))

    def listen() -> None:
        with (
            installation.database.connect(Role.DISPATCHER, autocommit=True) as connection,
            httpx.Client(verify=trust, trust_env=False) as client,
        ):
            connection.execute("LISTEN bench")
            ready.set()
            while not ending.is_set():
                for _ in connection.notifies(timeout=0.2):
                    client.post(url, json={"specversion": "1.0"})

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait(10)
    try:
        yield
    finally:
        ending.set()
        thread.join()
