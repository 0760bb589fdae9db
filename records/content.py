"""What a row says, as bytes that everybody can rebuild: its key and its content hash.

The content of a record is its canonical fields in the order of the record type, each as NUL + ``v`` + the
text of the value, or NUL + ``n`` where there is none. Text in PostgreSQL cannot hold NUL, so no two
contents look alike. The content hash is SHA-256 over the dataset, NUL NUL, and these bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

__all__ = ["DAWN", "KEY_SEPARATOR", "content_hash", "content_hashes", "source_key", "source_keys"]

#: The validity of records whose source does not say since when they hold.
DAWN = date(1, 1, 1)
KEY_SEPARATOR = "\x1f"
_VALUE = "\x00v"
_NOTHING = "\x00n"


def content_hashes(frame: pl.DataFrame, columns: Sequence[str], dataset_id: str) -> pl.Series:
    """Content hash of every row, over the columns in this order."""
    parts = [(pl.lit(_VALUE) + _text(frame, name)).fill_null(_NOTHING) for name in columns]
    contents = frame.select(pl.concat_str(parts).alias("content"))["content"]
    prefix = _prefix(dataset_id)
    digests = [hashlib.sha256(prefix + content.encode()).digest() for content in contents]
    return pl.Series("content_hash", digests, dtype=pl.Binary)


def content_hash(values: Mapping[str, Any], columns: Sequence[str], dataset_id: str) -> bytes:
    """Content hash of one record, as an auditor would rebuild it."""
    parts = [_NOTHING if values[name] is None else _VALUE + _as_text(values[name]) for name in columns]
    return hashlib.sha256(_prefix(dataset_id) + "".join(parts).encode()).digest()


def source_keys(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """The key of every row at its source, as one text."""
    return frame.select(
        pl.concat_str([_text(frame, name) for name in columns], separator=KEY_SEPARATOR).alias("source_key")
    )["source_key"]


def source_key(values: Sequence[Any]) -> str:
    """The key of one row at its source."""
    return KEY_SEPARATOR.join(_as_text(value) for value in values)


def _prefix(dataset_id: str) -> bytes:
    return dataset_id.encode() + b"\x00\x00"


def _text(frame: pl.DataFrame, name: str) -> pl.Expr:
    column, dtype = pl.col(name), frame.schema[name]
    if isinstance(dtype, pl.Datetime):
        moment = column.dt.convert_time_zone("UTC") if dtype.time_zone else column
        return moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if dtype == pl.Date:
        return column.dt.strftime("%Y-%m-%d")
    return column.cast(pl.String)


def _as_text(value: Any) -> str:
    from datetime import UTC, datetime

    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
