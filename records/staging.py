"""Staging: one logged table per batch, made when the batch opens and dropped when it ends.

Logged, because an unlogged table is emptied by a crash and then passes every check. A table of its own
means that loading meets no index, assessing sees exactly the batch, and clearing is one `DROP`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from records.tables import RecordTable

__all__ = ["STAGING_COLUMNS", "PageFigures", "Staging"]

STAGING_COLUMNS: dict[str, str] = {
    "_slice": "int4",
    "_page": "int4",
    "position": "int8",
    "_deleted": "bool",
    "source_key": "text",
    "valid_from": "date",
    "valid_to": "date",
    "content_hash": "bytea",
}
"""What stands before the record's own columns; a leading underscore cannot clash with a field's name."""

_NULLABLE = {"valid_to"}


@dataclass(frozen=True, slots=True)
class PageFigures:
    """How many rows of a page stand in staging, and the sum of their hashes (any order gives the same)."""

    rows: int
    checksum: Decimal
    last_place: str = field(default="(0,0)", compare=False)


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging table of one batch."""

    batch_id: UUID
    table: RecordTable
    latest_by: str | None = None

    @property
    def name(self) -> str:
        """The table's name in the schema `staging`."""
        return f"b_{self.batch_id.hex}"

    @property
    def identifier(self) -> sql.Identifier:
        """The table with its schema."""
        return sql.Identifier("staging", self.name)

    @property
    def judged_name(self) -> str:
        """What is judged: of a feed that only appends, a view of the latest row of each record."""
        return self.name if self.latest_by is None else f"{self.name}_latest"

    @property
    def judged(self) -> sql.Identifier:
        """What is judged, with its schema."""
        return sql.Identifier("staging", self.judged_name)

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Names and types of every column, in the order of COPY."""
        return (*STAGING_COLUMNS.items(), *self.table.columns)

    def create(self, connection: psycopg.Connection[Any]) -> None:
        """Make the table, if it is not there."""
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(
                sql.Identifier(name),
                sql.SQL(kind if name in _NULLABLE or name not in STAGING_COLUMNS else f"{kind} NOT NULL"),
            )
            for name, kind in self.columns
        )
        self._run(connection, "CREATE TABLE IF NOT EXISTS {table} ({columns})", columns=columns)
        if self.latest_by is not None:
            view = sql.SQL("CREATE OR REPLACE VIEW {} AS {}").format(self.judged, self.latest)
            connection.execute(view)

    @property
    def latest(self) -> sql.Composed:
        """The rows that count: in a feed that only appends, the latest of each record."""
        if self.latest_by is None:
            return sql.SQL("SELECT * FROM {}").format(self.identifier)
        return sql.SQL(
            "SELECT DISTINCT ON (source_key, valid_from, _deleted) * FROM {} ORDER BY source_key, valid_from,"
            " _deleted, {} DESC, _slice DESC, _page DESC, position DESC"
        ).format(self.identifier, sql.Identifier(self.latest_by))

    def drop(self, connection: psycopg.Connection[Any]) -> None:
        """Drop the table with its view, if it is there."""
        self._run(connection, "DROP TABLE IF EXISTS {table} CASCADE")

    def exists(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether the table is there."""
        row = connection.execute("SELECT to_regclass(%s)", [f"staging.{self.name}"]).fetchone()
        return row is not None and row[0] is not None

    def analyze(self, connection: psycopg.Connection[Any]) -> None:
        """Let the planner see what was landed."""
        self._run(connection, "ANALYZE {table}")

    def copy(self, connection: psycopg.Connection[Any], frame: pl.DataFrame) -> None:
        """Write rows by binary COPY; the frame has exactly the columns of `columns`."""
        names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in self.columns)
        statement = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT binary)").format(
            table=self.identifier, columns=names
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types([kind.partition("(")[0] for _, kind in self.columns])  # numeric(38,6): numeric
            write = copy.write_row
            for row in frame.select([name for name, _ in self.columns]).iter_rows():
                write(row)

    def page_figures(
        self, connection: psycopg.Connection[Any], slice_no: int, page_no: int, *, after: str = "(0,0)"
    ) -> PageFigures:
        """Count and sum one page, looking only behind the last row of the page before."""
        row = self._run(
            connection,
            "SELECT count(*), coalesce(sum(hash_record_extended(s, 0)), 0), coalesce(max(s.ctid),"
            " %(after)s::tid)::text"
            " FROM {table} s WHERE s.ctid >= %(after)s::tid AND s._slice = %(slice)s AND s._page = %(page)s",
            after=after,
            slice=slice_no,
            page=page_no,
        ).fetchone()
        assert row is not None
        return PageFigures(*row)

    def all_figures(self, connection: psycopg.Connection[Any]) -> dict[tuple[int, int], PageFigures]:
        """Count and sum every page."""
        rows = self._run(
            connection,
            "SELECT _slice, _page, count(*), sum(hash_record_extended(s, 0)) FROM {table} s GROUP BY 1, 2",
        )
        return {(row[0], row[1]): PageFigures(row[2], row[3]) for row in rows}

    def withdraw_duplicates(
        self, connection: psycopg.Connection[Any], *, by_period: bool, latest_by: str | None = None
    ) -> list[dict[str, Any]]:
        """Take out every row whose key occurs more than once: which one is right is not ours to pick.

        Args:
            connection: Connection in the ingest role.
            by_period: Whether one key may hold in several periods of validity.
            latest_by: The field that orders the versions of a record, in a feed that only appends; there only
                two different rows under one number are doubtful.
        """
        key = ("source_key", "valid_from") if by_period else ("source_key",)
        doubtful = "count(*) > 1"
        if latest_by is not None:
            key, doubtful = (*key, latest_by), "count(DISTINCT content_hash) > 1"
        listed = sql.SQL(", ").join(map(sql.Identifier, key))
        query = sql.SQL(
            "WITH twice AS (SELECT {key} FROM {table} GROUP BY {key} HAVING {doubtful})"
            " DELETE FROM {table} s USING twice t WHERE ({mine}) = ({theirs})"
            " RETURNING s.*, hash_record_extended(s, 0) AS _hash"
        ).format(
            table=self.identifier,
            key=listed,
            doubtful=sql.SQL(doubtful),
            mine=sql.SQL(", ").join(sql.Identifier("s", name) for name in key),
            theirs=sql.SQL(", ").join(sql.Identifier("t", name) for name in key),
        )
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()

    def _run(
        self,
        connection: psycopg.Connection[Any],
        statement: str,
        *,
        columns: sql.Composable | None = None,
        **given: Any,
    ) -> psycopg.Cursor[Any]:
        query = sql.SQL(statement).format(table=self.identifier, columns=columns or sql.SQL(""))
        return connection.execute(query, given or None)
