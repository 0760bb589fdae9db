"""A bad morning: faults, changes at the source and repairs in any order, with syncs in between.

Whatever happens, every good row of a source that was published is known, nobody is closed who is still in
the register, no version is ever lost, and the log tells each batch's one story. After the last repair the
records are the source.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.checking.verification import verify_installation
from audit.publishing.sequencer import Sequencer
from foundation.errors import LintasError
from foundation.installation import Installation
from records.sync import reject_held
from sandbox.faults import FaultKind
from sandbox.injection import DEATHS, PERSONS, TAX

from .practice_city import DATASETS, TABLES, City, deed_of, practice_city

STEPS = 25
TAX_FAULTS = [
    FaultKind.HTML, FaultKind.CUT, FaultKind.HANG_UP, FaultKind.REPEATED_CURSOR, FaultKind.EXPIRED_TOKENS,
    FaultKind.STATUS_500, FaultKind.RENAMED_COLUMN, FaultKind.TRUNCATED, FaultKind.GARBAGE,
]  # fmt: skip

Repair = Callable[[], object]


@pytest.fixture(scope="module")
def shared(
    session_directory: Path, installation_template: Installation, database_copies: Any
) -> Iterator[City]:
    with practice_city(
        session_directory, installation_template, database_copies, people=420, seed=23
    ) as city:
        yield city


class Morning:
    """What may happen between the offices and the bus, drawn from one seed."""

    def __init__(self, city: City, seed: int) -> None:
        self.city = city
        self.random = random.Random(seed)
        self.repairs: dict[str, Repair] = {}
        self.newcomers = 0
        self.told: list[str] = []

    def step(self) -> None:
        """Something happens; then somebody runs a sync."""
        kinds = [
            self.change,
            self.change,
            self.bad_row,
            self.break_registry,
            self.break_tax_office,
            self.repair,
        ]
        chosen = self.random.choice(kinds)
        concerned = {self.break_registry: [PERSONS, DEATHS], self.break_tax_office: [TAX]}
        dataset = self.random.choice(concerned.get(chosen, DATASETS))
        self.told.append(f"{chosen.__name__}: {chosen() or 'nothing'}; sync of {dataset}")
        self.sync(dataset)

    # Ordinary changes.

    def change(self) -> str | None:
        if "registry" in self.repairs:
            return None
        nik = self.random.choice(self.city.ordinary())
        registry = self.city.registry
        changes: dict[str, Callable[[], object]] = {
            "address": lambda: registry.change_address(nik, f"JL. PAGI {self.random.randrange(10_000)}"),
            "move": lambda: registry.move_away(nik),
            "death": lambda: registry.new_death(nik),
            "corrected death": self._correct_death,
            "newcomer": lambda: self._newcomer(nik),
            "departure": lambda: self._execute("DELETE FROM biodata_wni WHERE nik = %s", nik),
            "standing": self._standing,
        }
        name = self.random.choice(list(changes))
        changes[name]()
        return name

    def bad_row(self) -> str | None:
        if "registry" in self.repairs:
            return None
        nik = self.random.choice(self.city.ordinary())
        registry = self.city.registry
        born = next(row["tgl_lhr"] for row in self.city.source(PERSONS) if row["nik"] == nik)
        name = self.random.choice(["twin", "absurd birth", "absurd death", "unknown dead"])
        if name == "twin":
            registry.duplicate_key(nik)
            self._later("DELETE FROM biodata_wni WHERE nik = %s AND nama_lgkp LIKE '%% KEDUA'", nik)
        elif name == "absurd birth":
            registry.absurd_birth_date(nik)
            self._later("UPDATE biodata_wni SET tgl_lhr = %s WHERE nik = %s", born, nik)
        elif name == "absurd death":
            deed = registry.absurd_death(nik)
            self.repairs[f"correct {deed}"] = lambda: registry.correct_death(deed, date(2026, 1, 2))
        elif "unknown" not in self.repairs:
            registry.death_of_unknown_person()
            self.repairs["unknown"] = lambda: None  # an event is never taken back; it stays flagged
        return name

    # Faults of a whole system.

    def break_registry(self) -> str | None:
        if "registry" in self.repairs:
            return None
        registry, office = self.city.registry, self.city.agencies.registry
        people = self.city.source(PERSONS)
        faults: dict[str, tuple[Repair, Repair]] = {
            "line down": (office.hang_up, office.listen),
            "password": (office.change_password, self.city.hand_over_secrets),
            "renamed": (
                registry.rename_column,
                lambda: registry.rename_column(old="nama_lengkap", new="nama_lgkp"),
            ),
            "revoked": (registry.revoke, registry.grant),
            "truncated": (registry.truncate_snapshot, lambda: self.city.restore(people)),
            "garbage": (registry.garbage, lambda: self.city.restore(people)),
        }
        name = self.random.choice(list(faults))
        broken, self.repairs["registry"] = faults[name]
        broken()
        return name

    def break_tax_office(self) -> str:
        office = self.city.agencies.tax
        kind = self.random.choice(TAX_FAULTS)
        office.faults.switch_on(
            kind, page=self.random.choice([None, 0, 2]), times=self.random.choice([None, 1])
        )
        self.repairs["tax"] = office.faults.clear
        return str(kind)

    def repair(self) -> str | None:
        if not self.repairs:
            return None
        name = self.random.choice(list(self.repairs))
        if name not in ("registry", "tax") and "registry" in self.repairs:
            name = "registry"
        self.repairs.pop(name)()
        return name

    def repair_everything(self) -> None:
        for name in sorted(
            self.repairs, key=lambda each: each != "registry"
        ):  # tables first, then their rows
            self.repairs[name]()
        self.repairs.clear()

    # The bus.

    def sync(self, dataset: str) -> None:
        """Run a sync; what it may do to what is known is the same in every case."""
        before = {each: self.city.versions(each) for each in DATASETS}
        published = False
        try:
            report = self.city.sync(dataset)
        except LintasError as error:
            self.city.assert_clear(error.as_dict(), str(error))
            self.told.append(f"  {error.code}")
        else:
            published = report.published
            self.told.append(f"  {report.verdict}, {report.changed} changed, {report.quarantined} set aside")
            if report.held and self.random.random() < 0.5:
                reject_held(self.city.installation, report.batch_id, actor="walidata-01", reason="morning")
        self.assert_no_version_lost(before, dataset if published else None)
        if published and dataset not in self._touched():
            self.assert_published(dataset)

    def assert_no_version_lost(self, before: dict[str, dict[Any, Any]], published: str | None) -> None:
        for dataset in DATASETS:
            after = self.city.versions(dataset)
            kept = {key: row["content_hash"] for key, row in after.items() if key in before[dataset]}
            assert kept == {key: row["content_hash"] for key, row in before[dataset].items()}
            if dataset != published:
                assert after == before[dataset]

    def assert_published(self, dataset: str) -> None:
        """Each good row is known; what is known beside it stands in the source, spoilt or twice."""
        known, good = self.city.records(dataset), self.city.expected(dataset)
        assert good - known == Counter()
        place = 0 if dataset != TAX else slice(0, 3, 2)
        source = {_key(dataset, row) for row in self.city.source(dataset)}
        assert {row[place] for row in known - good} <= source

    def _touched(self) -> set[str]:
        """Datasets whose source shows something else than it holds."""
        broken = {TAX} if "tax" in self.repairs else set()
        return broken | ({PERSONS, DEATHS} if "registry" in self.repairs else set())

    # Work of clerks.

    def _newcomer(self, nik: str) -> None:
        self.newcomers += 1
        with self.city.agencies.registry.administrator() as connection:
            connection.execute(
                "CREATE TEMP TABLE newcomer ON COMMIT DROP AS SELECT * FROM biodata_wni WHERE nik = %s", [nik]
            )
            connection.execute("UPDATE newcomer SET nik = %s", [f"{nik[:12]}{7000 + self.newcomers}"])
            connection.execute("INSERT INTO biodata_wni SELECT * FROM newcomer")

    def _correct_death(self) -> None:
        day = date(2024, 4, 1) + timedelta(days=self.random.randrange(30))
        self.city.registry.correct_death(deed_of(self.random.randrange(120)), day)

    def _standing(self) -> None:
        books = self.city.agencies.tax.books
        number = self.random.choice(sorted(row[0] for row in self.city.expected(TAX)))
        books.set_standing(number, self.random.choice(["VALID", "TIDAK VALID"]))

    def _later(self, statement: str, *parameters: object) -> None:
        self.repairs[f"{statement} {parameters}"] = lambda: self._execute(statement, *parameters)

    def _execute(self, statement: str, *parameters: object) -> None:
        with self.city.agencies.registry.administrator() as connection:
            connection.execute(statement.encode(), parameters)


def _key(dataset: str, row: dict[str, Any]) -> Any:
    return (row["npwp16"], int(row["tahun_kswp"])) if dataset == TAX else row["nik"]


@pytest.mark.parametrize("seed", [1, 2])
def test_after_a_bad_morning_the_records_are_the_source_and_the_log_tells_all_of_it(
    shared: City, seed: int
) -> None:
    city = shared
    city.begin()
    morning = Morning(city, seed)
    try:
        for _ in range(STEPS):
            morning.step()
        morning.repair_everything()
        for dataset in (PERSONS, DEATHS, TAX):
            settle(city, dataset)
            assert city.records(dataset) == city.expected(dataset)
    except Exception as error:
        error.add_note("\n".join(morning.told))  # the story, should it end badly
        raise
    finally:
        morning.repair_everything()
    assert_history_is_whole(city)
    assert_log_is_whole(city)


def settle(city: City, dataset: str) -> None:
    """The next run; when more people have left than on an ordinary day, the steward lets it pass."""
    report = city.sync(dataset)
    if report.held:
        city.release(report.batch_id)
        report = city.sync(dataset)
    assert report.published


def assert_history_is_whole(city: City) -> None:
    """Versions of a record follow one another, and each stands in the change feed."""
    for dataset in DATASETS:
        table = f"records.{TABLES[dataset]}"
        overlapping = city.value(
            f"SELECT count(*) FROM {table}_versions a JOIN {table}_versions b USING (record_id)"
            " WHERE a.recorded_from < b.recorded_from"
            " AND coalesce(a.recorded_to, 'infinity') > b.recorded_from"
        )
        assert overlapping == 0
        feed = "SELECT count(*) FROM records.change_feed WHERE dataset_id = %s AND action"
        made = city.value(f"{feed} <> 'closed'", [dataset])
        closed = city.value(f"{feed} = 'closed'", [dataset])
        assert made == city.value(f"SELECT count(*) FROM {table}_versions")
        assert closed == city.value(
            f"SELECT count(DISTINCT record_id) FROM {table}_history h"
            f" WHERE NOT EXISTS (SELECT FROM {table} c WHERE c.record_id = h.record_id)"
        )


def assert_log_is_whole(city: City) -> None:
    """One beginning and one outcome for each batch; nothing missing, nothing doubled; the log verifies."""
    city.assert_no_batch_left()
    batches = city.value("SELECT count(*) FROM records.batch")
    stories = city.stories().values()
    assert Counter(story[0] for story in stories) == {"started": batches}
    assert sum(Counter(story[1] for story in stories).values()) == batches
    entries = city.entries()
    for action in ("inserted", "closed"):
        told = sum(each["batch"][action] for each in entries if each["kind"] == "sync.completed")
        assert told == city.value("SELECT count(*) FROM records.change_feed WHERE action = %s", [action])
    with closing(Sequencer(city.installation)) as sequencer:
        sequencer.settle()
    assert city.value("SELECT count(*) FROM audit.outbox") == 0
    report = verify_installation(city.installation)
    assert report.intact
    assert report.entries == len(entries) == len({each["id"] for each in entries})
