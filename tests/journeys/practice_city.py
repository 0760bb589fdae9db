"""A bus beside the real practice agencies, as the steward of a city finds it on any working day."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import socket
import sys
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import stamina
import structlog
import yaml
from psycopg.rows import dict_row

from connectors.source import Source
from foundation.database import Role
from foundation.errors import LintasError
from foundation.installation import Installation
from lintas import cli
from lintas.practice import introduce_practice_agencies
from lintas.practice_agencies import write_agencies
from participants.registry import register_system
from participants.registry import system as registered
from records import quarantine, shapes
from records.context import registered_source
from records.quarantine import QuarantinedRow
from records.sync import SyncContext, SyncReport, release, run_sync
from sandbox import FIXED
from sandbox import agencies as practice
from sandbox.agencies import PracticeAgencies
from sandbox.injection import DEATHS, PERSONS, TAX
from sandbox.mutations import RegistryMutations
from schemas.contract import Contract
from schemas.contracts import PACKAGED_CONTRACTS, load_contracts

DATASETS = (PERSONS, DEATHS, TAX)
TABLES = {PERSONS: "person_v1", DEATHS: "death_v1", TAX: "tax_standing_v1"}
SOURCES = {
    PERSONS: "SELECT * FROM biodata_wni",
    DEATHS: "SELECT DISTINCT ON (no_akta) * FROM kematian ORDER BY no_akta, nomor DESC",
}
"""What counts at the source; of the events of a deed, the latest."""
PAGE_ROWS = {PERSONS: 150, DEATHS: 10, TAX: 40}
STORIES = {
    ("started", "completed"), ("started", "failed"), ("started", "rejected"), ("started", "held"),
    ("started", "held", "rejected"), ("started", "held", "released"),
    ("started", "held", "released", "completed"),
}  # fmt: skip
"""What the log may tell of one batch."""

_COMPARED: dict[str, tuple[str, ...]] = {
    PERSONS: (
        "nik", "family_card_number", "name", "birth_place", "birth_date", "sex", "marital_status",
        "relationship_to_head", "region_code", "address", "rt", "rw", "mother_nik", "father_nik",
    ),
    DEATHS: ("nik", "death_date", "recorded_date", "deed_number", "region_code"),
    TAX: ("npwp", "name", "tax_year", "standing", "reason", "issued_on"),
}  # fmt: skip
_MARITAL = {1: "never_married", 2: "married", 3: "divorced", 4: "widowed"}
_RELATIONS = [
    "head", "husband", "wife", "child", "child_in_law", "grandchild", "parent", "parent_in_law",
    "other_family", "domestic_worker", "other",
]  # fmt: skip
_STANDINGS = {"VALID": "valid", "Patuh": "valid", "TIDAK VALID": "not_valid", "Tidak Patuh": "not_valid"}
_REASONS = {"02": "annual_return_missing", "03": "vat_returns_missing", "04": "taxpayer_not_found"}

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, Any]:
        """The error as `--json` tells it."""
        return json.loads(self.err.strip().splitlines()[-1])

    @property
    def report(self) -> Any:
        """The document on standard output."""
        return json.loads(self.out)


@dataclass
class City:
    """The bus, two agencies, and the questions a test asks of both sides."""

    installation: Installation
    agencies: PracticeAgencies
    contracts: dict[str, Contract]

    @property
    def context(self) -> SyncContext:
        return SyncContext(self.installation, source_of=self._source_after_the_entry)

    @property
    def registry(self) -> RegistryMutations:
        return RegistryMutations(self.agencies.registry)

    def begin(self) -> None:
        """Whatever the last test left: both agencies answer, and the bus knows what they know."""
        self.agencies.tax.faults.clear()
        self.agencies.registry.listen()
        self.agencies.tax.listen()
        self.hand_over_secrets()
        for system, url in self.agencies.endpoints.items():
            self.move(system, url)
        if not all(self._is_as_the_source(dataset) for dataset in DATASETS):
            self.refill()
            for dataset in DATASETS:
                self._sync_whatever_it_says(dataset)
                self.assert_as_the_source(dataset)

    def refill(self) -> None:
        """Fill the books again, in a city whose register was cleaned but for one row and some twins.

        No key is unreadable, so that records may be closed, and so many have died that one deed more or less
        is an ordinary day. The feed of events is no table that can be filled again: what happened stays.
        """
        feed = self._feed()
        self.agencies.refill()
        population = self.agencies.population
        touched = {error.key for error in population.errors} | set(population.deaths["nik"])
        ordinary = sorted(nik for nik in population.persons["nik"] if nik and nik not in touched)
        unreadable = [error.key for error in population.errors if error.key and error.kind.startswith("nik-")]
        deeds = [(deed_of(place), nik) for place, nik in enumerate(ordinary[-120:])]
        with self.agencies.registry.administrator() as connection:
            connection.execute(
                "DELETE FROM biodata_wni WHERE nik IS NULL OR nik = ANY(%s)",
                [[nik for nik in unreadable if nik]],
            )
            connection.execute("UPDATE biodata_wni SET nama_lgkp = NULL WHERE nik = %s", [ordinary[0]])
            if any(row["no_akta"] == deed_of(0) for row in feed):
                self._restore_feed(connection, feed)
                return
            connection.cursor().executemany(
                "INSERT INTO kematian (no_akta, nik, tgl_mati, tgl_lapor, no_prop, no_kab, no_kec, last_sync)"
                " VALUES (%s, %s, '2024-05-01', '2024-05-03', 35, 76, 2, now())", deeds,
            )  # fmt: skip

    def _feed(self) -> list[dict[str, Any]]:
        with self.agencies.registry.administrator() as connection:
            connection.row_factory = dict_row  # type: ignore[assignment]
            return list(connection.execute("SELECT * FROM peristiwa ORDER BY nomor"))  # type: ignore[arg-type]

    def _restore_feed(self, connection: Any, feed: list[dict[str, Any]]) -> None:
        """As the registry's administrator after a disaster: every event again, under its own number."""
        columns = list(feed[0])
        names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
        connection.execute("ALTER TABLE peristiwa DISABLE TRIGGER tetap")
        connection.execute("TRUNCATE peristiwa RESTART IDENTITY")
        connection.execute("ALTER TABLE peristiwa ENABLE TRIGGER tetap")
        connection.cursor().executemany(
            f"INSERT INTO peristiwa ({names}) OVERRIDING SYSTEM VALUE VALUES ({places})".encode(),
            [tuple(row.values()) for row in feed],
        )
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('peristiwa', 'nomor'), (SELECT max(nomor) FROM peristiwa))"
        )

    def restore(self, people: list[dict[str, Any]]) -> None:
        """The registry loads its backup."""
        columns = list(people[0])
        names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
        with self.agencies.registry.administrator() as connection:
            connection.execute("DELETE FROM biodata_wni")
            connection.cursor().executemany(
                f"INSERT INTO biodata_wni ({names}) VALUES ({places})".encode(),
                [tuple(row[name] for name in columns) for row in people],
            )

    def hand_over_secrets(self) -> None:
        """The agencies tell the bus their present passwords."""
        self.agencies.install_secrets(self.installation.home / "secrets")

    def move(self, system: str, url: str) -> None:
        """The operator registers another address of a system."""
        with self.installation.database.connect(Role.STEWARD) as connection:
            register_system(connection, replace(registered(connection, system), endpoint_url=url))

    def release(self, batch_id: Any) -> None:
        release(self.installation, batch_id, actor="walidata-01", reason="test: the agency confirmed it")

    def sync(self, dataset: str) -> SyncReport:
        return run_sync(self.context, self.contracts[dataset])

    def command(self, *arguments: str) -> Said:
        """The command `lintas`, in this process, with the settings of this installation."""
        with _environment(self.environment), _captured() as (out, err), _arguments(arguments):
            code = 0
            try:
                cli.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Said(code, out.text, err.text)

    @property
    def environment(self) -> dict[str, str]:
        settings = self.installation.settings
        return {
            "LINTAS_HOME": str(settings.home),
            "LINTAS_POSTGRES_DIRECTORY": str(settings.postgres_directory),
            "LINTAS_POSTGRES_DURABLE": "false",
            "LINTAS_DATABASE_NAME": settings.database_name,
            "LINTAS_CONTRACTS": str(settings.contracts),
        }

    # What the bus holds.

    def rows(self, query: str, parameters: Any = None) -> list[dict[str, Any]]:
        database = self.installation.database
        conninfo = database._admin_conninfo(database.settings.database_name)
        with psycopg.connect(conninfo, row_factory=dict_row) as connection, connection.cursor() as cursor:
            return cursor.execute(query, parameters).fetchall()

    def value(self, query: str, parameters: Any = None) -> Any:
        return next(iter(self.rows(query, parameters)[0].values()))

    def records(self, dataset: str) -> Counter[Row]:
        """What is known now, by the fields that are compared with the source."""
        columns = ", ".join(_COMPARED[dataset])
        found = self.rows(f"SELECT {columns} FROM records.{TABLES[dataset]} WHERE valid_to IS NULL")
        return Counter(tuple(row.values()) for row in found)

    def versions(self, dataset: str) -> dict[tuple[int, Any], dict[str, Any]]:
        """Every version of every record, current or past."""
        found = self.rows(f"SELECT * FROM records.{TABLES[dataset]}_versions")
        return {(row["record_id"], row["recorded_from"]): row for row in found}

    def known(self, dataset: str) -> list[dict[str, Any]]:
        """Everything that a fault must leave alone: records and history to the last column, and the feed."""
        table = f"records.{TABLES[dataset]}"
        return [
            *self.rows(f"SELECT *, xmin::text FROM {table} ORDER BY record_id"),
            *self.rows(f"SELECT * FROM {table}_history ORDER BY record_id, recorded_to"),
            *self.rows("SELECT * FROM records.change_feed WHERE dataset_id = %s ORDER BY 1", [dataset]),
            *self.rows("SELECT * FROM records.dataset_state WHERE dataset_id = %s", [dataset]),
        ]

    def entries(self) -> list[dict[str, Any]]:
        """The log in its order: what is sequenced, then what waits."""
        found = self.rows(
            "SELECT entry FROM (SELECT 0 AS part, entry_index AS place, entry FROM audit.entries"
            " UNION ALL SELECT 1, id, entry FROM audit.outbox) AS e ORDER BY part, place"
        )
        return [orjson.loads(bytes(row["entry"])) for row in found]

    def story(self, batch_id: Any) -> tuple[str, ...]:
        """What the log tells of a batch."""
        return self.stories().get(str(batch_id), ())

    def stories(self) -> dict[str, tuple[str, ...]]:
        told: dict[str, list[str]] = defaultdict(list)
        for entry in self.entries():
            if entry["kind"].startswith("sync.") and "batch_id" in entry.get("batch", {}):
                told[entry["batch"]["batch_id"]].append(entry["kind"].removeprefix("sync."))
        return {batch: tuple(kinds) for batch, kinds in told.items()}

    def last_batch(self, dataset: str) -> dict[str, Any]:
        return self.rows(
            "SELECT * FROM records.batch WHERE dataset_id = %s ORDER BY started_at DESC LIMIT 1", [dataset]
        )[0]

    def quarantined(self, batch_id: Any) -> list[QuarantinedRow]:
        with self.installation.database.connect(Role.STEWARD) as connection:
            return quarantine.list_rows(connection, batch_id=batch_id, limit=5_000)

    # What the source holds.

    def source(self, dataset: str) -> list[dict[str, Any]]:
        if dataset == TAX:
            return self.agencies.tax.books.rows.to_dicts()
        with self.agencies.registry.administrator() as connection:
            connection.row_factory = dict_row  # type: ignore[assignment]
            return list(connection.execute(SOURCES[dataset].encode()))  # type: ignore[arg-type]

    def expected(self, dataset: str) -> Counter[Row]:
        """What the bus should know of the source: its rows but the spoilt ones and those with a twin."""
        good = [row for row in self.source(dataset) if not self._is_spoilt(dataset, row)]
        key = _KEYS[dataset]
        times = Counter(key(row) for row in good)
        return Counter(_CANONICAL[dataset](row) for row in good if times[key(row)] == 1)

    def ordinary(self, dataset: str = PERSONS) -> list[str]:
        """NIKs of people about whom nothing is wrong anywhere, in a fixed order."""
        accepted = {row[0] for row in self.records(dataset)}
        population = self.agencies.population
        touched = {error.key for error in population.errors} | {row["nik"] for row in self.source(DEATHS)}
        touched |= {person.nik for person in FIXED.all()}
        return sorted(nik for nik in accepted if nik not in touched)

    # What every test asserts.

    def assert_as_the_source(self, dataset: str) -> None:
        assert self.records(dataset) == self.expected(dataset)

    def assert_mended(self, dataset: str) -> SyncReport:
        """The fault is over: the next run has exactly the right rows, one entry, and leaves no trace."""
        report = self.sync(dataset)
        assert report.published
        assert self.story(report.batch_id) == ("started", "completed")
        self.assert_as_the_source(dataset)
        self.assert_no_batch_left()
        return report

    def assert_no_batch_left(self) -> None:
        """Each batch has its one story in the log, and nothing of it stays behind."""
        stories = self.stories()
        batches = {str(row["batch_id"]) for row in self.rows("SELECT batch_id FROM records.batch")}
        assert set(stories) == batches
        assert {batch: story for batch, story in stories.items() if story not in STORIES} == {}
        assert self.value(
            "SELECT count(*) FROM pg_tables t WHERE schemaname = 'staging' AND NOT EXISTS (SELECT"
            " FROM records.batch WHERE status IN ('held', 'released')"
            " AND 'b_' || replace(batch_id::text, '-', '') = tablename)"
        ) == 0  # fmt: skip

    def fails(self, dataset: str, *expected: type[LintasError], ending: str = "failed") -> LintasError:
        """A sync that cannot go on: a clear error, nothing changed, and an entry of its own."""
        before, quarantine_before = self.known(dataset), self._open_quarantine(dataset)
        with pytest.raises(expected) as raised:
            self.sync(dataset)
        error = raised.value
        batch = self.last_batch(dataset)
        assert self.known(dataset) == before
        assert quarantine_before <= self._open_quarantine(dataset)
        assert self.story(batch["batch_id"]) == ("started", ending)
        assert batch["status"] == ending
        self.assert_no_batch_left()
        self.assert_clear(error.as_dict(), str(error))
        if ending == "failed":
            assert self.entries()[-1]["details"]["error"] == error.code
        self.assert_nothing_personal(repr(self.entries()[-1]), repr(batch["report"]), repr(batch["reason"]))
        return error

    def commanded(self, dataset: str, code: str, *, exit_code: int) -> Said:
        """The same by the command, for people and for programs."""
        before = self.known(dataset)
        for_people = self.command("sync", dataset)
        for_programs = self.command("sync", dataset, "--json")
        assert (for_people.code, for_programs.code) == (exit_code, exit_code)
        assert (for_people.out, for_programs.out) == ("", "")
        assert for_people.err.startswith(f"error {code}: ")
        assert "  next   " in for_people.err
        assert for_programs.error["code"] == code
        self.assert_clear(for_programs.error, for_people.err)
        assert self.known(dataset) == before
        return for_programs

    def assert_clear(self, error: Mapping[str, Any], told: str) -> None:
        """What, where, what to do; no value of anybody."""
        assert error["what"]
        assert error["remedy"]
        place = {*error.get("attributes", {}), *error.get("location", {})}
        assert place & {"dataset", "system_id", "system", "host", "file", "batch", "contract", "rules"}
        self.assert_nothing_personal(told, json.dumps(error, default=str))

    def assert_nothing_personal(self, *texts: str) -> None:
        numbers, names = self._personal
        for text in texts:
            assert set(re.findall(r"\d{16}", text)) & numbers == set()
            assert [name for name in names if name in text] == []

    @property
    def _personal(self) -> tuple[set[str], set[str]]:
        persons, tax = self.agencies.population.persons, self.agencies.population.tax
        numbers = {*persons["nik"], *persons["no_kk"], *tax["npwp16"], *tax["npwp"]}
        names = {name for name in (*persons["nama_lgkp"], *tax["nama_wp"]) if name and " " in name}
        return {number for number in numbers if number}, names

    def _open_quarantine(self, dataset: str) -> set[int]:
        found = self.rows(
            "SELECT row_id FROM quality.quarantine_row WHERE dataset_id = %s AND state = 'open'", [dataset]
        )
        return {row["row_id"] for row in found}

    def _is_spoilt(self, dataset: str, row: dict[str, Any]) -> bool:
        if _content(row) in self._spoilt[dataset] or not row.get("nama_lgkp", "-"):
            return True
        dates = [row.get("tgl_lhr"), row.get("tgl_mati")]
        return any(each is not None and each > date(2100, 1, 1) for each in dates)

    @property
    def _spoilt(self) -> dict[str, set[Row]]:
        population = self.agencies.population
        frames = {PERSONS: population.persons, DEATHS: population.deaths, TAX: population.tax}
        found: dict[str, set[Row]] = {dataset: set() for dataset in frames}
        for error in population.errors:
            if error.dataset in frames and error.rejected and error.kind != "duplicate-key":
                row = frames[error.dataset].row(error.row, named=True)
                found[error.dataset].add(_content(row))
        return found

    def _is_as_the_source(self, dataset: str) -> bool:
        try:
            expected = self.expected(dataset)
        except (KeyError, TypeError, psycopg.Error):  # a test ended before it mended the source
            return False
        return bool(expected) and self.records(dataset) == expected

    def _sync_whatever_it_says(self, dataset: str) -> None:
        report = self.sync(dataset)
        if report.held:
            self.release(report.batch_id)
            self.sync(dataset)

    def _source_after_the_entry(self, context: SyncContext, contract: Contract) -> Source:
        """Open the source, but not before the entry about it is committed."""
        batch = self.last_batch(contract.id)
        assert self.story(batch["batch_id"])[:1] == ("started",)
        return registered_source(context, contract)


def deed_of(place: int) -> str:
    """Number of one of the deaths with which the city was filled."""
    return f"3576-KM-03052024-{place + 1:04d}"


def _content(row: Mapping[str, Any]) -> Row:
    left_out = {"last_sync", "diubah", "jenis"}
    return tuple(sorted((name, str(value)) for name, value in row.items() if name not in left_out))


def _person(row: Mapping[str, Any]) -> Row:
    relation = row["stat_hbkel"]
    return (
        row["nik"], row["no_kk"], row["nama_lgkp"], row["tmpt_lhr"], row["tgl_lhr"],
        {1: "male", 2: "female"}[row["jenis_klmin"]], _MARITAL.get(row["stat_kwn"]),
        None if relation is None else _RELATIONS[relation - 1], _region(row, "no_kel"), row["alamat"],
        _block(row["no_rt"]), _block(row["no_rw"]), _parent(row["nik_ibu"]), _parent(row["nik_ayah"]),
    )  # fmt: skip


def _death(row: Mapping[str, Any]) -> Row:
    return row["nik"], row["tgl_mati"], row["tgl_lapor"], row["no_akta"], _region(row)


def _tax(row: Mapping[str, Any]) -> Row:
    reason = None if row["alasan"] in (None, "-") else _REASONS[row["alasan"].split(" ")[0]]
    issued = date.fromisoformat(row["tanggal_terbit"])
    standing = _STANDINGS[row["status_kswp"]]
    return row["npwp16"], row["nama_wp"], int(row["tahun_kswp"]), standing, reason, issued


def _region(row: Mapping[str, Any], village: str | None = None) -> str:
    code = f"{row['no_prop']:02}.{row['no_kab']:02}.{row['no_kec']:02}"
    return code if village is None else f"{code}.{row[village]:04}"


def _block(text: str | None) -> str | None:
    return None if text in (None, "-", "0", "000") else text.zfill(3)


def _parent(text: str | None) -> str | None:
    return None if text in (None, "-", "0", "0" * 16) else text


_CANONICAL = {PERSONS: _person, DEATHS: _death, TAX: _tax}
_KEYS = {
    PERSONS: lambda row: row["nik"],
    DEATHS: lambda row: row["no_akta"],
    TAX: lambda row: (row["npwp16"], row["tahun_kswp"]),
}


@contextlib.contextmanager
def practice_city(
    directory: Path, template: Installation, copies: Any, *, people: int, seed: int = 11
) -> Iterator[City]:
    """A bus that has read both agencies once, in a database and a home of its own."""
    name = copies.take()
    home = directory / f"city-{uuid.uuid4().hex[:8]}"
    shutil.copytree(template.home, home)
    contracts = _small_pages(home / "contracts")
    changes = {"home": home, "database_name": name, "contracts": contracts}
    installation = Installation.open(template.settings.model_copy(update=changes))
    shapes.forget()
    running = practice.start(home / "sandbox", people, seed, pause_every=0)
    try:
        write_agencies(installation, running)
        introduce_practice_agencies(installation)
        city = City(installation, running, {each.id: each for each in load_contracts(contracts)})
        with stamina.set_testing(True, attempts=4, cap=True):  # the same attempts, without the pauses
            city.begin()
            yield city
    finally:
        running.stop()
        running.registry.server.remove()
        _forget_logging()
        shapes.forget()
        copies.give_back(name)
        shutil.rmtree(home, ignore_errors=True)


def _forget_logging() -> None:
    """The command set up the logging of this process; the tests after it have their own."""
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, logging.FileHandler)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(logging.WARNING)


def _small_pages(folder: Path) -> Path:
    """The contracts as they are, but with pages so small that a city of some hundreds has several."""
    shutil.copytree(PACKAGED_CONTRACTS, folder)
    for dataset, rows in PAGE_ROWS.items():
        path = folder / f"{dataset}.odcs.yaml"
        contract = yaml.safe_load(path.read_text(encoding="utf-8"))
        properties = contract["servers"][0]["customProperties"]
        connector = next(each["value"] for each in properties if each["property"] == "connector")
        connector["page_rows"] = rows
        path.write_text(yaml.safe_dump(contract, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return folder


class BadLine:
    """A line to an agency that breaks after so many bytes of replies, so many times; then it holds."""

    def __init__(self, url: str, *, breaks_after: int, times: int, on_connect: Callable[[], object]) -> None:
        self._there = int(url.rpartition(":")[2].partition("/")[0])
        self._url = url
        self._left, self._breaks_after, self._times = breaks_after, breaks_after, times
        self._on_connect = on_connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._guard = threading.Lock()
        self.broken = 0
        self._threads[0].start()

    def __enter__(self) -> BadLine:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    @property
    def url(self) -> str:
        """The agency's address, by this line."""
        return self._url.replace(f":{self._there}", f":{self._listener.getsockname()[1]}")

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self._on_connect()
                far = socket.create_connection(("127.0.0.1", self._there))
                for source, target, counted in ((line, far, False), (far, line, True)):
                    thread = threading.Thread(target=self._carry, args=(source, target, counted), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if counted and self._breaks(len(data)):
                    target.sendall(data[: len(data) // 2])
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            source.close()

    def _breaks(self, size: int) -> bool:
        with self._guard:
            self._left -= size
            if self._left > 0 or self.broken >= self._times:
                return False
            self.broken += 1
            self._left = self._breaks_after
            return True


class _Text:
    """A stream that keeps what is written to it."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._lock = threading.Lock()

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def write(self, text: str) -> int:
        with self._lock:
            self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        return

    def isatty(self) -> bool:
        return False


@contextlib.contextmanager
def _captured() -> Iterator[tuple[_Text, _Text]]:
    out, err = _Text(), _Text()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):  # type: ignore[type-var]
        yield out, err


@contextlib.contextmanager
def _arguments(arguments: tuple[str, ...]) -> Iterator[None]:
    before = sys.argv
    sys.argv = ["lintas", *arguments]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
