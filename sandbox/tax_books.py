"""What the tax office has written down, and how it looks on the wire."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from sandbox.columns import TAX_COLUMNS

_ON_THE_WIRE = ["nama_wp", "npwp", "npwp16", "tahun_kswp", "status_kswp", "alasan", "tanggal_terbit"]


@dataclass(frozen=True, slots=True)
class BooksPage:
    """A page of the books."""

    records: list[dict[str, Any]]
    next_cursor: str | None
    total: int
    number: int


class TaxBooks:
    """The office's rows, in the order in which they were entered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = pl.DataFrame(schema=TAX_COLUMNS)

    @property
    def rows(self) -> pl.DataFrame:
        """The rows; a frame never changes, it is replaced."""
        with self._lock:
            return self._rows

    @rows.setter
    def rows(self, frame: pl.DataFrame) -> None:
        with self._lock:
            self._rows = frame.select(pl.col(name).cast(kind) for name, kind in TAX_COLUMNS.items())

    def page(self, cursor: str | None, limit: int, changed_since: datetime | None) -> BooksPage:
        """Turn to a page.

        Raises:
            ValueError: When the cursor is none of ours.
        """
        rows = self.rows if changed_since is None else self.rows.filter(pl.col("diubah") >= changed_since)
        begin = read_cursor(cursor) if cursor else 0
        end = begin + limit
        return BooksPage(
            records=on_the_wire(rows.slice(begin, limit)),
            next_cursor=make_cursor(end) if end < rows.height else None,
            total=rows.height,
            number=begin // limit,
        )

    def set_standing(self, npwp16: str, status: str) -> None:
        """Write down another standing, issued today."""
        now = datetime.now(UTC)
        chosen = pl.col("npwp16") == npwp16
        reason = None if status == "VALID" else "02 Masa SPT Tahunan"
        self.rows = self.rows.with_columns(
            pl.when(chosen).then(pl.lit(status)).otherwise("status_kswp").alias("status_kswp"),
            pl.when(chosen).then(pl.lit(reason)).otherwise("alasan").alias("alasan"),
            pl.when(chosen)
            .then(pl.lit(f"{now:%Y-%m-%d}"))
            .otherwise("tanggal_terbit")
            .alias("tanggal_terbit"),
            pl.when(chosen).then(pl.lit(now)).otherwise("diubah").alias("diubah"),
        )

    def search(self, npwp16: str) -> list[dict[str, Any]]:
        """Find the records of a number."""
        return on_the_wire(self.rows.filter(pl.col("npwp16") == npwp16))


def on_the_wire(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON objects: empty fields are left out, and some numbers are sent as numbers, an old error."""
    records = []
    for row in rows.select(*_ON_THE_WIRE, "nomor_sebagai_angka").to_dicts():
        as_number = row.pop("nomor_sebagai_angka")
        record = {name: value for name, value in row.items() if value is not None}
        if as_number and str(record.get("npwp16", "")).isdigit():
            record["npwp16"] = int(record["npwp16"])
        records.append(record)
    return records


def make_cursor(begin: int) -> str:
    """A cursor that tells nothing to whoever reads it."""
    return base64.urlsafe_b64encode(json.dumps({"b": begin}).encode()).decode()


def read_cursor(cursor: str) -> int:
    """Where a cursor points.

    Raises:
        ValueError: When it is none of ours.
    """
    try:
        begin = json.loads(base64.urlsafe_b64decode(cursor.encode()))["b"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("not a cursor of this service") from error
    if not isinstance(begin, int) or begin < 0:
        raise ValueError("not a cursor of this service")
    return begin
