"""Workbooks as offices really make them: damaged numbers, merged cells, formulas, hidden sheets, bombs."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter

from connectors import Window
from connectors.errors import ColumnsMissing, ConfigurationInvalid, FileTooLarge, PageUnreadable
from schemas.identifiers import Nik
from tests.conftest import Canary
from tests.connectors.drops import LocalDrops

NIK = "3576021505900001"
DAY = date(2026, 3, 1)
MOMENT = datetime(2026, 3, 1, 9, 30)  # noqa: DTZ001 - spreadsheets know no zones
MIDNIGHT = datetime(2026, 3, 2)  # noqa: DTZ001
DAMAGED = 3.57602150590000e15


@pytest.fixture
def drops(tmp_path: Path) -> Iterator[LocalDrops]:
    with LocalDrops(tmp_path) as drops:
        yield drops


def book(fill: Callable[[Any, Any], None], *, sheet: str = "izin", **options: Any) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, **options}) as workbook:
        fill(workbook, workbook.add_worksheet(sheet))
    return buffer.getvalue()


def table(*rows: tuple[Any, ...], **options: Any) -> bytes:
    """Rows whose cells have the types of their values; strings stay texts."""

    def fill(workbook: Any, page: Any) -> None:
        day = workbook.add_format({"num_format": "dd/mm/yyyy"})
        for place, row in enumerate(rows):
            for column, cell in enumerate(row):
                if isinstance(cell, date | time):
                    page.write_datetime(place, column, cell, day)
                elif isinstance(cell, str):
                    page.write_string(place, column, cell)
                elif cell is not None:
                    page.write(place, column, cell)

    return book(fill, **options)


def repacked(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The same workbook with other parts in it."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return buffer.getvalue()


def test_a_numeric_nik_among_texts_says_that_it_was_a_number(drops: LocalDrops) -> None:
    content = table(("nik",), (NIK,), (DAMAGED,), (int(NIK),), (NIK,))
    rows = drops.one("a.xlsx", content)
    assert rows["nik"].to_list() == [NIK, "number:3576021505900000", f"number:{NIK}", NIK]
    assert Nik.check(rows["nik"][1]).status == "invalid"


def test_a_column_of_numeric_niks_is_a_column_of_numbers(drops: LocalDrops) -> None:
    rows = drops.one("a.xlsx", table(("nik",), (DAMAGED,), (int(NIK),)))
    assert rows["nik"].dtype == pl.Int64
    assert Nik.check(rows["nik"][0]).status == "invalid"


def test_a_text_like_a_number_stays_the_text_that_it_is(drops: LocalDrops) -> None:
    rows = drops.one("a.xlsx", table(("nik", "kbli"), ("3.57602150590000E+15", "01111")))
    assert rows.rows() == [("3.57602150590000E+15", "01111")]


def test_cells_keep_their_types(drops: LocalDrops) -> None:
    content = table(
        ("teks", "bulat", "pecahan", "hari", "saat", "benar"),
        ("x", 12, 1.5, DAY, MOMENT, True),
        (None, None, None, None, None, None),
        ("y", 13, 2, DAY, MIDNIGHT, False),
    )
    rows = drops.one("a.xlsx", content)
    assert rows.dtypes == [pl.String, pl.Int64, pl.Float64, pl.Date, pl.Datetime("us"), pl.Boolean]
    assert rows.row(0) == ("x", 12, 1.5, DAY, MOMENT, True)
    assert rows.row(1) == (None,) * 6


@pytest.mark.parametrize("is_1904", [False, True])
def test_days_are_the_same_in_both_calendars_of_spreadsheets(drops: LocalDrops, is_1904: bool) -> None:
    days = [date(1990, 5, 15), date(2024, 2, 29), date(2026, 12, 31)]
    content = table(("hari",), *((day,) for day in days), date_1904=is_1904)
    assert drops.one("a.xlsx", content)["hari"].to_list() == days


def test_one_odd_cell_among_days_spoils_no_other_row(drops: LocalDrops) -> None:
    content = table(("id", "hari"), *((str(n), "seumur hidup" if n == 5 else DAY) for n in range(20)))
    pages = drops.pages_of_one("a.xlsx", content)
    assert [page.frame["hari"].dtype for page in pages] == [pl.Date, pl.String, pl.Date]
    assert [page.first_position for page in pages] == [0, 5, 6]
    assert pages[1].frame.rows() == [("5", "seumur hidup")]
    assert sum(page.frame.height for page in pages) == 20


def test_many_odd_cells_among_days_leave_days_readable(drops: LocalDrops) -> None:
    content = table(
        ("hari",), *(("-",) if n % 3 else (DAY,) for n in range(900)), *((DAY,) for _ in range(400))
    )
    rows = drops.one("a.xlsx", content)
    assert set(rows["hari"]) == {"-", "2026-03-01"}


def test_many_texts_among_numbers_never_make_a_number_an_identifier(drops: LocalDrops) -> None:
    rows = drops.one("a.xlsx", table(("nik",), *((int(NIK) + n if n % 3 else NIK,) for n in range(900))))
    assert {cell.partition(":")[0] for cell in rows["nik"] if cell != NIK} == {"number"}


def test_an_odd_row_beside_other_odd_columns_keeps_each_cell(drops: LocalDrops) -> None:
    content = table(
        ("id", "hari", "nilai"),
        *((str(n), DAY, n) for n in range(5)),
        ("5", "besok", "banyak"),
        (6, DAY, 6),
        *((str(n), DAY, n) for n in range(7, 12)),
    )
    pages = drops.pages_of_one("a.xlsx", content)
    rows = [row for page in pages for row in page.frame.rows()]
    assert rows[5] == ("5", "besok", "banyak")
    assert rows[6] == ("number:6", DAY, 6)
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "4", "5", "number:6", "7", "8", "9", "10", "11"]


def test_cells_under_a_merged_cell_are_kept_out_and_say_why(drops: LocalDrops) -> None:
    def fill(_: Any, page: Any) -> None:
        page.merge_range(0, 0, 0, 2, "REKAP IZIN")
        page.write_row(1, 0, ["id", "pemilik", "berlaku"])
        for row, name in enumerate(("1", "2", "3", "4")):
            page.write_string(2 + row, 0, name)
        page.merge_range(2, 1, 4, 1, NIK)
        page.write_string(5, 1, NIK)

    rows = drops.one("a.xlsx", book(fill), header_row=2)
    assert rows["pemilik"].to_list() == [NIK, "\ufffdmerged cell", "\ufffdmerged cell", NIK]
    assert rows["id"].to_list() == ["1", "2", "3", "4"]


def test_merged_cells_without_end_are_named(drops: LocalDrops) -> None:
    content = table(("id",), *((str(n),) for n in range(3)))
    ranges = b"".join(b'<mergeCell ref="A%d:A1048576"/>' % n for n in range(2, 5))
    merged = repacked(
        content,
        lambda name, text: text.replace(
            b"</sheetData>", b'</sheetData><mergeCells count="3">' + ranges + b"</mergeCells>"
        ),
    )
    rows = drops.one("a.xlsx", merged)
    assert rows["id"].to_list()[0] == "0"
    assert rows.height == 3


def test_a_second_header_row_is_a_row_like_any_other_unless_the_contract_knows_it(drops: LocalDrops) -> None:
    content = table(("id", "nik"), ("(1)", "(2)"), ("7", NIK))
    assert drops.one("a.xlsx", content).rows() == [("(1)", "(2)"), ("7", NIK)]
    assert drops.read("a.xlsx", first_row=3).rows() == [("7", NIK)]


def test_errors_and_formulas_that_were_never_calculated_are_no_empty_cells(drops: LocalDrops) -> None:
    def fill(_: Any, page: Any) -> None:
        page.write_row(0, 0, ["id", "berlaku"])
        for row in range(1, 6):
            page.write_string(row, 0, str(row))
        page.write_string(1, 1, "x")
        page.write_formula(2, 1, "=1/0", None, "#DIV/0!")
        page.write_formula(3, 1, "=A2", None, "hasil")
        page.write_formula(4, 1, "=B9+1", None, 41)
        page.write_string(5, 1, "y")

    content = repacked(book(fill), lambda name, text: re.sub(rb"(<f>B9\+1</f>)<v>41</v>", rb"\1", text))
    rows = drops.one("a.xlsx", content)
    assert rows["berlaku"].to_list() == [
        "x", "\ufffderror in a formula", "hasil", "\ufffdformula never calculated", "y",
    ]  # fmt: skip


def test_the_only_visible_sheet_is_read_and_hidden_ones_are_left_alone(drops: LocalDrops) -> None:
    def fill(workbook: Any, page: Any) -> None:
        hidden = workbook.add_worksheet("lama")
        hidden.write_row(0, 0, ["id"])
        hidden.write_row(1, 0, ["hidden"])
        hidden.hide()
        page.write_row(0, 0, ["id"])
        page.write_row(1, 0, ["shown"])

    drops.put("a.xlsx", book(fill))
    assert drops.read("a.xlsx")["id"].to_list() == ["shown"]
    assert drops.read("a.xlsx", sheet="LAMA")["id"].to_list() == ["hidden"]
    names = [dataset.name for dataset in drops.open("a.xlsx").discover()]
    assert names == ["a.xlsx#izin", "a.xlsx#lama"]


def test_several_visible_sheets_must_be_told_apart_by_the_contract(drops: LocalDrops) -> None:
    content = book(lambda workbook, page: (workbook.add_worksheet("dua"), page.write(0, 0, "id"))[0])
    with pytest.raises(ConfigurationInvalid, match="izin, dua"):
        drops.one("a.xlsx", content)
    with pytest.raises(PageUnreadable, match="no sheet tiga"):
        drops.read("a.xlsx", sheet="tiga")


def test_a_table_that_does_not_begin_in_the_first_cell(drops: LocalDrops) -> None:
    def fill(_: Any, page: Any) -> None:
        page.write_row(3, 2, ["id", "nik"])
        page.write_row(5, 2, ["1", NIK])
        page.write_blank(900, 7, None)

    pages = drops.pages_of_one("a.xlsx", book(fill, strings_to_numbers=False), header_row=4)
    assert [row for page in pages for row in page.frame.rows()] == [(None, None), ("1", NIK)]
    with pytest.raises(PageUnreadable, match="no names of columns"):
        drops.read("a.xlsx", header_row=1)


def test_formatted_rows_at_the_end_are_nothing(drops: LocalDrops) -> None:
    def fill(workbook: Any, page: Any) -> None:
        page.write_row(0, 0, ["id"])
        page.write_row(1, 0, ["x"])
        bold = workbook.add_format({"bold": True})
        for row in range(2, 2_000):
            page.write_string(row, 0, "", bold) if row % 2 else page.write_blank(row, 0, None, bold)

    assert drops.one("a.xlsx", book(fill)).height == 1


def test_a_sheet_without_a_header_shows_nobodys_data(drops: LocalDrops, canary: Canary) -> None:
    drops.put("a.xlsx", table((canary.name, canary.nik), ("x", "y")))
    source = drops.open("a.xlsx", columns=("nama", "nik"))
    with pytest.raises(ColumnsMissing) as caught:
        list(source.read(source.slices(Window())[0]))
    assert canary.found_in(f"{caught.value} {caught.value.as_dict()}") == []


def test_what_is_no_workbook_is_named(drops: LocalDrops) -> None:
    whole = table(("id",), *((str(n * n),) for n in range(500)))
    legacy = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
    for number, content in enumerate((b"", legacy, b"id,nik\n", whole[:-200], whole[: len(whole) // 2])):
        with pytest.raises(PageUnreadable) as caught:
            drops.one(f"{number}.xlsx", content)
        assert caught.value.remedy
    damaged = repacked(whole, lambda name, text: text[: len(text) // 2] if "sheet1" in name else text)
    with pytest.raises(PageUnreadable, match="cannot be read"):
        drops.one("damaged.xlsx", damaged)
    with pytest.raises(PageUnreadable):
        drops.one(
            "index.xlsx", repacked(whole, lambda name, text: b"" if name == "xl/workbook.xml" else text)
        )


def test_a_workbook_that_declares_entities_is_not_read(drops: LocalDrops) -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><workbook>&b;</workbook>'
    content = repacked(table(("id",)), lambda name, text: bomb if name == "xl/workbook.xml" else text)
    with pytest.raises(PageUnreadable):
        drops.one("a.xlsx", content)


def test_a_workbook_that_unpacks_to_too_much_is_not_unpacked(drops: LocalDrops) -> None:
    whole = table(("id",), ("1",))
    padding = b"<!--" + b" " * 3_000_000 + b"-->"
    bomb = repacked(whole, lambda name, text: text + padding if "sharedStrings" in name else text)
    assert len(bomb) < 20_000
    with pytest.raises(FileTooLarge, match="unpacked"):
        drops.one("a.xlsx", bomb, unpacked_megabytes=1)


def test_a_part_that_lies_about_its_size_is_caught(drops: LocalDrops) -> None:
    whole = table(("id",), ("1",))
    honest = repacked(whole, lambda name, text: text + b" " * 2_000_000 if "sheet1" in name else text)
    size = zipfile.ZipFile(io.BytesIO(honest)).getinfo("xl/worksheets/sheet1.xml").file_size
    lying = honest.replace(size.to_bytes(4, "little"), (900).to_bytes(4, "little"))
    assert lying != honest
    with pytest.raises((FileTooLarge, PageUnreadable)):
        drops.one("a.xlsx", lying, unpacked_megabytes=1)


@pytest.mark.parametrize("cell", ["XFD1048576", "A1048576", "XFD1"])
def test_two_cells_far_apart_make_no_room_for_all_between(drops: LocalDrops, cell: str) -> None:
    row = re.sub("[A-Z]", "", cell)
    far = f'<row r="{row}"><c r="{cell}"><v>1</v></c></row></sheetData>'.encode()
    content = repacked(
        table(*((str(n), *("x" * 30)) for n in range(2_500))),
        lambda name, text: text.replace(b"</sheetData>", far) if "sheet1" in name else text,
    )
    with pytest.raises(FileTooLarge):
        drops.one("a.xlsx", content, unpacked_megabytes=10)


def test_a_sheet_written_as_nobody_writes_it_is_not_guessed_at(drops: LocalDrops) -> None:
    content = repacked(
        table(("id",), ("1",)),
        lambda name, text: text.replace(b'r="A2"', b"r='A2'") if "sheet1" in name else text,
    )
    with pytest.raises(PageUnreadable):
        drops.one("a.xlsx", content)


def renamed(content: bytes, old: str, new: str, *, keeps: bool) -> bytes:
    """The workbook with a part under another name, beside the old one or in its place."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as whole,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z,
    ):
        for name in whole.namelist():
            if name != old or keeps:
                z.writestr(name, whole.read(name))
        z.writestr(new, whole.read(old))
    return buffer.getvalue()


def test_a_part_under_a_name_that_only_the_reader_recognises_is_no_way_in(drops: LocalDrops) -> None:
    strings = "xl/sharedStrings.xml"
    padded = repacked(
        table(("id",), ("1",)), lambda name, text: text + b" " * 2_000_000 if name == strings else text
    )
    shouted = renamed(padded, strings, "xl/SharedStrings.XML", keeps=False)
    size = zipfile.ZipFile(io.BytesIO(shouted)).getinfo("xl/SharedStrings.XML").file_size
    lying = shouted.replace(size.to_bytes(4, "little"), (900).to_bytes(4, "little"))
    with pytest.raises((FileTooLarge, PageUnreadable)):
        drops.one("a.xlsx", lying, unpacked_megabytes=1)
    for number, twin in enumerate(("xl/worksheets/Sheet1.XML", "xl/../xl/worksheets/sheet1.xml")):
        two = renamed(table(("id",), ("1",)), "xl/worksheets/sheet1.xml", twin, keeps=True)
        with pytest.raises(PageUnreadable, match="no workbook"):
            drops.one(f"{number}.xlsx", two)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("endless", [b"<row ", b'<c r="A1" ', b'<c r="A1"><f '])
def test_tags_that_never_end_cost_no_more_than_their_length(drops: LocalDrops, endless: bytes) -> None:
    filling = endless * 60_000 + b' t="e"'
    content = repacked(
        table(("id",), ("1",)),
        lambda name, text: text.replace(b"</sheetData>", filling) if "sheet1" in name else text,
    )
    with pytest.raises(PageUnreadable):
        drops.one("a.xlsx", content)
