"""CSV as an agency writes it: every cell is text, and a row of another length is kept, not mended.

Positions count rows as a spreadsheet shows them: a quoted cell may hold line breaks, an empty line is a row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from connectors.configuration import FilesConfiguration
from connectors.errors import PageUnreadable
from connectors.files_folder import shown
from connectors.files_spool import Spool
from connectors.files_table import unusable, without_trailing_blanks
from connectors.files_text import CleanText
from foundation.errors import Location

_HEAD = 1024 * 1024
_BLOCK = 512 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")
_RAGGED = "ragged row"


class _InvalidRow(Protocol):
    """What the parser tells of a row of another length."""

    number: int
    text: str


class CsvTable:
    """A CSV file, opened."""

    def __init__(self, spool: Spool, configuration: FilesConfiguration) -> None:
        """Read the header.

        Raises:
            PageUnreadable: When there is none.
        """
        self._spool = spool
        self._configuration = configuration
        self._name = shown(spool.name)
        text = self._text()
        head = text.read(_HEAD)
        begin = self._begin_of_row(head, configuration.header_row)
        end = self._begin_of_row(head, configuration.header_row + 1)
        self._header = self._cells(head[begin:end].decode())
        self.columns = tuple(name.strip(" \t\r\n\ufeff\u200b\u00a0") for name in self._header)
        if not any(self.columns):
            raise self._unreadable(
                f"Row {configuration.header_row} holds no names of columns",
                "The file is empty, or its header is elsewhere",
                row=configuration.header_row,
            )
        self._data_begins = self._begin_of_row(head, configuration.data_row)

    @property
    def rows(self) -> int | None:
        """Unknown until they are read."""
        return None

    def describe(self) -> list[tuple[str, str]]:
        """Every column is text."""
        return [(name, "text") for name in self.columns if name]

    def pieces(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read block by block."""
        return without_trailing_blanks(self._blocks(columns))

    def _blocks(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        places = [self.columns.index(name) for name in columns]
        ragged: list[_InvalidRow] = []
        empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.String()))
        yield empty
        text = self._text()
        self._skip(text)
        head = text.read(_HEAD)
        if not head.strip(b"\r\n"):
            return
        text.unread(head)
        at = 0
        for batch in self._batches(text, places, ragged):
            frame = _frame(batch, columns)
            at, whole = self._interleaved(frame, ragged, at, columns, places)
            yield whole
        if ragged:
            yield self._interleaved(empty, ragged, at, columns, places)[1]

    def _batches(
        self, text: CleanText, places: Sequence[int], ragged: list[_InvalidRow]
    ) -> Iterator[pa.RecordBatch]:
        names = [f"c{place}" for place in range(len(self._header))]

        def keep(row: _InvalidRow) -> str:
            ragged.append(row)
            return "skip"

        rows = 0
        try:
            with pacsv.open_csv(
                text,
                read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=_BLOCK),
                parse_options=pacsv.ParseOptions(
                    delimiter=self._configuration.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=keep,
                ),
                convert_options=pacsv.ConvertOptions(
                    include_columns=[names[place] for place in dict.fromkeys(places)],
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            ) as reader:
                for batch in reader:
                    rows += batch.num_rows
                    yield batch
        except pa.ArrowInvalid:  # its text holds values
            raise self._unreadable(
                "A row is never finished",
                "A quotation mark is opened and not closed, or a row is longer than a block",
                row=self._configuration.data_row + rows + len(ragged),
            ) from None

    def _interleaved(
        self,
        good: pl.DataFrame,
        ragged: list[_InvalidRow],
        at: int,
        columns: Sequence[str],
        places: Sequence[int],
    ) -> tuple[int, pl.DataFrame]:
        """Put the rows of another length back where they were; tells the position after all."""
        taken = 0
        while taken < len(ragged) and ragged[taken].number - 1 <= at + good.height + taken:
            taken += 1
        end = at + good.height + taken
        if not taken:
            return end, good
        rows, ragged[:taken] = ragged[:taken], []
        where = np.array([row.number - 1 - at for row in rows])
        is_good = np.ones(end - at, dtype=bool)
        is_good[where] = False
        bad = self._kept(rows, columns, places)
        order = np.empty(end - at, dtype=np.int64)
        order[is_good] = np.arange(good.height)
        order[where] = good.height + np.arange(taken)
        return end, pl.concat([good, bad])[order]

    def _kept(
        self, rows: Sequence[_InvalidRow], columns: Sequence[str], places: Sequence[int]
    ) -> pl.DataFrame:
        cells = [self._cells(row.text) for row in rows]
        return pl.DataFrame(
            {
                name: [unusable(_RAGGED, each[place] if place < len(each) else "") for each in cells]
                for name, place in zip(columns, places, strict=True)
            },
            schema=dict.fromkeys(columns, pl.String()),
        )

    def _cells(self, record: str) -> list[str]:
        try:
            return next(csv.reader([record], delimiter=self._configuration.delimiter), [])
        except csv.Error:
            return record.split(self._configuration.delimiter)

    def _begin_of_row(self, head: bytes, row: int) -> int:
        """Where a row begins, as a person counts rows; the end of what is there when it has fewer."""
        begin = 0
        for number in range(1, row):
            end = _end_of_row(head, begin)
            if end is None and len(head) >= _HEAD:
                raise self._unreadable(
                    f"Row {number} is not finished after {_HEAD:,} bytes",
                    "A quotation mark is opened and not closed, or this is no CSV",
                    row=number,
                )
            begin = len(head) if end is None else end
        return begin

    def _text(self) -> CleanText:
        return CleanText(self._spool, self._configuration.encoding, self._configuration.unpacked_megabytes)

    def _skip(self, text: CleanText) -> None:
        text.read(self._data_begins)

    def _unreadable(self, what: str, why: str, *, row: int) -> PageUnreadable:
        return PageUnreadable(
            what,
            why=why,
            remedy="Look at this row of the file with the agency; nothing of this batch is published",
            location=Location(file=self._name, row=row),
        )


def _end_of_row(data: bytes, begin: int) -> int | None:
    """Where the row ends that begins here: at a line's end outside quotation marks."""
    quotes = 0
    scanned = begin
    for end in _LINE_END.finditer(data, begin):
        quotes += data.count(b'"', scanned, end.start())
        scanned = end.end()
        if quotes % 2 == 0:
            return scanned
    return None


def _frame(batch: Any, columns: Sequence[str]) -> pl.DataFrame:
    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)
    return frame.rename(dict(zip(frame.columns, columns, strict=True)))
