"""One page out of a SQL database, columnar: by COPY from PostgreSQL, by rows from others."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
from sqlalchemy import Column, Select, literal_column, type_coerce
from sqlalchemy import types as sa
from sqlalchemy.engine import Connection

from connectors import cells
from connectors.errors import PageTooLarge, PageUnreadable
from connectors.sql_cells import CellPlan, plan

_MEGABYTE = 1024 * 1024
#: A last column that is never empty, so that no line of the CSV is.
_SENTINEL = "end"


def read_frame(
    connection: Connection, statement: Select[Any], columns: Sequence[Column[Any]], megabytes: int
) -> pl.DataFrame:
    """Read what a statement selects of these columns into a frame.

    Raises:
        PageTooLarge: When it holds more than `megabytes`.
        PageUnreadable: When a column holds what its own type does not allow.
    """
    if connection.dialect.name == "postgresql":
        return _by_copy(connection, statement, columns, megabytes)
    return _by_rows(connection, statement, columns)


def read_few(
    connection: Connection, statement: Select[Any], columns: Sequence[Column[Any]], megabytes: int
) -> pl.DataFrame:
    """Read few rows, as `read_frame` would give them, with the values of the question as parameters.

    COPY takes no parameters: what it looks for would stand in the text of the statement, and with it in the
    source's list of activity and, should it fail, in its log.

    Raises:
        PageTooLarge: When they hold more than `megabytes`.
        PageUnreadable: When a column holds what its own type does not allow.
    """
    if connection.dialect.name != "postgresql":
        return _by_rows(connection, statement, columns)
    plans = [plan(column, column.type) for column in columns]
    asked = [each.ask.label(f"c{place}") for place, each in enumerate(plans)]
    compiled = statement.add_columns(*asked, literal_column("1").label(_SENTINEL)).compile(
        dialect=connection.dialect
    )
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor() as cursor:
        cursor.execute(str(compiled).encode(), dict(compiled.params))
        return _parse(_as_csv(cursor, megabytes), columns, plans)


def _as_csv(cursor: psycopg.Cursor[Any], megabytes: int) -> io.BytesIO:
    """What the source sent as text, in the form that COPY gives it."""
    result = cursor.pgresult
    assert result is not None
    buffer = io.BytesIO()
    for row in range(result.ntuples):
        line = (_quoted(result.get_value(row, column)) for column in range(result.nfields))
        buffer.write(b",".join(line) + b"\n")
    if buffer.tell() > megabytes * _MEGABYTE:
        raise _too_large(megabytes)
    buffer.seek(0)
    return buffer


def _quoted(cell: bytes | None) -> bytes:
    return b"" if cell is None else b'"' + cell.replace(b'"', b'""') + b'"'


def _by_copy(
    connection: Connection, statement: Select[Any], columns: Sequence[Column[Any]], megabytes: int
) -> pl.DataFrame:
    plans = [plan(column, column.type) for column in columns]
    asked = [each.ask.label(f"c{place}") for place, each in enumerate(plans)]
    compiled = statement.add_columns(*asked, literal_column("1").label(_SENTINEL)).compile(
        dialect=connection.dialect
    )
    text = _copy_out(
        connection, f"COPY ({compiled}) TO STDOUT (FORMAT csv)", dict(compiled.params), megabytes
    )
    return _parse(text, columns, plans)


def _copy_out(connection: Connection, command: str, parameters: dict[str, Any], megabytes: int) -> io.BytesIO:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    buffer = io.BytesIO()
    with driver.cursor() as cursor, cursor.copy(command.encode(), parameters) as copy:
        for chunk in copy:
            buffer.write(chunk)
            if buffer.tell() > megabytes * _MEGABYTE:
                raise _too_large(megabytes)
    buffer.seek(0)
    return buffer


def _too_large(megabytes: int) -> PageTooLarge:
    return PageTooLarge(
        f"A page holds more than {megabytes} MB",
        remedy="Make page_rows smaller in the contract, or page_megabytes larger",
        limit_megabytes=megabytes,
    )


def _parse(text: io.BytesIO, columns: Sequence[Column[Any]], plans: Sequence[CellPlan]) -> pl.DataFrame:
    names = [f"c{place}" for place in range(len(plans))]
    if not text.getbuffer().nbytes:
        return pl.DataFrame(
            schema={column.name: each.polars for column, each in zip(columns, plans, strict=True)}
        )
    types = {name: each.arrow for name, each in zip(names, plans, strict=True)}
    try:
        table = pacsv.read_csv(
            text,
            read_options=pacsv.ReadOptions(
                column_names=[*names, _SENTINEL], use_threads=False, block_size=_block(text)
            ),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types={**types, _SENTINEL: pa.int8()},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
                include_columns=names,
            ),
        )
    except pa.ArrowInvalid:  # its text holds values
        raise PageUnreadable(
            "A column holds what its own type does not allow",
            why="A number or moment of the source is beyond what any other system can hold",
            remedy="Name the column as text in a view of the source, and read the view",
        ) from None
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.select(
        each.finish(pl.col(name)).alias(column.name)
        for name, column, each in zip(names, columns, plans, strict=True)
    )


def _block(text: io.BytesIO) -> int:
    """One block for a page: a row longer than a block could not be read."""
    return max(_MEGABYTE, text.getbuffer().nbytes + 1)


def _by_rows(connection: Connection, statement: Select[Any], columns: Sequence[Column[Any]]) -> pl.DataFrame:
    """Read plain values: conversions fail on the first odd cell, and repeat it in their error."""
    asked = [type_coerce(column, sa.NullType()).label(f"c{place}") for place, column in enumerate(columns)]
    rows = connection.execute(statement.add_columns(*asked)).all()
    return pl.DataFrame(
        [cells.series(column.name, [row[place] for row in rows]) for place, column in enumerate(columns)]
    )
