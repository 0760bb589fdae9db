"""The watch: takes up new entries, measures, flags; once, in order, whatever is killed in between.

Invariant: entries are taken up, flags written and the position moved on in one transaction. What a lesson
holds back is kept as a `suppressed` flag and stands in the log like any other: nothing is off in silence.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

from audit.attention.intake import Taken, take_up
from audit.attention.rules import RULES, Rule
from audit.entry import EntryDraft, EntryKind
from audit.log import append, append_many
from foundation import clock, telemetry
from foundation.database import Role, translated

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["ACTOR", "Watch"]

log = telemetry.logger(__name__)

ACTOR = "lintas-monitor"
BATCH_ENTRIES = 5_000
LOOK_SECONDS = 2.0
_LOCK = 0x617474656E64  # "attend"

_FROM = "SELECT min(at) FROM audit.attention_access WHERE entry_index >= %s"
_LESSONS = """
SELECT DISTINCT ON (agency, who, purpose) agency, who, purpose, threshold, lesson_id, learned_at
  FROM audit.attention_lesson
 WHERE rule = %(rule)s AND expires_at > %(at)s
 ORDER BY agency, who, purpose, learned_at DESC
"""
_SUBJECT_LESSON = """
SELECT l.threshold, l.lesson_id, l.learned_at
  FROM audit.attention_lesson l
  JOIN audit.attention_flag f USING (flag_id)
 WHERE l.rule = %(rule)s AND l.expires_at > %(at)s
   AND f.entries < 2 * (SELECT count(*) FROM audit.attention_flag_entry e
                          JOIN audit.attention_subject s USING (entry_index)
                         WHERE e.flag_id = f.flag_id AND s.subject = %(subject)s)
 ORDER BY l.learned_at DESC LIMIT 1
"""
_KNOWN = """
SELECT DISTINCT f.flag_id, f.state
  FROM audit.attention_flag f JOIN audit.attention_flag_entry e USING (flag_id)
 WHERE f.rule = %(rule)s AND f.agency = %(agency)s AND f.who = %(who)s AND f.state <> 'judged'
   AND e.entry_index = ANY(%(entries)s)
"""
_JUDGED = """
SELECT e.entry_index FROM audit.attention_flag f JOIN audit.attention_flag_entry e USING (flag_id)
 WHERE f.rule = %(rule)s AND f.agency = %(agency)s AND f.who = %(who)s AND f.state = 'judged'
   AND e.entry_index = ANY(%(entries)s)
"""
_INSERT = """
INSERT INTO audit.attention_flag (flag_id, rule, agency, who, purpose, score, threshold, state, lesson_id,
       flagged_at, entries, first_index, last_index)
VALUES (%(flag)s, %(rule)s, %(agency)s, %(who)s, %(purpose)s, %(score)s, %(threshold)s, %(state)s, %(lesson)s,
       %(at)s, cardinality(%(entries)s::bigint[]), %(first)s, %(last)s)
"""
_ENTRIES = """
INSERT INTO audit.attention_flag_entry (flag_id, entry_index)
SELECT %(flag)s, unnest(%(entries)s::bigint[]) ON CONFLICT DO NOTHING
"""
_GROW = """
UPDATE audit.attention_flag f SET score = greatest(score, %(score)s), state = %(state)s,
       threshold = %(threshold)s, lesson_id = %(lesson)s, entries = held.entries,
       first_index = held.first, last_index = held.last
  FROM (SELECT count(*) AS entries, min(entry_index) AS first, max(entry_index) AS last
          FROM audit.attention_flag_entry WHERE flag_id = %(flag)s) AS held
 WHERE flag_id = %(flag)s
"""


@dataclass(frozen=True, slots=True)
class _Candidate:
    agency: str
    who: str
    purpose: str
    score: float
    entries: list[int]
    subject: bytes | None


@dataclass(frozen=True, slots=True)
class _Threshold:
    value: float
    lesson: UUID | None = None
    learned_at: datetime | None = None


class Watch:
    """Watches access; of several processes, one works at a time.

    Args:
        installation: whose log is watched.
        is_working_day: whether offices are open on a day.
        batch: how many entries one turn takes up at most.
        rules: the rules to go by.
    """

    def __init__(
        self,
        installation: Installation,
        is_working_day: Callable[[date], bool],
        *,
        batch: int = BATCH_ENTRIES,
        rules: Mapping[str, Rule] = RULES,
    ) -> None:
        self._installation = installation
        self._is_working_day = is_working_day
        self._batch = batch
        self._rules = rules

    def run(self, ending: threading.Event) -> None:
        """Watch until `ending` is set; the database may go away and come back meanwhile."""
        connection: psycopg.Connection[Any] | None = None
        while not ending.is_set():
            try:
                if connection is None or connection.broken:
                    connection = self._installation.database.connect(Role.MONITOR, autocommit=True)
                if self.turn(connection).is_nothing:
                    ending.wait(LOOK_SECONDS)
            except Exception as error:  # whatever it is, the watch goes on, and says so
                log.error("attention.turn_failed", error=getattr(error, "code", type(error).__name__))
                ending.wait(LOOK_SECONDS)
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def turn(self, connection: psycopg.Connection[Any]) -> Taken:
        """Take up the next entries, and flag what they show.

        Args:
            connection: in autocommit, in the monitor's role.
        """
        with translated(), connection.transaction():
            held = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,)).fetchone()
            if held is None or not held[0]:
                return Taken(0, 0)
            taken = take_up(connection, self._batch, self._is_working_day)
            if taken.set_aside:
                append(connection, _told_aside(taken))
            earliest = connection.execute(_FROM, (taken.since,)).fetchone()
            if not taken.is_nothing and earliest is not None and earliest[0] is not None:
                drafts = [
                    draft
                    for rule in self._rules.values()
                    for draft in self._apply(connection, rule, taken, earliest[0])
                ]
                append_many(connection, drafts)
        return taken

    def _apply(
        self, connection: psycopg.Connection[Any], rule: Rule, taken: Taken, earliest: datetime
    ) -> list[EntryDraft]:
        learned = {
            (agency, who, purpose): _Threshold(*lesson)
            for agency, who, purpose, *lesson in connection.execute(
                _LESSONS, {"rule": rule.name, "at": clock.now()}
            )
        }
        floor = min([rule.threshold, *(each.value for each in learned.values())])
        parameters = {"since": taken.since, "from": earliest, "floor": floor, **rule.parameters}
        found = [_Candidate(*row) for row in connection.execute(rule.query, parameters).fetchall()]
        drafts = []
        for each in found:
            threshold = _threshold_for(connection, rule, each, learned)
            if each.score >= min(threshold.value, rule.threshold):
                drafts += self._note(connection, rule, each, threshold)
        return drafts

    def _note(
        self, connection: psycopg.Connection[Any], rule: Rule, found: _Candidate, threshold: _Threshold
    ) -> list[EntryDraft]:
        """Write a new flag, or let the one that shares an entry grow; what was judged is not asked again."""
        identity = {"rule": rule.name, "agency": found.agency, "who": found.who, "entries": found.entries}
        judged = {row[0] for row in connection.execute(_JUDGED, identity)}
        entries = sorted(set(found.entries) - judged)
        if not entries:
            return []
        state = "open" if found.score >= threshold.value else "suppressed"
        values: dict[str, Any] = identity | {
            "purpose": found.purpose,
            "score": found.score,
            "threshold": threshold.value,
            "state": state,
            "lesson": threshold.lesson,
            "entries": entries,
            "first": entries[0],
            "last": entries[-1],
            "at": clock.now(),
        }
        known = connection.execute(_KNOWN, values).fetchall()
        if not known:
            flag = uuid.uuid4()
            connection.execute(_INSERT, values | {"flag": flag})
            connection.execute(_ENTRIES, values | {"flag": flag})
        else:
            flag, had = known[0]
            kept = "open" if had == "open" else state
            connection.execute(_ENTRIES, values | {"flag": flag})
            connection.execute(_GROW, values | {"flag": flag, "state": kept})
            if had == kept:
                return []
        telemetry.count("lintas.audit.flagged", rule=rule.name, state=state)
        if state == "open":
            log.warning("attention.flagged", rule=rule.name, flag=str(flag), entries=len(entries))
        return [_draft(rule, found, values, flag, state)]


def _threshold_for(
    connection: psycopg.Connection[Any],
    rule: Rule,
    found: _Candidate,
    learned: Mapping[tuple[str, str, str], _Threshold],
) -> _Threshold:
    """What was learned last about who (for any purpose, or for this one), else the rule's own."""
    if rule.is_about_a_subject:
        values = {"rule": rule.name, "at": clock.now(), "subject": found.subject}
        row = connection.execute(_SUBJECT_LESSON, values).fetchone()
        return _Threshold(*row) if row else _Threshold(rule.threshold)
    lessons = [learned.get((found.agency, found.who, purpose)) for purpose in {found.purpose, ""}]
    held = [(each.learned_at, each) for each in lessons if each is not None and each.learned_at is not None]
    return max(held, key=lambda pair: pair[0])[1] if held else _Threshold(rule.threshold)


def _told_aside(taken: Taken) -> EntryDraft:
    first, last = taken.set_aside[0], taken.set_aside[-1]
    details = {"entries": len(taken.set_aside), "first": first, "last": last}
    return EntryDraft(kind=EntryKind.ATTENTION_SET_ASIDE, actor=ACTOR, details=details)


def _draft(rule: Rule, found: _Candidate, values: Mapping[str, Any], flag: UUID, state: str) -> EntryDraft:
    kind, _, name = found.who.partition(":")
    return EntryDraft(
        kind=EntryKind.ATTENTION_FLAGGED,
        actor=ACTOR,
        consumer=found.agency or None,
        system=name if kind == "system" else None,
        purpose=found.purpose or None,
        outcome="flagged" if state == "open" else "suppressed",
        details={
            "flag": flag,
            "rule": rule.name,
            "entries": len(values["entries"]),
            "first": values["first"],
            "last": values["last"],
            "score": round(found.score * 1000),
            "threshold": round(values["threshold"] * 1000),
            "officer": name if kind == "officer" else None,
        },
    )
