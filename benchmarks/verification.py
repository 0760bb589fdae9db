"""Verifications over HTTPS with everything on, beside a bare FastAPI look-up in the same four registers.

Both sides look in persons, deaths, tax standing, businesses, licenses and coverage, by the same numbers.
Both run so many processes behind the same uvicorn options and TLS, and are driven by the same client.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import psutil
from rich.console import Console

from benchmarks.disk import STALL_SECONDS, Disk, watched
from benchmarks.load import Call, Load, drive
from benchmarks.measure import Measurement, measured, median_round, percentiles
from benchmarks.practice import practice
from benchmarks.workspace import free_port, settle, workspace
from foundation.installation import Installation
from lintas.practice import PORTAL, portal_keyring
from records.sync import SyncContext, run_sync
from sandbox.agencies import PracticeAgencies
from sandbox.portal import Portal
from schemas.contracts import load_contracts

TITLE = "Verifications over HTTPS, four registers: decision, evidence, signature and audit on"
SERVICE = "bantuan-usaha-mikro"
WORKERS = 2
CONNECTIONS = 16
"""With eight, each of the two processes has four, and waits a fifth of its time for its callers."""
ROUNDS = 3
WARM_UP = 600
"""Calls before anything is measured: connections opened, statements prepared, every applicant asked about."""


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs it small."""
    people, applicants, count = (500, 10, 40) if smoke else (20_000, 400, 3_000)
    port, bare_port = free_port(), free_port()
    with (
        workspace(api_port=port, api_workers=WORKERS) as installation,
        practice(installation, people) as agencies,
    ):
        for contract in load_contracts(None):
            run_sync(SyncContext(installation), contract)
        settle(installation)
        persons = _owners(agencies, applicants)
        with (
            _process(installation, "benchmarks.bare_api", str(bare_port), str(WORKERS)) as bare,
            _process(installation, "lintas", "sequencer"),
            _process(installation, "lintas", "api") as api,
        ):
            for each in (bare_port, port):
                _wait_for(each, 120)
            look_ups = [_bare_call(persons[n % len(persons)]) for n in range(count)]
            asking = _verifications(installation, port, persons)
            warm = min(count, WARM_UP)
            _run(installation, bare_port, look_ups[:warm], "warming up", bare)
            _run(installation, port, asking(warm), "warming up", api)
            sides = [
                (
                    _run(installation, bare_port, look_ups, "bare FastAPI look-up", bare, baseline=True),
                    _run(installation, port, asking(count), "verifications, as fast as they go", api),
                )
                for _ in range(ROUNDS)
            ]
            rows = [median_round([side[place] for side in sides]) for place in (0, 1)]
            half = rows[1].rate / 2
            what = f"verifications at half load ({half:.0f}/s)"
            rows.append(_run(installation, port, asking(count), what, api, rate=half))
    shares = sorted(ours.rate / theirs.rate for theirs, ours in sides)
    share = f"{statistics.median(shares):.0%} of the bare look-up ({shares[0]:.0%} to {shares[-1]:.0%})"
    rows[1].note = f"{share}; {rows[1].note}"
    console.print(
        f"[dim]{WORKERS} processes each, {CONNECTIONS} connections, load on the same cores, the median of"
        f" {ROUNDS} rounds by turns[/dim]"
    )
    return rows


def _verifications(
    installation: Installation, port: int, persons: list[dict[str, Any]]
) -> Callable[[int], list[Call]]:
    """Everybody's consent is given; returns what makes so many questions about them by turns."""
    keys = portal_keyring(installation).current("auth")
    with Portal(f"https://127.0.0.1:{port}", installation.authority.ca_path, PORTAL, keys) as portal:
        for person in persons:
            portal.give_consent(SERVICE, person["applicant"])
        token = portal.fetch_token()
    return lambda number: [_call(persons[n % len(persons)], token) for n in range(number)]


def _run(
    installation: Installation,
    port: int,
    calls: Sequence[Call],
    what: str,
    server: psutil.Process,
    *,
    rate: float = 0.0,
    baseline: bool = False,
) -> Measurement:
    database = psutil.Process(_postmaster(installation))
    before = _cpu_seconds(server), _cpu_seconds(database)
    with (
        watched(installation.home) as disk,
        measured(what, len(calls), "calls", baseline=baseline) as result,
    ):
        load = drive(port, installation.authority.ca_path, calls, CONNECTIONS, rate)
    spent = [
        (after - earlier) * 1000 / len(calls)
        for earlier, after in zip(before, map(_cpu_seconds, (server, database)), strict=True)
    ]
    result.note = f"CPU a call: server {spent[0]:.2f}, PostgreSQL {spent[1]:.2f} ms"
    if not baseline:
        result.note += f"; {_apart_from_the_disk(load, disk)}"
    result.seconds = load.seconds
    result.latencies_ms = percentiles(load.latencies)
    result.peak_mib = sum(p.memory_info().rss for p in [server, *server.children(recursive=True)]) / 2**20
    unexpected = {status: n for status, n in load.statuses.items() if status not in {200, 201}}
    if unexpected:
        raise SystemExit(f"the load got other answers than it should: {unexpected}")
    return result


def _apart_from_the_disk(load: Load, disk: Disk) -> str:
    """The tail without what the disk alone explains: every answer is on it before it is given."""
    rest = [end - begin for begin, end in load.spans if not disk.was_stalled(begin, end)]
    if not disk.stalls:
        return f"a bare write beside was never stalled ({STALL_SECONDS * 1000:.0f} ms)"
    tail = f", p99 {percentiles(rest)['p99']:.1f} ms" if rest else ""
    return (
        f"a bare write beside stalled {len(disk.stalls)} times, at the longest {disk.longest * 1000:.0f} ms;"
        f" {len(rest) / len(load.spans):.0%} of the calls met no stall{tail}"
    )


def _postmaster(installation: Installation) -> int:
    server = installation.database.server
    if server is None or server.pid is None:
        raise SystemExit("this benchmark needs the embedded PostgreSQL")
    return server.pid


def _cpu_seconds(process: psutil.Process) -> float:
    """What a process and its children, ended ones too, have used so far."""
    times = [process.cpu_times()]
    for each in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just ended, and is counted with its parent's
            times.append(each.cpu_times())
    return sum(each.user + each.system for each in times) + times[0].children_user + times[0].children_system


def _applicants(agencies: PracticeAgencies, count: int) -> list[dict[str, Any]]:
    """Living persons without injected errors, each with the family card as second element."""
    flawed = {error.key for error in agencies.population.errors}
    frame = agencies.population.persons.unique("nik", keep="none", maintain_order=True)
    found = []
    for row in frame.iter_rows(named=True):
        if row["nik"] and row["nik"] not in flawed and row["no_kk"]:
            found.append({"nik": row["nik"], "family_card_number": row["no_kk"]})
        if len(found) == count:
            break
    return found


def _owners(agencies: PracticeAgencies, count: int) -> list[dict[str, Any]]:
    """Such persons who own a business, with its number."""
    population = agencies.population
    persons = {each["nik"]: each for each in _applicants(agencies, population.persons.height)}
    flawed = {error.key for error in population.errors}
    books = population.businesses.unique("nib", keep="none", maintain_order=True)
    numbers = books.select("nib", "no_identitas_penanggung_jwb").iter_rows()
    found = [
        {"applicant": persons[nik], "nib": nib}
        for nib, nik in numbers
        if nik in persons and nib not in flawed
    ]
    return found[:count]


def _call(person: dict[str, Any], token: str) -> Call:
    claims = {"amount_requested": 2_000_000, "business_nib": person["nib"]}
    body = {"service": SERVICE, "applicant": person["applicant"], "claims": claims}
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": secrets.token_urlsafe(16),
    }
    return Call("POST", "/v1/verifications", headers, orjson.dumps(body))


def _bare_call(person: dict[str, Any]) -> Call:
    headers = {"Content-Type": "application/json"}
    body = {"nik": person["applicant"]["nik"], "nib": person["nib"]}
    return Call("POST", "/look-up", headers, orjson.dumps(body))


@contextmanager
def _process(installation: Installation, module: str, *arguments: str) -> Iterator[psutil.Process]:
    environment = os.environ | installation.settings.as_environment()
    with (installation.home / "logs" / "bench.log").open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=environment, stdout=output, stderr=output
        )
    try:
        yield psutil.Process(started.pid)
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _wait_for(port: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit(f"nothing listens on port {port}")
