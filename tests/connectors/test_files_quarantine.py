"""From a damaged drop to quarantine: the contracts that come with Lintas judge what the readers kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from connectors import Page
from sandbox import drops as writing
from schemas.contracts import load_contracts
from schemas.kinds.cell import CellInvalid, FastCell
from schemas.kinds.text import TextKind
from schemas.mapping import Mapped, compile_mapping
from tests.connectors.drops import LocalDrops
from tests.connectors.test_files_xlsx import repacked

NIK, OTHER = "3576021505900001", "3576024507910002"
BUSINESS = {
    "nib": "9120000000019", "jns_identitas_penanggung_jwb": "01", "no_identitas_penanggung_jwb": NIK,
    "nama_penanggung_jwb": "SITI CONTOH", "npwp_perseroan": NIK, "nama_perseroan": "WARUNG CONTOH",
    "jenis_pelaku_usaha": "02", "flag_umk": "Y", "skala_usaha": "01", "kbli": "56101", "skala_resiko": "R",
    "perseroan_daerah_id": "3576021001", "status_nib": "01", "tgl_terbit_nib": "2024-07-01",
}  # fmt: skip


@pytest.fixture
def drops(tmp_path: Path) -> Iterator[LocalDrops]:
    with LocalDrops(tmp_path) as drops:
        yield drops


def mapped(drops: LocalDrops, dataset: str, name: str, content: bytes) -> list[tuple[Page, Mapped]]:
    """The pages of a file, as the contract of a dataset reads and judges them."""
    contract = next(each for each in load_contracts(None) if each.id == dataset)
    kept = {"delimiter", "encoding", "format", "sheet", "header_row", "first_row"}
    config = {key: value for key, value in contract.server.config.items() if key in kept}
    pages = drops.pages_of_one(name, content, columns=contract.source_columns, **config)
    mapping = compile_mapping(contract)
    return [(page, mapping.apply(page.frame, page.first_position)) for page in pages]


def test_damaged_lines_of_a_csv_are_kept_with_their_rows_and_the_others_pass(drops: LocalDrops) -> None:
    header, row = ";".join(BUSINESS), ";".join(BUSINESS.values())
    lines = [
        header,
        row,
        row.replace("9120000000019", "9120000000020") + ";lebih",
        row.replace("9120000000019", "9120000000021").replace("WARUNG CONTOH", "WARUNG \x81"),
        row.replace("9120000000019", "9120000000022").replace("SITI", "SITI\x00"),
        row.replace("9120000000019", "9.12000000002E+12"),
        row.replace("9120000000019", "9120000000023").replace("WARUNG", "CAFÉ"),
        "",
        row.replace("9120000000019", "9120000000024").rpartition(";")[0],
    ]
    content = b"\xef\xbb\xbf" + "\r\n".join(lines).encode("latin-1")
    ((page, found),) = mapped(drops, "dpmptsp-mojokerto/businesses", "nib_1.csv", content)
    assert found.accepted["nib"].to_list() == ["9120000000019", "9120000000023"]
    assert found.accepted["name"].to_list() == ["WARUNG CONTOH", "CAFÉ CONTOH"]
    assert sorted(each.position for each in found.rejected) == [1, 2, 3, 4, 6, 7]
    ragged = found.rejected[0]
    assert ragged.raw["no_identitas_penanggung_jwb"] == f"\ufffdragged row: {NIK}"
    assert page.positions == range(8)


def license_rows(**changes: object) -> pl.DataFrame:
    row = {
        "id_izin": "I-202407010000000000001", "nib": "9120000000019", "no_identitas_penanggung_jwb": NIK,
        "kd_izin": "029000000001", "jenis_izin": "02", "kbli": "56101", "kewenangan": "02", "kd_status": "50",
        "tgl_status": "2024-07-02 09:00:00", "tgl_terbit": "2024-07-01", "tgl_berlaku_sd": "2029-07-01",
    }  # fmt: skip
    frame = pl.DataFrame([{**row, "id_izin": f"I-20240701000000000000{n}"} for n in range(1, 6)])
    return frame.with_columns(
        pl.col("tgl_status").str.to_datetime(),
        pl.col("tgl_terbit", "tgl_berlaku_sd").str.to_date(),
        **{name: pl.Series(values) for name, values in changes.items()},
    )


def test_numeric_niks_of_a_workbook_are_quarantined_whatever_their_digits(drops: LocalDrops) -> None:
    rows = license_rows(nomor_sebagai_angka=[False, True, False, True, False])
    ((_, found),) = mapped(drops, "dpmptsp-mojokerto/licenses", "izin_1.xlsx", writing.workbook(rows))
    assert found.accepted["license_id"].to_list() == [rows["id_izin"][place] for place in (0, 2, 4)]
    told = {(each.position, error.field) for each in found.rejected for error in each.errors}
    assert told == {(1, "owner_nik"), (3, "owner_nik")}
    assert {each.raw["no_identitas_penanggung_jwb"] for each in found.rejected} == {f"number:{NIK}"}


@pytest.mark.parametrize("mark", ["number:42", "date:2026-03-01", "boolean:true", "\ufffdmerged cell"])
def test_a_cell_that_says_what_it_was_is_no_text(mark: str) -> None:
    with pytest.raises(CellInvalid):
        TextKind().judge(mark)
    cell = TextKind().fast(FastCell(pl.col("c"), pl.String(), pl.lit(value=True)))
    assert pl.DataFrame({"c": [mark, "biasa"]}).select(ok=cell.ok)["ok"].to_list() == [False, True]


def test_an_end_that_cannot_be_told_is_never_for_ever(drops: LocalDrops) -> None:
    """A merged cell or an error under `valid until` is no empty cell."""

    def merge(name: str, text: bytes) -> bytes:
        end = b'<mergeCells count="1"><mergeCell ref="K3:K4"/></mergeCells>'
        return text.replace(b"</sheetData>", b"</sheetData>" + end) if "sheet1" in name else text

    content = repacked(writing.workbook(license_rows()), merge)
    results = mapped(drops, "dpmptsp-mojokerto/licenses", "izin_1.xlsx", content)
    accepted = [identity for _, found in results for identity in found.accepted["license_id"]]
    rejected = [(each.position, each.errors[0].field) for _, found in results for each in found.rejected]
    assert [identity[-1] for identity in accepted] == ["1", "2", "4", "5"]
    assert rejected == [(2, "valid_until")]
