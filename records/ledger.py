"""The page ledger: one row per landed page, written in the same commit as the page itself.

Invariant: the rows in staging are exactly those of the pages in the ledger; publishing recounts and
re-sums them before anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors as postgres_errors

from connectors.source import Page, PageToken
from foundation import clock
from foundation.canonical import sha256
from foundation.errors import Location
from records.batches import Batch
from records.errors import LedgerMismatch, PageOutOfOrder, PageRepeated
from records.staging import PageFigures

__all__ = [
    "LedgerTotals",
    "SliceProgress",
    "check",
    "check_order",
    "complete_totals",
    "note",
    "progress",
    "totals",
    "withdraw",
]


@dataclass(frozen=True, slots=True)
class SliceProgress:
    """How far a slice was landed: the pages, where to go on, and whether it is complete."""

    pages: int = 0
    rows: int = 0
    token: PageToken | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Sums over the ledger of a batch."""

    pages: int
    read: int
    accepted: int
    rejected: int
    checksum: Decimal
    incomplete: tuple[str, ...]


def progress(connection: psycopg.Connection[Any], batch: Batch, slice_id: str) -> SliceProgress:
    """Read how far a slice was landed."""
    row = connection.execute(
        "SELECT page_no + 1, next_position, token, complete FROM records.page"
        " WHERE batch_id = %s AND slice_id = %s ORDER BY page_no DESC LIMIT 1",
        [batch.batch_id, slice_id],
    ).fetchone()
    if row is None:
        return SliceProgress()
    return SliceProgress(row[0], row[1], None if row[2] is None else PageToken(row[2]), row[3])


def note(
    connection: psycopg.Connection[Any],
    batch: Batch,
    slice_id: str,
    page_no: int,
    page: Page,
    *,
    first_position: int,
    rejected: int,
    figures: PageFigures,
) -> None:
    """Write a page's row.

    Raises:
        PageRepeated: When the source handed out this page, or its token, before.
    """
    token = None if page.token is None else page.token.value
    try:
        connection.execute(
            "INSERT INTO records.page (batch_id, slice_id, page_no, attempt, token, token_digest,"
            " next_position,"
            " rows_read, rows_accepted, rows_rejected, checksum, complete, landed_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                batch.batch_id, slice_id, page_no, batch.attempt, token,
                None if token is None else sha256(token.encode()), first_position + page.frame.height,
                page.frame.height, figures.rows, rejected, figures.checksum, page.complete, clock.now(),
            ],
        )  # fmt: skip
    except postgres_errors.UniqueViolation:
        raise PageRepeated(
            f"The source of {batch.dataset_id} handed out a page of slice {slice_id} for the second time",
            why="Its token was seen before in this batch, so reading on would go round in circles",
            remedy="The agency must correct its paging; then run the sync again",
            location=Location(row=first_position),
            page=page_no,
        ) from None


def check_order(batch: Batch, slice_id: str, expected: int, page: Page) -> None:
    """Check that a page is the next one.

    Raises:
        PageOutOfOrder: When pages are missing between the last landed one and this one.
    """
    if page.number != expected:
        raise PageOutOfOrder(
            f"The source of {batch.dataset_id} gave page {page.number} of slice {slice_id}"
            f" where page {expected} was due",
            remedy="Run the sync again; if it repeats, the connector or the source skips pages",
            location=Location(row=page.first_position),
        )


def withdraw(
    connection: psycopg.Connection[Any], batch_id: UUID, rows: Iterable[tuple[str, int, int]]
) -> None:
    """Move rows (slice, page, hash), taken out of staging after landing, from accepted to rejected."""
    moved: dict[tuple[str, int], tuple[int, int]] = {}
    for slice_id, page_no, row_hash in rows:
        count, total = moved.get((slice_id, page_no), (0, 0))
        moved[slice_id, page_no] = (count + 1, total + row_hash)
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE records.page SET rows_accepted = rows_accepted - %s, rows_rejected = rows_rejected + %s,"
            " checksum = checksum - %s WHERE batch_id = %s AND slice_id = %s AND page_no = %s",
            [(n, n, Decimal(total), batch_id, *page) for page, (n, total) in sorted(moved.items())],
        )


def totals(connection: psycopg.Connection[Any], batch: Batch) -> LedgerTotals:
    """Sum the ledger, and name the slices that were not landed to their end."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(rows_read), 0), coalesce(sum(rows_accepted), 0),"
        " coalesce(sum(rows_rejected), 0), coalesce(sum(checksum), 0),"
        " coalesce(array_agg(slice_id) FILTER (WHERE complete), '{}') FROM records.page WHERE batch_id = %s",
        [batch.batch_id],
    ).fetchone()
    assert row is not None
    missing = tuple(each.slice_id for each in batch.slices if each.slice_id not in row[5])
    return LedgerTotals(row[0], row[1], row[2], row[3], row[4], missing)


def complete_totals(connection: psycopg.Connection[Any], batch: Batch) -> LedgerTotals:
    """Sum the ledger of a batch that was landed to its end.

    Raises:
        PageOutOfOrder: When a slice was not landed to its end.
    """
    found = totals(connection, batch)
    if found.incomplete:
        raise PageOutOfOrder(
            f"{len(found.incomplete)} slice(s) of {batch.dataset_id} were not read to their end",
            remedy="Run the sync again; it goes on after the last landed page",
            slices=found.incomplete,
        )
    return found


def check(connection: psycopg.Connection[Any], batch: Batch) -> LedgerTotals:
    """Recount and re-sum staging, page by page, against the ledger.

    Raises:
        LedgerMismatch: When staging lost, gained or changed a row since it was landed.
        PageOutOfOrder: When a slice was not landed to its end.
    """
    found = complete_totals(connection, batch)
    noted = {
        (batch.slice_number(row[0]), row[1]): PageFigures(row[2], row[3])
        for row in connection.execute(
            "SELECT slice_id, page_no, rows_accepted, checksum FROM records.page"
            " WHERE batch_id = %s AND rows_accepted > 0",
            [batch.batch_id],
        )
    }
    staged = batch.staging.all_figures(connection)
    if noted != staged:
        wrong = sorted(page for page in noted.keys() | staged.keys() if noted.get(page) != staged.get(page))
        raise LedgerMismatch(
            f"Staging of {batch.dataset_id} does not hold what was landed: {len(wrong)} page(s) differ",
            why="Rows were lost, added or changed between landing and publishing",
            remedy="Nothing was published; look at the database's storage and run the sync again",
            pages=wrong[:20],
        )
    return found
