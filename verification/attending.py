"""How an office attends to its referrals: it lists them, reads one, moves a clock; each leaves an entry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from verification import referrals
from verification.context import AnsweringContext
from verification.journey import Asker
from verification.officer_decision import require_deciding
from verification.officers import named_officer
from verification.referrals import Referral


def list_open(
    context: AnsweringContext, asker: Asker, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Referral]:
    """A page of the undecided referrals of an office; showing none shows nothing, and is not logged."""
    with context.connection() as connection, connection.transaction():
        found = referrals.open_referrals(connection, asker.agency, after=after, limit=limit)
        note_listed(connection, found, consumer=asker.agency, system=asker.system)
    return found


def note_listed(
    connection: psycopg.Connection[Any],
    shown: Sequence[Referral],
    *,
    consumer: str | None = None,
    system: str | None = None,
    actor: str | None = None,
) -> None:
    """Log, before they are shown, that referrals were listed."""
    if shown:
        append(
            connection,
            EntryDraft(
                kind=EntryKind.REFERRAL_VIEWED,
                consumer=consumer,
                system=system,
                actor=actor,
                outcome="listed",
                details={"referrals": len(shown)},
            ),
        )


def read(context: AnsweringContext, asker: Asker, referral_id: UUID) -> Referral:
    """One referral of an office.

    Raises:
        ReferralUnknown: When the office owns no such referral.
    """
    with context.connection() as connection, connection.transaction():
        found = referrals.find(connection, referral_id, asker.agency)
        append(connection, _entry(context, EntryKind.REFERRAL_VIEWED, found, asker, outcome="shown"))
    return found


def move_clock(
    context: AnsweringContext,
    asker: Asker,
    referral_id: UUID,
    event: Literal["stop", "resume"],
    *,
    reason: str,
    officer: str,
) -> Referral:
    """Stop the clock of a referral, or let it run again, on the word of an officer who may decide.

    Raises:
        ReferralUnknown: When the office owns no such referral.
        ReferralClosed: When its clock does not stand as it must.
        OfficerUnknown, ReferralNotYours: When the officer is not one who may decide for the office.
    """
    with context.connection() as connection, connection.transaction():
        found = referrals.find(connection, referral_id, asker.agency, locked=True)
        require_deciding(named_officer(connection, asker.agency, officer), asker.agency)
        if event == "stop":
            kind, moved = EntryKind.REFERRAL_PAUSED, referrals.stop_clock(connection, found, reason, officer)
        else:
            kind = EntryKind.REFERRAL_RESUMED
            moved = referrals.resume_clock(connection, found, reason, officer)
        entry = _entry(context, kind, moved, asker, outcome=str(moved.state), officer=officer, reason=reason)
        append(connection, entry)
    return moved


def _entry(
    context: AnsweringContext,
    kind: EntryKind,
    referral: Referral,
    asker: Asker,
    *,
    outcome: str,
    officer: str | None = None,
    reason: str | None = None,
) -> EntryDraft:
    about = {
        "referral": referral.referral_id,
        "service": referral.service,
        "answer": referral.answer_id,
        "owner": referral.owner,
        "deadline": referral.due_at,
    }
    return EntryDraft(
        kind=kind,
        consumer=asker.agency,
        system=asker.system,
        actor=officer,
        outcome=outcome,
        subject=context.vault.keys_of(referral.subject),
        details=about | ({"reason": reason} if reason else {}),
    )
