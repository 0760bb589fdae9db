"""Reading a FHIR server of a whole city, and asking it for one person, each beside a bare httpx loop."""

from __future__ import annotations

import json
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import polars as pl
from rich.console import Console

from benchmarks.health_office import HealthOffice, health_office
from benchmarks.measure import Measurement, measured, percentiles
from connectors import Window
from connectors.registry import open_lookup, open_source
from schemas.contract import Contract
from schemas.contracts import load_contracts

TITLE = "A FHIR server (patients, coverage, immunizations; OAuth 2, over TLS)"
_AGENCY = "dinkes-mojokerto/"
_BASE = "/fhir-r4/v1"
_NIK = "https://fhir.kemkes.go.id/id/nik"
_BUDGET = timedelta(seconds=5)


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs it small."""
    people, questions = (1_000, 20) if smoke else (140_000, 1_000)
    contracts = sorted(
        (each for each in load_contracts(None) if each.id.startswith(_AGENCY)), key=lambda each: each.id
    )
    with (
        tempfile.TemporaryDirectory(prefix="lintas-bench-") as folder,
        health_office(people, Path(folder)) as office,
    ):
        ours = _ours(office, contracts)  # first, so that its memory is its own
        bare = _bare(office, contracts)
        numbers = _numbers(office, questions)
        patients = next(each for each in contracts if each.id.endswith("patients"))
        asked_bare, asked = _bare_questions(office, numbers), _our_questions(office, patients, numbers)
    asked.note += f"; {asked.rate / asked_bare.rate:.0%} of bare"
    console.print("[dim]the bare loop keeps resources as they come; ours makes checked columns of them[/dim]")
    return [bare, *ours, asked_bare, asked]


def _bare(office: HealthOffice, contracts: Sequence[Contract]) -> Measurement:
    kept: list[dict[str, Any]] = []
    with measured("bare httpx loop", 0, "resources", baseline=True) as result, _client(office) as client:
        for contract in contracts:
            link: str | None = f"{_BASE}/{contract.server.config['resource']}?_count=500"
            while link:
                bundle = client.get(link).raise_for_status().json()
                kept += [entry["resource"] for entry in bundle["entry"]]
                link = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), None)
    result.count = len(kept)
    result.note = "no columns, no checks"
    return result


def _ours(office: HealthOffice, contracts: Sequence[Contract]) -> list[Measurement]:
    parts = []
    with measured("Lintas", 0, "resources") as whole:
        for contract in contracts:
            with measured(f"  {contract.server.config['resource']}", 0, "resources") as part:
                source = open_source(contract.server, office, office, columns=contract.source_columns)
                pages = (page.frame for slice in source.slices(Window()) for page in source.read(slice))
                frame = pl.concat(pages, how="vertical_relaxed")
                source.close()
            part.count = frame.height
            part.note = f"{frame.width} columns"
            parts.append(part)
    whole.count = sum(part.count for part in parts)
    whole.note = "all three, each as one frame"
    return [whole, *parts]


def _numbers(office: HealthOffice, many: int) -> list[str]:
    with _client(office) as client:
        bundle = client.get(f"{_BASE}/Patient?_count=1000").raise_for_status().json()
    found = [
        identifier["value"]
        for entry in bundle["entry"]
        for identifier in entry["resource"]["identifier"]
        if identifier["system"] == _NIK
    ]
    return [found[place % len(found)] for place in range(many)]


def _bare_questions(office: HealthOffice, numbers: list[str]) -> Measurement:
    latencies = []
    with (
        _client(office) as client,
        measured("bare httpx, one person", len(numbers), "questions", baseline=True) as result,
    ):
        for number in numbers:
            began = perf_counter()
            reply = client.post(f"{_BASE}/Patient/_search", data={"identifier": f"{_NIK}|{number}"})
            json.loads(reply.raise_for_status().content)
            latencies.append(perf_counter() - began)
    result.latencies_ms = percentiles(latencies)
    return result


def _our_questions(office: HealthOffice, contract: Contract, numbers: list[str]) -> Measurement:
    latencies = []
    lookup = open_lookup(contract.server, office, office, columns=contract.source_columns)
    lookup.find({"nik": numbers[0]}, _BUDGET)  # it logs in once
    with measured("Lintas, one person live", len(numbers), "questions") as result:
        for number in numbers:
            began = perf_counter()
            lookup.find({"nik": number}, _BUDGET)
            latencies.append(perf_counter() - began)
    lookup.close()
    result.latencies_ms = percentiles(latencies)
    result.note = "budget, breaker, checks, frame"
    return result


@contextmanager
def _client(office: HealthOffice) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cadata=office.ca_certificate_pem)
    with httpx.Client(base_url=office.endpoint_url, verify=context, timeout=60) as client:
        form = {"client_id": office.client_id, "client_secret": office.client_secret}
        given = client.post("/oauth2/v1/accesstoken?grant_type=client_credentials", data=form).json()
        client.headers["Authorization"] = f"Bearer {given['access_token']}"
        yield client
