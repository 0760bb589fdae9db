"""Record tables: one per record type and major version, made by the migrator when a contract is published.

A table holds what the bus knows now; `<table>_history` holds every version it knew before, with the moment
it stopped. `<table>_versions` is both, so "what did the bus know when it answered" is one query.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation import clock
from foundation.database import Role, translated
from records.errors import DatasetNotPublished

if TYPE_CHECKING:
    from foundation.installation import Installation
    from schemas.contract import Contract
    from schemas.record_types import RecordType

__all__ = ["SYSTEM_COLUMNS", "RecordTable", "create_record_table", "publish_contract", "publish_contracts"]

SYSTEM_COLUMNS: dict[str, str] = {
    "record_id": "bigint NOT NULL",
    "agency": "text NOT NULL",
    "dataset": "text NOT NULL",
    "source_key": "text NOT NULL",
    "valid_from": "date NOT NULL",
    "valid_to": "date",
    "recorded_from": "timestamptz NOT NULL",
    "batch_id": "uuid NOT NULL",
    "contract_version": "text NOT NULL",
    "content_hash": "bytea NOT NULL",
    "leaf_salt": "bytea NOT NULL",
}
"""What records keep beside every record's own columns; `recorded_to` stands in history only."""


@dataclass(frozen=True, slots=True)
class RecordTable:
    """The names that SQL needs to write and read the records of one dataset."""

    dataset_id: str
    agency: str
    name: str
    columns: tuple[tuple[str, str], ...]
    subject_column: str | None

    @classmethod
    def of(cls, contract: Contract) -> RecordTable:
        """The table to which a contract's records go."""
        kind = contract.record_type
        return cls(
            contract.id,
            contract.agency,
            kind.table_name,
            tuple((column.name, column.sql_type) for column in kind.columns),
            kind.subject_identifier,
        )

    @property
    def current(self) -> sql.Identifier:
        """What is known now."""
        return sql.Identifier("records", self.name)

    @property
    def history(self) -> sql.Identifier:
        """What was known before."""
        return sql.Identifier("records", f"{self.name}_history")

    @property
    def column_names(self) -> tuple[str, ...]:
        """The record's own columns, in the order of the record type."""
        return tuple(name for name, _ in self.columns)

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Every column of the current table."""
        return (*SYSTEM_COLUMNS, *self.column_names)


def publish_contracts(installation: Installation, contracts: Iterable[Contract]) -> list[str]:
    """Put contracts in force: make their tables and register their datasets.

    Needs the migrator's role. Contracts already in force in this version are left alone.

    Returns:
        The ids of the datasets that changed.
    """
    changed = []
    with translated(), installation.database.connect(Role.MIGRATOR) as connection:
        for contract in contracts:
            if publish_contract(connection, contract):
                changed.append(contract.id)
    return changed


def publish_contract(connection: psycopg.Connection[Any], contract: Contract) -> bool:
    """Put one contract in force in the caller's transaction, with its entry; True when something changed."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('lintas.records.tables', 0))")
    before = connection.execute(
        "SELECT contract_version, contract_hash FROM records.dataset WHERE dataset_id = %s", [contract.id]
    ).fetchone()
    if before is not None and before[1] == contract.hash:
        return False
    table = RecordTable.of(contract)
    create_record_table(connection, contract.record_type)
    connection.execute(
        """
        INSERT INTO records.dataset (dataset_id, agency, record_type, table_name, columns, order_columns,
            comparable, subject_column, closed_world, freshness, mode, contract_version, contract_hash,
            published_at)
        VALUES (%(id)s, %(agency)s, %(type)s, %(table)s, %(columns)s, %(order)s, %(comparable)s, %(subject)s,
            %(closed)s, %(freshness)s, %(mode)s, %(version)s, %(hash)s, %(now)s)
        ON CONFLICT (dataset_id) DO UPDATE SET (record_type, table_name, columns, order_columns,
            comparable, subject_column, closed_world, freshness, mode, contract_version, contract_hash,
            published_at)
            = (excluded.record_type, excluded.table_name, excluded.columns, excluded.order_columns,
            excluded.comparable, excluded.subject_column, excluded.closed_world,
            excluded.freshness, excluded.mode, excluded.contract_version, excluded.contract_hash,
            excluded.published_at)
        """,
        {
            "id": contract.id,
            "agency": contract.agency,
            "type": contract.record_type.name,
            "table": table.name,
            "columns": json.dumps(table.columns),
            "order": json.dumps(_order(contract.record_type)),
            "comparable": json.dumps(_comparable(contract)),
            "subject": table.subject_column,
            "closed": contract.closed_world,
            "freshness": contract.freshness,
            "mode": contract.mode,
            "version": contract.version,
            "hash": contract.hash,
            "now": clock.now(),
        },
    )
    details = {
        "contract_version": contract.version,
        "contract_hash": contract.hash,
        "replaces": before[0] if before else None,
    }
    append(
        connection,
        EntryDraft(
            kind=EntryKind.CONTRACT_PUBLISHED,
            provider=contract.agency,
            datasets=(contract.id,),
            details=details,
        ),
    )
    return True


def _order(record_type: RecordType) -> list[str]:
    """What tells apart the records of one subject: the rest of the natural key, such as the tax year."""
    named = (record_type.column(name) for name in record_type.natural_key)
    return [column.name for column in named if column is not None and column.identifier is None]


def _comparable(contract: Contract) -> list[str]:
    """The mapped fields that every register must tell alike of one subject."""
    columns, mapped = contract.record_type.columns, set(contract.fields)
    return [each.name for each in columns if each.comparable and each.name in mapped]


def require_published(connection: psycopg.Connection[Any], contract: Contract) -> None:
    """Check that exactly this contract is in force.

    Raises:
        DatasetNotPublished: When it is not, or another version is.
    """
    found = connection.execute(
        "SELECT contract_hash FROM records.dataset WHERE dataset_id = %s", [contract.id]
    ).fetchone()
    if found is None or found[0] != contract.hash:
        raise DatasetNotPublished(
            f"The contract of {contract.id} in version {contract.version} is not in force",
            why="No contract of the dataset was published" if found is None else "Another text of it was",
            remedy="Run `lintas contracts publish`",
            dataset=contract.id,
        )


def create_record_table(connection: psycopg.Connection[Any], record_type: RecordType) -> None:
    """Make the tables of a record type, or add the columns that it gained; safe to repeat."""
    name = record_type.table_name
    own = [(column.name, column.sql_type) for column in record_type.columns]
    subject = record_type.subject_identifier
    history_only = [("recorded_to", "timestamptz NOT NULL"), ("superseded_by", "uuid NOT NULL")]
    _create(connection, name, [*SYSTEM_COLUMNS.items(), *own])
    _create(connection, f"{name}_history", [*SYSTEM_COLUMNS.items(), *own, *history_only])
    for table in (name, f"{name}_history"):
        for column, sql_type in own:
            _run(connection, "ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} " + sql_type, table, column)
    _run(connection, "CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {} (record_id)", name, index=f"{name}_id")
    unique = "CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {} (dataset, source_key, valid_from)"
    _run(connection, unique, name, index=f"{name}_key")
    versions = "CREATE INDEX IF NOT EXISTS {index} ON {} (record_id, recorded_from)"
    _run(connection, versions, f"{name}_history", index=f"{name}_history_id")
    if subject is not None:
        by_subject = "CREATE INDEX IF NOT EXISTS {index} ON {} ({})"
        _run(connection, by_subject, name, subject, index=f"{name}_subject")
        _run(connection, by_subject, f"{name}_history", subject, index=f"{name}_history_subject")
    _create_versions_view(connection, name, [*SYSTEM_COLUMNS, *(column for column, _ in own)])
    _run(connection, "GRANT SELECT, INSERT, UPDATE, DELETE, MAINTAIN ON {} TO lintas_ingest", name)
    _run(connection, "GRANT SELECT, INSERT ON {} TO lintas_ingest", f"{name}_history")
    for table in (name, f"{name}_history", f"{name}_versions"):
        _run(
            connection,
            "GRANT SELECT ON {} TO lintas_ingest, lintas_api, lintas_dispatcher, lintas_steward",
            table,
        )


def _create(connection: psycopg.Connection[Any], name: str, columns: list[tuple[str, str]]) -> None:
    described = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(sql_type)) for column, sql_type in columns
    )
    connection.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}) WITH (fillfactor = 90)").format(
            sql.Identifier("records", name), described
        )
    )


def _create_versions_view(connection: psycopg.Connection[Any], name: str, columns: list[str]) -> None:
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    view, current, history = (
        sql.Identifier("records", f"{name}{end}") for end in ("_versions", "", "_history")
    )
    connection.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(view))
    connection.execute(
        sql.SQL(
            "CREATE VIEW {view} AS SELECT {columns}, NULL::timestamptz AS recorded_to FROM {current}"
            " UNION ALL SELECT {columns}, recorded_to FROM {history}"
        ).format(view=view, columns=listed, current=current, history=history)
    )


def _run(
    connection: psycopg.Connection[Any], statement: str, table: str, *identifiers: str, index: str = ""
) -> None:
    parts = [sql.Identifier("records", table), *map(sql.Identifier, identifiers)]
    connection.execute(sql.SQL(statement).format(*parts, index=sql.Identifier(index or table)))
