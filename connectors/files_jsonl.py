"""JSON Lines: one object a line, cells of JSON's own types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import polars as pl

from connectors import cells
from connectors.configuration import FilesConfiguration
from connectors.errors import PageUnreadable
from connectors.files_folder import shown
from connectors.files_spool import Spool
from connectors.files_table import chosen, unusable
from connectors.files_text import CleanText
from connectors.rest import frame_of
from foundation.errors import Location

_CHUNK = 1024 * 1024
_LONGEST_LINE = 8 * 1024 * 1024
_SAMPLE = 1_000
_NOT_AN_OBJECT = "not a JSON object"


class JsonLinesTable:
    """A file of JSON Lines, opened."""

    def __init__(self, spool: Spool, configuration: FilesConfiguration) -> None:
        """Look at the first lines."""
        self._spool = spool
        self._configuration = configuration
        self._location = Location(file=shown(spool.name))
        sample = []
        for record in self._records():
            sample.append(record)
            if len(sample) == _SAMPLE:
                break
        self._sample = [record for record in sample if isinstance(record, dict)]
        self.columns = tuple(dict.fromkeys(name for record in self._sample for name in record))

    @property
    def rows(self) -> int | None:
        """Unknown until they are read."""
        return None

    def describe(self) -> list[tuple[str, str]]:
        """The columns of the first lines, each with the type of its cells there."""
        frame = frame_of(self._sample, (), dataset="", omits_nulls=True)
        return [(name, str(kind).lower()) for name, kind in frame.schema.items()]

    def pieces(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read so many lines at a time as make a page."""
        yield pl.DataFrame(schema=dict.fromkeys(columns, pl.String()))
        held: list[object] = []
        for record in self._records():
            held.append(record)
            if len(held) == self._configuration.page_rows:
                yield self._frame(held, columns)
                held = []
        if held:
            yield self._frame(held, columns)

    def _frame(self, records: Sequence[object], columns: Sequence[str]) -> pl.DataFrame:
        objects = [record for record in records if isinstance(record, dict)]
        if not self._configuration.omits_nulls and objects:
            found = tuple(dict.fromkeys(name for record in objects for name in record))
            chosen(found, columns, self._configuration.pattern, self._location)
        return pl.DataFrame(
            [cells.series(name, [_cell(record, name) for record in records]) for name in columns]
        )

    def _records(self) -> Iterator[object]:
        """The lines, each an object, the text of a line that is none, or None for an empty one."""
        for line in self._lines():
            if not line.strip():
                yield None
                continue
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                record = None
            yield record if isinstance(record, dict) else line.decode(errors="replace")

    def _lines(self) -> Iterator[bytes]:
        text = CleanText(self._spool, self._configuration.encoding, self._configuration.unpacked_megabytes)
        rest = b""
        while chunk := text.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise PageUnreadable(
                    f"A line is longer than {_LONGEST_LINE:,} bytes",
                    remedy="Have the agency write one object a line",
                    location=self._location,
                )
            yield from lines
        if rest:
            yield rest


def _cell(record: Any, name: str) -> Any:
    if isinstance(record, dict):
        return record.get(name)
    return None if record is None else unusable(_NOT_AN_OBJECT, record)
