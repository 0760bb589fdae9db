"""Counts over time: from the hourly counts that the indexer keeps, from the entries where those cannot tell.

The hourly counts outlive pruning, so a chart over years stays whole; counts that need the entries
themselves (by dataset, rule, …) begin at the minimum index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from audit.errors import FilterInvalid
from audit.search.filter import Hidden, LogFilter
from audit.search.readers import log_look, require_auditor
from audit.search.walking import Extent, Walk
from audit.subject_view import Reader

__all__ = ["GROUPS", "LOCAL_ZONE", "Count", "Per", "counts"]

LOCAL_ZONE = "Asia/Jakarta"
"""Days and months begin at midnight of Western Indonesian Time."""

GROUPS = ("kind", "provider", "consumer", "purpose", "outcome")
_ROLLED_UP = {"since", "until", "kind", "agency", "provider", "consumer", "purpose", "outcome"}


class Per(StrEnum):
    """How long one step of the chart is."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Count:
    """How many entries of one group stand in one step of time."""

    start: datetime
    group: str | None
    entries: int


def counts(
    connection: psycopg.Connection[Any],
    wanted: LogFilter,
    reader: Reader,
    *,
    per: Per = Per.DAY,
    by: str | None = None,
    hidden: Hidden | None = None,
) -> list[Count]:
    """Count the entries that a filter asks for, by time and perhaps by one more thing; itself logged.

    Args:
        connection: connection of a role that reads the log and may write entries (auditor), in a transaction.
        wanted: the filter.
        reader: who looks, and why; an auditor.
        per: length of a step.
        by: one of `GROUPS`, or nothing.
        hidden: whom and which case it must be about.

    Raises:
        NotAnAuditor: when the reader is none.
        FilterInvalid: when there is no such group.
    """
    if by is not None and by not in GROUPS:
        raise FilterInvalid(f"Entries are not counted by {by}.", remedy=f"Choose one of {', '.join(GROUPS)}.")
    hidden = hidden or Hidden()
    require_auditor(connection, reader.actor)
    found = (
        _from_rollup(connection, wanted, per, by)
        if _is_rolled_up(wanted) and not hidden
        else _from_entries(connection, wanted, hidden, per, by)
    )
    total = sum(each.entries for each in found)
    filters = [*wanted.names, *hidden.names]
    details = {"view": f"counts by {per}", "filter": filters, "entries": total}
    log_look(connection, reader, details, subject=hidden.subject)
    return found


def _is_rolled_up(wanted: LogFilter) -> bool:
    """Whether the hourly counts can tell: only their facets, and times on the hour."""
    moments = [moment for moment in (wanted.since, wanted.until) if moment is not None]
    on_the_hour = all((m.minute, m.second, m.microsecond) == (0, 0, 0) for m in moments)
    return on_the_hour and set(wanted.names) <= _ROLLED_UP


def _from_rollup(
    connection: psycopg.Connection[Any], wanted: LogFilter, per: Per, by: str | None
) -> list[Count]:
    group = by or "NULL::text"  # one of GROUPS, never a text from outside
    conditions = [text for name, text in _CONDITIONS.items() if getattr(wanted, name) is not None]
    where = "".join(f" AND {condition}" for condition in conditions)
    values = {name: getattr(wanted, name) for name in _CONDITIONS}
    query = _ROLLUP.format(group=group, where=where)
    rows = connection.execute(query, {**values, "per": str(per), "zone": LOCAL_ZONE})
    return [Count(row[0], row[1] or None, int(row[2])) for row in rows]


def _from_entries(
    connection: psycopg.Connection[Any], wanted: LogFilter, hidden: Hidden, per: Per, by: str | None
) -> list[Count]:
    extent, tally = Extent.of(connection), Counter[tuple[datetime, str]]()
    walk = Walk(
        connection, wanted, hidden, low=extent.minimum_index, high=extent.tree_size, newest_first=False
    )
    for each in walk:
        tally[_start(each.entry["time"], per), each.entry.get(by, "") if by else ""] += 1
    return [Count(start, group or None, number) for (start, group), number in sorted(tally.items())]


def _start(text: str, per: Per) -> datetime:
    moment = datetime.fromisoformat(text).astimezone(ZoneInfo(LOCAL_ZONE))
    parts: Sequence[str] = ("minute", "second", "microsecond")
    if per is not Per.HOUR:
        parts = ("hour", *parts)
    start = moment.replace(**dict.fromkeys(parts, 0))  # type: ignore[arg-type]
    return start.replace(day=1) if per is Per.MONTH else start


_CONDITIONS = {
    "since": "hour >= %(since)s",
    "until": "hour < %(until)s",
    "kind": "(kind = %(kind)s OR split_part(kind, '.', 1) = %(kind)s)",
    "agency": "(provider = %(agency)s OR consumer = %(agency)s)",
    "provider": "provider = %(provider)s",
    "consumer": "consumer = %(consumer)s",
    "purpose": "purpose = %(purpose)s",
    "outcome": "outcome = %(outcome)s",
}
_ROLLUP = """
WITH counted AS (
    SELECT hour, kind, provider, consumer, purpose, outcome, entries FROM audit.entry_counts
    UNION ALL
    SELECT date_trunc('hour', occurred_at), kind, coalesce(provider, ''), coalesce(consumer, ''),
           coalesce(purpose, ''), coalesce(outcome, ''), count(*)
      FROM audit.entries
     WHERE entry_index >= (SELECT indexed_to FROM audit.search_state)
     GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT date_trunc(%(per)s, hour, %(zone)s) AS start, {group} AS name, sum(entries)
  FROM counted WHERE true{where}
 GROUP BY 1, 2 ORDER BY 1, 2
"""
