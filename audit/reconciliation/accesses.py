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
    """A sync as the log tells it; without an end it still runs, or was cut off.

    Where the entry of its start was pruned, it began no later than `started`.
    """

    dataset: str
    batch: str
    started: datetime
    ended: datetime | None = None
    read: int | None = None
    outcome: str = "running"
    start_is_pruned: bool = False


@dataclass(slots=True)
class LiveQuestion:
    """A live question as the log tells it."""

    dataset: str
    lookup: str
    requested: datetime
    completed: datetime | None = None
    answered: bool = False


def logged_questions(
    connection: psycopg.Connection[Any], window: Window, pruned_until: datetime | None = None
) -> tuple[list[SyncRun], list[LiveQuestion]]:
    """What the log says was asked of sources around a window.

    Args:
        connection: connection of a role that reads the log.
        window: what is compared.
        pruned_until: when the latest entry that was pruned had happened.
    """
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
            _note_sync(syncs, dataset, at, kind, data, pruned_until)
    return list(syncs.values()), list(lookups.values())


def _note_sync(  # noqa: PLR0917 - what an entry says, and what it cannot say any more
    syncs: dict[str, SyncRun],
    dataset: str,
    at: datetime,
    kind: str,
    data: Mapping[str, Any],
    pruned_until: datetime | None,
) -> None:
    figures = data.get("batch") or {}
    batch = str(figures.get("batch_id", ""))
    if kind != _STARTS and batch not in syncs and pruned_until is not None:
        syncs[batch] = SyncRun(dataset, batch, min(at, pruned_until), start_is_pruned=True)
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
    judged = [each for each in unexplained if not result.may_be_pruned(each.at, tolerance)]
    result.beyond += len(unexplained) - len(judged)
    result.add(_as_windows(judged))
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
    """Each served question with the entry that tells of it; none is used twice.

    As many as can be are matched, and of the questions those that were answered come first: one that failed
    and was asked again takes no access from its successor.
    """
    served = sorted(
        (number for number, each in enumerate(lines) if each.operation is Operation.LOOKUP),
        key=lambda number: lines[number].at,
    )
    ordered = sorted(lookups, key=lambda each: (not each.answered, each.completed or each.requested))
    fitting = {
        number: [place for place, each in enumerate(ordered) if _asked_around(lines[number], each, tolerance)]
        for number in served
    }
    access_of: dict[int, int] = {}
    for number in served:
        free = [place for place in fitting[number] if ordered[place].answered and place not in access_of]
        if free:
            access_of[free[0]] = number
    for number in set(served) - set(access_of.values()):
        _augment(number, fitting, access_of)
    return {number: ordered[place].lookup for place, number in access_of.items()}


def _augment(start: int, fitting: Mapping[int, Sequence[int]], access_of: dict[int, int]) -> None:
    """Match one more access, where others can move (an augmenting path); whatever was matched stays so."""
    came_from: dict[int, int] = {}
    waiting = [start]
    while waiting:
        number = waiting.pop()
        for place in fitting[number]:
            if place in came_from:
                continue
            came_from[place] = number
            if place in access_of:
                waiting.append(access_of[place])
                continue
            moved: int | None = place
            while moved is not None:
                taker = came_from[moved]
                left = next((old for old, held in access_of.items() if held == taker), None)
                access_of[moved] = taker
                moved = left if taker != start else None
            return


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
    told = [each for each in syncs if (each.dataset, Operation.LIST) in telling]
    for run in told:
        if not _is_whole(run, window) or not run.read:
            continue
        if not any(each.dataset == run.dataset and _during(each, [run], tolerance) for each in lines):
            what = f"the batch {run.batch} read {run.read} rows of {run.dataset}, and its source served none"
            span = Window(run.started, run.ended)
            yield Discrepancy(DiscrepancyKind.SYNC_WITHOUT_ACCESS, what, span, "the log")
    for runs in _close_together(told, tolerance):
        yield from _more_served(lines, runs, window, tolerance)


def _is_whole(run: SyncRun, window: Window) -> bool:
    ended = run.ended is not None and window.holds(run.ended)
    return ended and not run.start_is_pruned and window.holds(run.started)


def _close_together(syncs: Iterable[SyncRun], tolerance: timedelta) -> list[list[SyncRun]]:
    """Syncs of one dataset between which, as far as clocks can be trusted, no access can be told apart."""
    groups: list[list[SyncRun]] = []
    ends: dict[str, tuple[datetime, list[SyncRun]]] = {}
    for run in sorted(syncs, key=lambda each: each.started):
        until, group = ends.get(run.dataset, (None, []))
        if until is None or run.started - tolerance > until + tolerance:
            group = []
            groups.append(group)
        group.append(run)
        end = run.ended or run.started + _LONGEST_SYNC
        ends[run.dataset] = (max(end, until) if until else end, group)
    return groups


def _more_served(
    lines: Sequence[Access], runs: Sequence[SyncRun], window: Window, tolerance: timedelta
) -> Iterable[Discrepancy]:
    """Whether a source served more than all of these syncs together tell of; only where all of them tell."""
    read = [run.read for run in runs if run.read is not None and run.outcome == "completed"]
    if len(read) < len(runs) or not all(_is_whole(run, window) for run in runs):
        return
    dataset = runs[0].dataset
    served = [
        each
        for each in lines
        if each.dataset == dataset and each.operation is Operation.LIST and _during(each, runs, tolerance)
    ]
    counted = sum(each.records or 0 for each in served)
    if counted > sum(read):
        batches = ("batch " if len(runs) == 1 else "batches ") + ", ".join(run.batch for run in runs)
        what = f"{dataset} served {counted} records, and the {batches} tells of {sum(read)}"
        span = Window(runs[0].started, max(run.ended for run in runs if run.ended))
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
