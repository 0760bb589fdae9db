"""Rows that are wrong in form are repaired by rule; what is more than form goes back to the producer."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.database import Role
from records import data_docs, quarantine, repair, returning
from records.errors import FileExists, RepairNotAllowed, RowNotReplayable
from records.quarantine import QuarantinedRow
from records.repair import Repair, RepairRule
from records.replay import replay
from records.returning import guarded

from .world import BUSINESSES, PERSONS, World, business, nib_of, nik_of, person

WHO = {"actor": "walidata-01", "reason": "separators"}


def sync_businesses(world: World, *bad: dict[str, object]) -> None:
    world.sync(BUSINESSES, [*(business(number, number) for number in range(1, 60)), *bad])


def test_a_repair_is_previewed_without_a_write_and_then_done_by_the_same_pipeline(world: World) -> None:
    day = business(70, 70, tgl_terbit_nib="01/02/2023")
    other_trouble = business(71, 71, tgl_terbit_nib="03/02/2023", status_nib="77")
    sync_businesses(world, day, other_trouble)
    contract = world.contracts[BUSINESSES]
    how = Repair(RepairRule.DATE_FORM, "tgl_terbit_nib", read_as="dd/MM/yyyy", write_as="yyyy-MM-dd")
    plan = repair.plan(world.installation, contract, how, **WHO)
    assert (plan.looked_at, plan.changed, plan.mended) == (2, 2, 1)
    assert [reason.split(":")[0] for reason in plan.left] == ["status"]
    assert "2023" not in repr(plan)
    assert world.value("SELECT count(*) FROM records.business_v1") == 59
    assert world.kinds("quarantine.") == ["quarantine.viewed"]

    plan, done = repair.repair(world.context, contract, how, **WHO)
    assert done is not None
    assert (done.rows, done.accepted, done.quarantined) == (1, 1, 0)
    assert (
        str(world.value("SELECT issued_on FROM records.business_v1 WHERE nib = %s", [nib_of(70)]))
        == "2023-02-01"
    )
    entry = world.entries("quarantine.")[-1]
    assert entry["kind"] == "quarantine.repaired"
    assert entry["details"]["repair"] == "date-form tgl_terbit_nib from dd/MM/yyyy to yyyy-MM-dd"
    states = world.rows("SELECT state FROM quality.quarantine_row ORDER BY row_id")
    assert [row["state"] for row in states] == ["replayed", "open"]


@pytest.mark.parametrize(
    "how",
    [
        Repair(RepairRule.PAD, "nib", length=13),
        Repair(RepairRule.PAD, "no_identitas_penanggung_jwb", length=16),
        Repair(RepairRule.DATE_FORM, "npwp_perseroan", read_as="dd-MM-yyyy"),
        Repair(RepairRule.DATE_FORM, "tgl_terbit_nib", read_as="dd-MM"),
        Repair(RepairRule.PAD, "kbli"),
        Repair(RepairRule.UPPER_CASE, "no_such_column"),
    ],
)
def test_what_is_more_than_form_is_not_repaired(world: World, how: Repair) -> None:
    with pytest.raises(RepairNotAllowed) as raised:
        repair.plan(world.installation, world.contracts[BUSINESSES], how, **WHO)
    assert raised.value.remedy


CELLS = st.text(alphabet="0123456789 .-/'ABCabc\u00a0", max_size=24)


@given(CELLS)
def test_taking_out_separators_changes_no_letter_and_no_digit(cell: str) -> None:
    mended = Repair(RepairRule.STRIP_SEPARATORS, "any").mend(cell)
    assert [sign for sign in mended if sign.isalnum()] == [sign for sign in cell if sign.isalnum()]


@given(CELLS)
def test_padding_only_puts_zeros_before_digits(cell: str) -> None:
    mended = Repair(RepairRule.PAD, "any", length=5).mend(cell)
    assert mended == cell or (
        len(mended) == max(5, len(cell.strip())) and mended.lstrip("0") == cell.strip().lstrip("0")
    )


def test_a_number_in_the_form_of_a_spreadsheet_keeps_its_exponent() -> None:
    assert Repair(RepairRule.STRIP_SEPARATORS, "nik").mend("3.57602150590000E+15") == "3.57602150590000E+15"


def test_a_correction_never_makes_an_identifier_another_one(world: World) -> None:
    sync_businesses(world, business(70, 70, status_nib="77"))
    row = world.value("SELECT row_id FROM quality.quarantine_row")
    with pytest.raises(RowNotReplayable):
        replay(
            world.context, world.contracts[BUSINESSES], [row], **WHO,
            corrections={row: {"no_identitas_penanggung_jwb": nik_of(5), "status_nib": "01"}},
        )  # fmt: skip
    done = replay(
        world.context, world.contracts[BUSINESSES], [row], **WHO,
        corrections={row: {"no_identitas_penanggung_jwb": f" {nik_of(70)}", "status_nib": "01"}},
    )  # fmt: skip
    assert done.accepted == 1


def test_rows_go_back_as_a_file_that_is_logged_first_and_stay_in_quarantine(
    world: World, tmp_path: Path
) -> None:
    formula = '=HYPERLINK("http://evil","x")'
    sync_businesses(
        world, business(70, 70, status_nib="77", nama_perseroan=formula), business(71, 71, status_nib="78")
    )
    path = tmp_path / "businesses.csv"
    done = returning.return_rows(world.installation, BUSINESSES, path, **WHO)
    assert done.rows == 2
    assert path.stat().st_mode & 0o077 == 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["nama_perseroan"] for row in rows] == [f"'{formula}", "WARUNG BUDI"]
    assert rows[0]["nib"] == f"'{nib_of(70)}"  # a spreadsheet would round or shorten it
    assert rows[0]["rule"]
    assert rows[0]["what_to_do"]
    entry = world.entries("quarantine.")[-1]
    assert (entry["kind"], entry["details"]["rows"]) == ("quarantine.returned", 2)
    assert (
        world.value(
            "SELECT count(*) FROM quality.quarantine_row WHERE state = 'open' AND returned_at IS NOT NULL"
        )
        == 2
    )
    assert world.value("SELECT count(*) FROM quality.quarantine_tag") == 2
    with pytest.raises(FileExists):
        returning.return_rows(world.installation, BUSINESSES, path, **WHO)
    assert len(world.entries("quarantine.")) == 1


@given(st.text(max_size=30))
def test_no_cell_of_a_returned_file_is_a_formula_and_every_cell_can_be_read_back(cell: str) -> None:
    text = guarded(cell)
    assert text[:1] not in tuple("=+-@\t\r\n|%＝＋－＠")
    assert text in (cell, f"'{cell}")


def test_the_place_of_a_row_is_told_as_a_person_counts(world: World) -> None:
    where = {"file": "izin_20260901.xlsx", "sheet": "izin", "first_row": "2"}
    row = QuarantinedRow(1, "d", None, "s", 15, (), (), (), "open", None, where)  # type: ignore[arg-type]
    assert row.place == "izin_20260901.xlsx, sheet izin, row 17"
    sync_businesses(world, business(70, 70, status_nib="77"))
    with world.installation.database.connect(Role.STEWARD) as connection:
        (listed,) = quarantine.list_rows(connection, dataset_id=BUSINESSES)
    assert listed.place == "row 60 of the source"


def test_every_batch_has_a_page_without_a_value(world: World) -> None:
    bad = person(70, nama_lgkp=None, alamat="JL. RAHASIA 7")
    report = world.sync(PERSONS, [*(person(number) for number in range(1, 60)), bad])
    folder = world.installation.home / data_docs.FOLDER
    page = (folder / PERSONS / f"{report.batch_id}.html").read_text()
    for told in ("nik-once", "expect_column_values_to_be_unique", "name:", "error-budget", "59"):
        assert told in page
    for value in ("RAHASIA", nik_of(70), nik_of(1), "BUDI"):
        assert value not in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert f"{report.batch_id}.html" in (folder / "index.html").read_text()


def test_a_held_batch_has_its_page_too(world: World) -> None:
    world.sync(PERSONS, [person(number) for number in range(1, 200)])
    report = world.sync(PERSONS, [person(number) for number in range(1, 100)])
    assert report.held
    page = (world.installation.home / data_docs.FOLDER / PERSONS / f"{report.batch_id}.html").read_text()
    assert "close-ratio" in page
    assert "held" in page


def test_old_pages_are_thrown_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_docs, "KEPT", 1)
    rows = [person(number) for number in range(1, 30)]
    world.sync(PERSONS, rows)
    last = world.sync(PERSONS, rows)
    pages = list((world.installation.home / data_docs.FOLDER / PERSONS).glob("*-*.html"))
    assert [page.stem for page in pages] == [str(last.batch_id)]
