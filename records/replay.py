"""Replaying quarantined rows: the rows go through the same pipeline again, as a batch of their own.

Rows are opened by a steward's word, corrected where a correction is given, mapped and judged by the contract
now in force, and published beside everything else; a replay closes nothing and makes nothing fresher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import polars as pl
import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from connectors.source import Operation, Page, Slice, Window
from consent.decision import Decision
from foundation import clock
from foundation.database import Role, translated
from foundation.errors import Location
from records import batches, endings, ledger, quarantine
from records.assessment import DUPLICATE_KEY
from records.batches import Batch, BatchKind
from records.context import SyncContext
from records.errors import DatasetBusy, QuarantineRowGone, RowNotReplayable
from records.findings import Assessment
from records.landing import Landing
from records.publishing import Published, publish
from records.quarantine import OpenedRow
from records.sync import assess
from records.tables import require_published
from schemas.contract import Contract
from schemas.identifiers import Kbli

__all__ = ["ONLY_THE_PRODUCER", "Replayed", "identifier_columns", "replay"]

_SLICE = "quarantine"
ONLY_THE_PRODUCER = frozenset({DUPLICATE_KEY, "numeric-cell"})
"""Rules whose rows no steward mends."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the rows."""

    rows: int
    accepted: int
    quarantined: int
    assessment: Assessment
    published: Published | None


def replay(
    context: SyncContext,
    contract: Contract,
    row_ids: Sequence[int],
    *,
    actor: str,
    reason: str,
    corrections: Mapping[int, Mapping[str, Any]] | None = None,
    repair: str | None = None,
) -> Replayed:
    """Send quarantined rows through the pipeline again.

    Args:
        context: The installation; needs the quarantine's private key and the roles steward and ingest.
        contract: The dataset's contract now in force.
        row_ids: The rows.
        actor: Pseudonym of the steward.
        reason: Why, without values.
        corrections: Cells to replace, by row and source column; digits of an identifier stay as they are.
        repair: The rule by which the cells were written anew, where it was one.

    Raises:
        QuarantineRowGone: When a row is missing, resolved, or belongs to another dataset.
        RowNotReplayable: When only the producer can say what is right: a key that occurred twice, digits that
            a spreadsheet lost, or a correction that would change an identifier.
        ExchangeDenied: When no live agreement covers the collection any more; the refusal is logged.
        BatchRejected: When none of the rows can be used even now.
    """
    opened = _open(context, contract, row_ids)
    _require_form_only(contract, opened, corrections or {})
    decision, batch = _begin(context, contract, actor)
    if batch is None:
        decision.require_allowed()
    assert batch is not None
    try:
        page = _page(contract, opened, corrections or {})
        with context.connection() as connection:
            Landing(connection, context.installation.keyring, batch, batch.slices[0]).land(page)
        assessment = assess(context, batch)
        published = publish(context, batch) if assessment.publishable else None
    except Exception as error:
        endings.fail(context, batch, error, step="replay")
        raise
    with context.connection() as connection:
        totals = ledger.totals(connection, batch)
    done = Replayed(len(opened), totals.accepted, totals.rejected, assessment, published)
    if published is not None:
        _settle(context, contract, batch, opened, done, actor=actor, reason=reason, repair=repair)
    return done


def _open(context: SyncContext, contract: Contract, row_ids: Sequence[int]) -> list[OpenedRow]:
    with translated(), context.installation.database.connect(Role.STEWARD) as connection:
        opened = quarantine.open_rows(connection, context.installation.keyring, row_ids)
    foreign = [each for each in opened if each.row.dataset_id != contract.id or each.row.state != "open"]
    if foreign or not opened:
        raise QuarantineRowGone(
            f"{len(foreign)} of the rows are not open in quarantine of {contract.id}",
            remedy="`lintas quarantine list` shows what is open",
        )
    lost = [each for each in opened if ONLY_THE_PRODUCER & set(each.row.rules)]
    if lost:
        raise RowNotReplayable(
            f"{len(lost)} of the rows share their key with another row, or lost digits in a spreadsheet",
            why="What is right is a matter of meaning, not of form",
            remedy="Ask the producer to correct the register; the next sync then reads the right row",
            location=Location(row=lost[0].row.position, rule=lost[0].row.rules[0]),
        )
    return opened


def _require_form_only(
    contract: Contract, opened: Sequence[OpenedRow], corrections: Mapping[int, Mapping[str, Any]]
) -> None:
    """A steward mends how an identifier is written, never which one it is."""
    guarded = identifier_columns(contract)
    for each in opened:
        for column, cell in corrections.get(each.row.row_id, {}).items():
            if column in guarded and _signs(cell) != _signs(each.content.get(column)):
                raise RowNotReplayable(
                    f"The correction of row {each.row.row_id} would change an identifier",
                    why="Which number is right is a matter of meaning, not of form",
                    remedy="Ask the producer to correct the register; the next sync then reads the right row",
                    location=Location(row=each.row.position, field=guarded[column]),
                )


def identifier_columns(contract: Contract) -> dict[str, str]:
    """The source columns of which an identifier is made, with the field; KBLI names an activity, nobody."""
    return {
        column: each.field
        for each in contract.mapping
        if each.column.identifier is not None and each.column.identifier is not Kbli
        for column in each.value_columns
    }


def _signs(cell: Any) -> str:
    """The letters and digits of a cell; the rest is form."""
    return "".join(sign for sign in str(cell or "") if sign.isalnum()).upper()


def _begin(context: SyncContext, contract: Contract, actor: str) -> tuple[Decision, Batch | None]:
    now, run_id = clock.now(), f"replay-{uuid4().hex[:12]}"
    with context.transaction() as connection:
        require_published(connection, contract)
        decision = endings.decide_collection(context, connection, contract, at=now)
        if not decision.allowed:
            endings.deny(context, connection, contract, decision, step="replay", run_id=run_id, actor=actor)
            return decision, None
        _require_idle(connection, contract)
        batch = batches.insert(
            connection,
            contract=contract,
            kind=BatchKind.REPLAY,
            run_id=run_id,
            decision_id=decision.decision_id,
            window=Window(None, now),
        )
        batch.staging.create(connection)
        draft = endings.draft(
            context, EntryKind.SYNC_STARTED, contract, decision=decision, batch=batch, actor=actor,
            details={"snapshot": "replay"}, outcome="started",
        )  # fmt: skip
        append(connection, draft)
        batch = batches.plan(connection, batch, [Slice(_SLICE, "quarantined rows", Operation.UPSERT)])
        return decision, batch


def _require_idle(connection: psycopg.Connection[Any], contract: Contract) -> None:
    row = connection.execute(
        "SELECT 1 FROM records.batch WHERE dataset_id = %s AND status = ANY(%s)",
        [contract.id, list(batches.ACTIVE)],
    ).fetchone()
    if row is not None:
        raise DatasetBusy(
            f"A sync of {contract.id} is on its way", remedy="Replay when it has ended", retry_after=30
        )


def _page(
    contract: Contract, opened: Sequence[OpenedRow], corrections: Mapping[int, Mapping[str, Any]]
) -> Page:
    """The rows as a page of the source, with the corrections made."""
    cells = [dict(each.content) | dict(corrections.get(each.row.row_id, {})) for each in opened]
    columns = {
        name: pl.Series(name, [_text(row.get(name)) for row in cells], dtype=pl.String)
        for name in contract.source_columns
    }
    return Page(pl.DataFrame(columns), Operation.UPSERT, 0, 0, None, complete=True)


def _text(cell: Any) -> str | None:
    """Cells as text: mappings read numbers, codes and days from text as well."""
    return None if cell is None else str(cell)


def _settle(
    context: SyncContext,
    contract: Contract,
    batch: Batch,
    opened: Sequence[OpenedRow],
    done: Replayed,
    *,
    actor: str,
    reason: str,
    repair: str | None,
) -> None:
    ids = [each.row.row_id for each in opened]
    with translated(), context.installation.database.connect(Role.STEWARD) as connection:
        connection.execute(
            "UPDATE quality.quarantine_row SET state = 'replayed', resolved_at = %s, resolved_by = %s"
            " WHERE row_id = ANY(%s)",
            [clock.now(), actor, ids],
        )
        connection.execute("DELETE FROM quality.quarantine_tag WHERE row_id = ANY(%s)", [ids])
        append(
            connection,
            EntryDraft(
                kind=EntryKind.QUARANTINE_REPAIRED if repair else EntryKind.QUARANTINE_REPLAYED,
                actor=actor,
                datasets=(contract.id,),
                outcome="replayed",
                details={
                    "rows": done.rows,
                    "accepted": done.accepted,
                    "quarantined": done.quarantined,
                    "contract_version": contract.version,
                    "batch_id": batch.batch_id,
                    "reason": reason,
                    "repair": repair,
                },
            ),
        )
