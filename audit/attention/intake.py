"""Taking up entries: who looked at whom, when by local time, for which purpose, with which case.

Invariant: an entry is taken up once, with the position, in one transaction. Facts hold what entries say and
the keyed index of subjects; when a subject leaves that index (erasure, retention), the facts go with it.
An entry that cannot be read stops nobody: it is set aside, and said so, and the next one is taken up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from audit import entry as entries
from foundation import clock, telemetry
from foundation.errors import LintasError

__all__ = ["KEPT_FOR", "LOCAL", "Taken", "take_up"]

log = telemetry.logger(__name__)

LOCAL = ZoneInfo("Asia/Jakarta")
KEPT_FOR = timedelta(days=60)
"""How long facts are kept; rules look back 28 days at most."""

OFF_DAY = 7
"""Stands for the weekday on weekends' and holidays' own clock."""

_ACCESSES = frozenset(
    {
        "exchange.answered",
        "exchange.read",
        "referral.viewed",
        "quarantine.viewed",
        "conflict.viewed",
        "audit.viewed",
    }
)
_SKEW_KEPT = 10.0

_POSITION = "SELECT position FROM audit.attention_state FOR UPDATE"
_SIZE = "SELECT coalesce(max(tree_size), 0) FROM audit.checkpoints"
_READ = """
SELECT entry_index, entry_id, entry FROM audit.entries
 WHERE entry_index >= %s AND entry_index < %s ORDER BY entry_index
"""
_COPY = "COPY audit.attention_access FROM STDIN (FORMAT binary)"
_TYPES = ["int8", "uuid", "timestamptz", "text", "bool", "text", "text", "bool", "text", "bool", "date"]
_TYPES += ["int2", "int2", "bool", "text", "text", "float8"]
_SUBJECTS = """
INSERT INTO audit.attention_subject (subject, entry_id, entry_index)
SELECT i.index_key, i.entry_id, a.entry_index
  FROM audit.subject_index i
  JOIN audit.attention_access a USING (entry_id)
 WHERE i.entry_id BETWEEN %(lowest)s AND %(highest)s
   AND a.entry_index BETWEEN %(since)s AND %(until)s AND a.is_access
ON CONFLICT DO NOTHING
"""
_SET_ASIDE = """
INSERT INTO audit.attention_set_aside (entry_index, problem, set_aside_at) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING
"""
_UNREADABLE = (LintasError, ValueError, TypeError, KeyError, AttributeError, OverflowError, StopIteration)
_UNWRITABLE = (psycopg.DataError, psycopg.IntegrityError, TypeError, ValueError, AttributeError)
_FORGET = """
WITH old AS (DELETE FROM audit.attention_access WHERE at < %(before)s RETURNING entry_index)
DELETE FROM audit.attention_subject WHERE entry_index IN (SELECT entry_index FROM old)
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one turn took up: entries from `since` to before `until`."""

    since: int
    until: int
    set_aside: tuple[int, ...] = ()
    """Entries that could not be read: damaged, or changed behind the log's back."""

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing new."""
        return self.until == self.since


@dataclass(frozen=True, slots=True)
class _Access:
    """A row of `audit.attention_access`, in the order of its columns."""

    entry_index: int
    entry_id: UUID
    at: datetime
    kind: str
    is_access: bool
    agency: str
    who: str
    is_officer: bool
    purpose: str
    has_case: bool | None
    local_day: date
    weekday: int
    hour: int
    is_off: bool
    decision: str | None
    answer: str | None
    skew: float | None


def take_up(connection: psycopg.Connection[Any], limit: int, is_working_day: Callable[[date], bool]) -> Taken:
    """Take up the next entries that a checkpoint covers, in the caller's transaction.

    Args:
        connection: in the monitor's role.
        limit: how many entries at most.
        is_working_day: whether offices are open on a day.
    """
    since = _one(connection, _POSITION)
    until = max(since, min(since + limit, _one(connection, _SIZE)))
    facts, unreadable = [], {}
    for index, entry_id, encoded in connection.execute(_READ, (since, until)).fetchall():
        try:
            fact = _fact(index, entry_id, encoded, is_working_day)
        except _UNREADABLE as error:
            unreadable[index] = type(error).__name__
        else:
            facts += [fact] if fact is not None else []
    refused = _write(connection, facts)
    facts = [fact for fact in facts if fact.entry_index not in refused]
    if facts:
        ids = [fact.entry_id for fact in facts]
        window = {"lowest": min(ids), "highest": max(ids), "since": since, "until": until}
        connection.execute(_SUBJECTS, window)
        newest = min(clock.now(), max(fact.at for fact in facts))  # a clock far ahead forgets nothing
        connection.execute(_FORGET, {"before": newest - KEPT_FOR})
    connection.execute("UPDATE audit.attention_state SET position = %s", (until,))
    return Taken(since, until, _set_aside(connection, unreadable | refused))


def _write(connection: psycopg.Connection[Any], facts: Sequence[_Access]) -> dict[int, str]:
    """Write facts; where the table refuses them, one by one, so that only what it refuses is left out."""
    try:
        with connection.transaction():
            _copy(connection, facts)
        return {}
    except _UNWRITABLE as error:
        if len(facts) == 1:
            return {facts[0].entry_index: type(error).__name__}
    refused: dict[int, str] = {}
    for fact in facts:
        refused |= _write(connection, [fact])
    return refused


def _copy(connection: psycopg.Connection[Any], facts: Sequence[_Access]) -> None:
    if facts:
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for fact in facts:
                copy.write_row(astuple(fact))


def _set_aside(connection: psycopg.Connection[Any], problems: Mapping[int, str]) -> tuple[int, ...]:
    now = clock.now()
    for index, problem in sorted(problems.items()):
        connection.execute(_SET_ASIDE, (index, problem, now))
        log.error("attention.set_aside", entry=index, problem=problem)
    if problems:
        telemetry.count("lintas.audit.set_aside", len(problems))
    return tuple(sorted(problems))


def _one(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _fact(
    index: int, entry_id: UUID, encoded: bytes, is_working_day: Callable[[date], bool]
) -> _Access | None:
    """What an entry says about an access; None for entries that are none and whose clock is right."""
    data = entries.parse(bytes(encoded))
    details: Mapping[str, Any] = data.get("details", {})
    at = datetime.fromisoformat(data["time"])
    kind = str(data["kind"])
    is_access = kind in _ACCESSES and not details.get("replay")
    skew = _skew(entry_id, at)
    if not is_access and (skew is None or abs(skew) < _SKEW_KEPT):
        return None
    local = at.astimezone(LOCAL)
    is_off = not is_working_day(local.date())
    is_answer = kind == "exchange.answered" and is_access
    officer = data.get("actor") if is_access else None
    return _Access(
        entry_index=index,
        entry_id=entry_id,
        at=at,
        kind=kind,
        is_access=is_access,
        agency=data.get("consumer") or "",
        who=_first([officer and f"officer:{officer}", _system(data)]),
        is_officer=officer is not None,
        purpose=data.get("purpose") or "",
        has_case=_yes_or_no(details.get("case")) if is_answer else None,
        local_day=local.date(),
        weekday=OFF_DAY if is_off else local.weekday(),
        hour=local.hour,
        is_off=is_off,
        decision=data.get("decision") if is_answer else None,
        answer=details.get("answer") if is_answer else None,
        skew=skew,
    )


def _system(data: Mapping[str, Any]) -> str:
    return f"system:{data.get('system') or data.get('provider') or data.get('actor') or 'lintas'}"


def _yes_or_no(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError("neither yes nor no")
    return value


def _first(found: Iterable[str | None]) -> str:
    return next(each for each in found if each)


def _skew(entry_id: UUID, at: datetime) -> float | None:
    """Seconds by which an entry says another time than its id, whose time the machine's own clock wrote."""
    if entry_id.version != 7:
        return None
    return at.timestamp() - (entry_id.int >> 80) / 1000
