"""A sheet of a workbook: cells of the spreadsheet's own types, the whole looked at before its first page.

A column takes the type that most of its cells have. Where that is text, a cell of another type becomes text
that says so (`number:42`), as in every connector. Where it is another, the rare row with another type there
(a text among days) is handed out in a page of its own, so that one odd cell spoils no other row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

import polars as pl

from connectors.configuration import FilesConfiguration
from connectors.errors import PageUnreadable
from connectors.files_folder import shown
from connectors.files_spool import Spool
from connectors.files_table import unusable, without_trailing_blanks
from connectors.files_workbook import Sheet, Survey, Workbook
from foundation.errors import Location

_ROWS_AT_ONCE = 10_000
_MOST_ODD_ROWS = 200
_MOST_MERGED = 100_000
_EXACT = 2**53
_TEXT = "text"
_KINDS: dict[type, str] = {
    str: _TEXT, float: "number", int: "number", bool: "boolean", date: "day", datetime: "day",
    time: "time", timedelta: "duration",
}  # fmt: skip
_TYPES: dict[str, pl.DataType] = {
    _TEXT: pl.String(), "number": pl.Float64(), "boolean": pl.Boolean(), "day": pl.Datetime("us"),
    "time": pl.Time(), "duration": pl.Duration("us"),
}  # fmt: skip


class XlsxTable:
    """A sheet, opened."""

    def __init__(self, spool: Spool, configuration: FilesConfiguration) -> None:
        """Look at the workbook and read the sheet's header.

        Raises:
            PageUnreadable: When it is no workbook, or the sheet or its header is not there.
            FileTooLarge: When it unpacks to more than allowed.
        """
        self._configuration = configuration
        self._file = shown(spool.name)
        spool.file.seek(0)
        workbook = Workbook(spool.file, Location(file=self._file), configuration.unpacked_megabytes)
        self.sheets = workbook.sheets
        self.sheet: Sheet = workbook.choose(configuration.sheet)
        self._location = Location(file=f"{self._file}, sheet {self.sheet.name}")
        self._survey: Survey = workbook.survey(self.sheet)
        spool.file.seek(0)
        self._cells = self._opened(spool)
        self._first_column = self._cells.start[1] if self._cells.start else 0
        header: list[Any] = next(islice(self._cells.iter_rows(), configuration.header_row - 1, None), [])
        self.columns = tuple(_name(cell) for cell in header)
        if not any(self.columns):
            raise self._unreadable(
                f"Row {configuration.header_row} holds no names of columns",
                "The sheet is empty, or its header is elsewhere",
            )

    @property
    def rows(self) -> int | None:
        """Rows below the header, empty ones at the end included."""
        return max(0, int(self._cells.total_height) + 1 - (self._configuration.data_row - 1))

    def describe(self) -> list[tuple[str, str]]:
        """The columns, each with the type that most of its cells have."""
        names = [name for name in self.columns if name]
        columns = self._columns(names)
        return [(name, columns[name].kind) for name in names]

    def pieces(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Hand out runs of rows in which every column has one type."""
        return without_trailing_blanks(self._runs(columns))

    def _runs(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        gathered = self._columns(columns)
        odd_rows = sorted({row for column in gathered.values() for row in column.odd()})
        crowded = len(odd_rows) > _MOST_ODD_ROWS
        frame = pl.DataFrame([column.series(crowded=crowded) for column in gathered.values()])
        yield frame.clear()
        begin = 0
        for row in () if crowded else odd_rows:
            yield frame.slice(begin, row - begin)
            yield pl.DataFrame([column.alone(row, frame.schema[name]) for name, column in gathered.items()])
            begin = row + 1
        yield frame.slice(begin)

    def _columns(self, names: Sequence[str]) -> dict[str, _Column]:
        places = [self.columns.index(name) for name in names]
        found = {name: _Column(name) for name in names}
        begin = self._configuration.data_row - 1
        marks = self._marks(places, begin)
        rows = islice(self._cells.iter_rows(), begin, None)
        at = 0
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            cells = list(zip(*some, strict=True))
            for name, place in zip(names, places, strict=True):
                found[name].add(at, cells[place], marks.get(place, {}))
            at += len(some)
        return found

    def _marks(self, places: Sequence[int], begin: int) -> dict[int, dict[int, str]]:
        """Why cells are not what they show, by column and row of data."""
        marks: dict[int, dict[int, str]] = {place: {} for place in places}
        odd = {**self._merged(set(places), begin), **self._survey.odd}
        for (row, column), why in odd.items():
            place = column - self._first_column
            if place in marks and row >= begin:
                marks[place][row - begin] = unusable(why)
        return marks

    def _merged(self, places: set[int], begin: int) -> dict[tuple[int, int], str]:
        """Cells that another one covers: what they hold cannot be told."""
        covered: dict[tuple[int, int], str] = {}
        last = int(self._cells.total_height)
        for (top, left), (bottom, right) in self._cells.merged_cell_ranges or ():
            if bottom < begin:
                continue
            columns = [place + self._first_column for place in places]
            for column in (each for each in columns if left <= each <= right):
                rows = range(max(top, begin), min(bottom, last) + 1)
                if len(covered) + len(rows) > _MOST_MERGED:
                    raise self._unreadable(
                        "The sheet has merged cells without end", "No cell below them has a value of its own"
                    )
                covered.update({(row, column): "merged cell" for row in rows})
            covered.pop((top, left), None)
        return covered

    def _opened(self, spool: Spool) -> Any:
        from python_calamine import CalamineError, CalamineWorkbook

        try:
            return CalamineWorkbook.from_filelike(spool.file).get_sheet_by_name(self.sheet.name)
        except (CalamineError, OSError):
            raise self._damaged() from None
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # the reader gave up on what it was given
                raise self._damaged() from None
            raise

    def _damaged(self) -> PageUnreadable:
        return self._unreadable("The sheet cannot be read", "The workbook is damaged")

    def _unreadable(self, what: str, why: str) -> PageUnreadable:
        return PageUnreadable(
            what,
            why=why,
            remedy="Look at the sheet with the agency; nothing of this batch is published",
            location=self._location,
        )


class _Column:
    """The cells of one column, gathered piece by piece."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._counts: Counter[str] = Counter()
        self._pieces: list[tuple[int, str, Any]] = []

    def add(self, at: int, cells: Sequence[Any], marks: dict[int, str]) -> None:
        """Add the next cells; those that are marked show the reason instead."""
        here = [row for row in marks if at <= row < at + len(cells)] if marks else []
        if here:
            cells = list(cells)
            for row in here:
                cells[row - at] = marks[row]
        types = set(map(type, cells))
        kinds = {_KINDS[each] for each in types}
        if kinds == {_TEXT}:
            series = pl.Series(self.name, cells, dtype=pl.String()).replace("", None)
            self._counts[_TEXT] += series.len() - series.null_count()
            self._pieces.append((at, _TEXT, series))
            return
        values = [None if cell == "" else cell for cell in cells]
        counts = Counter(_KINDS[type(value)] for value in values if value is not None)
        self._counts.update(counts)
        kind = next(iter(counts)) if len(counts) == 1 else ""
        self._pieces.append((at, kind, _series(self.name, values, kind) if kind else values))

    @property
    def kind(self) -> str:
        """What most cells are; text when in doubt."""
        most = max(self._counts.values(), default=0)
        return next((kind for kind in _TYPES if self._counts[kind] == most), _TEXT) if most else _TEXT

    def odd(self) -> Iterator[int]:
        """The rows with a cell of another type, where that is not text."""
        if self.kind == _TEXT:
            return
        for at, kind, piece in self._pieces:
            if kind != self.kind:
                for row, cell in enumerate(piece):
                    if cell is not None and _KINDS[type(cell)] != self.kind:
                        yield at + row

    def series(self, *, crowded: bool) -> pl.Series:
        """The column; cells of another type are text that says so, or missing, to be handed out alone."""
        kind = self.kind
        if kind == _TEXT or (crowded and len(+self._counts) > 1):
            told = _told_among_days if kind == "day" else _told
            parts = [
                piece if known == _TEXT else pl.Series(self.name, list(map(told, piece)), pl.String())
                for _, known, piece in self._pieces
            ]
            return pl.concat(parts) if parts else pl.Series(self.name, [], pl.String())
        parts = [
            piece if known == kind else _series(self.name, [_only(cell, kind) for cell in piece], kind)
            for _, known, piece in self._pieces
        ]
        return _narrowed(pl.concat(parts))

    def alone(self, row: int, dtype: pl.DataType) -> pl.Series:
        """The cell of one row, in its own type where it is another than the column's."""
        at, _, piece = next(each for each in reversed(self._pieces) if each[0] <= row)
        cell = piece[row - at]
        kind = self.kind if cell is None else _KINDS[type(cell)]
        if kind == self.kind:
            return pl.Series(self.name, [_plain(cell, dtype)], dtype=dtype)
        if self.kind == _TEXT:
            return pl.Series(self.name, [_told(cell)], dtype=pl.String())
        return _narrowed(_series(self.name, [cell], kind))


def _series(name: str, values: Sequence[Any], kind: str) -> pl.Series:
    if kind == "day":
        values = [_moment(value) for value in values]
    return pl.Series(name, values, dtype=_TYPES[kind], strict=False)


def _narrowed(series: pl.Series) -> pl.Series:
    """Days without a time of day as days, whole numbers as whole numbers: nothing is lost by either."""
    if series.dtype == pl.Datetime("us"):
        return series.cast(pl.Date()) if (series == series.dt.truncate("1d")).all() else series
    if series.dtype == pl.Float64() and ((series == series.round()) & (series.abs() <= _EXACT)).all():
        return series.cast(pl.Int64())
    return series


def _plain(cell: Any, dtype: pl.DataType) -> Any:
    if isinstance(cell, datetime) and dtype == pl.Date():
        return cell.date()
    return int(cell) if isinstance(cell, float) and dtype == pl.Int64() else cell


def _moment(value: Any) -> Any:
    return datetime(value.year, value.month, value.day) if type(value) is date else value  # noqa: DTZ001


def _only(cell: Any, kind: str) -> Any:
    return cell if cell is not None and _KINDS[type(cell)] == kind else None


def _told(cell: Any) -> str | None:
    """A cell as text: text as it is, anything else with its type."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return f"boolean:{str(cell).lower()}"
    if isinstance(cell, float | int):
        return f"number:{int(cell) if float(cell).is_integer() else cell}"
    if isinstance(cell, date):
        return f"date:{_day(cell)}"
    return f"time:{cell.isoformat()}" if isinstance(cell, time) else f"duration:{cell}"


def _told_among_days(cell: Any) -> str | None:
    """A cell of a column in which days prevail and texts are common: a day is its plain ISO text."""
    return _day(cell) if isinstance(cell, date) else _told(cell)


def _day(cell: date) -> str:
    is_moment = isinstance(cell, datetime) and cell.time() != time.min
    return cell.isoformat() if is_moment else f"{cell:%Y-%m-%d}"


def _name(cell: Any) -> str:
    return (_told(cell) or "").strip(" \t\r\n\ufeff\u200b\u00a0")
