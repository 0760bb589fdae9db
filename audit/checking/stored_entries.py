"""Entries as the database stores them, read by tiles of 256: one row of joined bytes for each tile."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from audit.tree.tiles import TILE_WIDTH

__all__ = ["SEPARATOR", "StoredTile", "next_tile", "read_rows", "read_tiles"]

SEPARATOR = "\x1f"
"""Between the search columns of a tile; no value that an entry can hold has it."""

_TIME = "to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

# The columns are compared as one text a tile; `=` stands before a value, so that none is not the empty one.
_TILES = f"""
COPY (
    SELECT e.indexes, e.lengths, e.entries, e.columns
      FROM generate_series({{first}}::bigint, {{last}}::bigint) AS tile
     CROSS JOIN LATERAL (
           SELECT string_agg(int8send(entry_index), ''::bytea ORDER BY entry_index) AS indexes,
                  string_agg(int4send(octet_length(entry)), ''::bytea ORDER BY entry_index) AS lengths,
                  string_agg(entry, ''::bytea ORDER BY entry_index) AS entries,
                  string_agg(concat_ws(E'\\x1f', entry_id, kind, {_TIME}, coalesce('=' || provider, ''),
                                       coalesce('=' || consumer, ''), coalesce('=' || purpose, ''),
                                       coalesce('=' || outcome, '')),
                             E'\\x1f' ORDER BY entry_index) AS columns
             FROM audit.entries
            WHERE entry_index >= tile * 256 AND entry_index <= tile * 256 + 255
     ) AS e
     WHERE e.indexes IS NOT NULL
     ORDER BY tile
) TO STDOUT (FORMAT binary)
"""  # noqa: S608 - only our own constant is put in
_ROWS = f"""
SELECT entry_index, entry, entry_id::text, kind, {_TIME}, provider, consumer, purpose, outcome
  FROM audit.entries WHERE entry_index >= %s AND entry_index <= %s ORDER BY entry_index
"""  # noqa: S608 - only our own constant is put in
_NEXT = "SELECT min(entry_index) FROM audit.entries WHERE entry_index >= %s"


@dataclass(frozen=True, slots=True)
class StoredTile:
    """The entries of one tile that are stored, with their search columns joined."""

    indexes: tuple[int, ...]
    entries: list[bytes]
    columns: str

    @property
    def number(self) -> int:
        """Which tile it is."""
        return self.indexes[0] // TILE_WIDTH


def next_tile(connection: psycopg.Connection[Any], index: int) -> int | None:
    """The tile of the first entry from an index on; None where there is none."""
    row = connection.execute(_NEXT, (index,)).fetchone()
    return None if row is None or row[0] is None else int(row[0]) // TILE_WIDTH


def read_tiles(connection: psycopg.Connection[Any], first: int, last: int) -> Iterator[StoredTile]:
    """The tiles from one number to another that have any entry, as the server sends them."""
    query = sql.SQL(_TILES).format(first=sql.Literal(first), last=sql.Literal(last))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(["bytea", "bytea", "bytea", "text"])
        for indexes, lengths, joined, columns in copy.rows():
            count = len(lengths) // 4
            entries, start = [], 0
            for length in struct.unpack(f">{count}I", lengths):
                entries.append(joined[start : start + length])
                start += length
            yield StoredTile(struct.unpack(f">{count}q", indexes), entries, columns)


def read_rows(connection: psycopg.Connection[Any], tile: StoredTile) -> list[tuple[Any, ...]]:
    """The same entries row by row: index, bytes, and the search columns, each for itself."""
    return connection.execute(_ROWS, (tile.indexes[0], tile.indexes[-1]), binary=True).fetchall()
