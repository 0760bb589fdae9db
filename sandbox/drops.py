"""How the licensing office writes its drops: a CSV file, a workbook and the list of their checksums."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

SHEET = "izin"
#: Whether the office's clerk let the spreadsheet take a number for a number (an error, not a column).
AS_NUMBER = "nomor_sebagai_angka"
_NUMBERS = ("no_identitas_penanggung_jwb",)


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How the office's export writes CSV."""

    delimiter: str = ","
    encoding: str = "utf-8"
    bom: bool = False

    def write(self, rows: pl.DataFrame) -> bytes:
        """Rows as the content of a file."""
        text = rows.write_csv(separator=self.delimiter)
        return (b"\xef\xbb\xbf" if self.bom else b"") + text.encode(self.encoding, errors="replace")


def workbook(rows: pl.DataFrame, *, sheet: str = SHEET) -> bytes:
    """Rows as a workbook whose cells keep their types: texts as text, days as days."""
    import xlsxwriter  # type: ignore[import-untyped]

    names = [name for name in rows.columns if name != AS_NUMBER]
    as_numbers = rows[AS_NUMBER].to_list() if AS_NUMBER in rows.columns else [False] * rows.height
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"constant_memory": True}) as book:
        page = book.add_worksheet(sheet)
        page.write_row(0, 0, names)
        pen = _Pen(
            page,
            day=book.add_format({"num_format": "yyyy-mm-dd"}),
            moment=book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        )
        cells = rows.select(names).iter_rows()
        for place, (row, as_number) in enumerate(zip(cells, as_numbers, strict=True), start=1):
            for column, cell in enumerate(row):
                is_number = as_number and names[column] in _NUMBERS and str(cell).isdigit()
                pen.write(place, column, int(cell) if is_number else cell)
    return buffer.getvalue()


def manifest(files: Iterable[tuple[str, bytes]]) -> bytes:
    """The list of checksums, as `sha256sum` writes it."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files).encode()


def put(folder: Path, name: str, content: bytes) -> Path:
    """Write a file whole under its name: who lists the folder sees the old one or the new one."""
    path, being_written = folder / name, folder / f".{name}.part"
    being_written.write_bytes(content)
    os.replace(being_written, path)
    return path


@dataclass(frozen=True, slots=True)
class _Pen:
    """Writes cells of their own types."""

    page: Any
    day: Any
    moment: Any

    def write(self, place: int, column: int, cell: object) -> None:
        if isinstance(cell, datetime):
            self.page.write_datetime(place, column, cell, self.moment)
        elif isinstance(cell, date):
            self.page.write_datetime(place, column, cell, self.day)
        elif isinstance(cell, bool):
            self.page.write_boolean(place, column, cell)
        elif isinstance(cell, int | float):
            self.page.write_number(place, column, cell)
        elif cell is not None:
            self.page.write_string(place, column, str(cell))
