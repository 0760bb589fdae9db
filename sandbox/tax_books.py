"""What the tax office has written down, and how it looks on the wire."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from sandbox.columns import PROPERTY_TAX_COLUMNS, TAX_COLUMNS, TAXPAYER_COLUMNS, Columns, shaped

_SENT_AS_NUMBER = "nomor_sebagai_angka"
_NEVER_SENT = ("diubah", _SENT_AS_NUMBER)


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of the web service.

    Attributes:
        name: Name of its books, and of the table of a population that fills them.
        path: Where it is served.
        columns: The columns of its books.
        keys: The fields by which one may search it; every one that is given has to match.
        omits_nulls: Whether an empty field is left out of a record.
    """

    name: str
    path: str
    columns: Columns
    keys: tuple[str, ...]
    omits_nulls: bool = False


STANDING = Collection("tax", "/v1/kswp", TAX_COLUMNS, ("npwp16", "tahun_kswp"), omits_nulls=True)
TAXPAYERS = Collection("taxpayers", "/v1/wajib-pajak", TAXPAYER_COLUMNS, ("npwp16", "npwp"))
PROPERTY_TAX = Collection(
    "property_tax",
    "/v1/pbb",
    PROPERTY_TAX_COLUMNS,
    (
        "subjekPajakId", "tahunPajak", "kdPropinsi", "kdDati2", "kdKecamatan", "kdKelurahan", "kdBlok",
        "noUrut", "kdJnsOp",
    ),
)  # fmt: skip
COLLECTIONS = (STANDING, TAXPAYERS, PROPERTY_TAX)


@dataclass(frozen=True, slots=True)
class BooksPage:
    """A page of the books."""

    records: list[dict[str, Any]]
    next_cursor: str | None
    total: int
    number: int


class TaxBooks:
    """The rows of one collection, in the order in which they were entered."""

    def __init__(self, collection: Collection = STANDING) -> None:
        self.collection = collection
        self._lock = threading.Lock()
        self._rows = pl.DataFrame(schema=collection.columns)

    @property
    def rows(self) -> pl.DataFrame:
        """The rows; a frame never changes, it is replaced."""
        with self._lock:
            return self._rows

    @rows.setter
    def rows(self, frame: pl.DataFrame) -> None:
        with self._lock:
            self._rows = shaped(frame, self.collection.columns)

    def page(self, cursor: str | None, limit: int, changed_since: datetime | None) -> BooksPage:
        """Turn to a page.

        Raises:
            ValueError: When the cursor is none of ours.
        """
        rows = self.rows if changed_since is None else self.rows.filter(pl.col("diubah") >= changed_since)
        begin = read_cursor(cursor) if cursor else 0
        end = begin + limit
        return BooksPage(
            records=self._sent(rows.slice(begin, limit)),
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

    def search(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Find the records of a number.

        Raises:
            ValueError: When nothing is asked for, or something by which one may not search.
        """
        if not wanted or not set(wanted) <= set(self.collection.keys):
            raise ValueError("not a question to this collection")
        return self._sent(self.rows.filter(pl.col(name) == str(value) for name, value in wanted.items()))

    def _sent(self, rows: pl.DataFrame) -> list[dict[str, Any]]:
        return on_the_wire(rows, omits_nulls=self.collection.omits_nulls)


def on_the_wire(rows: pl.DataFrame, *, omits_nulls: bool = True) -> list[dict[str, Any]]:
    """Rows as JSON objects: empty fields may be left out, some numbers are sent as numbers, an old error."""
    as_numbers = rows[_SENT_AS_NUMBER].to_list() if _SENT_AS_NUMBER in rows.columns else []
    records = rows.drop(_NEVER_SENT, strict=False).to_dicts()
    if omits_nulls:
        records = [{name: value for name, value in row.items() if value is not None} for row in records]
    for record, as_number in zip(records, as_numbers, strict=False):
        if as_number and str(record.get("npwp16", "")).isdigit():
            record["npwp16"] = int(record["npwp16"])
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
