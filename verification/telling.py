"""A portal reads its notices by itself: in their order, by cursor, each reading in the log."""

from __future__ import annotations

from typing import Any

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from verification import notices, webhooks
from verification.context import AnsweringContext
from verification.events import event, source_of
from verification.journey import Asker
from verification.webhooks import Webhook


def read(context: AnsweringContext, asker: Asker, after: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """The events of a system after a number, and the number up to which was read."""
    with context.connection() as connection, connection.transaction():
        found = notices.after(connection, asker.system, after, limit)
        if found:
            append(connection, _entry(asker, after, len(found)))
    source = source_of(context.installation.settings)
    shown = []
    for notice in found:
        keys = context.vault.keys_of(notice.subject)
        if keys is not None:
            shown.append({"event": event(notice, keys, source), "state": str(notice.state)})
    return shown, found[-1].number if found else after


def register_webhook(context: AnsweringContext, asker: Asker, url: str, ca_pem: str | None) -> Webhook:
    """Register where the asking system wants to be told.

    Raises:
        WebhookInvalid: When the address or the authority cannot be used.
    """
    with context.connection() as connection, connection.transaction():
        return webhooks.register(connection, asker.system, url, by=asker.system, ca_pem=ca_pem)


def webhook_of(context: AnsweringContext, asker: Asker) -> Webhook:
    """The webhook of the asking system.

    Raises:
        WebhookUnknown: When it has none.
    """
    with context.connection() as connection:
        return webhooks.find(connection, asker.system)


def remove_webhook(context: AnsweringContext, asker: Asker) -> None:
    """Forget the webhook of the asking system.

    Raises:
        WebhookUnknown: When it has none.
    """
    with context.connection() as connection, connection.transaction():
        webhooks.remove(connection, asker.system, by=asker.system)


def _entry(asker: Asker, after: int, count: int) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.NOTICE_READ,
        consumer=asker.agency,
        system=asker.system,
        outcome="shown",
        details={"since": after, "notices": count},
    )
