"""Whether enough witnesses stand behind the log; where they do not for too long, exchanges stop.

The log itself goes on without a quorum: refusals, withdrawals and whatever else must be recorded stay
possible. Only what lets data flow is refused, before it flows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import psycopg

from audit.backlog import IS_BEHIND, refuse_behind
from audit.errors import QuorumMissing
from audit.kinds import EntryKind
from foundation import clock

__all__ = ["EXCHANGES", "quorum_is_met", "quorum_is_missing", "quorum_is_not_asked", "refuse_without_quorum"]

EXCHANGES = frozenset({
    EntryKind.SYNC_STARTED,
    EntryKind.SYNC_COMPLETED,
    EntryKind.EXCHANGE_ANSWERED,
    EntryKind.EXCHANGE_READ,
    EntryKind.EXCHANGE_REVIEWED,
    EntryKind.EXCHANGE_PUSHED,
    EntryKind.NOTICE_READ,
    EntryKind.LOOKUP_REQUESTED,
})  # fmt: skip
"""Kinds that let data flow. What only says how something ended is never refused."""

_RETRY_SECONDS = 60
_STATE = f"SELECT q.refused_after, q.met_at, {IS_BEHIND} FROM audit.quorum q, audit.backlog b"  # noqa: S608
_KNOWN_FOR = timedelta(seconds=1)
_KNOWN: dict[tuple[str, int, str], tuple[datetime, datetime | None]] = {}
"""For each database, when this process looked last, and what it saw: most exchanges pay no round trip."""


def refuse_without_quorum(connection: psycopg.Connection[Any], kinds: Iterable[EntryKind]) -> None:
    """Refuse to log an exchange that the log cannot take: one question for both reasons, seldom asked.

    Raises:
        LogBehind: when the log does not keep up; nothing is written, and the exchange must not happen.
        QuorumMissing: when witnesses have been missing for longer than the operator allows; as above.
    """
    if EXCHANGES.isdisjoint(kinds):
        return
    database = (connection.info.host, connection.info.port, connection.info.dbname)
    present, known = clock.now(), _KNOWN.get(database)
    # A moment that lies ahead is only ever put off, so it may be a second old; one that has passed may not.
    if (
        known is not None
        and timedelta(0) <= present - known[0] < _KNOWN_FOR
        and _lies_ahead(known[1], present)
    ):
        return
    row = connection.execute(_STATE).fetchone()
    refused_after, met_at, behind = row or (None, None, True)
    if behind:
        refuse_behind()
    _KNOWN[database] = (present, refused_after)
    if _lies_ahead(refused_after, present):
        return
    raise QuorumMissing(
        "The log has too few witnesses, so no exchange is made.",
        why=f"The last quorum stood {_since(met_at)}.",
        remedy="The operator brings the witnesses back; `lintas status` names them.",
        retry_after=_RETRY_SECONDS,
    )


def quorum_is_met(connection: psycopg.Connection[Any], grace: timedelta) -> None:
    """Note that a quorum stands behind the newest checkpoint now."""
    moment = clock.now()
    connection.execute(
        "UPDATE audit.quorum SET met_at = %s, refused_after = %s, trouble = NULL", (moment, moment + grace)
    )


def quorum_is_missing(connection: psycopg.Connection[Any], grace: timedelta, trouble: str) -> None:
    """Note that none does: the time until exchanges stop runs from the last quorum, or from now."""
    connection.execute(
        "UPDATE audit.quorum SET trouble = %s, refused_after = coalesce(refused_after, %s)",
        (trouble, clock.now() + grace),
    )


def quorum_is_not_asked(connection: psycopg.Connection[Any]) -> None:
    """Note that the operator's policy asks for no quorum, so nothing stops for want of one."""
    connection.execute(
        "UPDATE audit.quorum SET met_at = NULL, refused_after = NULL, trouble = NULL"
        " WHERE refused_after IS NOT NULL OR trouble IS NOT NULL"
    )


def _lies_ahead(refused_after: datetime | None, present: datetime) -> bool:
    return refused_after is None or present < refused_after


def _since(moment: datetime | None) -> str:
    return "never" if moment is None else f"on {moment:%Y-%m-%d at %H:%M} UTC"
