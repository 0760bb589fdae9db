"""The bytes of an entry: RFC 8785, within limits, and without anything that looks like an identifier."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import orjson

from audit.errors import EntryRefused
from audit.kinds import FIELDS
from foundation.errors import Location

__all__ = [
    "MAXIMUM_ENTRY_BYTES",
    "canonical_bytes",
    "canonical_value",
    "check_whole",
    "looks_personal",
    "parse",
]

MAXIMUM_ENTRY_BYTES = 65_535
_LARGEST_INTEGER = 2**53 - 1
_MAXIMUM_DEPTH = 6
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/\-]{0,199}")
_LOOKS_PERSONAL = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ .\-]?[0-9]){14,15}(?![0-9A-Za-z])")
_DIGITS_IN_A_ROW = b"0" * 15
_ONLY_DIGITS_MATTER = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x78 for byte in range(256))
_MAY_STAND_BETWEEN_DIGITS = b" .-"
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def canonical_bytes(data: dict[str, Any]) -> bytes:
    """RFC 8785 bytes of an entry: ASCII keys, no floats, integers below 2^53, at most 65,535 bytes.

    With ASCII keys and without floats, sorted compact JSON is RFC 8785 (a property test says so).

    Raises:
        EntryRefused: when the object is not within those limits, or holds what looks like an identifier.
    """
    _check_value(data, "entry", 0)
    return check_whole(_encode(data))


def canonical_value(value: Any, name: str) -> bytes:
    """RFC 8785 bytes of one field of an entry; `check_whole` looks at the entry that they become part of.

    Raises:
        EntryRefused: when no entry could hold it.
    """
    _check_value(value, name, 1)
    return _encode(value)


def check_whole(encoded: bytes) -> bytes:
    """The encoded entry, if it is not too long and holds nothing personal.

    Raises:
        EntryRefused: otherwise.
    """
    if len(encoded) > MAXIMUM_ENTRY_BYTES:
        raise EntryRefused(
            f"The entry has {len(encoded)} bytes; at most {MAXIMUM_ENTRY_BYTES} are allowed.",
            remedy="Give counts instead of lists, or put the content under `sealed`.",
        )
    # A fast look, and a careful one where it finds digits. The fast look leaves out whatever may stand
    # between the digits of an identifier, so it finds at least as much.
    if _DIGITS_IN_A_ROW in encoded.translate(_ONLY_DIGITS_MATTER, _MAY_STAND_BETWEEN_DIGITS):
        _check_texts(orjson.loads(encoded), "entry")
    return encoded


def looks_personal(text: str) -> bool:
    """Whether a text looks like a national identifier, so that no entry could hold it."""
    return bool(_LOOKS_PERSONAL.search(_UUID.sub("", text)))


def parse(encoded: bytes) -> dict[str, Any]:
    """Read stored entry bytes.

    Raises:
        EntryRefused: when they are not one JSON object.
    """
    try:
        data = orjson.loads(encoded)
    except orjson.JSONDecodeError as error:
        raise EntryRefused("The entry is not JSON.") from error
    if not isinstance(data, dict):
        raise EntryRefused("The entry is not a JSON object.")
    return data


def _encode(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise EntryRefused("The entry holds something that JSON cannot carry.") from error


def _check_value(value: Any, where: str, depth: int) -> None:
    kind = type(value)
    if kind in _WITHOUT_PARTS:
        return
    if depth > _MAXIMUM_DEPTH:
        raise EntryRefused("The entry is nested too deeply.", location=Location(field=where))
    if kind is dict:
        if not (value.keys() <= _OUR_KEYS or all(map(_is_key, value))):
            raise EntryRefused("A key must be a plain ASCII name.", location=Location(field=where))
        for name, item in value.items():
            if type(item) not in _WITHOUT_PARTS:
                _check_value(item, name, depth + 1)
    elif kind is list:
        if not _WITHOUT_PARTS.issuperset(map(type, value)):
            for item in value:
                _check_value(item, where, depth + 1)
    else:
        _check_scalar(value, where)


def _check_scalar(value: Any, where: str) -> None:
    if not isinstance(value, int | str):
        raise EntryRefused(f"An entry cannot hold a {type(value).__name__}.", location=Location(field=where))
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise EntryRefused("An integer is too large for an entry.", location=Location(field=where))


_WITHOUT_PARTS = frozenset({str, bool, type(None)})
_OUR_KEYS = FIELDS.keys() | {"revision", "hash"}


@lru_cache(maxsize=1024, typed=True)
def _is_key(name: Any) -> bool:
    """Remembered, for keys are the few names that stand in our code."""
    return isinstance(name, str) and _KEY.fullmatch(name) is not None


def _check_texts(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, where)
            _check_texts(item, name)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item, where)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        _check_text(str(value), where)


def _check_text(value: str, where: str) -> None:
    if looks_personal(value):
        raise EntryRefused(
            "A text in the entry looks like a national identifier.",
            why="Entries hold nothing that can be tested against a person.",
            remedy="Put it under `sealed`, or leave it out.",
            location=Location(field=where),
        )
