"""Tables and views of a SQL database, read in pages that begin where the last one ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import polars as pl
from pydantic import SecretStr
from sqlalchemy import Column, ColumnElement, Table, and_, false, literal, or_, select
from sqlalchemy.engine import Connection

from connectors import keyset, sql_discovery
from connectors.configuration import SqlConfiguration
from connectors.endpoint import SqlEndpoint
from connectors.errors import ColumnsMissing, ConfigurationInvalid, KeyNotSelective, Place, placed
from connectors.source import CheckStep, DiscoveredDataset, Operation, Page, PageToken, Slice, Window
from connectors.sql_database import SqlDatabase
from connectors.sql_reading import read_frame

_EVERYTHING, _CHANGES = "everything", "changes"
#: How far a page may grow to hold all rows of one key.
_STRETCH = 8


@dataclass(frozen=True, slots=True)
class _Shape:
    """The table as the source describes it, and what of it is read in which order."""

    table: Table
    columns: tuple[Column[Any], ...]
    ordering: tuple[Column[Any], ...]

    @property
    def ordering_names(self) -> list[str]:
        return [column.name for column in self.ordering]


class SqlSource:
    """One table or view of an agency's database.

    Every page is a short read-only transaction of its own, so that a slow reader holds nothing at the source.
    """

    def __init__(
        self,
        configuration: SqlConfiguration,
        endpoint: SqlEndpoint,
        password: SecretStr,
        *,
        system_id: str,
        columns: Sequence[str] = (),
    ) -> None:
        """Bind a table; nothing is connected yet.

        Args:
            configuration: The connector's part of the contract.
            endpoint: Where the database is.
            password: Password of the reading account.
            system_id: The registered system, named in errors.
            columns: The columns to read, in this order; all when empty.
        """
        self.configuration = configuration
        self.system_id = system_id
        self.columns = tuple(columns)
        self.database = SqlDatabase(configuration, endpoint, password)

    def check(self) -> list[CheckStep]:
        """Try every step from the name of the host to one row."""
        return sql_discovery.check(self)

    def discover(self) -> list[DiscoveredDataset]:
        """List the tables and views that the account sees."""
        with placed(self.place()):
            return sql_discovery.discover(self.database)

    def slices(self, window: Window) -> Sequence[Slice]:
        """Everything, divided at `slice_bounds`; or the changes of the window, if the table tells of them."""
        configuration = self.configuration
        if window.since is not None and configuration.changed_at:
            since = window.since - timedelta(seconds=configuration.overlap_seconds)
            return [
                Slice(
                    _CHANGES,
                    f"{configuration.table}: changes since {since.isoformat()}",
                    Operation.UPSERT,
                    replace(window, since=since),
                )
            ]
        bounds = [None, *configuration.slice_bounds, None]
        if len(bounds) == 2:
            return [Slice(_EVERYTHING, f"{configuration.table}: everything", Operation.SNAPSHOT, window)]
        return [
            Slice(
                f"part-{number:03d}",
                f"{configuration.table}: part {number} of {len(bounds) - 1}",
                Operation.SNAPSHOT,
                window,
                {name: bound for name, bound in (("from", low), ("to", high)) if bound is not None},
            )
            for number, (low, high) in enumerate(pairwise(bounds), start=1)
        ]

    def read(self, slice: Slice, after: PageToken | None = None) -> Iterator[Page]:
        """Read the pages of a slice, each in a transaction of its own."""
        with placed(self.place(slice)):
            shape = self.shape(slice)
            progress = keyset.Progress.resume(after, slice.slice_id, shape.ordering_names)
        complete = False
        while not complete:
            with placed(self.place(slice, progress.page)):
                frame, complete = self._page(shape, slice, progress)
            progress = keyset.Progress(
                key=frame.select(shape.ordering_names).row(-1) if frame.height else progress.key,
                page=progress.page + 1,
                position=progress.position + frame.height,
            )
            yield Page(
                frame=frame.select(column.name for column in shape.columns),
                operation=slice.operation,
                first_position=progress.position - frame.height,
                number=progress.page - 1,
                token=None if complete else progress.token(slice.slice_id, shape.ordering_names),
                complete=complete,
            )

    def close(self) -> None:
        """Give back every connection."""
        self.database.close()

    def place(self, slice: Slice | None = None, page: int | None = None) -> Place:
        """Name where in the source something happens."""
        return Place(self.system_id, self.configuration.table, slice.slice_id if slice else "", page)

    def shape(self, slice: Slice | None = None) -> _Shape:
        """Look at the table.

        Raises:
            DatasetMissing: When the table is not there.
            ColumnsMissing: When a column of the contract is not there.
        """
        configuration = self.configuration
        with self.database.reading(configuration.table) as connection:
            table = self.database.table(connection)
        wanted = self.columns or tuple(column.name for column in table.columns)
        changed_at = (configuration.changed_at,) if slice and slice.slice_id == _CHANGES else ()
        ordering = tuple(name for name in (*changed_at, *configuration.key) if name)
        missing = [name for name in dict.fromkeys((*wanted, *ordering)) if name not in table.columns]
        if missing:
            raise ColumnsMissing(configuration.table, missing, [column.name for column in table.columns])
        return _Shape(
            table=table,
            columns=tuple(table.columns[name] for name in wanted),
            ordering=tuple(table.columns[name] for name in ordering),
        )

    def _page(self, shape: _Shape, slice: Slice, progress: keyset.Progress) -> tuple[pl.DataFrame, bool]:
        """Read one page; a page that one key fills is read once more, larger."""
        rows = self.configuration.page_rows
        with self.database.reading(self.configuration.table) as connection:
            for limit in (rows, rows * _STRETCH):
                frame = self._rows(connection, shape, slice, progress, limit + 1)
                complete = frame.height <= limit
                whole = keyset.cut(frame, shape.ordering_names, limit)
                if whole is not None:
                    return whole, complete
        raise KeyNotSelective(
            f"More than {rows * _STRETCH} rows of {self.configuration.table} share one key",
            why=f"A page ends between two keys, and the key is {', '.join(shape.ordering_names)}",
            remedy="Name more columns under key in the contract, so that each key names few rows",
            key=tuple(shape.ordering_names),
        )

    def _rows(
        self, connection: Connection, shape: _Shape, slice: Slice, progress: keyset.Progress, limit: int
    ) -> pl.DataFrame:
        """Read the rows that have a key, then, when they are all read, those that have none."""
        first, key = shape.ordering[0], progress.key
        begun = key is not None and key[0] is None
        named = false() if begun else and_(keyset.named(shape.ordering, key), *_within(first, slice))
        unnamed = keyset.unnamed(shape.ordering, key) if "to" not in slice.bounds else false()
        if not self.database.endpoint.is_postgresql:
            return self._select(connection, shape, or_(named, unnamed), limit)
        frame = self._select(connection, shape, named, limit)
        left = limit - frame.height
        return pl.concat([frame, self._select(connection, shape, unnamed, left)]) if left else frame

    def _select(
        self, connection: Connection, shape: _Shape, where: ColumnElement[bool], limit: int
    ) -> pl.DataFrame:
        statement = (
            select()
            .select_from(shape.table)
            .where(where)
            .order_by(*(column.asc().nulls_last() for column in shape.ordering))
            .limit(limit)
        )
        columns = tuple(dict.fromkeys((*shape.columns, *shape.ordering)))
        return read_frame(connection, statement, columns, self.configuration.page_megabytes)


def _within(first: Column[Any], slice: Slice) -> list[ColumnElement[bool]]:
    """The bounds of a slice on the first column of its ordering."""
    if slice.slice_id == _CHANGES:
        since, until = slice.window.since, slice.window.until
        begin = [first >= literal(since, first.type)] if since else []
        return [*begin, first < literal(until, first.type)] if until else begin
    low, high = slice.bounds.get("from"), slice.bounds.get("to")
    begin = [first >= _bound(first, low)] if low is not None else []
    return [*begin, first < _bound(first, high)] if high is not None else begin


def _bound(column: Column[Any], text: str) -> ColumnElement[Any]:
    """A bound of the contract in the type of the key."""
    try:
        kind = column.type.python_type
        value = int(text) if kind is int else text
    except (NotImplementedError, ValueError):
        raise ConfigurationInvalid(
            [f"slice_bounds: not every bound is a value for the column {column.name}"]
        ) from None
    if kind not in (int, str):
        raise ConfigurationInvalid(["slice_bounds: only text and integer keys can be divided"])
    return literal(value, column.type)
