"""Lists as PostgreSQL reads arrays, written in one go: psycopg asks each element in turn how to adapt it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

__all__ = ["as_array"]


def as_array(values: list[Any]) -> Any:
    """The literal of an array, whose type the statement says; other lists are left as they are.

    Elements are None, whole numbers, texts, bytes, UUIDs, days, moments and truth values.
    """
    try:
        return "{" + ",".join([_ELEMENTS[type(value)](value) for value in values]) + "}"
    except KeyError:
        return values


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _bytes(value: bytes) -> str:
    return '"\\\\x' + value.hex() + '"'


def _moment(value: datetime) -> str:
    return f'"{value.isoformat()}"'


_ELEMENTS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    bool: lambda value: "t" if value else "f",
    int: str,
    str: _quoted,
    bytes: _bytes,
    UUID: str,
    date: date.isoformat,
    datetime: _moment,
}
