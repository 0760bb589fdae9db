"""The rows of one key in a SQL table or view, live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import polars as pl
from pydantic import SecretStr
from sqlalchemy import Column, ColumnElement, Table, literal, select

from connectors.configuration import SqlConfiguration
from connectors.endpoint import SqlEndpoint
from connectors.errors import ColumnsMissing, Place
from connectors.lookups import LONGEST_ANSWER_MEGABYTES, LONGEST_ANSWER_ROWS
from connectors.sql_database import SqlDatabase
from connectors.sql_reading import read_few

_CONNECTIONS = 4
_LONGEST_INTEGER = 18


@dataclass(frozen=True, slots=True)
class _Shape:
    """The table as the source describes it, and what of it is asked."""

    table: Table
    columns: tuple[Column[Any], ...]
    key: Mapping[str, Column[Any]]

    def only(self, names: Sequence[str]) -> tuple[Column[Any], ...]:
        """These of the columns, in their own order; all when none are named."""
        return tuple(column for column in self.columns if column.name in names) if names else self.columns


class SqlQuestion:
    """Asks a table by parameters; what the table looks like is asked once and kept."""

    def __init__(
        self,
        configuration: SqlConfiguration,
        endpoint: SqlEndpoint,
        password: SecretStr,
        *,
        system_id: str,
        columns: Sequence[str] = (),
    ) -> None:
        """Bind a table; nothing is connected yet."""
        self.place = Place(system_id, configuration.table)
        self.key: Sequence[str] = configuration.lookup_key
        self._columns = tuple(columns)
        self._database = SqlDatabase(configuration, endpoint, password, connections=_CONNECTIONS)
        self._shape: _Shape | None = None
        self._looking = Lock()

    def ask(self, key: Mapping[str, str], seconds: float, columns: Sequence[str] = ()) -> pl.DataFrame:
        """Ask for the rows that carry the key; the statement names the columns that are needed."""
        with self._database.reading(self.place.dataset, seconds=seconds) as connection:
            with self._looking:
                shape = self._shape = self._shape or self._look(connection)
            same = [_same(shape.key[name], value) for name, value in key.items()]
            statement = select().select_from(shape.table).limit(LONGEST_ANSWER_ROWS + 1)
            if any(each is None for each in same):
                statement = statement.limit(0)
            else:
                statement = statement.where(*(each for each in same if each is not None))
            try:
                return read_few(connection, statement, shape.only(columns), LONGEST_ANSWER_MEGABYTES)
            except Exception:
                self._shape = None  # it may have changed since it was looked at
                raise

    def close(self) -> None:
        """Give back every connection."""
        self._database.close()

    def _look(self, connection: Any) -> _Shape:
        table = self._database.table(connection)
        wanted = self._columns or tuple(column.name for column in table.columns)
        missing = [name for name in dict.fromkeys((*wanted, *self.key)) if name not in table.columns]
        if missing:
            raise ColumnsMissing(self.place.dataset, missing, [column.name for column in table.columns])
        return _Shape(
            table=table,
            columns=tuple(table.columns[name] for name in wanted),
            key={name: table.columns[name] for name in self.key},
        )


def _same(column: Column[Any], value: str) -> ColumnElement[bool] | None:
    """That a column holds a value; None when its type cannot hold it.

    The parameter takes the column's own type, so that an index serves. A text longer than the type is never
    asked for: the database would cut it to that length and find somebody else.
    """
    try:
        kind = column.type.python_type
    except NotImplementedError:
        kind = str
    if kind is int:
        whole = value.isascii() and value.isdigit() and len(value) <= _LONGEST_INTEGER
        return column == literal(int(value), column.type) if whole else None
    length = getattr(column.type, "length", None)
    if isinstance(length, int) and len(value) > length:
        return None
    return column == literal(value, column.type if kind is str else None)
