"""A portal reads its notices by itself: in their order, by cursor, each reading in the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from audit.subjects.subject_keys import SubjectKeys
from consent.errors import ExchangeDenied
from foundation.errors import Refused
from verification import notices, webhooks
from verification.allowing import allow, is_for_good
from verification.context import AnsweringContext, Session
from verification.errors import AnswerUnknown
from verification.events import event, source_of
from verification.journey import Asker
from verification.notices import Notice
from verification.webhooks import Webhook


def read(context: AnsweringContext, asker: Asker, after: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """The events of a system after a number that it may be told now, and the number up to which was read.

    Each is decided and logged as if it were sent. What may not be told for the time being ends the page; the
    next reading begins there.
    """
    with context.connection() as connection:
        session = Session(context, connection, asker)
        found = notices.after(connection, asker.system, after, limit)
        told, last = _told(session, found, after)
        if told:
            with connection.transaction():
                append(connection, _entry(asker, after, len(told)))
    source = source_of(context.installation.settings)
    shown = [{"event": event(notice, keys, source), "state": str(notice.state)} for notice, keys in told]
    return shown, last


def _told(
    session: Session, found: Iterable[Notice], last: int
) -> tuple[list[tuple[Notice, SubjectKeys]], int]:
    told = []
    for notice in found:
        keys = session.context.vault.keys_of(notice.subject)
        if keys is not None:
            try:
                allow(session, notice, keys, "read", is_logged=False)
                told.append((notice, keys))
            except AnswerUnknown:
                pass
            except Refused as refused:
                denied = isinstance(refused, ExchangeDenied)
                if not (denied and is_for_good(refused.attributes.get("rules", []))):
                    break
        last = notice.number
    return told, last


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
