"""Where a page ends: between two keys, never inside the rows of one.

Invariant: a row that exists throughout a reading is read exactly once, whatever rows share its timestamp or
its key, however often the reading is interrupted. Pages are ordered by the key (everything) or by moment of
change and key (changes), nulls last; a page is cut before the last key that did not fit in whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, and_, false, literal, or_

from connectors.page_token import read_token, write_token
from connectors.source import PageToken

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a slice has been read: the last key, and how many pages and rows came before."""

    key: Key | None = None
    page: int = 0
    position: int = 0

    def token(self, slice_id: str, ordering: Sequence[str]) -> PageToken:
        """Write it down, so that another process can go on."""
        key = None if self.key is None else [_encode(value) for value in self.key]
        held = {"o": list(ordering), "n": self.page, "p": self.position, "k": key}
        return write_token(slice_id, held)

    @classmethod
    def resume(cls, after: PageToken | None, slice_id: str, ordering: Sequence[str]) -> Progress:
        """Read a token of this slice and ordering.

        Raises:
            TokenNotOurs: When it is another slice's, another ordering's, or no token at all.
        """
        if after is None:
            return cls()

        def found(value: Mapping[str, Any]) -> Progress | None:
            key = None if value["k"] is None else tuple(_decode(each) for each in value["k"])
            read = cls(key=key, page=int(value["n"]), position=int(value["p"]))
            return read if value["o"] == list(ordering) else None

        made_for = "another slice, or with another key or moment of change"
        return read_token(after, slice_id, found, made_for=made_for)


def named(columns: Sequence[ColumnElement[Any]], key: Key | None) -> ColumnElement[bool]:
    """The rows with a first key column that come after a key, in a shape for which an index serves."""
    first, rest = columns[0], columns[1:]
    if key is None:
        return first.is_not(None)
    value = _typed(first, key[0])
    if not rest:
        return first > value
    return and_(first >= value, or_(first > value, _after(rest, key[1:])))


def unnamed(columns: Sequence[ColumnElement[Any]], key: Key | None) -> ColumnElement[bool]:
    """The rows without a first key column that come after a key; they come last of all."""
    first, rest = columns[0], columns[1:]
    begun = key is not None and key[0] is None
    return and_(first.is_(None), _after(rest, key[1:])) if key and begun else first.is_(None)


def _after(columns: Sequence[ColumnElement[Any]], key: Key) -> ColumnElement[bool]:
    """The rows that come after a key, nulls last."""
    ways = []
    for place, column in enumerate(columns):
        same = [_equal(columns[before], key[before]) for before in range(place)]
        ways.append(and_(*same, _greater(column, key[place])))
    return or_(false(), *ways)


def cut(frame: pl.DataFrame, ordering: Sequence[str], limit: int) -> pl.DataFrame | None:
    """Cut a frame that holds more than `limit` rows so that it ends between two keys; None if it cannot."""
    if frame.height <= limit:
        return frame
    last = frame.row(limit, named=True)
    same = frame.select(
        pl.all_horizontal(
            pl.col(name).eq_missing(pl.lit(last[name], frame.schema[name])) for name in ordering
        )
    ).to_series()
    begin = same.arg_max()
    return frame.head(begin) if begin else None


def _equal(column: ColumnElement[Any], value: object) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == _typed(column, value)


def _greater(column: ColumnElement[Any], value: object) -> ColumnElement[bool]:
    if value is None:
        return false()
    return or_(column > _typed(column, value), column.is_(None))


def _typed(column: ColumnElement[Any], value: object) -> ColumnElement[Any]:
    """A value as the column's type, unless the driver handed it out as another (SQLite does)."""
    try:
        fits = isinstance(value, column.type.python_type)
    except NotImplementedError:
        fits = False
    return literal(value, column.type) if fits else literal(value)


def _encode(value: object) -> list[Any]:
    if value is None or isinstance(value, bool | int | str):
        return ["j", value]
    if isinstance(value, datetime):
        return ["m", value.isoformat()]
    if isinstance(value, date):
        return ["d", value.isoformat()]
    if isinstance(value, Decimal):
        return ["n", str(value)]
    if isinstance(value, float):
        return ["f", value.hex()]
    if isinstance(value, bytes):
        return ["b", value.hex()]
    raise TypeError("a key column holds values of a type that cannot be written into a page token")


def _decode(value: list[Any]) -> Any:
    kind, text = value
    readers = {
        "j": lambda plain: plain,
        "m": datetime.fromisoformat,
        "d": date.fromisoformat,
        "n": Decimal,
        "f": float.fromhex,
        "b": bytes.fromhex,
    }
    return readers[kind](text)
