"""The guarded merge: what a batch says becomes what is known, and what was known goes to history.

Invariant: a row whose content did not change costs no write. Every version that is replaced or closed is
kept in history with the moment and the batch that ended it, and every change stands in the change feed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from records.batches import Batch, BatchKind
from records.staging import Staging
from records.tables import RecordTable
from records.tags import TagKey

__all__ = ["Closings", "MergeCounts", "Merging"]

# Sixteen bytes per version from a batch secret that is never stored: as good as random, without a call to
# the kernel per row. The secret is fresh in every attempt.
_SALT = "substr(sha256(%(salt)s || convert_to(s.source_key, 'UTF8') || date_send(s.valid_from)), 1, 16)"


@dataclass(frozen=True, slots=True)
class Closings:
    """What a batch would close.

    Attributes:
        open_records: Records that hold now.
        candidates: Those that the batch no longer has, or asks to delete.
        unreadable: Quarantined rows of the batch whose key cannot be read: any of them may be a candidate.
        replaced: Records whose key the batch has with another period; a correction, not a loss.
    """

    open_records: int
    candidates: int
    unreadable: int
    replaced: int = 0

    @property
    def share(self) -> float:
        """Part of the open records concerned."""
        return self.candidates / self.open_records if self.open_records else 0.0

    @property
    def postponed(self) -> int:
        """Closings put off because a missing record may stand, unreadable, in quarantine."""
        return self.candidates if self.unreadable else 0


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """What a merge did, in records.

    `updated` includes the `ended`, whose period a later one cut short. `superseded` are rows of a feed that a
    later row of the same batch corrects.
    """

    staged: int
    inserted: int
    updated: int
    closed: int
    postponed: int
    ended: int = 0
    superseded: int = 0

    @property
    def changed(self) -> int:
        """Records that were written."""
        return self.inserted + self.updated + self.closed

    @property
    def unchanged(self) -> int:
        """Staged rows that cost no write."""
        return self.staged - self.inserted - (self.updated - self.ended)


class Merging:
    """The statements that merge one batch into its record table."""

    def __init__(self, connection: psycopg.Connection[Any], batch: Batch, tags: TagKey) -> None:
        self._connection = connection
        self._staging: Staging = batch.staging
        self._table: RecordTable = self._staging.table
        self._batch = batch
        self._tags = tags
        self._periods = batch.contract.validity.from_field is not None
        self._latest_by = batch.contract.latest_by

    def closings(self) -> Closings:
        """Count what the batch would close, without closing it."""
        open_records = self._count(
            "SELECT count(*) FROM {current} WHERE dataset = %(dataset)s AND valid_to IS NULL"
        )
        row = self._execute(
            f"{self._candidates()} SELECT count(*) FILTER (WHERE NOT replaced), count(*) FILTER (WHERE"  # noqa: S608
            " replaced)"
            " FROM candidate",
            {},
        ).fetchone()
        candidates, replaced = row if row else (0, 0)
        unreadable = 0
        if self._batch.kind is BatchKind.SNAPSHOT:
            unreadable = self._count(
                "SELECT count(*) FROM quality.quarantine_row WHERE batch_id = %(batch)s AND key_tag IS NULL"
                " AND state = 'open'"
            )
        return Closings(open_records, candidates, unreadable, replaced)

    def run(self, now: datetime, closings: Closings) -> MergeCounts:
        """Merge, in the caller's transaction."""
        given = {"now": now, "version": self._batch.contract_version, "salt": secrets.token_bytes(32)}
        landed = self._count("SELECT count(*) FROM {staging} WHERE NOT _deleted")
        staged = landed
        if self._latest_by is not None:
            staged = self._count("SELECT count(*) FROM ({latest}) s WHERE NOT s._deleted")
        ended = self._end_periods(given) if self._periods else 0
        merged = self._merge(given)
        closed = 0
        if closings.replaced or (closings.candidates and not closings.postponed):
            closed = self._close(given, absent=not closings.postponed)
        return MergeCounts(
            staged=staged,
            inserted=merged.get("INSERT", 0),
            updated=merged.get("UPDATE", 0) + ended,
            closed=closed,
            postponed=closings.postponed,
            ended=ended,
            superseded=landed - staged,
        )

    def changed_subjects(self) -> int:
        """Tag everybody whose records the batch would change; for a batch that is held."""
        subject = self._table.subject_column
        if subject is None:
            return 0
        tag = self._tags.sql_subject.format("s.{subject}")
        return self._execute(
            f"INSERT INTO quality.held_tag (tag, dataset_id, batch_id) SELECT DISTINCT {tag},"  # noqa: S608
            " %(dataset)s, %(batch)s::uuid"
            " FROM {staging} s LEFT JOIN {current} t ON t.dataset = %(dataset)s AND t.source_key ="
            " s.source_key"
            " AND t.valid_from = s.valid_from WHERE s.{subject} IS NOT NULL"
            " AND (s._deleted OR t.content_hash IS DISTINCT FROM s.content_hash) ON CONFLICT DO NOTHING",
            self._tags.parameters,
        ).rowcount

    def _merge(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Insert what is new, replace what changed; `old` goes to history, both to the change feed."""
        rows = self._execute(
            """
            WITH said AS (
                SELECT s.*, """  # noqa: S608
            + self._valid_to()
            + """ AS until FROM ({latest}) s WHERE NOT s._deleted
            ), merged AS (
                MERGE INTO {current} AS t USING said AS s
                   ON t.dataset = %(dataset)s AND t.source_key = s.source_key AND t.valid_from = s.valid_from
                WHEN MATCHED AND (t.content_hash IS DISTINCT FROM s.content_hash
                                  OR t.valid_to IS DISTINCT FROM s.until){not_older} THEN UPDATE SET
                    valid_to = s.until, recorded_from = %(now)s, batch_id = %(batch)s,
                    contract_version = %(version)s, content_hash = s.content_hash,
                    leaf_salt = {salt}, {assignments}
                WHEN NOT MATCHED THEN INSERT ({all_columns}) VALUES (
                    nextval('records.record_id'), %(agency)s, %(dataset)s, s.source_key, s.valid_from,
                    s.until, %(now)s, %(batch)s, %(version)s, s.content_hash, {salt}, {staged_columns})
                RETURNING merge_action() AS action, new.record_id AS record_id, old AS previous
            ), kept AS (
                INSERT INTO {history} ({all_columns}, recorded_to, superseded_by)
                SELECT {previous_columns}, %(now)s, %(batch)s FROM merged WHERE action = 'UPDATE'
            ), fed AS (
                INSERT INTO records.change_feed (dataset_id, record_id, action, batch_id)
                SELECT %(dataset)s, record_id, CASE action WHEN 'INSERT' THEN 'inserted' ELSE 'updated' END,
                       %(batch)s
                  FROM merged
            )
            SELECT action, count(*) FROM merged GROUP BY action
            """,
            given,
        )
        return {action: count for action, count in rows}

    def _end_periods(self, given: Mapping[str, Any]) -> int:
        """End the period that held before the first one the batch speaks of, key by key."""
        return self._scalar(
            """
            WITH first AS (
                SELECT source_key, min(valid_from) AS since FROM {staging} WHERE NOT _deleted GROUP BY 1
            ), ended AS (
                UPDATE {current} AS t SET valid_to = f.since, recorded_from = %(now)s, batch_id = %(batch)s,
                       contract_version = %(version)s,
                       leaf_salt = substr(sha256(%(salt)s || int8send(t.record_id)), 1, 16)
                  FROM first f
                 WHERE t.dataset = %(dataset)s AND t.source_key = f.source_key AND t.valid_from < f.since
                   AND (t.valid_to IS NULL OR t.valid_to > f.since)
                RETURNING new.record_id AS record_id, old AS previous
            ), kept AS (
                INSERT INTO {history} ({all_columns}, recorded_to, superseded_by)
                SELECT {previous_columns}, %(now)s, %(batch)s FROM ended
            ), fed AS (
                INSERT INTO records.change_feed (dataset_id, record_id, action, batch_id)
                SELECT %(dataset)s, record_id, 'updated', %(batch)s FROM ended
            )
            SELECT count(*) FROM ended
            """,
            given,
        )

    def _close(self, given: Mapping[str, Any], *, absent: bool) -> int:
        """Move to history what the source no longer has, and periods that it now tells otherwise."""
        return self._scalar(
            self._candidates()  # noqa: S608
            + """, closed AS (
                DELETE FROM {current} AS t USING candidate c
                 WHERE t.record_id = c.record_id AND (c.replaced OR %(absent)s)
                RETURNING old.record_id AS record_id, old AS previous
            ), kept AS (
                INSERT INTO {history} ({all_columns}, recorded_to, superseded_by)
                SELECT {previous_columns}, %(now)s, %(batch)s FROM closed
            ), fed AS (
                INSERT INTO records.change_feed (dataset_id, record_id, action, batch_id)
                SELECT %(dataset)s, record_id, 'closed', %(batch)s FROM closed
            )
            SELECT count(*) FROM closed
            """,
            {**given, "absent": absent},
        )

    def _candidates(self) -> str:
        """CTE of the open records that the batch closes.

        A row in quarantine protects the record that it names. A record is `replaced` when the batch has its
        key with another period; that is a correction, not a loss.
        """
        absent = (
            "SELECT t.record_id, t.source_key, EXISTS (SELECT FROM {staging} k WHERE k.source_key ="
            " t.source_key"
            " AND NOT k._deleted) AS replaced FROM {current} t WHERE t.dataset = %(dataset)s AND"
            " t.valid_to IS NULL"
            " AND NOT EXISTS (SELECT FROM {staging} s WHERE s.source_key = t.source_key"
            " AND s.valid_from = t.valid_from AND NOT s._deleted)"
        )
        if self._batch.kind is not BatchKind.SNAPSHOT:
            absent = (
                "SELECT NULL::bigint AS record_id, NULL::text AS source_key, false AS replaced WHERE false"
            )
        key = self._tags.sql_row_key.format("c.source_key")
        return (
            "WITH absent AS MATERIALIZED (" + absent + "), candidate AS MATERIALIZED ("  # noqa: S608
            " SELECT c.record_id, c.replaced FROM absent c WHERE NOT EXISTS (SELECT FROM"
            " quality.quarantine_row q"
            f" WHERE q.batch_id = %(batch)s AND q.state = 'open' AND q.key_tag = {key})"
            " UNION ALL SELECT t.record_id, false FROM {current} t JOIN {staging} s ON t.dataset ="
            " %(dataset)s"
            " AND t.source_key = s.source_key AND t.valid_to IS NULL WHERE s._deleted"
            " AND t.record_id NOT IN (SELECT record_id FROM absent))"
        )

    def _valid_to(self) -> str:
        if not self._periods:
            return "s.valid_to"
        following = "lead(s.valid_from) OVER (PARTITION BY s.source_key ORDER BY s.valid_from)"
        if (
            self._batch.kind is not BatchKind.SNAPSHOT
        ):  # a complete snapshot names every period that still holds
            following += (
                ", (SELECT min(n.valid_from) FROM {current} n WHERE n.dataset = %(dataset)s"
                " AND n.source_key = s.source_key AND n.valid_from > s.valid_from)"
            )
        return f"coalesce(s.valid_to, {following})"

    def _not_older(self) -> sql.Composable:
        """A row of a feed never replaces what a later one said, whenever it arrives."""
        if self._latest_by is None:
            return sql.SQL("")
        mine, theirs = sql.Identifier("s", self._latest_by), sql.Identifier("t", self._latest_by)
        return sql.SQL(" AND ({} IS NULL OR {} >= {})").format(theirs, mine, theirs)

    def _count(self, statement: str) -> int:
        return self._scalar(statement, {})

    def _scalar(self, statement: str, given: Mapping[str, Any]) -> int:
        row = self._execute(statement, given).fetchone()
        return int(row[0]) if row else 0

    def _execute(self, statement: str, given: Mapping[str, Any]) -> psycopg.Cursor[Any]:
        own = self._table.column_names
        names = sql.SQL(", ").join
        query = sql.SQL(statement).format(
            current=self._table.current,
            history=self._table.history,
            staging=self._staging.identifier,
            subject=sql.Identifier(self._table.subject_column or "source_key"),
            salt=sql.SQL(_SALT),
            latest=self._staging.latest,
            not_older=self._not_older(),
            all_columns=names(map(sql.Identifier, self._table.all_columns)),
            staged_columns=names(sql.Identifier("s", name) for name in own),
            assignments=names(
                sql.SQL("{} = {}").format(sql.Identifier(n), sql.Identifier("s", n)) for n in own
            ),
            previous_columns=names(
                sql.SQL("(previous).{}").format(sql.Identifier(name)) for name in self._table.all_columns
            ),
        )
        parameters = {
            "dataset": self._table.dataset_id,
            "agency": self._table.agency,
            "batch": self._batch.batch_id,
            **self._tags.parameters,
            **given,
        }
        return self._connection.execute(query, parameters)
