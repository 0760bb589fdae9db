"""Notices and webhooks as the command line shows and changes them."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role
from lintas.access import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from audit.entry import EntryKind
    from foundation.installation import Installation
    from participants.stewards import Steward
    from verification.notices import Notice, NoticeState
    from verification.webhooks import Webhook

__all__ = [
    "add_webhook",
    "approve_webhook",
    "discard_notice",
    "notice_fields",
    "notice_rows",
    "pause_webhook",
    "remove_webhook",
    "retry_notice",
    "webhook_rows",
]


def notice_rows(system: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    """Notices, the newest first."""
    from verification.notices import listed

    with connected(Role.STEWARD) as (_, connection):
        return [_shown(notice) for notice in listed(connection, system=system, state=state, limit=limit)]


def notice_fields(notice: str) -> dict[str, Any]:
    """One notice."""
    from verification.notices import find

    with connected(Role.STEWARD) as (_, connection):
        return _shown(find(connection, _id(notice)))


def retry_notice(notice: str, *, officer: str) -> dict[str, Any]:
    """Queue a notice that is dead or was delivered again, with an entry."""
    from audit.entry import EntryKind
    from verification.notices import NoticeState, requeue

    states = (NoticeState.DEAD, NoticeState.DELIVERED)
    with _desk(officer) as (installation, connection, acting):
        found = _waiting(connection, notice, states)
        acting.for_system(connection, found.system)
        requeue(connection, found)
        return _noted(installation, connection, found, EntryKind.NOTICE_RETRIED, officer=officer)


def discard_notice(notice: str, *, officer: str, reason: str) -> dict[str, Any]:
    """Give a notice up that is queued or dead, with an entry; only the portal's agency can say so."""
    from audit.entry import EntryKind
    from verification.notices import NoticeState, settle

    with _desk(officer) as (installation, connection, acting):
        found = _waiting(connection, notice, (NoticeState.QUEUED, NoticeState.DEAD))
        acting.for_agency(found.consumer)
        settle(connection, found, NoticeState.DISCARDED, reason)
        kind = EntryKind.NOTICE_DISCARDED
        return _noted(installation, connection, found, kind, officer=officer, reason=reason)


@contextmanager
def _desk(officer: str) -> "Iterator[tuple[Installation, Connection[Any], Steward]]":
    """One transaction of a steward."""
    from participants.stewards import steward

    with connected(Role.STEWARD) as (installation, connection):
        yield installation, connection, steward(connection, officer)


def _waiting(connection: "Connection[Any]", notice: str, states: "tuple[NoticeState, ...]") -> "Notice":
    from verification.errors import NoticeNotWaiting
    from verification.notices import find

    found = find(connection, _id(notice), locked=True)
    if found.state not in states:
        raise NoticeNotWaiting(
            f"The notice is {found.state}",
            remedy=f"Only one that is {' or '.join(states)} can be changed like this",
        )
    return found


def _noted(
    installation: "Installation",
    connection: "Connection[Any]",
    found: "Notice",
    kind: "EntryKind",
    *,
    officer: str,
    reason: str | None = None,
) -> dict[str, Any]:
    from audit.log import append
    from audit.subjects.vault import Vault
    from verification.notices import find
    from verification.sending import ending

    with Vault(installation, Role.STEWARD) as vault:
        append(connection, ending(found, vault.keys_of(found.subject), kind, officer, reason))
    return _shown(find(connection, found.notice_id))


def webhook_rows() -> list[dict[str, Any]]:
    """Every webhook."""
    from verification.webhooks import listed

    with connected(Role.STEWARD) as (_, connection):
        return [_address(webhook) for webhook in listed(connection)]


def add_webhook(system: str, url: str, ca: Path | None, *, officer: str) -> dict[str, Any]:
    """Register an address; by the operator's word it is active at once, by the agency's own it waits."""
    from verification.webhooks import register

    ca_pem = None if ca is None else ca.read_text(encoding="ascii", errors="replace")
    with _desk(officer) as (_, connection, acting):
        is_operator = acting.for_system(connection, system).is_operators
        return _address(register(connection, system, url, by=officer, ca_pem=ca_pem, is_operator=is_operator))


def approve_webhook(system: str, url: str, *, officer: str) -> dict[str, Any]:
    """Approve the address that the operator's steward looked at."""
    from verification.webhooks import approve

    with _desk(officer) as (_, connection, acting):
        acting.for_operator()
        return _address(approve(connection, system, by=officer, url=url))


def pause_webhook(system: str, *, officer: str, reason: str) -> dict[str, Any]:
    """Pause an address."""
    from verification.webhooks import pause

    with _desk(officer) as (_, connection, acting):
        acting.for_system(connection, system)
        return _address(pause(connection, system, by=officer, reason=reason))


def remove_webhook(system: str, *, officer: str) -> dict[str, Any]:
    """Forget an address; one that is paused stays, unless the operator's steward removes it."""
    from verification.webhooks import listed, remove

    with _desk(officer) as (_, connection, acting):
        is_operator = acting.for_system(connection, system).is_operators
        remove(connection, system, by=officer, is_operator=is_operator)
        left = [each for each in listed(connection) if each.system == system]
    return {"system": system, "status": left[0].status if left else "removed"}


def _id(notice: str) -> UUID:
    from verification.errors import NoticeUnknown

    try:
        return UUID(notice)
    except ValueError:
        raise NoticeUnknown("There is no such notice", remedy="`lintas notices list` shows them") from None


def _shown(notice: "Notice") -> dict[str, Any]:
    return {
        "notice": notice.notice_id,
        "system": notice.system,
        "number": notice.number,
        "service": notice.service,
        "answer": notice.answer_id,
        "review": notice.review_id,
        "state": str(notice.state),
        "attempts": notice.attempts,
        "problem": notice.last_error,
        "found_at": notice.found_at,
        "queued_at": notice.queued_at,
        "due_at": notice.due_at if notice.ended_at is None else None,
        "ended_at": notice.ended_at,
    }


def _address(webhook: "Webhook") -> dict[str, Any]:
    return {
        "system": webhook.system,
        "url": webhook.url,
        "status": webhook.status,
        "ca_pinned": webhook.ca_pem is not None,
        "reason": webhook.reason,
        "registered_by": webhook.registered_by,
        "approved_by": webhook.approved_by,
    }
