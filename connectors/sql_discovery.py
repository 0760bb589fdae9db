"""What can be learned of a SQL database before anything is read: does each step work, and what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select
from sqlalchemy.engine import Connection, Inspector

from connectors.checklist import Checklist
from connectors.source import CheckStep, DiscoveredColumn, DiscoveredDataset, Slice, Window
from connectors.sql_database import SqlDatabase
from connectors.sql_errors import table_missing
from connectors.sql_reading import read_frame

if TYPE_CHECKING:
    from connectors.sql import SqlSource

_LARGE = 100_000


def check(source: SqlSource) -> list[CheckStep]:
    """Try every step from the name of the host to one row."""
    endpoint, database = source.database.endpoint, source.database
    steps = Checklist()
    if endpoint.is_postgresql:
        steps.reach(endpoint.line)
    steps.step("authenticate", lambda: _authenticate(database))
    steps.step("list", lambda: _list(database))
    steps.step("schema", lambda: f"{len(source.shape().columns)} columns, all as the contract names them")
    steps.step("authorise", lambda: _authorise(source))
    steps.step("read-one", lambda: _read_one(source))
    _advise_index(source, steps)
    return steps.steps


def discover(database: SqlDatabase) -> list[DiscoveredDataset]:
    """List tables and views with their columns, as the source calls their types."""
    with database.reading("the list of tables") as connection:
        inspector = inspect(connection)
        schemas = [database.schema_name] if database.schema_name else _schemas(inspector)
        return [
            _dataset(connection, inspector, schema, name)
            for schema in schemas
            for name in sorted((*inspector.get_table_names(schema), *inspector.get_view_names(schema)))
        ]


def _schemas(inspector: Inspector) -> list[str]:
    return [name for name in inspector.get_schema_names() if name != "information_schema"]


def _dataset(
    connection: Connection, inspector: Inspector, schema: str | None, name: str
) -> DiscoveredDataset:
    key = set(inspector.get_pk_constraint(name, schema)["constrained_columns"])
    columns = tuple(
        DiscoveredColumn(
            name=column["name"],
            type_name=column["type"].compile(connection.dialect).lower(),
            nullable=bool(column["nullable"]),
            in_key=column["name"] in key,
        )
        for column in inspector.get_columns(name, schema)
    )
    plain = schema in (None, inspector.default_schema_name)
    return DiscoveredDataset(
        name=name if plain else f"{schema}.{name}",
        columns=columns,
        approximate_rows=_approximate_rows(connection, schema, name),
    )


def _approximate_rows(connection: Connection, schema: str | None, name: str) -> int | None:
    """What the planner believes; a count would read the whole table."""
    if connection.dialect.name != "postgresql":
        return None
    rows = connection.exec_driver_sql(
        "SELECT c.reltuples::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND n.nspname = coalesce(%s, current_schema())",
        (name, schema),
    ).scalar()
    return None if rows is None or rows < 0 else int(rows)


def _authenticate(database: SqlDatabase) -> str:
    with database.reading("the login"):
        return f"the account {database.configuration.username} is let in"


def _list(database: SqlDatabase) -> str:
    wanted = database.configuration.table
    with database.reading(wanted) as connection:
        inspector = inspect(connection)
        schema = database.schema_name
        names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    if database.table_name not in names:
        raise table_missing(wanted)
    return f"{len(names)} tables and views, {wanted} among them"


def _authorise(source: SqlSource) -> str:
    table, columns = source.configuration.table, source.shape().columns
    with source.database.reading(table) as connection:
        connection.execute(select(*columns).limit(0))
    return f"the account may read {len(columns)} columns of {table}"


def _read_one(source: SqlSource) -> str:
    shape = source.shape()
    with source.database.reading(source.configuration.table) as connection:
        statement: Any = select().select_from(shape.table).limit(1)
        frame = read_frame(connection, statement, shape.columns, source.configuration.page_megabytes)
    return "one row read" if frame.height else "the table is empty"


def _advise_index(source: SqlSource, steps: Checklist) -> None:
    """A page without an index costs the source a sort of the whole table."""
    if not all(step.ok for step in steps.steps):
        return
    window_slice: list[Slice] = list(source.slices(Window()))
    ordering = source.shape(window_slice[0]).ordering_names
    database = source.database
    with database.reading(source.configuration.table) as connection:
        inspector = inspect(connection)
        indexes: list[list[str | None]] = [
            index["column_names"][: len(ordering)]
            for index in inspector.get_indexes(database.table_name, database.schema_name)
        ]
        primary = inspector.get_pk_constraint(database.table_name, database.schema_name)
        indexes.append([*primary["constrained_columns"]])
        rows = _approximate_rows(connection, database.schema_name, database.table_name) or 0
    if ordering[:1] not in [index[:1] for index in indexes] and rows > _LARGE:
        steps.advise(
            "index",
            f"no index begins with {ordering[0]}: every page sorts the whole table",
            f"Ask the agency for an index on ({', '.join(ordering)})",
        )
