"""Lists as PostgreSQL reads arrays, written in one go: psycopg asks each element in turn how to adapt it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

__all__ = ["Array", "as_array"]


class Array(NamedTuple):
    """An array as it is sent, and the object id of its type; 0 where the statement says which it is."""

    content: bytes
    type: int
    is_raw: bool = False


def as_array(values: list[Any]) -> Array | None:
    """The array that a list stands for; None where that is left to psycopg.

    Elements of one kind are known: whole numbers, texts, bytes, UUIDs, days, moments, truth values; and None.
    Bytes and UUIDs are sent raw, so that neither side writes or reads every byte of them as two digits.
    """
    kinds = set(map(type, values))
    kinds.discard(type(None))
    if not kinds:
        return Array(_literal(values, str), 0)
    known = _KINDS.get(kinds.pop()) if len(kinds) == 1 else None
    if known is None:
        return None
    type_of_array, write = known
    if type_of_array == _BYTEA_ARRAY:
        return Array(_raw(_BYTEA, values), type_of_array, is_raw=True)
    if type_of_array == _UUID_ARRAY:
        content = _raw(_UUID, [None if value is None else value.bytes for value in values])
        return Array(content, type_of_array, is_raw=True)
    try:
        plain = _plain(values) if write is _text else None
        return Array(_literal(values, write) if plain is None else plain, type_of_array)
    except _LeftToPsycopg:
        return None


class _LeftToPsycopg(Exception):  # noqa: N818 - nothing is wrong
    """An element is of a kind that is not known here after all."""


def _literal(values: list[Any], write: Callable[[Any], str]) -> bytes:
    return ("{" + ",".join(["NULL" if value is None else write(value) for value in values]) + "}").encode()


def _raw(kind: int, values: list[bytes | None]) -> bytes:
    head = _HEAD(1, None in values, kind, len(values), 1)
    parts = [_NOTHING if value is None else _LENGTH(len(value)) + value for value in values]
    return b"".join([head, *parts])


def _plain(texts: list[str | None]) -> bytes | None:
    """Texts none of which needs quotes, as most are; None where one does, or is none."""
    if None in texts or "" in texts:
        return None
    joined = ",".join(texts).encode()  # type: ignore[arg-type]
    if joined.translate(None, _HARMLESS) != b"," * (len(texts) - 1) or b"null" in joined.lower():
        return None
    return b"{" + joined + b"}"


def _text(text: str) -> str:
    if not _UNCLEAR.search(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise _LeftToPsycopg
    return f'"{value.isoformat()}"'


_UNCLEAR = re.compile(r'[",{}\\\s]|\A(?:null)?\Z', re.IGNORECASE)
_BYTEA, _BYTEA_ARRAY = 17, 1001  # object ids of types never change
_UUID, _UUID_ARRAY = 2950, 2951
_HEAD, _LENGTH = struct.Struct("!5i").pack, struct.Struct("!i").pack
_NOTHING = _LENGTH(-1)
_HARMLESS = bytes(set(range(256)) - set(b'",{}\\ \t\n\v\f\r'))
_KINDS: dict[type, tuple[int, Callable[[Any], str]]] = {
    bool: (1000, lambda value: "t" if value else "f"),
    bytes: (_BYTEA_ARRAY, str),
    str: (0, _text),  # as psycopg has it: a text may stand for anything
    int: (1016, str),
    date: (1182, date.isoformat),
    datetime: (1185, _moment),
    UUID: (_UUID_ARRAY, str),
}
