"""A sync, step by step: `open_batch`, `land`, `assess`, `publish`; `run_sync` does them in order.

Each step is a function of a context and a batch and can be run in a process of its own: what travels between
processes is the batch's id (`take_over`). Every way out ends the batch with an entry.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from time import perf_counter
from typing import Any

import psycopg

from audit.entry import EntryKind
from audit.log import append
from connectors.source import Slice
from foundation import telemetry
from foundation.database import Role
from foundation.errors import LintasError
from records import assessment as assessing
from records import batches, data_docs, endings, ledger, quarantine
from records.batches import Batch, BatchStatus
from records.context import Observer, Progress, SyncContext
from records.endings import fail, reject_held, release
from records.errors import BatchRejected, WorkerFenced
from records.expectations import measure
from records.findings import Assessment, Finding, Verdict
from records.landing import Landed, Landing
from records.ledger import LedgerTotals
from records.merge import Merging
from records.opening import (
    batch_of_run,
    end_without_contract,
    note_unusable_contract,
    open_batch,
    take_over,
)
from records.publishing import Published, publish
from records.references import asked_by, resolve
from records.report import StepSeconds, SyncReport
from records.suppression import withdraw_suppressed
from schemas.contract import Contract

__all__ = [
    "Assessment",
    "Batch",
    "Landed",
    "Observer",
    "Progress",
    "Published",
    "SyncContext",
    "SyncReport",
    "assess",
    "batch_of_run",
    "end_without_contract",
    "fail",
    "land",
    "note_unusable_contract",
    "open_batch",
    "publish",
    "reject_held",
    "release",
    "run_sync",
    "take_over",
]


def land(context: SyncContext, batch: Batch, slice: Slice) -> Landed:
    """Land one slice, going on after the last page landed; each page is one commit.

    Raises:
        BatchRejected: When a page has more rejected rows than its error budget; the batch has ended.
        WorkerFenced: When another worker has taken the batch over.
        FixSource, RetryLater: What the source or its data did.
    """
    with context.connection() as connection:
        landing = Landing(connection, context.installation.keyring, batch, slice)
        if landing.progress.complete:
            return replace(landing.landed, complete=True)
        with closing(context.source_of(context, batch.contract)) as source:
            started = perf_counter()
            for page in source.read(slice, landing.progress.token):
                landing.landed.source_seconds += perf_counter() - started
                landing.land(page)
                landed = landing.landed
                context.observer(
                    Progress(batch.dataset_id, "land", landed.read, landed.accepted, landed.rejected)
                )
                if landed.over_budget:
                    _reject_page(context, batch, landed)
                started = perf_counter()
        return landing.landed


def assess(context: SyncContext, batch: Batch) -> Assessment:
    """Judge the whole batch: duplicates, budgets, closings, rules; pass, warn, hold or reject.

    A held batch waits for `release` or `reject_held`; a rejected one has ended.

    Raises:
        BatchRejected: When nothing of the batch can be used.
        AssessmentBroken: When a check could not be carried out.
    """
    with context.connection() as connection:
        with connection.transaction():
            if batches.fence(connection, batch) is not BatchStatus.OPEN:
                return _assessed_before(connection, batch)
            assessing.quarantine_duplicates(connection, context.installation.keyring, batch)
        batch.staging.analyze(connection)
        totals = ledger.complete_totals(connection, batch)
        findings = assessing.findings_of_batch(
            connection, batch, totals, Merging(connection, batch, context.tags).closings()
        )
        findings += _measured(context, connection, batch, totals)
        found = Assessment.of(findings)
        with connection.transaction():
            batches.fence(connection, batch, allowed=(BatchStatus.OPEN,), alone=True)
            _conclude(context, connection, batch, found, totals)
    context.observer(Progress(batch.dataset_id, "assess", detail=str(found.verdict)))
    if not found.publishable:
        data_docs.keep(context, batch.batch_id)
    if found.verdict is Verdict.REJECT:
        raise _rejected(batch, found)
    return found


def run_sync(
    context: SyncContext, contract: Contract, observer: Observer | None = None, *, run_id: str | None = None
) -> SyncReport:
    """Run all steps of a sync in this process.

    Returns:
        What was read, kept, quarantined and changed; a held batch is told by `report.held`.

    Raises:
        LintasError: What stopped the sync; the batch has ended with its entry by then.
    """
    if observer is not None:
        context = replace(context, observer=observer)
    seconds = StepSeconds()
    with telemetry.bind(dataset=contract.id), seconds.step("open_batch"):
        batch = open_batch(context, contract, run_id=run_id)
    step = "land"
    try:
        with telemetry.bind(dataset=contract.id, batch=str(batch.batch_id)):
            with seconds.step("land"):
                landed = [land(context, batch, each) for each in batch.slices]
            step = "assess"
            with seconds.step("assess"):
                assessment = assess(context, batch)
            published = None
            step = "publish"
            if assessment.publishable:
                with seconds.step("publish"):
                    published = publish(context, batch)
    except WorkerFenced:
        raise
    except Exception as error:
        fail(context, batch, error, step=step)
        raise
    return _report(context, batch, landed, assessment=assessment, published=published, seconds=seconds)


def _measured(
    context: SyncContext, connection: psycopg.Connection[Any], batch: Batch, totals: LedgerTotals
) -> list[Finding]:
    if not totals.accepted and totals.read:
        return []
    url, contract = context.installation.database.url(Role.INGEST), batch.contract
    found = resolve(connection, contract, asked_by(contract))
    resolved = {each.reference.rule: each for each in found}
    return measure(url, "staging", batch.staging.judged_name, contract.quality, resolved)


def _conclude(
    context: SyncContext,
    connection: psycopg.Connection[Any],
    batch: Batch,
    found: Assessment,
    totals: LedgerTotals,
) -> None:
    """Write the assessment and where the batch goes from here."""
    assessing.store(connection, batch, found)
    figures = {"read": totals.read, "accepted": totals.accepted, "quarantined": totals.rejected}
    if found.verdict is Verdict.REJECT:
        endings.reject(context, connection, batch, found, figures)
        return
    report = {"verdict": found.verdict, "broken": list(found.broken_rules)}
    if found.publishable:
        batches.mark(connection, batch, BatchStatus.ASSESSED, report)
        return
    withdraw_suppressed(connection, batch, context.tags)
    Merging(connection, batch, context.tags).changed_subjects()
    batches.mark(connection, batch, BatchStatus.HELD, report)
    details = {"rules": list(found.broken_rules), "assessment": str(found.verdict)}
    append(
        connection,
        endings.draft(
            context,
            EntryKind.SYNC_HELD,
            batch.contract,
            batch=batch,
            figures=figures,
            details=details,
            outcome="held",
        ),
    )


def _assessed_before(connection: psycopg.Connection[Any], batch: Batch) -> Assessment:
    """What an earlier attempt found; a released batch passes by the steward's word."""
    found = assessing.load(connection, batch)
    assert found is not None
    return found if found.publishable else replace(found, verdict=Verdict.WARN)


def _reject_page(context: SyncContext, batch: Batch, landed: Landed) -> None:
    """End a batch one page of which is mostly garbage: the format has changed, and more would be the same."""
    found = Assessment.of(
        [
            Finding(
                rule="error-budget-page",
                dimension="conformity",
                severity="reject",
                checked=landed.read,
                failed=landed.rejected,
                passed=False,
                description=f"A page has at most {batch.contract.error_budget.page:.0%} rejected rows.",
            )
        ]
    )
    with context.transaction() as connection:
        batches.fence(connection, batch, alone=True)
        totals = ledger.totals(connection, batch)
        _conclude(context, connection, batch, found, totals)
    raise _rejected(batch, found)


def _rejected(batch: Batch, found: Assessment) -> LintasError:
    broken = found.broken[0]
    return BatchRejected(
        f"The batch of {batch.dataset_id} was rejected: {broken.failed} of {broken.checked} rows cannot"
        " be used",
        why=broken.description,
        remedy=f"See the reasons by `lintas quarantine list {batch.dataset_id}`; mend source or contract",
        batch=str(batch.batch_id),
        rules=found.broken_rules,
    )


def _report(
    context: SyncContext,
    batch: Batch,
    landed: list[Landed],
    *,
    assessment: Assessment,
    published: Published | None,
    seconds: StepSeconds,
) -> SyncReport:
    with context.connection() as connection:
        totals = ledger.totals(connection, batch)
        reasons = quarantine.summary(connection, batch.batch_id)
    seconds.add_parts(landed)
    return SyncReport(
        dataset_id=batch.dataset_id,
        batch_id=batch.batch_id,
        run_id=batch.run_id,
        resumed=batch.resumed,
        read=totals.read,
        accepted=totals.accepted,
        quarantined=totals.rejected,
        reasons=Counter(reasons),
        verdict=assessment.verdict,
        broken_rules=assessment.broken_rules,
        inserted=published.inserted if published else 0,
        updated=published.updated if published else 0,
        closed=published.closed if published else 0,
        unchanged=published.unchanged if published else 0,
        postponed=published.postponed if published else 0,
        flagged=published.flagged if published else 0,
        published=published is not None,
        step_seconds=seconds.steps,
        part_seconds=seconds.parts,
    )
