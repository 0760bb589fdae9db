"""Landing: page by page, from the source's cells to staging and quarantine.

Invariant: a page's accepted rows, its quarantined rows and its ledger row are one commit, refused to any
worker but the latest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import polars as pl
import psycopg

from connectors.source import Operation, Page, Slice
from foundation.keyring import Keyring
from records import batches, ledger, quarantine
from records.batches import Batch
from records.content import DAWN, content_hashes, source_key, source_keys
from records.quarantine import Rejected
from schemas.judge import RowJudge
from schemas.mapping import Mapped, Rejection, compile_mapping

__all__ = ["Landed", "Landing"]


@dataclass
class Landed:
    """What was landed of a slice by this worker, and how long each part took."""

    slice_id: str
    pages: int = 0
    read: int = 0
    accepted: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    complete: bool = False
    over_budget: bool = False
    source_seconds: float = 0.0
    map_seconds: float = 0.0
    write_seconds: float = 0.0


class Landing:
    """Lands the pages of one slice of one batch."""

    def __init__(
        self, connection: psycopg.Connection[Any], keyring: Keyring, batch: Batch, slice_: Slice
    ) -> None:
        self._connection = connection
        self._keyring = keyring
        self._batch = batch
        self._slice_id = slice_.slice_id
        self._slice_no = batch.slice_number(slice_.slice_id)
        self._mapping = compile_mapping(batch.contract)
        self._named = _NamedBy(batch)
        self._last_place = "(0,0)"
        self.landed = Landed(slice_.slice_id)
        self.progress = ledger.progress(connection, batch, slice_.slice_id)

    def land(self, page: Page) -> None:
        """Map, validate and write one page.

        Raises:
            WorkerFenced: When another worker has taken the batch over; nothing of the page is written.
            PageRepeated: When the source handed out the page before.
            ColumnsChanged: When the source no longer has the contract's columns.
        """
        ledger.check_order(self._batch, self._slice_id, self.progress.pages + self.landed.pages, page)
        started = perf_counter()
        mapped = self._mapping.apply(page.frame, page.first_position)
        frame = self._staged(mapped, page)
        rejected = [self._named.rejected(each) for each in mapped.rejected]
        mapped_at = perf_counter()
        self._write(page, frame, rejected)
        self._count(page, mapped, rejected)
        self.landed.map_seconds += mapped_at - started
        self.landed.write_seconds += perf_counter() - mapped_at

    def _write(self, page: Page, frame: pl.DataFrame, rejected: list[Rejected]) -> None:
        connection, staging = self._connection, self._batch.staging
        with connection.transaction():
            batches.fence(connection, self._batch, allowed=(batches.BatchStatus.OPEN,))
            staging.copy(connection, frame)
            figures = staging.page_figures(connection, self._slice_no, page.number, after=self._last_place)
            if figures.rows != frame.height:  # rows went into room that a failed page left behind
                figures = staging.page_figures(connection, self._slice_no, page.number)
            quarantine.store(
                connection, self._keyring, self._batch, self._slice_id, page.number, rejected=rejected
            )
            ledger.note(
                connection,
                self._batch,
                self._slice_id,
                page.number,
                page,
                first_position=page.first_position,
                rejected=len(rejected),
                figures=figures,
            )
        self._last_place = figures.last_place

    def _staged(self, mapped: Mapped, page: Page) -> pl.DataFrame:
        contract, frame = self._batch.contract, mapped.accepted
        own = contract.record_type.column_names
        return frame.with_columns(
            pl.lit(self._slice_no, dtype=pl.Int32).alias("_slice"),
            pl.lit(page.number, dtype=pl.Int32).alias("_page"),
            mapped.positions.rename("position"),
            pl.lit(page.operation is Operation.DELETE).alias("_deleted"),
            source_keys(frame, contract.source_key),
            _day(contract.validity.from_field).fill_null(DAWN).alias("valid_from"),
            _day(contract.validity.to_field).alias("valid_to"),
            content_hashes(frame, own, contract.id),
        )

    def _count(self, page: Page, mapped: Mapped, rejected: list[Rejected]) -> None:
        landed = self.landed
        landed.pages += 1
        landed.read += page.frame.height
        landed.accepted += mapped.accepted.height
        landed.rejected += len(rejected)
        landed.reasons.update(quarantine.reasons(rejected))
        landed.complete = page.complete
        landed.over_budget = self._over_budget(page, len(rejected))

    def _over_budget(self, page: Page, rejected: int) -> bool:
        """Whether the source has begun to send something else.

        Bad keys sort together, so a short last page may hold nothing else; it counts only when what was
        rejected is too much of all that was read of the slice, too.
        """
        budget, rows = self._batch.contract.error_budget, page.frame.height
        read = page.first_position + rows
        return budget.page_exceeded(rejected=rejected, rows=rows) and budget.batch_exceeded(
            rejected=self.landed.rejected, rows=read
        )


class _NamedBy:
    """Finds out whom a rejected row names and which record it would have changed."""

    def __init__(self, batch: Batch) -> None:
        contract = batch.contract
        by_field = {each.field: each for each in contract.mapping}
        self._key_fields = contract.source_key
        self._key = RowJudge([by_field[name] for name in contract.source_key])
        self._subject = by_field.get(contract.subject_field or "")
        self._subject_judge = RowJudge([self._subject]) if self._subject else None

    def rejected(self, rejection: Rejection) -> Rejected:
        """The row with what can be said about it."""
        key, errors = self._key.judge(rejection.raw)
        return Rejected(
            rejection.position,
            rejection.errors,
            rejection.raw,
            self._subjects(rejection),
            None if errors else source_key([_plain(key[name]) for name in self._key_fields]),
        )

    def _subjects(self, rejection: Rejection) -> tuple[str, ...]:
        """The number as the contract reads it, or else any sixteen digits that stand in its place."""
        if self._subject is None or self._subject_judge is None:
            return ()
        record, errors = self._subject_judge.judge(rejection.raw)
        if not errors:
            value = record[self._subject.field]
            return () if value is None else (_plain(value),)
        cells = (rejection.raw.get(column) for column in self._subject.source_columns)
        digits = (
            "".join(sign for sign in cell if sign in "0123456789") for cell in cells if isinstance(cell, str)
        )
        return tuple(number for number in digits if len(number) == 16)


def _day(name: str | None) -> pl.Expr:
    return pl.lit(None, dtype=pl.Date) if name is None else pl.col(name).cast(pl.Date)


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value))
