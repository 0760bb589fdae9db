"""Everything that goes wrong between offices, told from the steward's side (issue 2, "Bad input, faults").

Against the practice agencies over TLS and a real PostgreSQL. Each fault gives a clear error or finding with
no personal value in it, keeps what was rejected, leaves what was known as it was, ends with an entry, and
after it is mended the next run ends with exactly the right rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors.errors import (
    ColumnsMissing,
    CursorRepeated,
    DatasetMissing,
    PageUnreadable,
    SourceInterrupted,
)
from foundation.database import Role
from foundation.errors import LintasError, RetryLater
from foundation.http_errors import (
    AccessRefused,
    AgencyFailing,
    AgencyUnreachable,
    BodyCut,
    LoginRefused,
    UnexpectedContent,
)
from foundation.installation import Installation
from lintas.practice_participants import STEWARDS
from records.errors import BatchRejected
from sandbox.faults import FaultKind
from sandbox.mutations import ABSURD, UNKNOWN_NIK
from schemas.contract import Snapshot
from schemas.errors import ContractInvalid

from .practice_city import DEATHS, PERSONS, TAX, BadLine, City, practice_city

SYSTEMS = {PERSONS: "siak", TAX: "kswp"}
both_kinds_of_source = pytest.mark.parametrize("dataset", [PERSONS, TAX], ids=["sql", "rest"])


@pytest.fixture(scope="module")
def shared(
    session_directory: Path, installation_template: Installation, database_copies: Any
) -> Iterator[City]:
    with practice_city(session_directory, installation_template, database_copies, people=600) as city:
        yield city


@pytest.fixture
def city(shared: City) -> City:
    shared.begin()
    return shared


def contract_file(city: City, dataset: str) -> Path:
    assert city.installation.settings.contracts is not None
    return city.installation.settings.contracts / f"{dataset}.odcs.yaml"


# A malformed contract.


@pytest.mark.parametrize(
    ("sound", "broken", "field"),
    [
        ("logicalType: date", "logicalType: datum", "logicalType"),
        ("physicalName: nama_lgkp", "physicalName: [nama, lgkp]", "physicalName"),
        ("cursor", "cursor: [", None),
    ],
    ids=["unknown-type", "wrong-shape", "not-yaml"],
)
def test_a_malformed_contract_is_named_with_its_line_and_stops_only_its_own_dataset(
    city: City, sound: str, broken: str, field: str | None
) -> None:
    path = contract_file(city, PERSONS)
    text = path.read_text(encoding="utf-8")
    assert sound in text
    path.write_text(text.replace(sound, broken, 1), encoding="utf-8")
    try:
        problems = city.command("contracts", "check", "--json")
        assert problems.code == 65
        assert {"file", "line", "field", "rule", "message", "remedy"} == set(problems.report[0])
        assert all(each["line"] and each["message"] and each["remedy"] for each in problems.report)
        assert {each["file"] for each in problems.report} == {f"{PERSONS}.odcs.yaml"}
        assert field is None or any(field in (each["field"] or "") for each in problems.report)
        told = city.commanded(PERSONS, ContractInvalid.code, exit_code=65)
        assert told.error["location"]["file"] == f"{PERSONS}.odcs.yaml"
        entry = city.entries()[-1]
        assert (entry["kind"], entry["outcome"], entry["datasets"]) == ("sync.failed", "failed", [PERSONS])
        assert entry["details"]["error"] == "contract-invalid"
        assert city.command("sync", TAX, "--json").code == 0
    finally:
        path.write_text(text, encoding="utf-8")
    assert city.command("contracts", "check").code == 0
    assert city.command("sync", PERSONS, "--json").report["published"]
    city.assert_mended(PERSONS)


# An agency that cannot be reached, a wrong password, a right taken away.


@both_kinds_of_source
def test_an_agency_that_cannot_be_reached_costs_a_run_and_nothing_else(city: City, dataset: str) -> None:
    office = city.agencies.registry if dataset == PERSONS else city.agencies.tax
    office.hang_up()
    error = city.fails(dataset, AgencyUnreachable)
    assert SYSTEMS[dataset] in str(error)
    city.commanded(dataset, "agency-unreachable", exit_code=75)
    office.listen()
    city.assert_mended(dataset)


@both_kinds_of_source
def test_a_wrong_password_is_said_to_be_one_and_is_never_repeated(city: City, dataset: str) -> None:
    old = list(city.agencies.secrets[city.contracts[dataset].agency].values())
    if dataset == PERSONS:
        city.agencies.registry.change_password()
    else:
        city.agencies.tax.change_secret()
    error = city.fails(dataset, LoginRefused)
    told = city.commanded(dataset, "login-refused", exit_code=69)
    assert not [secret for secret in old for text in (str(error), told.err) if secret in text]
    city.hand_over_secrets()
    city.assert_mended(dataset)


def test_a_right_that_was_taken_away_is_asked_back_by_name(city: City) -> None:
    city.registry.revoke()
    error = city.fails(PERSONS, AccessRefused, DatasetMissing)
    assert "GRANT SELECT" in error.remedy
    city.registry.grant()
    city.assert_mended(PERSONS)


# The token.


def test_a_token_that_expires_in_the_middle_is_renewed_and_no_row_is_lost_or_doubled(city: City) -> None:
    city.agencies.tax.books.set_standing(city.agencies.population.tax["npwp16"][7], "TIDAK VALID")
    city.agencies.tax.faults.switch_on(FaultKind.EXPIRED_TOKENS, page=2, times=1)
    report = city.assert_mended(TAX)
    # The new confirmation, and the end of the one that it replaces.
    assert (report.inserted, report.updated, report.published) == (1, 1, True)


def test_tokens_that_never_last_end_the_run(city: City) -> None:
    city.agencies.tax.faults.switch_on(FaultKind.EXPIRED_TOKENS, page=2)
    city.fails(TAX, LoginRefused)
    city.agencies.tax.faults.clear()
    city.assert_mended(TAX)


# Pages.

BROKEN_PAGES: list[tuple[FaultKind, tuple[type[LintasError], ...], int]] = [
    (FaultKind.CUT, (UnexpectedContent, BodyCut, PageUnreadable), 69),
    (FaultKind.HTML, (UnexpectedContent,), 69),
    (FaultKind.NOT_AN_OBJECT, (PageUnreadable,), 69),
    (FaultKind.REPEATED_CURSOR, (CursorRepeated,), 69),
    (FaultKind.CURSOR_LOOP, (CursorRepeated,), 69),
    (FaultKind.TRUNCATED, (PageUnreadable,), 69),
    (FaultKind.RENAMED_COLUMN, (ColumnsMissing,), 69),
    (FaultKind.HANG_UP, (BodyCut, AgencyUnreachable), 75),
    (FaultKind.STATUS_500, (AgencyFailing,), 75),
]


@pytest.mark.parametrize(
    ("kind", "expected", "exit_code"), BROKEN_PAGES, ids=[str(each[0]) for each in BROKEN_PAGES]
)
def test_a_broken_page_ends_the_run_and_its_good_pages_are_not_published(
    city: City, kind: FaultKind, expected: tuple[type[LintasError], ...], exit_code: int
) -> None:
    city.agencies.tax.books.set_standing(city.agencies.population.tax["npwp16"][3], "TIDAK VALID")
    city.agencies.tax.faults.switch_on(kind, page=3)
    error = city.fails(TAX, *expected)
    assert error.attributes["system_id"] == "kswp"
    assert f"page {4 if kind is FaultKind.CURSOR_LOOP else 3}" in str(error)  # a loop shows at its end
    if kind in (FaultKind.HTML, FaultKind.STATUS_500):
        city.commanded(TAX, error.code, exit_code=exit_code)
    city.agencies.tax.faults.clear()
    report = city.assert_mended(TAX)
    assert report.inserted <= 1


@pytest.mark.parametrize("kind", [FaultKind.HANG_UP, FaultKind.STATUS_500, FaultKind.PAUSE])
def test_a_page_that_fails_once_is_asked_for_again(city: City, kind: FaultKind) -> None:
    city.agencies.tax.faults.switch_on(kind, page=3, times=1)
    assert city.assert_mended(TAX).changed == 0


# A line that breaks in the middle of a page, over TLS.


@both_kinds_of_source
def test_a_connection_dropped_in_the_middle_of_a_page_leaves_no_half_of_it(city: City, dataset: str) -> None:
    stories: list[tuple[str, ...]] = []

    def first_byte() -> None:
        stories.append(city.story(city.last_batch(dataset)["batch_id"]))

    url = city.agencies.endpoints[SYSTEMS[dataset]]
    size = 60_000 if dataset == PERSONS else 4_000  # the third page; every page
    with BadLine(url, breaks_after=size, times=100, on_connect=first_byte) as line:
        city.move(SYSTEMS[dataset], line.url)
        error = city.fails(dataset, SourceInterrupted, BodyCut, AgencyUnreachable)
        assert isinstance(error, RetryLater)
        assert line.broken
        assert stories
        assert set(stories) == {("started",)}  # committed before the first byte was asked for
    city.move(SYSTEMS[dataset], url)
    city.assert_mended(dataset)


def test_a_reader_whose_line_is_cut_between_two_pages_takes_another_one(city: City) -> None:
    from dataclasses import replace

    from records.sync import run_sync

    def cut(progress: Any) -> None:
        if progress.step == "land" and progress.read < 400:
            city.agencies.registry.cut_connections()

    city.registry.change_address(city.ordinary()[0], "JL. PUTUS 1")
    report = run_sync(replace(city.context, observer=cut), city.contracts[PERSONS])
    assert (report.updated, report.published) == (1, True)
    city.assert_mended(PERSONS)


# Columns.


@pytest.mark.parametrize(
    ("table", "dataset", "old", "new"),
    [("biodata_wni", PERSONS, "nama_lgkp", "nama_lengkap"), ("kematian", DEATHS, "tgl_mati", "tgl_wafat")],
)
def test_a_renamed_column_is_named_with_the_one_it_has_become(
    city: City, table: Any, dataset: str, old: str, new: str
) -> None:
    city.registry.rename_column(table, old, new)
    error = city.fails(dataset, ColumnsMissing)
    assert old in str(error)
    assert error.attributes["closest"] == {old: new}
    city.commanded(dataset, "columns-missing", exit_code=69)
    city.registry.rename_column(table, new, old)
    assert city.assert_mended(dataset).changed == 0


# Rows that cannot be used.


def sync_keeping_the_rest(city: City, dataset: str, reason: str, rows: int) -> Any:
    """A run that puts some rows aside: published, told, nothing else changed."""
    before, known = city.records(dataset), city.quarantined(city.last_batch(dataset)["batch_id"])
    report = city.sync(dataset)
    assert report.published
    assert city.story(report.batch_id) == ("started", "completed")
    again = len([row for row in known if reason_of(row, reason)])
    if city.contracts[dataset].snapshot is Snapshot.COMPLETE:
        assert report.reasons[reason] == again + rows
    else:  # a feed is read from where the last run ended, with some overlap
        assert rows <= report.reasons[reason] <= again + rows
    assert city.records(dataset) == before
    found = [row for row in city.quarantined(report.batch_id) if reason_of(row, reason)]
    for row in found:
        assert row.position >= 0
        assert all(error["message"] and error["remedy"] for error in row.errors)
        city.assert_nothing_personal(repr(row))
    city.assert_nothing_personal(repr(city.entries()[-1]))
    return report


def reason_of(row: Any, reason: str) -> bool:
    field, _, rule = reason.partition(":")
    return any(error["field"] == field and error["rule"] == rule for error in row.errors)


def opened(city: City, batch_id: Any) -> list[tuple[int, str]]:
    """The rows of a batch as the steward reads them by the command; each opening is an entry."""
    found = []
    for row in city.quarantined(batch_id):
        steward = STEWARDS[row.dataset_id.partition("/")[0]]
        said = city.command(
            "quarantine", "show", str(row.row_id), "--reason", "ask the producer", "--officer", steward,
            "--json",
        )  # fmt: skip
        assert said.code == 0, said.err
        found.append((row.row_id, said.out))
        entry = city.entries()[-1]
        assert (entry["kind"], entry["actor"]) == ("quarantine.viewed", steward)
    return found


def assert_only_the_steward_reads(city: City) -> None:
    for role in (Role.INGEST, Role.API, Role.AUDITOR, Role.SEQUENCER):
        with (
            city.installation.database.connect(role) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT sealed FROM quality.quarantine_row LIMIT 1")
    sealed = city.rows("SELECT sealed FROM quality.quarantine_row")
    city.assert_nothing_personal(*(bytes(row["sealed"]).decode("latin-1") for row in sealed))


def test_of_a_key_entered_twice_both_rows_are_set_aside_and_the_known_record_stays(city: City) -> None:
    nik = city.ordinary()[3]
    city.registry.duplicate_key(nik)
    report = sync_keeping_the_rest(city, PERSONS, "nik:duplicate-key", 2)
    assert "duplicate-key" in report.broken_rules
    assert sum(nik in text for _, text in opened(city, report.batch_id)) == 2
    assert_only_the_steward_reads(city)
    listed = city.command("quarantine", "list", PERSONS, "--json")
    city.assert_nothing_personal(listed.out)
    assert any("duplicate-key" in row["rule"] for row in listed.report)
    with city.agencies.registry.administrator() as connection:
        connection.execute("DELETE FROM biodata_wni WHERE nik = %s AND nama_lgkp LIKE '%% KEDUA'", [nik])
    assert city.assert_mended(PERSONS).changed == 0


def test_an_absurd_birth_date_is_set_aside_and_the_known_record_stays(city: City) -> None:
    nik = city.ordinary()[5]
    sound = next(row for row in city.source(PERSONS) if row["nik"] == nik)["tgl_lhr"]
    city.registry.absurd_birth_date(nik)
    report = sync_keeping_the_rest(city, PERSONS, "birth_date:in-future", 1)
    assert any(nik in text and str(ABSURD) in text for _, text in opened(city, report.batch_id))
    assert_only_the_steward_reads(city)
    with city.agencies.registry.administrator() as connection:
        connection.execute("UPDATE biodata_wni SET tgl_lhr = %s WHERE nik = %s", [sound, nik])
    assert city.assert_mended(PERSONS).changed == 0


def test_an_absurd_day_of_death_is_set_aside_until_the_deed_is_corrected(city: City) -> None:
    nik = city.ordinary()[7]
    deed = city.registry.absurd_death(nik)
    report = sync_keeping_the_rest(city, DEATHS, "death_date:in-future", 1)
    assert any(nik in text for _, text in opened(city, report.batch_id))
    city.registry.correct_death(deed, date(2026, 1, 2))
    assert city.assert_mended(DEATHS).inserted == 1
    assert nik in {row[0] for row in city.records(DEATHS)}


def test_a_death_whose_person_is_unknown_is_published_and_flagged_until_the_person_is_known(
    city: City,
) -> None:
    city.registry.death_of_unknown_person()
    report = city.sync(DEATHS)
    assert (report.published, report.inserted, report.flagged) == (True, 1, 1)
    assert "person-known" in report.broken_rules
    assert city.story(report.batch_id) == ("started", "completed")
    findings = city.rows("SELECT findings FROM quality.assessment WHERE batch_id = %s", [report.batch_id])
    finding = next(each for each in findings[0]["findings"] if each["rule"] == "person-known")
    assert (finding["failed"], finding["passed"], bool(finding["description"])) == (1, False, True)
    city.assert_nothing_personal(repr(findings), repr(report.as_dict()))
    assert UNKNOWN_NIK not in repr(city.entries()[-1])
    city.assert_as_the_source(DEATHS)
    flags = "SELECT count(*) FROM quality.flag WHERE rule = 'person-known'"
    assert city.value(flags) == 1
    with city.agencies.registry.administrator() as connection:
        connection.execute(
            "CREATE TEMP TABLE newcomer ON COMMIT DROP AS SELECT * FROM biodata_wni WHERE nik = %s",
            [city.ordinary()[0]],
        )
        connection.execute("UPDATE newcomer SET nik = %s", [UNKNOWN_NIK])
        connection.execute("INSERT INTO biodata_wni SELECT * FROM newcomer")
    assert city.assert_mended(PERSONS).inserted == 1
    assert city.assert_mended(DEATHS).changed == 0
    assert city.value(flags) == 0


# Batches that cannot be used.


def test_a_register_that_is_all_garbage_is_rejected_and_kept_for_the_steward(city: City) -> None:
    city.agencies.registry.administrator_conninfo()
    city.registry.garbage()
    error = city.fails(PERSONS, BatchRejected, ending="rejected")
    batch = city.last_batch(PERSONS)
    assert error.attributes["rules"]
    kept = city.quarantined(batch["batch_id"])
    assert kept
    assert all(row.state == "open" for row in kept)
    said = city.command(
        "quarantine", "show", str(kept[0].row_id), "--reason", "garbage", "--officer",
        STEWARDS["dukcapil-mojokerto"], "--json",
    )  # fmt: skip
    assert said.report["row"]["nik"].startswith("#")
    assert_only_the_steward_reads(city)
    told = city.command("sync", PERSONS, "--json")
    assert (told.code, told.error["code"]) == (69, "batch-rejected")
    city.refill()
    city.sync(DEATHS)
    city.assert_mended(PERSONS)
    resolved = city.rows("SELECT state FROM quality.quarantine_row WHERE batch_id = %s", [batch["batch_id"]])
    # Kept, but they count against nobody any more.
    assert [row["state"] for row in resolved] == ["superseded"] * len(kept)


def test_a_service_that_sends_garbage_is_rejected_and_nothing_of_it_is_published(city: City) -> None:
    city.agencies.tax.faults.switch_on(FaultKind.GARBAGE)
    city.fails(TAX, BatchRejected, ending="rejected")
    assert city.quarantined(city.last_batch(TAX)["batch_id"])
    city.agencies.tax.faults.clear()
    city.assert_mended(TAX)


def test_a_truncated_snapshot_is_held_and_closes_nobody_until_the_register_is_whole_again(city: City) -> None:
    before = city.known(PERSONS)
    people = city.source(PERSONS)
    city.registry.truncate_snapshot()
    report = city.sync(PERSONS)
    assert (report.held, report.published, report.closed) == (True, False, 0)
    assert "close-ratio" in report.broken_rules
    assert city.story(report.batch_id) == ("started", "held")
    assert city.known(PERSONS) == before
    told = city.command("sync", PERSONS)
    assert told.code == 77
    assert "held" in told.out
    assert city.command("sync", PERSONS, "--json").report["held"]
    assert "steward" in told.out
    city.restore(people)
    city.assert_mended(PERSONS)
    assert city.known(PERSONS)[: len(before) - 1] == before[:-1]  # all but the moment of the last reading
    assert city.story(report.batch_id) == ("started", "held", "rejected")
