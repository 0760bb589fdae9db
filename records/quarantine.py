"""Quarantine: rows that could not be used, kept sealed with the reason, until somebody mends them.

What is open about a row: dataset, position, field, rule, message. What is sealed: the row. Keyed tags say
whom a row names and which record it would have changed, to whoever holds the tag key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from connectors.files_folder import shown
from foundation import clock
from foundation.keyring import Keyring
from records.batches import Batch
from records.errors import QuarantineRowGone
from records.sealing import Place, open_row, seal_page
from records.tags import TagKey

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = [
    "FieldProblem",
    "OpenedRow",
    "QuarantinedRow",
    "Rejected",
    "datasets_of",
    "discard",
    "list_rows",
    "reasons",
    "show",
    "store",
    "summary",
]


_ROW_TYPES = [
    "text",
    "uuid",
    "text",
    "int4",
    "int8",
    "text",
    "text[]",
    "text[]",
    "jsonb",
    "bytea",
    "bytea",
    "timestamptz",
]


_BOUNDS = (
    "(SELECT s -> 'bounds' FROM records.batch b, jsonb_array_elements(b.slices) s"
    " WHERE b.batch_id = r.batch_id AND s ->> 'slice_id' = r.slice_id) AS bounds"
)


class FieldProblem(Protocol):
    """What is wrong with one field; `schemas.mapping.FieldError` is one."""

    @property
    def field(self) -> str | None: ...  # noqa: D102
    @property
    def source_column(self) -> str | None: ...  # noqa: D102
    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def remedy(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row on its way into quarantine.

    Attributes:
        position: Its position in the slice.
        errors: What is wrong with it.
        raw: The row as the source gave it.
        subjects: Numbers of the people it names.
        source_key: The key of the record it would have changed; None when that cannot be read.
    """

    position: int
    errors: Sequence[FieldProblem]
    raw: Mapping[str, Any] = field(repr=False)
    subjects: tuple[str, ...] = field(default=(), repr=False)
    source_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A quarantined row as everybody may see it: where and why, never what."""

    row_id: int
    dataset_id: str
    batch_id: UUID
    slice_id: str
    position: int
    fields: tuple[str, ...]
    rules: tuple[str, ...]
    errors: tuple[Mapping[str, Any], ...]
    state: str
    quarantined_at: datetime
    bounds: Mapping[str, str] = field(default_factory=dict)
    returned_at: datetime | None = None

    @property
    def place(self) -> str:
        """Where a person finds the row: file, sheet and row as counted there, else its number there."""
        if "file" not in self.bounds:
            return f"row {self.position + 1} of the source"
        parts = [shown(self.bounds["file"])]
        if "sheet" in self.bounds:
            parts.append(f"sheet {self.bounds['sheet']}")
        return ", ".join([*parts, f"row {self.position + int(self.bounds.get('first_row', '1'))}"])


@dataclass(frozen=True, slots=True)
class OpenedRow:
    """A quarantined row with its content, as a steward sees it."""

    row: QuarantinedRow
    content: Mapping[str, Any] = field(repr=False)


def store(
    connection: psycopg.Connection[Any],
    keyring: Keyring,
    batch: Batch,
    slice_id: str,
    page_no: int,
    *,
    rejected: Sequence[Rejected],
    repeat: bool = False,
) -> None:
    """Seal and keep the rejected rows of a page, in the transaction that notes the page.

    Args:
        connection: Connection in the ingest role.
        keyring: The installation's keys; the quarantine key's public half and the tag key are used.
        batch: The batch.
        slice_id: The slice of the page.
        page_no: Number of the page in the slice.
        rejected: The rows.
        repeat: Set when rows of the page may have been quarantined before (a second envelope is made under
            a page number of its own).
    """
    if not rejected:
        return
    envelope_no = -1 - page_no if repeat else page_no
    envelope = seal_page(keyring, Place(batch.batch_id, slice_id, envelope_no))
    connection.execute(
        "INSERT INTO quality.quarantine_page (batch_id, slice_id, page_no, kid, sealed_key)"
        " VALUES (%s, %s, %s, %s, %s)",
        [batch.batch_id, slice_id, envelope_no, envelope.kid, envelope.sealed_key],
    )
    tags, now = TagKey.of(keyring), clock.now()
    _copy(
        connection,
        "quality.quarantine_row (dataset_id, batch_id, slice_id, page_no, position, contract_version,"
        " fields, rules,"
        " errors, sealed, key_tag, quarantined_at)",
        _ROW_TYPES,
        (
            (
                batch.dataset_id, batch.batch_id, slice_id, envelope_no, row.position, batch.contract_version,
                _each(error.field for error in row.errors), _each(error.rule for error in row.errors),
                [_described(error) for error in row.errors],
                envelope.seal(row.position, row.raw),
                None if row.source_key is None else tags.row_key(batch.dataset_id, row.source_key), now,
            )
            for row in rejected
        ),
    )  # fmt: skip
    _store_tags(connection, batch, slice_id, envelope_no, rejected=rejected, tags=tags)


def _store_tags(
    connection: psycopg.Connection[Any],
    batch: Batch,
    slice_id: str,
    envelope_no: int,
    *,
    rejected: Sequence[Rejected],
    tags: TagKey,
) -> None:
    named = [(row.position, tags.subject(subject)) for row in rejected for subject in row.subjects]
    if named:
        connection.execute(
            "INSERT INTO quality.quarantine_tag (tag, dataset_id, row_id)"
            " SELECT given.tag, r.dataset_id, r.row_id"
            " FROM unnest(%s::bigint[], %s::bytea[]) AS given (position, tag)"
            " JOIN quality.quarantine_row r ON (r.batch_id, r.slice_id, r.page_no, r.position)"
            " = (%s, %s, %s, given.position) ON CONFLICT DO NOTHING",
            [
                [position for position, _ in named],
                [tag for _, tag in named],
                batch.batch_id,
                slice_id,
                envelope_no,
            ],
        )


def reasons(rejected: Iterable[Rejected]) -> Counter[str]:
    """Count rows by `field:rule`; a row with two reasons counts under both."""
    return Counter(
        reason
        for row in rejected
        for reason in {f"{error.field or '*'}:{error.rule}" for error in row.errors}
    )


def summary(connection: psycopg.Connection[Any], batch_id: UUID) -> dict[str, int]:
    """Quarantined rows of a batch by `field:rule`, most frequent first."""
    rows = connection.execute(
        "SELECT coalesce(nullif(e ->> 'field', ''), '*') || ':' || (e ->> 'rule'), count(DISTINCT row_id)"
        " FROM quality.quarantine_row, jsonb_array_elements(errors) e WHERE batch_id = %s"
        " GROUP BY 1 ORDER BY 2 DESC, 1",
        [batch_id],
    )
    return dict(rows.fetchall())


def list_rows(
    connection: psycopg.Connection[Any],
    *,
    dataset_id: str | None = None,
    batch_id: UUID | None = None,
    state: str | None = "open",
    limit: int = 100,
    after: int = 0,
) -> list[QuarantinedRow]:
    """List quarantined rows by id: where and why, nothing personal."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "SELECT row_id, dataset_id, batch_id, slice_id, position, fields, rules, errors, state,"  # noqa: S608
            f" quarantined_at, returned_at, {_BOUNDS}"
            " FROM quality.quarantine_row r WHERE row_id > %(after)s"
            " AND (%(dataset)s::text IS NULL OR dataset_id = %(dataset)s)"
            " AND (%(batch)s::uuid IS NULL OR batch_id = %(batch)s)"
            " AND (%(state)s::text IS NULL OR state = %(state)s) ORDER BY row_id LIMIT %(limit)s",
            {"after": after, "dataset": dataset_id, "batch": batch_id, "state": state, "limit": limit},
        )
        return [_quarantined(row) for row in cursor]


def show(installation: Installation, row_ids: Sequence[int], *, actor: str, reason: str) -> list[OpenedRow]:
    """Open quarantined rows for a steward; that they were looked at is committed before they are given out.

    Raises:
        QuarantineRowGone: When a row does not exist.
        SealBroken: When a row does not open.
    """
    from foundation.database import Role, translated

    with translated(), installation.database.connect(Role.STEWARD) as connection:
        opened = open_rows(connection, installation.keyring, row_ids)
        for dataset_id in sorted({each.row.dataset_id for each in opened}):
            mine = [each.row for each in opened if each.row.dataset_id == dataset_id]
            details = {
                "rows": len(mine),
                "reason": reason,
                "rules": sorted({r for row in mine for r in row.rules}),
            }
            append(
                connection,
                EntryDraft(
                    kind=EntryKind.QUARANTINE_VIEWED, actor=actor, datasets=(dataset_id,), details=details
                ),
            )
    return opened


def open_rows(
    connection: psycopg.Connection[Any], keyring: Keyring, row_ids: Sequence[int]
) -> list[OpenedRow]:
    """Open rows without an entry of its own; for callers that write one."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            f"SELECT r.*, p.kid, p.sealed_key, {_BOUNDS} FROM quality.quarantine_row r"  # noqa: S608
            " JOIN quality.quarantine_page p USING (batch_id, slice_id, page_no)"
            " WHERE r.row_id = ANY(%s) ORDER BY r.row_id",
            [list(row_ids)],
        )
        found = cursor.fetchall()
    if len(found) != len(set(row_ids)):
        raise QuarantineRowGone(
            f"{len(set(row_ids)) - len(found)} of the quarantined rows asked for do not exist",
            remedy="`lintas quarantine list` shows what is there",
        )
    return [
        OpenedRow(
            _quarantined(row),
            open_row(
                keyring,
                row["kid"],
                row["sealed_key"],
                place=Place(row["batch_id"], row["slice_id"], row["page_no"]),
                position=row["position"],
                sealed=row["sealed"],
            ),
        )
        for row in found
    ]  # fmt: skip


def resolve(connection: psycopg.Connection[Any], row_ids: Sequence[int], state: str, *, actor: str) -> int:
    """Take open rows out of quarantine as `replayed`, `superseded` or `discarded`; how many there were."""
    done = connection.execute(
        "UPDATE quality.quarantine_row SET state = %s, resolved_at = %s, resolved_by = %s"
        " WHERE row_id = ANY(%s) AND state = 'open'",
        [state, clock.now(), actor, list(row_ids)],
    ).rowcount
    connection.execute("DELETE FROM quality.quarantine_tag WHERE row_id = ANY(%s)", [list(row_ids)])
    return done


def discard(installation: Installation, row_ids: Sequence[int], *, actor: str, reason: str) -> int:
    """Set rows aside for good: they no longer count against the people they name."""
    from foundation.database import Role, translated

    with translated(), installation.database.connect(Role.STEWARD) as connection:
        datasets = datasets_of(connection, row_ids)
        done = resolve(connection, row_ids, "discarded", actor=actor)
        append(
            connection,
            EntryDraft(
                kind=EntryKind.QUARANTINE_REPLAYED,
                actor=actor,
                datasets=tuple(datasets),
                outcome="discarded",
                details={"rows": done, "reason": reason},
            ),
        )
    return done


def datasets_of(connection: psycopg.Connection[Any], row_ids: Sequence[int]) -> list[str]:
    """The datasets that some rows belong to; rows that do not exist belong to none."""
    return [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT dataset_id FROM quality.quarantine_row WHERE row_id = ANY(%s) ORDER BY 1",
            [list(row_ids)],
        )
    ]


def _quarantined(row: Mapping[str, Any]) -> QuarantinedRow:
    return QuarantinedRow(
        row["row_id"], row["dataset_id"], row["batch_id"], row["slice_id"], row["position"],
        tuple(row["fields"]), tuple(row["rules"]), tuple(row["errors"]), row["state"], row["quarantined_at"],
        row["bounds"] or {}, row["returned_at"],
    )  # fmt: skip


def _described(error: FieldProblem) -> dict[str, Any]:
    return {
        "field": error.field,
        "source_column": error.source_column,
        "rule": error.rule,
        "message": error.message,
        "remedy": error.remedy,
    }


def _each(names: Iterable[str | None]) -> list[str]:
    return sorted({name for name in names if name})


def _copy(
    connection: psycopg.Connection[Any], target: str, types: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
