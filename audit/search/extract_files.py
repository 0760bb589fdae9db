"""The files of an extract, each written entry by entry."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from audit.search.walking import Found

__all__ = ["Columns", "CsvFile", "ExtractFile", "NdjsonFile", "ParquetFile", "safe_cell"]

_ROW_GROUP = 4_096
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Columns:
    """An entry as a row of a table; lists are joined by spaces."""

    index: int
    time: str
    kind: str
    provider: str
    consumer: str
    system: str
    actor: str
    purpose: str
    legal_basis: str
    decision: str
    outcome: str
    datasets: str
    fields: str
    rules: str
    batch: str
    id: str

    @classmethod
    def of(cls, found: Found) -> Columns:
        """The row of one entry."""
        entry = found.entry
        values = {each.name: entry.get(each.name, "") for each in fields(cls) if each.name != "index"}
        for name in ("datasets", "fields", "rules"):
            values[name] = " ".join(entry.get(name, ()))
        values["batch"] = str(entry.get("batch", {}).get("batch_id", ""))
        return cls(index=found.index, **values)


class ExtractFile(ABC):
    """A file that is open while entries are written to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return self.path.name

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Begin the file."""

    @abstractmethod
    def write(self, found: Found, path: Sequence[str], columns: Columns) -> None:
        """Add an entry with its proof."""

    @abstractmethod
    def close(self) -> None:
        """End the file."""


class NdjsonFile(ExtractFile):
    """A line an entry: its index, its proof, and its exact bytes, which are JSON themselves."""

    _file: IO[bytes]

    def open(self) -> None:
        """Begin the file."""
        self._file = self.path.open("wb")

    def write(self, found: Found, path: Sequence[str], columns: Columns) -> None:  # noqa: ARG002
        """Add an entry with its proof."""
        proof = ",".join(f'"{item}"' for item in path).encode()
        self._file.write(b'{"index":%d,"path":[%b],"entry":%b}\n' % (found.index, proof, found.encoded))

    def close(self) -> None:
        """End the file."""
        self._file.close()


class CsvFile(ExtractFile):
    """RFC 4180; every cell quoted, and none that a spreadsheet would take for a formula."""

    _file: IO[str]

    def open(self) -> None:
        """Begin the file."""
        self._file = self.path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_ALL)
        self._writer.writerow([each.name for each in fields(Columns)])

    def write(self, found: Found, path: Sequence[str], columns: Columns) -> None:  # noqa: ARG002
        """Add an entry."""
        self._writer.writerow([safe_cell(str(value)) for value in astuple(columns)])

    def close(self) -> None:
        """End the file."""
        self._file.close()


class ParquetFile(ExtractFile):
    """Typed columns, in row groups of a few thousand, with the exact bytes of each entry."""

    def open(self) -> None:
        """Begin the file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = [each.name for each in fields(Columns)]
        types = {"index": pa.int64()}
        columns = [pa.field(name, types.get(name, pa.string())) for name in names]
        self._schema = pa.schema([*columns, pa.field("entry", pa.binary())])
        self._writer = pq.ParquetWriter(self.path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, found: Found, path: Sequence[str], columns: Columns) -> None:  # noqa: ARG002
        """Add an entry."""
        row = dict(zip(self._schema.names, (*astuple(columns), found.encoded), strict=True))
        self._rows.append(row)
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """End the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def safe_cell(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would calculate with it."""
    return f"'{text}" if text.startswith(_FORMULA) else text
