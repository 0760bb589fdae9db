"""CSV and JSON Lines as offices really write them: nothing is guessed, nothing is lost, nothing is mended."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import PageToken, Window
from connectors.errors import ColumnsMissing, FileTooLarge, PageUnreadable
from connectors.files_table import after, paged, unusable, without_trailing_blanks
from foundation.errors import LintasError
from schemas.kinds.text import TextKind
from tests.conftest import Canary
from tests.connectors.drops import LocalDrops

HEAD = "nib,nama,nik\n"
NIK = "3576021505900001"


@pytest.fixture
def drops(tmp_path: Path) -> Iterator[LocalDrops]:
    with LocalDrops(tmp_path) as drops:
        yield drops


def test_every_cell_is_text_and_nothing_is_inferred(drops: LocalDrops) -> None:
    rows = drops.one("a.csv", HEAD + "007,true,3.57602150590000E+15\n1e5,2024-01-01,NULL\n")
    assert rows.dtypes == [pl.String] * 3
    assert rows.rows() == [("007", "true", "3.57602150590000E+15"), ("1e5", "2024-01-01", "NULL")]


def test_an_empty_cell_is_missing_and_an_empty_text_is_empty(drops: LocalDrops) -> None:
    assert drops.one("a.csv", HEAD + '1,,x\n2,"",y\n').rows() == [("1", None, "x"), ("2", "", "y")]


def test_windows_1252_with_semicolons_and_a_byte_order_mark(drops: LocalDrops) -> None:
    content = b"\xef\xbb\xbf" + 'nib;nama;nik\r\n1;"Café; 10 €";x\r\n2;Ümlaut – “petik”;y\r\n'.encode(
        "cp1252"
    )
    rows = drops.one("a.csv", content, delimiter=";", encoding="windows-1252")
    assert rows.columns == ["nib", "nama", "nik"]
    assert rows["nama"].to_list() == ["Café; 10 €", "Ümlaut – “petik”"]


def test_bytes_that_are_not_of_the_declared_encoding_spoil_their_row_only(drops: LocalDrops) -> None:
    rows = drops.one("a.csv", HEAD.encode() + b"1,Caf\xe9,x\n2,biasa,y\n")
    assert rows["nama"].to_list() == ["Caf\ufffd", "biasa"]
    undefined = drops.one("b.csv", HEAD.encode() + b"1,\x81,x\n", encoding="windows-1252")
    assert undefined["nama"].to_list() == ["\ufffd"]


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_named_instead_of_read_as_rubbish(drops: LocalDrops, mark: str) -> None:
    with pytest.raises(PageUnreadable, match="UTF-16") as caught:
        drops.one("a.csv", ("\ufeff" + HEAD + "1,a,x\n").encode(mark))
    assert caught.value.remedy


def test_quotes_delimiters_and_line_breaks_inside_cells(drops: LocalDrops) -> None:
    rows = drops.one("a.csv", HEAD + '1,"a ""b"", c",x\r\n2,"dua\nbaris",y\n3,5" pipa,z\n')
    assert rows["nama"].to_list() == ['a "b", c', "dua\nbaris", '5" pipa']


def test_rows_of_another_length_are_kept_where_they_are(drops: LocalDrops) -> None:
    content = HEAD + f"1,a,x\n2,terlalu,{NIK},banyak\n3,b,y\n4,kurang\n\n5,c,z\n6\n"
    rows = drops.one("a.csv", content)
    assert rows["nib"].to_list() == [
        "1", "\ufffdragged row: 2", "3", "\ufffdragged row: 4", None, "5", "\ufffdragged row: 6",
    ]  # fmt: skip
    assert rows["nik"][1] == f"\ufffdragged row: {NIK}"
    assert rows["nik"][3] == "\ufffdragged row"


def test_many_rows_of_another_length_keep_their_places_across_pages(drops: LocalDrops) -> None:
    lines = [f"{n},a,x" if n % 3 else f"{n},a" for n in range(5_000)]
    pages = drops.pages_of_one("a.csv", HEAD + "\n".join(lines) + "\n", page_rows=700)
    told = [cell for page in pages for cell in page.frame["nib"]]
    assert told == [str(n) if n % 3 else f"\ufffdragged row: {n}" for n in range(5_000)]
    assert [page.first_position for page in pages] == list(range(0, 5_000, 700))


def test_an_unusable_cell_is_no_text_of_any_contract_and_names_its_digits_only() -> None:
    from schemas.kinds.cell import CellInvalid

    with pytest.raises(CellInvalid):
        TextKind().judge(unusable("ragged row", "SITI"))
    digits = "".join(sign for sign in unusable("ragged row", NIK) if sign.isdigit())
    assert digits == NIK


def test_nul_bytes_and_control_characters_arrive_as_they_are(drops: LocalDrops) -> None:
    rows = drops.one("a.csv", HEAD.encode() + b"1,a\x00b,x\n2,c\x1bd,y\n")
    assert rows["nama"].to_list() == ["a\0b", "c\x1bd"]


def test_a_quotation_mark_that_is_never_closed_is_named_with_its_row(drops: LocalDrops) -> None:
    lines = "".join(f"{n},nama panjang sekali {n},x\n" for n in range(400_000))
    drops.put("a.csv", HEAD + "1,a,x\n" + '2,"tidak ditutup,y\n' + lines)
    source = drops.open("a.csv")
    with pytest.raises(PageUnreadable) as caught:
        list(source.read(source.slices(Window())[0]))
    assert caught.value.location is not None
    assert caught.value.location.row in (2, 3)
    assert "nama panjang" not in str(caught.value)


def test_blank_rows_at_the_end_are_nothing_and_those_in_between_keep_their_place(drops: LocalDrops) -> None:
    rows = drops.one("a.csv", HEAD + "1,a,x\n\n,,\n2,b,y\n" + ",,\n" * 30_000 + "\n\n")
    assert rows["nib"].to_list() == ["1", None, None, "2"]


@pytest.mark.usefixtures("no_leaks")
def test_nothing_stays_open_when_reading_ends_early_or_badly(tmp_path: Path) -> None:
    with LocalDrops(tmp_path) as drops:
        drops.put("a.csv", HEAD + "1,a,x\n" * 50_000)
        source = drops.open("a.csv", page_rows=10)
        pages = source.read(source.slices(Window())[0])
        next(pages)
        del pages
        for name in ("b.csv", "c.xlsx", "d.parquet", "e.csv.gz"):
            with pytest.raises(LintasError):
                drops.one(name, b"")


def test_the_header_may_stand_further_down_and_a_second_one_may_follow(drops: LocalDrops) -> None:
    content = 'REKAP "NIB"\n\nnib,nama,nik\n(1),(2),(3)\n1,a,x\n'
    assert drops.one("a.csv", content, header_row=3)["nib"].to_list() == ["(1)", "1"]
    assert drops.one("a.csv", content, header_row=3, first_row=5)["nib"].to_list() == ["1"]
    (slice,) = drops.open("a.csv", header_row=3, first_row=5).slices(Window())
    assert slice.bounds["first_row"] == "5"


def test_column_names_lose_what_nobody_sees(drops: LocalDrops) -> None:
    rows = drops.one(
        "a.csv", "\ufeffnib, nama ,tipe_dokumen \u00a0\n1,a,b\n", columns=("tipe_dokumen", "nama")
    )
    assert rows.rows() == [("b", "a")]


def test_a_column_that_is_there_twice_is_not_chosen_from(drops: LocalDrops) -> None:
    with pytest.raises(PageUnreadable, match="twice"):
        drops.one("a.csv", "nib,nama,nama\n1,a,b\n", columns=("nib", "nama"))
    assert drops.one("b.csv", "nib,nama,nama\n1,a,b\n", columns=("nib",)).rows() == [("1",)]


def test_a_file_without_a_header_shows_nobodys_data(drops: LocalDrops, canary: Canary) -> None:
    drops.put("a.csv", f"1234,{canary.name},{canary.nik}\n")
    source = drops.open("a.csv", columns=("nib", "nama", "nik"))
    with pytest.raises(ColumnsMissing) as caught:
        list(source.read(source.slices(Window())[0]))
    assert canary.found_in(f"{caught.value} {caught.value.as_dict()}") == []
    assert "header_row" in caught.value.remedy
    assert canary.found_in(str(source.check())) == []


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_no_empty_dataset(drops: LocalDrops, content: str) -> None:
    with pytest.raises(PageUnreadable):
        drops.one("a.csv", content)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_header_alone_is_an_empty_dataset(drops: LocalDrops, end: str) -> None:
    (page,) = drops.pages_of_one("a.csv", HEAD.strip() + end)
    assert page.complete
    assert page.frame.height == 0
    assert page.frame.columns == ["nib", "nama", "nik"]


def test_a_last_row_without_a_line_end_is_a_row(drops: LocalDrops) -> None:
    assert drops.one("a.csv", HEAD + "1,a,x\n2,b,y")["nib"].to_list() == ["1", "2"]


def test_a_packed_file_is_unpacked_and_a_damaged_one_named(drops: LocalDrops) -> None:
    packed = gzip.compress((HEAD + "".join(f"{n * n},a,x\n" for n in range(5_000))).encode())
    assert drops.one("a.csv.gz", packed).height == 5_000
    spoilt = packed[:400] + b"\0\0\0\0" + packed[404:]
    for number, damaged in enumerate((packed[:-20], spoilt, b"no gzip at all")):
        with pytest.raises(PageUnreadable):
            drops.one(f"b{number}.csv.gz", damaged)


def test_a_bomb_is_not_unpacked_further_than_allowed(drops: LocalDrops) -> None:
    bomb = gzip.compress(HEAD.encode() + b"1,a,x\n" * 1_000_000)
    assert len(bomb) < 50_000
    with pytest.raises(FileTooLarge, match="unpacked"):
        drops.one("a.csv.gz", bomb, unpacked_megabytes=1)


def test_a_file_larger_than_allowed_is_not_copied(drops: LocalDrops) -> None:
    with pytest.raises(FileTooLarge, match="file_megabytes"):
        drops.one("a.csv", HEAD + "1,a,x\n" * 300_000, file_megabytes=1)


def test_reading_holds_pages_not_files(drops: LocalDrops) -> None:
    drops.put("a.csv", HEAD + "".join(f"{n},{'nama' * 200},{NIK}\n" for n in range(100_000)))
    source = drops.open("a.csv", page_rows=2_000)
    tracemalloc.start()
    rows = sum(page.frame.height for page in source.read(source.slices(Window())[0]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 100_000
    assert peak < 30 * 1024 * 1024  # the file has 83 MB


def test_a_page_is_divided_when_it_would_be_too_heavy(drops: LocalDrops) -> None:
    pages = drops.pages_of_one("a.csv", HEAD + f"1,{'x' * 10_000},y\n" * 500, page_megabytes=1)
    assert len(pages) > 4
    assert sum(page.frame.height for page in pages) == 500
    assert max(page.frame.estimated_size() for page in pages) < 2.5 * 1024 * 1024


def test_reading_resumes_after_a_page_that_ends_at_a_row_of_another_length(drops: LocalDrops) -> None:
    drops.put("a.csv", HEAD + "".join(f"{n},a\n" if n % 7 == 6 else f"{n},a,x\n" for n in range(100)))
    whole = drops.read("a.csv")
    source = drops.open("a.csv", page_rows=7)
    (slice,) = source.slices(Window())
    for page in source.read(slice):
        if page.token is not None:
            rest = drops.open("a.csv", page_rows=1_000).read(slice, PageToken(page.token.value))
            end = page.first_position + page.frame.height
            assert pl.concat([each.frame for each in rest]).equals(whole.slice(end))


JSON_ROWS = [
    {"id": "1", "nik": NIK, "nilai": 12, "tanggal": None},
    {"id": "2", "nik": int(NIK), "nilai": 3, "tanggal": "2024-01-01"},
    {"id": "3", "nik": 3.5760215059e15, "nilai": 4, "tambahan": {"a": [1]}},
]


def test_json_lines_keep_the_types_of_their_cells(drops: LocalDrops) -> None:
    content = "\n".join(map(json.dumps, JSON_ROWS)) + "\n"
    rows = drops.one("a.jsonl", content, columns=("id", "nik", "nilai", "tanggal"))
    assert rows["nik"].to_list() == [NIK, f"number:{NIK}", "number:3576021505900000.0"]
    assert rows["nilai"].to_list() == [12, 3, 4]


def test_lines_that_are_no_objects_are_kept_where_they_are(drops: LocalDrops) -> None:
    content = '{"id": "1"}\n[1]\n{"id": \n\n"2"\n{"id": "3"}'
    rows = drops.one("a.jsonl", content, columns=("id",))
    assert rows["id"].to_list() == [
        "1",
        "\ufffdnot a JSON object: [1]",
        '\ufffdnot a JSON object: {"id": ',
        None,
        '\ufffdnot a JSON object: "2"',
        "3",
    ]


def test_a_line_without_end_is_named(drops: LocalDrops) -> None:
    with pytest.raises(PageUnreadable, match="line is longer"):
        drops.one("a.jsonl", '{"id": "' + "x" * 10_000_000)


def test_json_lines_may_leave_out_what_is_empty_if_the_contract_says_so(drops: LocalDrops) -> None:
    content = '{"id": "1"}\n{"id": "2"}\n'
    assert drops.one("a.jsonl", content, columns=("id", "nama"), omits_nulls=True)["nama"].to_list() == [
        None,
        None,
    ]
    with pytest.raises(ColumnsMissing):
        drops.read("a.jsonl", columns=("id", "nama"))


def test_a_parquet_file_that_is_none_is_named(drops: LocalDrops) -> None:
    for number, content in enumerate((b"", b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1")):
        with pytest.raises(PageUnreadable):
            drops.one(f"{number}.parquet", content)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=60)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=12), st.integers(1, 5))
def test_what_polars_writes_is_read_cell_by_cell(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], page_rows: int
) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("a", "b", "c"), pl.String()), orient="row")
    text = frame.write_csv(quote_style="always", null_value="")
    with LocalDrops(tmp_path_factory.mktemp("drops")) as drops:
        read = drops.one("a.csv", text, page_rows=page_rows)
    assert read.rows() == frame.rows()


FRAMES = st.lists(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=6), max_size=8)


@given(FRAMES, st.integers(1, 7), st.integers(0, 20))
def test_pages_are_the_pieces_cut_anew(pieces: list[list[int | None]], rows: int, skip: int) -> None:
    frames = [pl.DataFrame({"c": piece}, schema={"c": pl.Int64()}) for piece in [[], *pieces]]
    everything = [cell for piece in pieces for cell in piece]
    pages = list(paged(after(iter(frames), skip), rows, 1))
    assert [cell for frame, _ in pages for cell in frame["c"]] == everything[skip:]
    assert [complete for _, complete in pages] == [False] * (len(pages) - 1) + [True]
    assert all(frame.height <= rows for frame, _ in pages)
    kept = [cell for frame in without_trailing_blanks(iter(frames)) for cell in frame["c"]]
    while everything and everything[-1] is None:
        everything.pop()
    assert kept == everything


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_named(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with LocalDrops(tmp_path_factory.mktemp("drops")) as drops:
        for name in ("a.csv", "a.jsonl", "a.csv.gz", "a.parquet", "a.xlsx"):
            try:
                drops.one(name, content)
            except LintasError as error:
                assert error.remedy  # noqa: PT017 - most bytes are read
