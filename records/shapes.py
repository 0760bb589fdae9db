"""The shapes of the datasets in force, kept in memory for the hot path until a contract changes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

__all__ = ["DatasetShape", "all_shapes", "forget", "read_shapes", "shapes_of"]


@dataclass(frozen=True, slots=True)
class DatasetShape:
    """Where the records of a dataset are and what they look like.

    `comparable` are the fields that every register must tell alike, such as the day of birth.
    """

    dataset_id: str
    record_type: str
    table_name: str
    columns: tuple[tuple[str, str], ...]
    order_columns: tuple[str, ...]
    comparable: tuple[str, ...]
    subject_column: str | None
    contract_hash: str

    def __hash__(self) -> int:
        """Quick, for statements are remembered by shape on the hot path; the hash names the contract."""
        return hash((self.dataset_id, self.contract_hash))

    @property
    def table(self) -> sql.Identifier:
        """The record table."""
        return sql.Identifier("records", self.table_name)

    def sql_type(self, column: str) -> str | None:
        """Type of a column, None when there is no such column."""
        return next((kind for name, kind in self.columns if name == column), None)


_KNOWN: dict[str, dict[str, DatasetShape]] = {}
_GUARD = threading.Lock()


def shapes_of(
    connection: psycopg.Connection[Any], dataset_ids: Sequence[str], *, fresh: bool = False
) -> dict[str, DatasetShape]:
    """The shapes of some datasets; one that is not in force is missing."""
    known = _KNOWN.get(_place(connection), {})
    if fresh or any(each not in known for each in dataset_ids):
        known = _read(connection)
    return {each: known[each] for each in dataset_ids if each in known}


def all_shapes(connection: psycopg.Connection[Any]) -> tuple[DatasetShape, ...]:
    """Every dataset in force that this process knows of."""
    known = _KNOWN.get(_place(connection)) or _read(connection)
    return tuple(known.values())


def read_shapes(connection: psycopg.Connection[Any]) -> tuple[DatasetShape, ...]:
    """Every dataset in force, read anew: for work in bulk, where one question more costs nothing."""
    return tuple(_read(connection).values())


def forget() -> None:
    """Drop what is remembered; for tests that recreate databases."""
    with _GUARD:
        _KNOWN.clear()


def _read(connection: psycopg.Connection[Any]) -> dict[str, DatasetShape]:
    rows = connection.execute(
        "SELECT dataset_id, record_type, table_name, columns, order_columns, comparable, subject_column,"
        " contract_hash"
        " FROM records.dataset WHERE mode = 'copy' ORDER BY dataset_id"
    ).fetchall()
    found = {
        row[0]: DatasetShape(
            row[0],
            row[1],
            row[2],
            tuple((name, kind) for name, kind in row[3]),
            tuple(row[4]),
            tuple(row[5]),
            row[6],
            row[7],
        )
        for row in rows
    }
    with _GUARD:
        _KNOWN[_place(connection)] = found
    return found


def _place(connection: psycopg.Connection[Any]) -> str:
    info = connection.info
    return f"{info.host}:{info.port}/{info.dbname}"
