"""What stands beside the entries: their search columns, and the sealed rows whose digests they hold.

Search columns are compared a tile at a time, as one text; only where that differs is each row looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import psycopg

from audit.checking.damage import DamageKind
from audit.checking.stored_entries import SEPARATOR, StoredTile, read_rows
from audit.checking.tree_walk import Findings
from audit.kinds import EntryKind
from audit.tree.pruned_prefix import pruned_to
from foundation.canonical import sha256_hex

__all__ = ["BesideEntries"]

_NAMES = ("id", "kind", "time", "provider", "consumer", "purpose", "outcome")
_COLUMNS = ("entry_id", "kind", "occurred_at", *_NAMES[3:])
_PRUNED = str(EntryKind.AUDIT_PRUNED)
_MOST_MARKS = 10_000
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_SEALED = "SELECT entry_id::text, blob FROM audit.sealed WHERE entry_id = ANY (%s::uuid[])"
_SEALED_IN_ALL = """
SELECT (SELECT count(entry_id) FROM audit.sealed)
     - (SELECT count(entry_id) FROM audit.sealed WHERE entry_id IN (SELECT entry_id FROM audit.outbox))
"""
_NOT_NAMED = """
SELECT e.entry_index, e.entry FROM audit.sealed s JOIN audit.entries e USING (entry_id)
 WHERE position('"sealed":{'::bytea IN e.entry) = 0 ORDER BY e.entry_index LIMIT 20
"""


class _Marks(dict[str | None, str]):
    """How a value stands in the joined columns; values are few and often the same."""

    def __missing__(self, value: str | None) -> str:
        if len(self) > _MOST_MARKS:
            self.clear()
        self[value] = mark = "" if value is None else "=" + value
        return mark


@dataclass(slots=True)
class BesideEntries:
    """Checks what stands beside entries against the entries' own bytes.

    Attributes:
        findings: where damages are noted.
        pruned: up to which index an entry says that the log was pruned.
        sealed: how many sealed rows stand where an entry names one.
    """

    findings: Findings
    pruned: int = 0
    sealed: int = 0
    _marks: _Marks = field(default_factory=_Marks)
    _doubtful: list[StoredTile] = field(default_factory=list)
    _waiting: dict[str, tuple[int, str | None]] = field(default_factory=dict)

    def take(self, tile: StoredTile) -> None:
        """Compare the columns of a tile, and remember which sealed rows its entries name."""
        try:
            expected = self._read(tile)
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            expected = None  # no entry is like that: each row is looked at
        separators = len(_NAMES) * len(tile.entries) - 1
        if expected != tile.columns or tile.columns.count(SEPARATOR) != separators:
            self._doubtful.append(tile)

    def settle(self, connection: psycopg.Connection[Any]) -> None:
        """Look at the rows that were doubtful, and compare the sealed rows that were named."""
        for tile in self._doubtful:
            for index, encoded, *found in read_rows(connection, tile):
                self._check_row(index, bytes(encoded), found)
        self._doubtful.clear()
        if self._waiting:
            self._check_sealed(connection)
            self._waiting.clear()

    def check_unnamed(self, connection: psycopg.Connection[Any]) -> None:
        """Find sealed rows of entries that name none; beside those found, only waiting entries have any."""
        row = connection.execute(_SEALED_IN_ALL).fetchone()
        if row is None or row[0] <= self.sealed:
            return
        for index, _ in connection.execute(_NOT_NAMED).fetchall():
            self.findings.report(index, DamageKind.SEALED_EDITED, "the entry names no sealed content")

    def _read(self, tile: StoredTile) -> str:
        parts: list[str] = []
        marks, loads = self._marks, orjson.loads
        for place, encoded in enumerate(tile.entries):
            data = loads(encoded)
            get = data.get
            kind = get("kind")
            parts += (
                get("id"), kind, get("time"), marks[get("provider")],
                marks[get("consumer")], marks[get("purpose")], marks[get("outcome")],
            )  # fmt: skip
            if get("sealed") is not None or kind == _PRUNED:
                self._note(tile.indexes[place], data)
        return SEPARATOR.join(parts)

    def _note(self, index: int, data: Mapping[str, Any]) -> None:
        """Remember what an entry says about sealed content, or about entries that were pruned."""
        if data.get("kind") == _PRUNED:
            self.pruned = max(self.pruned, pruned_to(data))
        entry_id, sealed = data.get("id"), data.get("sealed")
        if isinstance(sealed, dict) and isinstance(entry_id, str) and _UUID.fullmatch(entry_id):
            self._waiting.setdefault(entry_id, (index, sealed.get("digest")))

    def _check_row(self, index: int, encoded: bytes, found: Sequence[Any]) -> None:
        try:
            data = orjson.loads(encoded)
        except orjson.JSONDecodeError:
            return  # such bytes never hash to a leaf; that is reported with their place
        if not isinstance(data, dict):
            return
        self._note(index, data)
        wrong = [
            column
            for column, name, value in zip(_COLUMNS, _NAMES, found, strict=True)
            if value != data.get(name) and not (name == "time" and _same_moment(value, data.get(name)))
        ]
        if wrong:
            detail = f"{', '.join(wrong)} differs from the entry"
            self.findings.report(index, DamageKind.SEARCH_COLUMN_EDITED, detail)

    def _check_sealed(self, connection: psycopg.Connection[Any]) -> None:
        """Sealed rows against the digests in the entries: no key is needed for that."""
        wanted = "{" + ",".join(self._waiting) + "}"
        with connection.cursor() as cursor:
            for entry_id, blob in cursor.stream(_SEALED, (wanted,), binary=True):
                index, digest = self._waiting.pop(entry_id)
                self.sealed += 1
                if sha256_hex(bytes(blob)) != digest:
                    detail = "it does not have the digest in the entry"
                    self.findings.report(index, DamageKind.SEALED_EDITED, detail)
        for index, _ in self._waiting.values():
            detail = "the entry names sealed content that is gone"
            self.findings.report(index, DamageKind.SEALED_DROPPED, detail)


def _same_moment(found: str, expected: Any) -> bool:
    try:
        return datetime.fromisoformat(found) == datetime.fromisoformat(expected)
    except (ValueError, TypeError):
        return False
