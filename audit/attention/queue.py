"""The queue of flags: what waits for an auditor, what was judged, and what the rules learned from it.

Invariant: a verdict is an entry, given by an auditor who is not the officer concerned, and moves one
threshold for one officer (and purpose), between the rule's floor and its ceiling, until a date.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from audit.attention.errors import FlagUnknown, VerdictRefused
from audit.attention.rules import RULES, Rule
from audit.entry import EntryDraft, EntryKind
from audit.log import append
from audit.subject_view import Reader
from foundation import clock

__all__ = [
    "LEARNED_FOR",
    "Flag",
    "Judged",
    "RuleFigures",
    "Verdict",
    "flag",
    "flags",
    "judge",
    "rule_figures",
]

Connection = psycopg.Connection[Any]

LEARNED_FOR = timedelta(days=60)
"""How long a lesson holds; after that the rule's own threshold is in force again."""


class Verdict(StrEnum):
    """What an auditor found."""

    JUSTIFIED = "justified"
    MISUSE = "misuse"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """What a rule flagged."""

    flag_id: UUID
    rule: str
    agency: str
    who: str
    purpose: str
    score: float
    threshold: float
    state: str
    flagged_at: datetime
    entries: int
    first_index: int
    last_index: int
    verdict: str | None
    reason: str | None
    judged_by: str | None
    judged_at: datetime | None

    @property
    def officer(self) -> str | None:
        """Pseudonym of the officer concerned."""
        kind, _, name = self.who.partition(":")
        return name if kind == "officer" else None

    @property
    def says(self) -> str:
        """What was flagged, in a sentence."""
        rule = RULES[self.rule]
        return (
            f"{rule.summary}: {_number(self.score)} {rule.measures}, flagged from {_number(self.threshold)}"
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and what the rule learned from it, in a sentence."""

    flag: Flag
    verdict: Verdict
    learned: str
    threshold: float | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFigures:
    """A rule with what came of it."""

    rule: str
    open: int
    suppressed: int
    justified: int
    misuse: int
    unclear: int
    lessons: int

    @property
    def precision(self) -> float | None:
        """Share of misuse among the flags on which auditors were sure."""
        sure = self.misuse + self.justified
        return self.misuse / sure if sure else None


_COLUMNS = (
    "flag_id, rule, agency, who, purpose, score, threshold, state, flagged_at, entries, first_index,"
    " last_index, verdict, reason, judged_by, judged_at"
)
_LIST = f"""
SELECT {_COLUMNS} FROM audit.attention_flag
 WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (%(rule)s::text IS NULL OR rule = %(rule)s)
 ORDER BY flagged_at DESC, flag_id LIMIT %(limit)s
"""  # noqa: S608
_ONE = f"SELECT {_COLUMNS} FROM audit.attention_flag WHERE flag_id = %s"  # noqa: S608
_ENTRIES = """
SELECT entry_index FROM audit.attention_flag_entry WHERE flag_id = %s ORDER BY entry_index LIMIT %s
"""
_JUDGE = """
UPDATE audit.attention_flag SET state = 'judged', verdict = %(verdict)s, reason = %(reason)s,
       judged_by = %(by)s, judged_at = %(at)s
 WHERE flag_id = %(flag)s
"""
_LEARN = """
INSERT INTO audit.attention_lesson (lesson_id, rule, agency, who, purpose, threshold, flag_id, learned_by,
       learned_at, expires_at)
VALUES (%(lesson)s, %(rule)s, %(agency)s, %(who)s, %(purpose)s, %(threshold)s, %(flag)s, %(by)s, %(at)s,
        %(until)s)
"""
_PRESENT = """
SELECT threshold FROM audit.attention_lesson
 WHERE rule = %(rule)s AND agency = %(agency)s AND who = %(who)s AND purpose IN (%(purpose)s, '')
   AND expires_at > %(at)s
 ORDER BY learned_at DESC LIMIT 1
"""
_FIGURES = """
SELECT rule, count(*) FILTER (WHERE state = 'open') AS open,
       count(*) FILTER (WHERE state = 'suppressed') AS suppressed,
       count(*) FILTER (WHERE verdict = 'justified') AS justified,
       count(*) FILTER (WHERE verdict = 'misuse') AS misuse,
       count(*) FILTER (WHERE verdict = 'unclear') AS unclear,
       (SELECT count(*) FROM audit.attention_lesson l WHERE l.rule = f.rule AND l.expires_at > %s) AS lessons
  FROM audit.attention_flag f GROUP BY rule
"""


def flags(
    connection: Connection,
    reader: Reader,
    *,
    state: str | None = "open",
    rule: str | None = None,
    limit: int = 50,
) -> list[Flag]:
    """Flags, the newest first; looking is logged."""
    with connection.cursor(row_factory=class_row(Flag)) as cursor:
        found = cursor.execute(_LIST, {"state": state, "rule": rule, "limit": limit}).fetchall()
    _log_view(connection, reader, "attention", len(found))
    return found


def flag(
    connection: Connection, flag_id: UUID, reader: Reader, limit: int = 100
) -> tuple[Flag, Sequence[int]]:
    """One flag with the numbers of its entries; looking is logged.

    Raises:
        FlagUnknown: When there is none of this id.
    """
    found = _find(connection, flag_id)
    entries = [row[0] for row in connection.execute(_ENTRIES, (flag_id, limit))]
    _log_view(connection, reader, "attention flag", len(entries))
    return found, entries


def judge(connection: Connection, flag_id: UUID, verdict: Verdict, *, by: str, reason: str) -> Judged:
    """Judge a flag, in the caller's transaction, with an entry; the rule learns from it.

    Args:
        connection: in the auditor's role.
        flag_id: the flag.
        verdict: what was found.
        by: pseudonym of the auditor.
        reason: why, without values; it stands in the log.

    Raises:
        FlagUnknown: When there is none of this id.
        VerdictRefused: When it is judged already, or is about the auditor.
    """
    found = _find(connection, flag_id, locked=True)
    if found.state == "judged":
        raise VerdictRefused("The flag is judged already", remedy="Its verdict stands; the log shows by whom")
    if found.officer == by:
        raise VerdictRefused("Nobody judges a flag about themselves", remedy="Let another auditor judge it")
    if not reason.strip():
        raise VerdictRefused("A verdict needs a reason", remedy="Say in a sentence what was found, no values")
    at = clock.now()
    values = {"flag": flag_id, "verdict": str(verdict), "reason": reason, "by": by, "at": at}
    connection.execute(_JUDGE, values)
    judged = _learn(connection, found, verdict, by, at)
    append(
        connection,
        EntryDraft(
            kind=EntryKind.ATTENTION_JUDGED,
            occurred_at=at,
            actor=by,
            consumer=found.agency or None,
            purpose=found.purpose or None,
            outcome=str(verdict),
            details={
                "flag": flag_id,
                "rule": found.rule,
                "reason": reason,
                "officer": found.officer,
                "threshold": None if judged.threshold is None else round(judged.threshold * 1000),
                "until": judged.until,
            },
        ),
    )
    return judged


def rule_figures(connection: Connection) -> list[RuleFigures]:
    """Every rule with what came of it, also those that flagged nothing."""
    with connection.cursor(row_factory=class_row(RuleFigures)) as cursor:
        found = {each.rule: each for each in cursor.execute(_FIGURES, (clock.now(),)).fetchall()}
    nothing = {"open": 0, "suppressed": 0, "justified": 0, "misuse": 0, "unclear": 0, "lessons": 0}
    return [found.get(name) or RuleFigures(rule=name, **nothing) for name in RULES]


def _learn(connection: Connection, found: Flag, verdict: Verdict, by: str, at: datetime) -> Judged:
    rule = RULES[found.rule]
    if verdict is Verdict.UNCLEAR:
        return Judged(found, verdict, "nothing is learned from what is unclear")
    is_justified = verdict is Verdict.JUSTIFIED
    present = _present(connection, rule, found, at)
    threshold = rule.raised(present, found.score) if is_justified else rule.lowered(present)
    until = at + LEARNED_FOR
    values = {
        "lesson": uuid.uuid4(),
        "rule": rule.name,
        "agency": found.agency,
        "who": found.who,
        "purpose": found.purpose if is_justified else "",
        "threshold": threshold,
        "flag": found.flag_id,
        "by": by,
        "at": at,
        "until": until,
    }
    connection.execute(_LEARN, values)
    return Judged(found, verdict, _explained(rule, found, threshold, until, is_justified), threshold, until)


def _present(connection: Connection, rule: Rule, found: Flag, at: datetime) -> float:
    """The threshold now in force: another verdict may have come after this flag."""
    if rule.is_about_a_subject:
        return found.threshold
    values = {"rule": rule.name, "agency": found.agency, "who": found.who, "purpose": found.purpose, "at": at}
    row = connection.execute(_PRESENT, values).fetchone()
    return float(row[0]) if row else rule.threshold


def _explained(rule: Rule, found: Flag, threshold: float, until: datetime, is_justified: bool) -> str:
    whom = (
        "this person's record" if rule.is_about_a_subject else f"{found.who} of {found.agency or 'the bus'}"
    )
    purpose = f" for {found.purpose}" if is_justified and found.purpose else ""
    kept = "; what lies below is kept as suppressed" if is_justified and threshold > rule.threshold else ""
    return (
        f"{rule.name} flags {whom}{purpose} from {_number(threshold)} {rule.measures} on"
        f" (before: {_number(found.threshold)}) until {until.date().isoformat()}{kept}"
    )


def _find(connection: Connection, flag_id: UUID, *, locked: bool = False) -> Flag:
    query = f"{_ONE} FOR UPDATE" if locked else _ONE
    with connection.cursor(row_factory=class_row(Flag)) as cursor:
        found = cursor.execute(query, (flag_id,)).fetchone()
    if found is None:
        raise FlagUnknown("No flag has this id", remedy="`lintas audit attention` lists them")
    return found


def _log_view(connection: Connection, reader: Reader, view: str, entries: int) -> None:
    append(
        connection,
        EntryDraft(
            kind=EntryKind.AUDIT_VIEWED,
            actor=reader.actor,
            consumer=reader.consumer,
            system=reader.system,
            run_id=reader.run_id,
            details={"view": view, "entries": entries, "reason": reader.reason},
        ),
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
