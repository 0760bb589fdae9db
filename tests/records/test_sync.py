"""A sync from an agency's rows to records, and everything that can come in between."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from consent.errors import ExchangeDenied
from foundation import clock
from foundation.http_errors import AgencyUnreachable
from records import batches
from records.batches import BatchStatus
from records.errors import (
    BatchHeld,
    BatchNotReleasable,
    BatchRejected,
    LedgerMismatch,
    PageOutOfOrder,
    PageRepeated,
    WorkerFenced,
)
from records.findings import Verdict
from records.sync import assess, fail, land, open_batch, publish, reject_held, release, run_sync, take_over
from schemas.errors import ColumnsChanged

from .world import DEATHS, PERSONS, TAX, World, death, nik_of, person, tax


def persons(first: int, last: int, **changes: object) -> list[dict[str, object]]:
    return [person(number, **changes) for number in range(first, last + 1)]


def test_a_first_sync_publishes_every_good_row_and_says_so_in_the_log(world: World) -> None:
    report = world.sync(PERSONS, persons(1, 250))
    assert (report.read, report.accepted, report.inserted, report.published) == (250, 250, 250, True)
    assert world.value("SELECT count(*) FROM records.person_v1") == 250
    assert world.kinds() == ["sync.started", "sync.completed"]
    figures = world.entries()[-1]["batch"]
    assert (figures["read"], figures["inserted"], figures["leaves"]) == (250, 250, 250)


def test_a_second_run_writes_nothing_and_says_so(world: World) -> None:
    world.sync(PERSONS, persons(1, 120))
    before = world.rows(
        "SELECT record_id, xmin::text, content_hash, leaf_salt FROM records.person_v1 ORDER BY 1"
    )
    report = world.sync(PERSONS)
    assert (report.changed, report.unchanged) == (0, 120)
    assert before == world.rows(
        "SELECT record_id, xmin::text, content_hash, leaf_salt FROM records.person_v1 ORDER BY 1"
    )
    assert world.value("SELECT count(*) FROM records.person_v1_history") == 0
    assert world.value("SELECT count(*) FROM records.change_feed") == 120
    assert world.entries()[-1]["batch"]["unchanged"] == 120


def test_a_changed_row_keeps_its_old_version_in_history(world: World) -> None:
    world.sync(PERSONS, persons(1, 120))
    known = clock.now()
    report = world.sync(PERSONS, [*persons(1, 119), person(120, alamat="JL. BARU 9")])
    assert (report.updated, report.inserted, report.closed, report.unchanged) == (1, 0, 0, 119)
    old = world.rows("SELECT address, record_id FROM records.person_v1_history")
    assert [row["address"] for row in old] == ["JL. MAJAPAHIT 1"]
    at_that_time = world.rows(
        "SELECT address FROM records.person_v1_versions WHERE nik = %s AND recorded_from <= %s"
        " AND (recorded_to IS NULL OR recorded_to > %s)",
        [nik_of(120), known, known],
    )
    assert [row["address"] for row in at_that_time] == ["JL. MAJAPAHIT 1"]
    feed = world.rows(
        "SELECT action FROM records.change_feed WHERE record_id = %s ORDER BY change_id",
        [old[0]["record_id"]],
    )
    assert [row["action"] for row in feed] == ["inserted", "updated"]


def test_a_record_that_left_the_registry_is_closed_and_kept_in_history(world: World) -> None:
    world.sync(PERSONS, persons(1, 200))
    report = world.sync(PERSONS, persons(1, 199))
    assert (report.closed, report.unchanged) == (1, 199)
    assert world.value("SELECT count(*) FROM records.person_v1") == 199
    assert world.value("SELECT nik FROM records.person_v1_history") == nik_of(200)


def test_a_rejected_row_protects_the_record_it_names_from_being_closed(world: World) -> None:
    world.sync(PERSONS, persons(1, 200))
    report = world.sync(PERSONS, [*persons(1, 199), person(200, nama_lgkp=None)])
    assert (report.quarantined, report.closed, report.postponed) == (1, 0, 0)
    assert world.value("SELECT count(*) FROM records.person_v1") == 200


def test_nothing_is_closed_while_a_row_with_an_unreadable_key_might_be_the_missing_one(world: World) -> None:
    world.sync(PERSONS, persons(1, 200))
    report = world.sync(PERSONS, [*persons(1, 199), person(200, nik="35760")])
    assert (report.closed, report.postponed) == (0, 1)
    assert world.value("SELECT count(*) FROM records.person_v1") == 200


def test_every_row_of_a_key_that_occurs_twice_is_quarantined(world: World) -> None:
    report = world.sync(PERSONS, [*persons(1, 200), person(7, nama_lgkp="BUDI KEDUA")])
    assert report.reasons == {"nik:duplicate-key": 2}
    assert (report.read, report.accepted, report.quarantined) == (201, 199, 2)
    assert world.rows("SELECT 1 FROM records.person_v1 WHERE nik = %s", [nik_of(7)]) == []


def test_a_batch_that_is_all_garbage_is_rejected_with_its_entry_and_kept(world: World) -> None:
    world.sync(PERSONS, persons(1, 200))
    with pytest.raises(BatchRejected) as raised:
        world.sync(PERSONS, persons(1, 150, nama_lgkp=None, jenis_klmin=9))
    assert raised.value.remedy
    assert world.kinds()[-1] == "sync.rejected"
    assert world.value("SELECT count(*) FROM records.person_v1") == 200
    assert world.value("SELECT count(*) FROM quality.quarantine_row WHERE state = 'open'") == 100  # one page
    assert world.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'") == 0


def test_bad_keys_that_sort_into_a_short_last_page_do_not_reject_a_sound_batch(world: World) -> None:
    rows = [*persons(1, 1000), *persons(1001, 1025, nama_lgkp=None)]
    report = world.sync(PERSONS, rows)
    assert (report.accepted, report.quarantined) == (1000, 25)
    assert world.kinds()[-1] == "sync.completed"


def test_a_format_that_changes_half_way_is_noticed_before_the_rest_is_read(world: World) -> None:
    rows = [*persons(1, 300), *persons(301, 1000, nama_lgkp=None)]
    with pytest.raises(BatchRejected):
        world.sync(PERSONS, rows)
    assert world.value("SELECT count(*) FROM quality.quarantine_row WHERE state = 'open'") == 100  # one page


def test_a_small_batch_of_which_nothing_can_be_used_is_rejected(world: World) -> None:
    with pytest.raises(BatchRejected):
        world.sync(PERSONS, persons(1, 5, nama_lgkp=None))
    assert world.kinds() == ["sync.started", "sync.rejected"]


def test_a_truncated_snapshot_is_held_and_published_only_by_a_stewards_word(world: World) -> None:
    world.sync(PERSONS, persons(1, 200))
    report = world.sync(PERSONS, persons(1, 150))
    assert report.held
    assert report.broken_rules == ("close-ratio",)
    assert world.kinds()[-1] == "sync.held"
    assert world.value("SELECT count(*) FROM records.person_v1") == 200
    contract = world.contracts[PERSONS]
    with pytest.raises(BatchHeld):
        publish(world.context, take_over(world.context, contract, report.batch_id))
    release(
        world.installation, report.batch_id, actor="steward-1", reason="the village moved to another city"
    )
    published = publish(world.context, take_over(world.context, contract, report.batch_id))
    assert published.closed == 50
    assert world.kinds()[-2:] == ["sync.released", "sync.completed"]
    assert world.value("SELECT count(*) FROM quality.held_tag") == 0


def test_a_steward_can_reject_a_held_batch_once(world: World) -> None:
    world.sync(PERSONS, persons(1, 200))
    report = world.sync(PERSONS, persons(1, 150))
    reject_held(world.installation, report.batch_id, actor="steward-1", reason="cut file")
    assert world.kinds()[-1] == "sync.rejected"
    with pytest.raises(BatchNotReleasable):
        release(world.installation, report.batch_id, actor="steward-1", reason="again")
    world.sync(PERSONS, persons(1, 200))
    assert world.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'") == 0


def test_a_newer_published_batch_ends_an_older_held_one(world: World) -> None:
    world.sync(PERSONS, persons(1, 200))
    held = world.sync(PERSONS, persons(1, 150))
    world.sync(PERSONS, persons(1, 200))
    assert world.kinds()[-2:] == ["sync.rejected", "sync.completed"]
    assert world.value("SELECT status FROM records.batch WHERE batch_id = %s", [held.batch_id]) == "rejected"
    with pytest.raises(BatchNotReleasable):
        release(world.installation, held.batch_id, actor="steward-1", reason="late")


def test_a_page_handed_out_twice_ends_the_batch_with_its_entry(world: World) -> None:
    source = world.give(PERSONS, persons(1, 300))
    source.token_of = lambda number: "0:again"
    with pytest.raises(PageRepeated):
        run_sync(world.context, world.contracts[PERSONS])
    assert world.kinds() == ["sync.started", "sync.failed"]
    assert world.entries()[-1]["details"]["error"] == "page-repeated"


def test_a_source_that_stops_in_the_middle_without_a_word_is_noticed(world: World) -> None:
    source = world.give(PERSONS, persons(1, 300))
    pages = list(source.read(source.slices(None)[0]))
    source.read = lambda *_: iter(pages[:2])
    with pytest.raises(PageOutOfOrder):
        run_sync(world.context, world.contracts[PERSONS])
    assert world.kinds()[-1] == "sync.failed"


def test_a_renamed_column_names_the_column_and_ends_the_batch(world: World) -> None:
    source = world.give(PERSONS, persons(1, 100))
    source.frame = source.frame.rename({"nama_lgkp": "nama_lengkap"})
    with pytest.raises(ColumnsChanged, match="nama_lgkp"):
        run_sync(world.context, world.contracts[PERSONS])
    assert world.kinds() == ["sync.started", "sync.failed"]


def test_an_agency_that_cannot_be_reached_ends_the_batch_with_its_entry(world: World) -> None:
    def unreachable(*_: object) -> None:
        raise AgencyUnreachable("siak does not answer", remedy="Ask the agency")

    source = world.give(PERSONS, persons(1, 300))
    source.slices = unreachable
    with pytest.raises(AgencyUnreachable):
        run_sync(world.context, world.contracts[PERSONS])
    assert world.kinds() == ["sync.started", "sync.failed"]
    world.give(PERSONS, persons(1, 300)).before_page = lambda number: number and unreachable()
    with pytest.raises(AgencyUnreachable):
        run_sync(world.context, world.contracts[PERSONS])
    assert world.kinds()[2:] == ["sync.started", "sync.failed"]
    assert world.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'") == 0


def test_without_an_agreement_nothing_is_asked_and_the_refusal_is_logged(world: World) -> None:
    source = world.give(PERSONS, persons(1, 10))
    world.end_agreement("dukcapil-mojokerto")
    with pytest.raises(ExchangeDenied):
        run_sync(world.context, world.contracts[PERSONS])
    assert source.asked == []
    entry = world.entries()[-1]
    assert (entry["kind"], entry["outcome"]) == ("sync.failed", "denied")
    assert "agreement.ended" in entry["rules"]


def test_an_agreement_that_ends_during_a_sync_lets_nothing_be_published(world: World) -> None:
    world.give(PERSONS, persons(1, 100))
    context, contract = world.context, world.contracts[PERSONS]
    batch = open_batch(context, contract)
    land(context, batch, batch.slices[0])
    assess(context, batch)
    world.end_agreement("dukcapil-mojokerto")
    with pytest.raises(ExchangeDenied) as raised:
        publish(context, batch)
    assert fail(context, batch, raised.value, step="publish")
    assert world.value("SELECT count(*) FROM records.person_v1") == 0
    assert world.kinds() == ["sync.started", "sync.failed"]


def test_an_older_worker_can_commit_nothing(world: World) -> None:
    world.give(PERSONS, persons(1, 300))
    context, contract = world.context, world.contracts[PERSONS]
    old = open_batch(context, contract)
    new = take_over(context, contract, old.batch_id)
    with pytest.raises(WorkerFenced):
        land(context, old, old.slices[0])
    assert world.value("SELECT count(*) FROM records.page") == 0
    land(context, new, new.slices[0])
    with pytest.raises(WorkerFenced):
        assess(context, old)
    assess(context, new)
    newest = take_over(context, contract, old.batch_id)
    with pytest.raises(WorkerFenced):
        publish(context, new)
    assert not fail(context, new, RuntimeError())
    assert publish(context, newest).inserted == 300
    assert publish(context, newest).already
    assert world.kinds() == ["sync.started", "sync.completed"]


def test_a_run_goes_on_after_the_last_page_that_was_landed(world: World) -> None:
    source = world.give(PERSONS, persons(1, 300))
    context, contract = world.context, world.contracts[PERSONS]
    batch = open_batch(context, contract)

    class Died(BaseException):
        pass

    def die(number: int) -> None:
        if number == 2:
            raise Died

    source.before_page = die
    with pytest.raises(Died):
        land(context, batch, batch.slices[0])
    source.before_page = lambda number: None
    source.asked.clear()
    report = run_sync(context, contract)
    assert report.resumed
    assert "page 1" not in source.asked
    assert (report.read, report.inserted) == (300, 300)
    assert world.kinds() == ["sync.started", "sync.completed"]


def test_a_batch_left_behind_for_a_day_is_not_resumed(world: World) -> None:
    world.give(PERSONS, persons(1, 100))
    with clock.shifted(timedelta(hours=-20)):
        left = open_batch(world.context, world.contracts[PERSONS])
    report = run_sync(world.context, world.contracts[PERSONS])
    assert report.batch_id != left.batch_id
    assert world.kinds() == ["sync.started", "sync.failed", "sync.started", "sync.completed"]


def test_staging_that_was_tampered_with_is_not_published(world: World) -> None:
    world.give(PERSONS, persons(1, 100))
    context, contract = world.context, world.contracts[PERSONS]
    batch = open_batch(context, contract)
    land(context, batch, batch.slices[0])
    assess(context, batch)
    world.execute(
        f"UPDATE staging.{batch.staging.name} SET name = 'SOMEBODY ELSE' WHERE nik = %s", [nik_of(5)]
    )
    with pytest.raises(LedgerMismatch):
        publish(context, batch)
    assert world.value("SELECT count(*) FROM records.person_v1") == 0


def test_a_death_of_an_unknown_person_is_published_and_flagged(world: World) -> None:
    world.sync(PERSONS, persons(1, 100))
    report = world.sync(DEATHS, [death(3), death(999)])
    assert (report.inserted, report.verdict, report.flagged) == (2, Verdict.WARN, 1)
    assert "person-known" in report.broken_rules
    world.sync(PERSONS, [*persons(1, 100), person(999)])
    assert world.sync(DEATHS, [death(3), death(999)]).verdict is Verdict.PASS
    assert world.value("SELECT count(*) FROM quality.flag WHERE rule = 'person-known'") == 0


def test_an_absurd_date_is_quarantined_with_its_reason(world: World) -> None:
    report = world.sync(
        DEATHS, [*(death(number) for number in range(1, 40)), death(40, tgl_mati=date(2926, 1, 1))]
    )
    assert report.quarantined == 1
    assert any(reason.startswith("death_date:") for reason in report.reasons)


def test_a_corrected_day_of_death_replaces_the_old_one(world: World) -> None:
    world.sync(DEATHS, [death(number) for number in range(1, 40)])
    others = [death(number) for number in range(2, 40)]
    world.sync(DEATHS, [death(1, tgl_mati=date(2024, 4, 30)), *others])
    world.sync(DEATHS, [death(1, tgl_mati=date(2024, 5, 2)), *others])
    found = world.rows(
        "SELECT death_date FROM records.death_v1 WHERE nik = %s AND valid_to IS NULL", [nik_of(1)]
    )
    assert [row["death_date"] for row in found] == [date(2024, 5, 2)]


def test_tax_standings_of_two_years_stand_side_by_side(world: World) -> None:
    rows = [tax(1), tax(1, tahun_kswp="2025", tanggal_terbit="2025-02-01"), tax(2)]
    assert world.sync(TAX, rows).inserted == 3


def test_the_leaf_of_a_record_is_under_the_root_of_its_batch(world: World) -> None:
    from audit.tree.batch_root import prove_record
    from records.content import content_hash
    from records.publishing import leaves_of
    from records.tables import RecordTable

    report = world.sync(PERSONS, persons(1, 70))
    table = RecordTable.of(world.contracts[PERSONS])
    row = world.rows("SELECT * FROM records.person_v1 WHERE nik = %s", [nik_of(33)])[0]
    rebuilt = content_hash(row, table.column_names, PERSONS)
    assert rebuilt == bytes(row["content_hash"])
    root = bytes.fromhex(world.entries()[-1]["batch"]["root"])
    with world.context.connection() as connection:
        proof = prove_record(connection, leaves_of(table), [report.batch_id], row["record_id"])
    proof.verify(bytes(row["leaf_salt"]), rebuilt, root)


def test_nothing_personal_reaches_errors_logs_or_entries(
    world: World, canary: object, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = persons(1, 150)
    mine = {"nik": canary.nik, "nama_lgkp": canary.name, "no_kk": canary.family_card_number}
    world.sync(
        PERSONS,
        [*rows, person(1, **mine, tgl_lhr=date(2926, 1, 1)), person(1, **(mine | {"nik": canary.nik + "x"}))],
    )
    world.sync(PERSONS, [*rows, person(1, **mine), person(1, **mine, alamat="LAIN")])
    with pytest.raises(BatchRejected) as raised:
        world.sync(PERSONS, [person(1, **mine, jenis_klmin=9)] * 120)
    world.sync(PERSONS, [person(1, **mine)])
    out = capsys.readouterr()
    told = [str(raised.value), repr(raised.value.as_dict()), caplog.text, out.out, out.err]
    told += [repr(entry) for entry in world.entries("")]
    told += [
        repr(world.rows(f"SELECT * FROM quality.{name}"))
        for name in ("assessment", "score", "quarantine_row")
    ]
    told += [
        repr(world.rows("SELECT * FROM records.batch")),
        repr(world.rows("SELECT * FROM quality.quarantine_tag")),
    ]
    for text in told:
        assert canary.found_in(text) == []


def test_only_the_statuses_of_a_batch_on_its_way_can_be_written_to(world: World) -> None:
    world.give(PERSONS, persons(1, 10))
    batch = open_batch(world.context, world.contracts[PERSONS])
    with world.context.transaction() as connection:
        assert batches.fence(connection, batch) is BatchStatus.OPEN
    fail(world.context, batch, RuntimeError("x"))
    with world.context.transaction() as connection, pytest.raises(WorkerFenced):
        batches.fence(connection, batch)


def test_an_empty_first_snapshot_of_a_register_that_must_have_rows_is_held(world: World) -> None:
    report = world.sync(PERSONS, [])
    assert report.held
    assert "some-persons" in report.broken_rules
    assert pl.DataFrame(world.entries()).height == 2
