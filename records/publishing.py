"""Publishing: one transaction in which a batch becomes what is known, or nothing at all happens.

Under the dataset's advisory lock: ledger and staging compared, agreement held, merge with history, flags,
state, change feed, the entry `sync.completed`, and the staging table dropped.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from audit.backlog import await_acceptance
from audit.entry import EntryKind
from audit.log import append
from audit.tree.batch_root import BatchRoot, batch_root
from foundation import clock
from records import assessment, batches, data_docs, endings, ledger, quarantine
from records.batches import Batch, BatchKind, BatchStatus
from records.conflicts import Compared, compare
from records.context import Progress, SyncContext
from records.errors import BatchHeld
from records.ledger import LedgerTotals
from records.merge import MergeCounts, Merging
from records.suppression import drop_suppressed
from records.tables import RecordTable

__all__ = ["CHANNEL", "Published", "lock_dataset", "publish"]

_WORTH_ANALYZING = 1_000
"""Changed records after which the planner should look again, without waiting for the autovacuum."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a batch changed.

    Attributes:
        batch_id: The batch.
        inserted: Records that are new.
        updated: Records that replaced an older version.
        closed: Records that the source no longer has.
        unchanged: Rows that cost no write.
        postponed: Closings put off because rows of the batch have unreadable keys.
        flagged: Records flagged by a warning for the first time.
        root: Merkle root over the salted leaves of the changed records.
        superseded: Rows of a feed that a later row of the batch corrects.
        conflicts: Contradictions with other agencies' records that it brought.
        agreed: Contradictions that it ended.
        duplicates: Pairs of records that may be of one person, seen for the first time.
        already: Whether an earlier attempt had published the batch.
    """

    batch_id: UUID
    inserted: int
    updated: int
    closed: int
    unchanged: int
    postponed: int
    flagged: int
    root: str
    superseded: int = 0
    conflicts: int = 0
    agreed: int = 0
    duplicates: int = 0
    already: bool = False

    @property
    def changed(self) -> int:
        """Records that were written."""
        return self.inserted + self.updated + self.closed


def publish(context: SyncContext, batch: Batch) -> Published:
    """Publish an assessed or released batch; doing so again changes nothing.

    Raises:
        BatchHeld: When it waits for a steward.
        WorkerFenced: When another worker has taken it over.
        LedgerMismatch: When staging is not what was landed.
        ExchangeDenied, AgreementChanged: When no agreement covers the collection any more.
        LogBehind: When the log takes no exchange for a minute.
    """
    with context.connection() as connection:
        await_acceptance(connection)
    with context.transaction() as connection:
        lock_dataset(connection, batch.dataset_id)
        connection.execute("SET LOCAL work_mem = '128MB'")
        connection.execute("SET LOCAL jit = off")
        if (done := _published_before(connection, batch)) is not None:
            return done
        batches.fence(connection, batch, allowed=(BatchStatus.ASSESSED, BatchStatus.RELEASED), alone=True)
        totals = ledger.check(connection, batch)
        decision = endings.hold_collection(context, connection, batch)
        suppressed = drop_suppressed(connection, batch, context.tags)
        now = clock.now()
        merging = Merging(connection, batch, context.tags)
        counts = merging.run(now, merging.closings())
        context.observer(Progress(batch.dataset_id, "publish", detail="merged"))
        flagged = assessment.flag(connection, batch)
        root = _root(connection, batch, counts)
        _settle_quarantine(context, connection, batch)
        endings.supersede_held(context, connection, batch)
        compared = _compared(connection, batch, counts, now)
        _note_state(connection, batch, now)
        figures = _figures(context, connection, batch, totals=totals, counts=counts, root=root, now=now)
        append(
            connection,
            endings.draft(
                context, EntryKind.SYNC_COMPLETED, batch.contract, decision=decision, batch=batch,
                figures=figures | _contradictions(compared) | suppressed, outcome="completed",
                details={"snapshot": str(batch.kind), "count": counts.postponed or None},
            ),
        )  # fmt: skip
        published = Published(
            batch_id=batch.batch_id,
            inserted=counts.inserted,
            updated=counts.updated,
            closed=counts.closed,
            unchanged=counts.unchanged,
            postponed=counts.postponed,
            flagged=flagged,
            root=root.root.hex(),
            superseded=counts.superseded,
            conflicts=compared.conflicts_found,
            agreed=compared.conflicts_closed,
            duplicates=compared.duplicates_found,
        )
        _end(connection, batch, published)
        _tell(connection, batch, published)
        context.observer(Progress(batch.dataset_id, "publish", detail="committing"))
    data_docs.keep(context, batch.batch_id)
    if published.changed > _WORTH_ANALYZING:
        with context.connection() as connection:
            connection.execute(sql.SQL("ANALYZE {}").format(RecordTable.of(batch.contract).current))
    return published


CHANNEL = "lintas_change"
"""Where every publish is told, when it commits, to whoever listens; the change feed says what changed."""


def _tell(connection: psycopg.Connection[Any], batch: Batch, published: Published) -> None:
    """Wake whoever follows the change feed; names and counts only."""
    told = {
        "dataset": batch.dataset_id,
        "batch": str(batch.batch_id),
        "changed": published.changed + published.conflicts + published.agreed,
    }
    connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, json.dumps(told)])


def _compared(
    connection: psycopg.Connection[Any], batch: Batch, counts: MergeCounts, now: datetime
) -> Compared:
    """Compare with other registers what changed, or everything when the contract did."""
    row = connection.execute(
        "SELECT contract_version FROM records.dataset_state WHERE dataset_id = %s", [batch.dataset_id]
    ).fetchone()
    everything = row is not None and row[0] != batch.contract_version
    if not counts.changed and not everything:
        return Compared()
    return compare(connection, batch, now, everything=everything)


def _contradictions(compared: Compared) -> dict[str, int]:
    found = {"conflicts": compared.conflicts_found, "conflicts_closed": compared.conflicts_closed}
    found["duplicates"] = compared.duplicates_found
    return {name: count for name, count in found.items() if count}


def lock_dataset(connection: psycopg.Connection[Any], dataset_id: str) -> None:
    """Let one transaction at a time publish a dataset."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('lintas.records.publish:' || %s, 0))", [dataset_id]
    )


def _published_before(connection: psycopg.Connection[Any], batch: Batch) -> Published | None:
    row = connection.execute(
        "SELECT status, report FROM records.batch WHERE batch_id = %s", [batch.batch_id]
    ).fetchone()
    if row is not None and row[0] == BatchStatus.HELD:
        raise BatchHeld(
            f"The batch of {batch.dataset_id} is held",
            why=", ".join((row[1] or {}).get("broken", [])),
            remedy=f"A steward releases or rejects it: `lintas batches release {batch.batch_id}` or `reject`",
            batch=str(batch.batch_id),
        )
    if row is None or row[0] != BatchStatus.PUBLISHED:
        return None
    figures = row[1]["published"]
    return Published(batch_id=batch.batch_id, **figures, already=True)


def _root(connection: psycopg.Connection[Any], batch: Batch, counts: MergeCounts) -> BatchRoot:
    """Root over the versions that this batch wrote; closed records are named by the change feed."""
    if not counts.inserted and not counts.updated:
        return batch_root(
            connection,
            sql.SQL("SELECT 1 AS leaf_key, ''::bytea AS leaf_salt, ''::bytea AS content_hash WHERE false"),
        )
    return batch_root(connection, leaves_of(RecordTable.of(batch.contract)), [batch.batch_id])


def leaves_of(table: RecordTable) -> sql.Composed:
    """The leaves under the root of a batch, whose id is the one parameter; `audit.tree.batch_root` takes it.

    Of a version that an erasure removed the leaf is left, so that the others stay provable.
    """
    return sql.SQL(
        "SELECT leaf_key, leaf_salt, content_hash FROM ("
        "SELECT record_id AS leaf_key, leaf_salt, content_hash, batch_id FROM {} UNION ALL"
        " SELECT record_id, ''::bytea, leaf_hash, batch_id FROM records.erased_leaf"
        ") AS leaf WHERE batch_id = %s"
    ).format(sql.Identifier("records", f"{table.name}_versions"))


def _settle_quarantine(context: SyncContext, connection: psycopg.Connection[Any], batch: Batch) -> None:
    """Earlier rejected rows no longer count where this batch has said the same thing again.

    A feed that only appends corrects itself even within a batch: there a later row settles an earlier one.
    """
    given: dict[str, Any] = {"dataset": batch.dataset_id, "batch": batch.batch_id}
    open_rows = "quality.quarantine_row r WHERE r.dataset_id = %(dataset)s AND r.state = 'open'"
    query = f"SELECT r.row_id FROM {open_rows} AND r.batch_id <> %(batch)s"  # noqa: S608
    if batch.kind is not BatchKind.SNAPSHOT:
        tag = context.tags.sql_row_key.format("s.source_key")
        query = (
            f"WITH said AS MATERIALIZED (SELECT {tag} AS tag, max(s.position) AS position"  # noqa: S608
            f" FROM {{staging}} s GROUP BY 1) SELECT r.row_id FROM {open_rows} AND EXISTS (SELECT FROM said"
            " WHERE said.tag = r.key_tag AND (r.batch_id <> %(batch)s"
            " OR (%(feed)s AND said.position > r.position)))"
        )
        feed = batch.contract.latest_by is not None and len(batch.slices) == 1
        given |= context.tags.parameters | {"feed": feed}
    rows = connection.execute(sql.SQL(query).format(staging=batch.staging.identifier), given).fetchall()
    if rows:
        quarantine.resolve(connection, [row[0] for row in rows], "superseded", actor=str(batch.batch_id))


def _note_state(connection: psycopg.Connection[Any], batch: Batch, now: datetime) -> None:
    """Move cursor and freshness on; a replay brings nothing newer from the source."""
    until = batch.window.until or batch.started_at
    told = [each.window.until for each in batch.slices if each.window.until is not None]
    query = sql.SQL(
        "INSERT INTO records.dataset_state AS d (dataset_id, cursor, source_time, batch_id, contract_version,"
        " open_records, published_at) SELECT %(id)s, %(until)s, %(as_of)s, %(batch)s, %(version)s,"
        " count(*), %(now)s"
        " FROM {current} WHERE dataset = %(id)s AND valid_to IS NULL"
        " ON CONFLICT (dataset_id) DO UPDATE SET open_records = excluded.open_records, batch_id ="
        " excluded.batch_id,"
        " contract_version = excluded.contract_version, published_at = excluded.published_at,"
        " cursor = CASE WHEN %(replay)s THEN d.cursor ELSE excluded.cursor END,"
        " source_time = CASE WHEN %(replay)s THEN d.source_time ELSE excluded.source_time END"
    ).format(current=RecordTable.of(batch.contract).current)
    connection.execute(
        query,
        {
            "id": batch.dataset_id,
            "until": until,
            "as_of": min([until, *told]),  # an old file that is read again is no fresher for it
            "batch": batch.batch_id,
            "version": batch.contract_version,
            "now": now,
            "replay": batch.kind is BatchKind.REPLAY,
        },
    )


def _figures(
    context: SyncContext,
    connection: psycopg.Connection[Any],
    batch: Batch,
    *,
    totals: LedgerTotals,
    counts: MergeCounts,
    root: BatchRoot,
    now: datetime,
) -> dict[str, Any]:
    staged = connection.execute(
        sql.SQL(
            "SELECT (SELECT coalesce(sum(substr(content_hash, 1, 8)::bigint), 0) FROM {staging} WHERE"
            " NOT _deleted)"
            " - (SELECT coalesce(sum(substr(content_hash, 1, 8)::bigint), 0) FROM {current} WHERE"
            " dataset = %s"
            " AND batch_id = %s)"
        ).format(staging=batch.staging.identifier, current=RecordTable.of(batch.contract).current),
        [batch.dataset_id, batch.batch_id],
    ).fetchone()
    unchanged = 0 if staged is None else staged[0]
    return {
        "pages": totals.pages,
        "slices": len(batch.slices),
        "read": totals.read,
        "accepted": totals.accepted,
        "quarantined": totals.rejected,
        "reasons": _ascii(quarantine.summary(connection, batch.batch_id)),
        "inserted": counts.inserted,
        "updated": counts.updated,
        "closed": counts.closed,
        "published": counts.changed,
        "unchanged": counts.unchanged,
        **root.figures(),
        "unchanged_digest": _keyed(context, "unchanged", batch, counts.unchanged, unchanged),
        "checksum": _keyed(context, "ledger", batch, totals.accepted, totals.checksum),
        "milliseconds": int((now - batch.started_at).total_seconds() * 1000),
    }


def _keyed(context: SyncContext, what: str, batch: Batch, count: int, total: object) -> str:
    """A digest of a set that tells nothing to whoever lacks the installation's key."""
    content = f"{what}\x00{batch.batch_id}\x00{count}\x00{total}".encode()
    return hmac.digest(context.tags.secret, content, "sha256").hex()


def _ascii(reasons: Mapping[str, int]) -> dict[str, int]:
    """Reasons as an entry may carry them: field and rule, the twenty most frequent."""
    return {reason.replace("*", "row"): count for reason, count in list(reasons.items())[:20]}


_REPORTED = (
    "inserted", "updated", "closed", "unchanged", "postponed", "flagged", "root", "conflicts", "agreed",
    "duplicates", "superseded",
)  # fmt: skip


def _end(connection: psycopg.Connection[Any], batch: Batch, published: Published) -> None:
    figures = {name: getattr(published, name) for name in _REPORTED}
    batches.end(connection, batch.batch_id, BatchStatus.PUBLISHED, report={"published": figures})
    connection.execute("DELETE FROM quality.held_tag WHERE batch_id = %s", [batch.batch_id])
    batch.staging.drop(connection)
