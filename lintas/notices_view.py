"""Notices and webhooks as the command line shows and changes them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from foundation.database import Role
from lintas.access import connected, opened
from lintas.steward_view import require_steward

if TYPE_CHECKING:
    from audit.entry import EntryKind
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
    return _change(notice, officer, EntryKind.NOTICE_RETRIED, states, requeue)


def discard_notice(notice: str, *, officer: str, reason: str) -> dict[str, Any]:
    """Give a notice up that is queued or dead, with an entry."""
    from audit.entry import EntryKind
    from verification.notices import NoticeState, settle

    def give_up(connection: Any, found: "Notice") -> None:
        settle(connection, found, NoticeState.DISCARDED, reason)

    states = (NoticeState.QUEUED, NoticeState.DEAD)
    return _change(notice, officer, EntryKind.NOTICE_DISCARDED, states, give_up, reason=reason)


def _change(
    notice: str,
    officer: str,
    kind: "EntryKind",
    states: "tuple[NoticeState, ...]",
    change: Any,
    *,
    reason: str | None = None,
) -> dict[str, Any]:
    from audit.log import append
    from audit.vault import Vault
    from verification.errors import NoticeNotWaiting
    from verification.notices import find
    from verification.sending import ending

    with opened() as installation:
        require_steward(installation, officer)
        with (
            installation.database.connect(Role.STEWARD) as connection,
            Vault(installation, Role.STEWARD) as vault,
        ):
            found = find(connection, _id(notice), locked=True)
            if found.state not in states:
                raise NoticeNotWaiting(
                    f"The notice is {found.state}",
                    remedy=f"Only one that is {' or '.join(states)} can be changed like this",
                )
            change(connection, found)
            append(connection, ending(found, vault.keys_of(found.subject), kind, officer, reason))
            return _shown(find(connection, found.notice_id))


def webhook_rows() -> list[dict[str, Any]]:
    """Every webhook."""
    from verification.webhooks import listed

    with connected(Role.STEWARD) as (_, connection):
        return [_address(webhook) for webhook in listed(connection)]


def add_webhook(system: str, url: str, ca: Path | None, *, officer: str) -> dict[str, Any]:
    """Register an address by the operator's word."""
    from verification.webhooks import register

    ca_pem = None if ca is None else ca.read_text(encoding="ascii", errors="replace")
    with opened() as installation:
        require_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            return _address(register(connection, system, url, by=officer, ca_pem=ca_pem, is_operator=True))


def approve_webhook(system: str, url: str, *, officer: str) -> dict[str, Any]:
    """Approve the address that the officer looked at."""
    from verification.webhooks import approve

    with opened() as installation:
        require_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            return _address(approve(connection, system, by=officer, url=url))


def pause_webhook(system: str, *, officer: str, reason: str) -> dict[str, Any]:
    """Pause an address."""
    from verification.webhooks import pause

    with opened() as installation:
        require_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            return _address(pause(connection, system, by=officer, reason=reason))


def remove_webhook(system: str, *, officer: str) -> dict[str, Any]:
    """Forget an address."""
    from verification.webhooks import remove

    with opened() as installation:
        require_steward(installation, officer)
        with installation.database.connect(Role.STEWARD) as connection:
            remove(connection, system, by=officer, is_operator=True)
    return {"system": system, "status": "removed"}


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
