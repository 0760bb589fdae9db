"""Agencies' access logs compared with the log: what a source served, and what the entries say was asked.

Every request that a source served lies within a sync of that dataset, or is one live question of its own.
Clocks differ: a tolerance is allowed on both sides. Pure functions over what was read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from audit import entry as entries
from audit.reconciliation.access_log import Access, Operation
from audit.reconciliation.discrepancies import Discrepancy, DiscrepancyKind, Reconciliation, Window

__all__ = ["LiveQuestion", "SyncRun", "compare_accesses", "logged_questions"]

_STARTS = "sync.started"
_ENDS = frozenset({"sync.completed", "sync.held", "sync.rejected", "sync.failed"})
_LOOKUPS = frozenset({"lookup.requested", "lookup.completed"})
_LONGEST_SYNC = timedelta(hours=30)
_READ = """
SELECT entry_index, occurred_at, kind, entry FROM audit.entries
 WHERE kind = ANY(%(kinds)s) AND occurred_at BETWEEN %(since)s AND %(until)s ORDER BY entry_index
"""


@dataclass(slots=True)
class SyncRun:
    """A sync as the log tells it; without an end it still runs, or was cut off."""

    dataset: str
    batch: str
    started: datetime
    ended: datetime | None = None
    read: int | None = None
    outcome: str = "running"


@dataclass(slots=True)
class LiveQuestion:
    """A live question as the log tells it."""

    dataset: str
    lookup: str
    requested: datetime
    completed: datetime | None = None
    answered: bool = False


def logged_questions(
    connection: psycopg.Connection[Any], window: Window
) -> tuple[list[SyncRun], list[LiveQuestion]]:
    """What the log says was asked of sources around a window."""
    given = {
        "kinds": [_STARTS, *sorted(_ENDS), *sorted(_LOOKUPS)],
        "since": window.since - _LONGEST_SYNC if window.since else "-infinity",
        "until": window.until + _LONGEST_SYNC if window.until else "infinity",
    }
    syncs: dict[str, SyncRun] = {}
    lookups: dict[str, LiveQuestion] = {}
    for _, at, kind, encoded in connection.execute(_READ, given):
        data = entries.parse(bytes(encoded))
        dataset = str((data.get("datasets") or ["?"])[0])
        if kind in _LOOKUPS:
            _note_lookup(lookups, dataset, at, kind, data)
        else:
            _note_sync(syncs, dataset, at, kind, data)
    return list(syncs.values()), list(lookups.values())


def _note_sync(
    syncs: dict[str, SyncRun], dataset: str, at: datetime, kind: str, data: Mapping[str, Any]
) -> None:
    figures = data.get("batch") or {}
    batch = str(figures.get("batch_id", ""))
    if kind == _STARTS:
        syncs.setdefault(batch, SyncRun(dataset, batch, at))
    elif batch in syncs and syncs[batch].ended is None:
        run = syncs[batch]
        run.ended, run.outcome, run.read = at, kind.partition(".")[2], figures.get("read")


def _note_lookup(
    lookups: dict[str, LiveQuestion], dataset: str, at: datetime, kind: str, data: Mapping[str, Any]
) -> None:
    lookup = str((data.get("details") or {}).get("lookup", data["id"]))
    question = lookups.setdefault(lookup, LiveQuestion(dataset, lookup, at))
    if kind == "lookup.completed":
        question.completed = at
        question.answered = data.get("outcome") == "answered"


def compare_accesses(
    accesses: Sequence[Access],
    syncs: Sequence[SyncRun],
    lookups: Sequence[LiveQuestion],
    result: Reconciliation,
    *,
    tolerance: timedelta,
) -> None:
    """Note in `result` what a source served without an entry, and what entries tell that no source served.

    Args:
        accesses: lines of the agencies' access logs; an agency without a line is not compared.
        syncs: what the log tells.
        lookups: what the log tells.
        result: where to note it; its window limits what is compared.
        tolerance: how much clocks may differ.
    """
    window = result.window
    lines = [each for each in accesses if window.holds(each.at)]
    result.compared["accesses"] += len(lines)
    asked = _match_lookups(lines, lookups, tolerance)
    in_sync = {number for number, each in enumerate(lines) if _during(each, syncs, tolerance)}
    unexplained = [
        each
        for number, each in enumerate(lines)
        if number not in asked and not _explained(number, each, in_sync, lookups, tolerance)
    ]
    result.add(_as_windows(unexplained))
    telling = _telling(accesses)
    result.add(_syncs_without_access(lines, syncs, telling, window, tolerance))
    matched = set(asked.values())
    for question in lookups:
        told = (question.dataset, Operation.LOOKUP) in telling
        if question.answered and told and window.holds(question.requested) and question.lookup not in matched:
            what = f"a live question to {question.dataset} was answered, and its source served none"
            span = Window(question.requested, question.completed)
            result.add([Discrepancy(DiscrepancyKind.LOOKUP_WITHOUT_ACCESS, what, span, "the log")])


def _explained(
    number: int,
    access: Access,
    in_sync: set[int],
    lookups: Sequence[LiveQuestion],
    tolerance: timedelta,
) -> bool:
    """A live question is explained by its own entry only; a log-in also by any question around it."""
    if access.operation is Operation.LOOKUP:
        return False
    if access.operation is Operation.SESSION:
        return number in in_sync or any(_asked_around(access, each, tolerance) for each in lookups)
    return number in in_sync


def _asked_around(access: Access, question: LiveQuestion, tolerance: timedelta) -> bool:
    ends = question.completed or question.requested
    return (
        access.concerns(question.dataset) and question.requested - tolerance <= access.at <= ends + tolerance
    )


def _match_lookups(
    lines: Sequence[Access], lookups: Sequence[LiveQuestion], tolerance: timedelta
) -> dict[int, str]:
    """Each served question with the entry that tells of it; none is used twice."""
    open_questions = sorted(lookups, key=lambda each: each.requested)
    matched: dict[int, str] = {}
    for number, access in enumerate(lines):
        if access.operation is not Operation.LOOKUP:
            continue
        for question in open_questions:
            if _asked_around(access, question, tolerance):
                matched[number] = question.lookup
                open_questions.remove(question)
                break
    return matched


def _during(access: Access, syncs: Iterable[SyncRun], tolerance: timedelta) -> bool:
    return any(
        access.concerns(run.dataset)
        and run.started - tolerance <= access.at
        and access.at <= (run.ended or run.started + _LONGEST_SYNC) + tolerance
        for run in syncs
    )


def _telling(accesses: Iterable[Access]) -> set[tuple[str, Operation]]:
    """What the given logs tell of: only about that can their silence say anything."""
    return {(each.dataset, each.operation) for each in accesses}


def _syncs_without_access(
    lines: Sequence[Access],
    syncs: Iterable[SyncRun],
    telling: set[tuple[str, Operation]],
    window: Window,
    tolerance: timedelta,
) -> Iterable[Discrepancy]:
    for run in syncs:
        told = (run.dataset, Operation.LIST) in telling
        if not told or run.ended is None or not (window.holds(run.started) and window.holds(run.ended)):
            continue
        served = [each for each in lines if each.dataset == run.dataset and _during(each, [run], tolerance)]
        span = Window(run.started, run.ended)
        if not served and run.read:
            what = f"the batch {run.batch} read {run.read} rows of {run.dataset}, and its source served none"
            yield Discrepancy(DiscrepancyKind.SYNC_WITHOUT_ACCESS, what, span, "the log")
        counted = sum(each.records or 0 for each in served if each.operation is Operation.LIST)
        if run.outcome == "completed" and run.read is not None and counted > run.read:
            what = f"{run.dataset} served {counted} records, and the batch {run.batch} tells of {run.read}"
            yield Discrepancy(DiscrepancyKind.MORE_SERVED_THAN_READ, what, span, served[0].seen_in)


def _as_windows(unexplained: Iterable[Access]) -> Iterable[Discrepancy]:
    """One discrepancy for each run of lines of one dataset that lie close together."""
    groups: dict[tuple[str, Operation], list[list[Access]]] = defaultdict(list)
    for access in unexplained:
        runs = groups[access.dataset, access.operation]
        if runs and access.at - runs[-1][-1].at <= timedelta(minutes=5):
            runs[-1].append(access)
        else:
            runs.append([access])
    for (dataset, operation), runs in sorted(groups.items()):
        for run in runs:
            records = sum(each.records or 0 for each in run)
            what = f"{dataset} served {len(run)} requests ({operation}, {records} records) without an entry"
            span = Window(run[0].at, run[-1].at)
            yield Discrepancy(DiscrepancyKind.ACCESS_UNLOGGED, what, span, run[0].seen_in)
