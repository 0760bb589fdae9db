"""A citizen whose number and name must stand in nothing that the bus writes but its records."""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from psycopg import sql

from foundation.database import DatabaseName
from foundation.errors import LintasError
from sandbox.faults import FaultKind
from sandbox.mutations import RegistryMutations

pytestmark = [
    pytest.mark.journey,
    pytest.mark.airflow,
    pytest.mark.xdist_group("journeys"),
    pytest.mark.timeout(600),
]

SERVICE = "bantuan-usaha-mikro"
PERSONS = "dukcapil-mojokerto/persons"
TAX = "kpp-mojokerto/tax-standing"


def test_the_canary_stands_nowhere_it_should_not(synced: Any, canary_person: Any, canary_values: Any) -> None:
    try:
        use_and_misuse(synced, canary_person)
        told = what_the_portal_is_told(synced, canary_person)
        found = [*in_files(synced, canary_values), *in_databases(synced, canary_values)]
    finally:
        make_good(synced, canary_person)
    assert found == []
    assert [text for text in canary_texts(canary_values) if text.casefold() in told.casefold()] == []
    for made in ("data-docs/index.html", "logs/dispatcher.log"):
        assert (synced.settings.home / made).is_file(), f"{made} was not searched"


def test_the_search_would_find_the_canary(synced: Any, canary_values: Any, tmp_path: Path) -> None:
    (tmp_path / "leak.log").write_text(f"error for {canary_values.nik}")
    assert list(leaks_below(tmp_path, canary_values, ())) == ["leak.log"]
    with synced.installation.database.admin(synced.settings.database_name) as connection:
        assert holds(connection, "records", "person_v1", canary_values.nik)
        assert holds(connection, "records", "person_v1", canary_values.name.split()[0])
        assert not holds(connection, "records", "person_v1", "0000000000000000")


def use_and_misuse(bus: Any, person: Any) -> None:
    """Every way in which a person's data passes through, and the ways in which that goes wrong."""
    applicant = {"nik": person.nik, "name": person.name, "birth_date": person.birth_date.isoformat()}
    with bus.portal() as portal:
        portal.give_consent(SERVICE, applicant)
        answer = portal.verify(
            SERVICE,
            applicant,
            {"amount_requested": 1, "business_nib": person.nib},
            wait=5,
            case_number=f"K-{person.nik}",
        )
        portal.read(answer.answer_id)
        portal.who_used(applicant)
        for wrong in (
            {**applicant, "name": "SOMEBODY ELSE", "birth_date": "1901-01-01"},
            {**applicant, "nik": f"{person.nik[:-1]}x"},
            {**applicant, "birth_date": person.name},
            {"nik": person.nik},
        ):
            with contextlib.suppress(LintasError):
                portal.verify(SERVICE, wrong, {"amount_requested": person.nik, person.name: 1})
        with contextlib.suppress(LintasError):
            portal.verify(
                SERVICE,
                applicant,
                {"amount_requested": 1, "business_nib": person.nib},
                purpose="credit-scoring",
            )
        with contextlib.suppress(LintasError):
            portal.call("GET", "/v1/verifications/not-an-id")
    with bus.portal_for("kia") as counter:
        for child in (person.nik, f"{person.nik[:-1]}x", person.name):
            with contextlib.suppress(LintasError):
                counter.verify("kia", applicant, {"child_nik": child})
    registry = RegistryMutations(bus.agencies.registry)
    registry.duplicate_key(person.nik)
    registry.absurd_death(person.nik)
    bus.agencies.tax.faults.switch_on(FaultKind.GARBAGE, times=2)
    try:
        for dataset in (PERSONS, "dukcapil-mojokerto/deaths", TAX):
            with contextlib.suppress(LintasError):
                bus.sync(dataset)
    finally:
        bus.agencies.tax.faults.clear()


def what_the_portal_is_told(bus: Any, person: Any) -> str:
    """The notices of all that happened to the person; what is the portal's own in them is left out."""
    with bus.portal() as portal:
        with contextlib.suppress(LintasError):
            portal.call("PUT", "/v1/webhook", {"url": f"https://portal.example.go.id/{person.nik}"})
        page: dict[str, Any] = {"notices": []}
        deadline = time.monotonic() + 20.0
        while not page["notices"] and time.monotonic() < deadline:  # what was published is reviewed soon
            page = orjson.loads(portal.call("GET", "/v1/notices").body)
            time.sleep(0.2)
    for each in page["notices"]:
        each["event"]["data"].pop("application")
    return str(page)


def make_good(bus: Any, person: Any) -> None:
    """Leave the register of persons to the other journeys as it was; the feed of events only grows."""
    with bus.agencies.registry.administrator() as connection:
        connection.execute(
            "DELETE FROM biodata_wni WHERE nik = %s AND nama_lgkp <> %s", [person.nik, person.name]
        )
    bus.sync(PERSONS)


def in_files(bus: Any, canary: Any) -> Iterator[str]:
    """All files of the home but the data of the two database servers and the agencies' own books."""
    servers = (bus.installation.database.server, bus.agencies.registry.server)
    own = tuple(str(path) for server in servers for path in (server.data, server.place / "data"))
    books = tuple(
        str(path)
        for path in bus.agencies.directory.rglob("*")
        if path.suffix in {".json", ".sqlite", ".db"} or path.parent.name == "drop"
    )
    for name in leaks_below(bus.settings.home, canary, own + books):
        yield f"file {name}"
    for server in servers:
        for name in leaks_below(server.place, canary, own):
            yield f"server {name}"


def leaks_below(root: Path, canary: Any, spared: tuple[str, ...]) -> Iterator[str]:
    needles = re.compile("|".join(map(re.escape, canary_texts(canary))).encode(), re.IGNORECASE)
    for path in sorted(root.rglob("*")):
        if not path.is_file() or str(path).startswith(spared or ("\0",)):
            continue
        with contextlib.suppress(OSError):
            if needles.search(path.read_bytes()):
                yield str(path.relative_to(root))


def canary_texts(canary: Any) -> list[str]:
    spaced = " ".join(canary.nik[start : start + 4] for start in range(0, 16, 4))
    return [canary.nik, spaced, canary.family_card_number, *canary.name.split()]


def in_databases(bus: Any, canary: Any) -> Iterator[str]:
    """Every text of Airflow's database and of the vault, and of ours all but the records themselves."""
    places = [
        (DatabaseName.AIRFLOW, "true"),
        (DatabaseName.VAULT, "true"),
        (DatabaseName.LINTAS, "table_schema NOT IN ('records', 'identity', 'staging')"),
    ]
    for database, condition in places:
        name = database.on_server(bus.settings)
        with bus.installation.database.admin(name) as connection:
            for schema, table in tables(connection, condition):
                if any(holds(connection, schema, table, text) for text in canary_texts(canary)):
                    yield f"table {name}.{schema}.{table}"


def tables(connection: psycopg.Connection[Any], condition: str) -> list[Any]:
    return connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
        f" AND table_schema NOT IN ('pg_catalog', 'information_schema') AND {condition}"
    ).fetchall()


def holds(connection: psycopg.Connection[Any], schema: str, table: str, text: str) -> bool:
    """Whether any row, or any of its binary columns read as text, holds the value."""
    query = sql.SQL(
        "SELECT EXISTS (SELECT 1 FROM {table} t WHERE t::text ILIKE %(text)s OR t::text ILIKE %(hex)s)"
    ).format(table=sql.Identifier(schema, table))
    wanted = {"text": f"%{text}%", "hex": f"%{text.encode().hex()}%"}
    return bool(connection.execute(query, wanted).fetchone()[0])
