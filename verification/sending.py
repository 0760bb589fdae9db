"""Sending one notice: allowed now, logged before it leaves, sent once, and what became of it.

The row of the notice stays locked while it is sent. A sender that is killed loses its connection, and with
it the lock: another one sends the notice again, under the same id. So a notice is sent at least once, and
never by two at a time.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from audit.subjects.subject_keys import SubjectKeys
from consent.errors import ExchangeDenied
from foundation import clock, telemetry
from foundation.errors import LintasError, Refused, RetryLater
from foundation.http import (
    AddressRefused,
    CircuitOpen,
    HttpClient,
    Limits,
    NotFoundAtSource,
    RetryPolicy,
    Timeouts,
    TlsPolicy,
)
from verification import notices, webhooks
from verification.allowing import allow, is_for_good
from verification.context import AnsweringContext, Session
from verification.errors import AnswerUnknown
from verification.events import encoded, event, signed_headers, source_of
from verification.journey import Asker
from verification.notices import Notice, NoticeState
from verification.turns import Turns
from verification.webhooks import Webhook

log = telemetry.logger(__name__)
_ACTOR = "lintas-dispatcher"


@dataclass(frozen=True)
class Patience:
    """How often, and after which pauses, a notice is tried (exponential, with jitter)."""

    first: float = 1.0
    longest: float = 3600.0
    attempts: int = 24
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(connect=3.0, read=5.0, total=10.0))

    def pause(self, attempts: int, asked: float | None = None) -> timedelta:
        """The pause after so many attempts; a longer one that the receiver asks for is kept, up to a day."""
        backed_off = min(self.longest, self.first * 2.0 ** min(attempts - 1, 30))
        jittered = backed_off * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return timedelta(seconds=max(jittered, min(asked or 0.0, 86_400.0)))


class Sent(StrEnum):
    """What became of one turn."""

    NOTHING_DUE = "nothing-due"
    DELIVERED = "delivered"
    POSTPONED = "postponed"
    DEAD = "dead"
    DROPPED = "dropped"


class Sender:
    """Sends notices; may be used by several threads, each turn with connections of its own.

    Args:
        context: Of the dispatcher.
        patience: How often, and after which pauses, a notice is tried.
        senders: How many threads use it; one receiver never holds all of them.
    """

    def __init__(
        self, context: AnsweringContext, patience: Patience | None = None, *, senders: int = 4
    ) -> None:
        self._context = context
        self._turns = Turns(senders)
        self._patience = patience or Patience()
        self._source = source_of(context.installation.settings)
        self._clients: dict[str, tuple[Webhook, HttpClient]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections to portals."""
        with self._lock:
            for _, client in self._clients.values():
                client.close()
            self._clients.clear()

    def send_one(self) -> Sent:
        """Claim the next notice that is due, and send it."""
        with self._context.connection() as connection, connection.transaction():
            notice = self._turns.choose(lambda left_out: notices.claim(connection, clock.now(), left_out))
            if notice is None:
                return Sent.NOTHING_DUE
            try:
                return self._turn(connection, notice)
            finally:
                self._turns.end(notice.system)

    def drop_objected(self) -> int:
        """Drop queued notices about people who took their consent back."""
        with self._context.connection() as connection, connection.transaction():
            found = notices.objected(connection)
            for notice in found:
                keys = self._context.vault.keys_of(notice.subject)
                self._end(connection, notice, keys, NoticeState.DROPPED, "consent-withdrawn")
        return len(found)

    def _turn(self, connection: psycopg.Connection[Any], notice: Notice) -> Sent:
        keys = self._context.vault.keys_of(notice.subject)
        if keys is None or notice.until <= clock.now():
            why = "subject-erased" if keys is None else "retention-over"
            return self._end(connection, notice, keys, NoticeState.DROPPED, why)
        try:
            self._allow(notice, keys)
        except Refused as refused:
            return self._after_refusal(connection, notice, keys, refused)
        logged = replace(notice, is_logged=True)
        tried = replace(logged, attempts=notice.attempts + 1)
        try:
            self._post(webhooks.find(connection, notice.system), tried, keys)
        except CircuitOpen as resting:  # nothing was sent, so nothing counts as an attempt
            pause = resting.retry_after or self._patience.first
            self._turns.rest(notice.system, pause)
            return self._postpone(connection, logged, resting.code, pause)
        except LintasError as error:
            return self._after_failure(connection, tried, keys, error)
        return self._end(connection, tried, keys, NoticeState.DELIVERED, None)

    def _after_refusal(
        self, connection: psycopg.Connection[Any], notice: Notice, keys: SubjectKeys, refused: Refused
    ) -> Sent:
        if isinstance(refused, AnswerUnknown):
            return self._end(connection, notice, keys, NoticeState.DROPPED, "subject-erased")
        if not isinstance(refused, ExchangeDenied):  # something moved just now: decide again in a moment
            return self._postpone(connection, notice, refused.code, self._patience.first)
        if not is_for_good(refused.attributes.get("rules", [])):
            return self._postpone(connection, notice, refused.code, self._patience.longest)
        return self._end(connection, notice, keys, NoticeState.DROPPED, refused.code)

    def _allow(self, notice: Notice, keys: SubjectKeys) -> None:
        """Decide anew; before the first attempt the disclosure is committed to the log."""
        with self._context.connection() as connection:
            session = Session(self._context, connection, Asker(notice.system, notice.consumer))
            allow(session, notice, keys, "sending", is_logged=notice.is_logged)

    def _post(self, webhook: Webhook, notice: Notice, keys: SubjectKeys) -> None:
        body = encoded(event(notice, keys, self._source))
        headers = signed_headers(self._context.signer.pair, webhook.url, body)
        client = self._client(webhook)
        with telemetry.span("verification.notice", system=notice.system), self._turns.measured(notice.system):
            client.request("POST", webhook.url, content=body, headers=headers)

    def _client(self, webhook: Webhook) -> HttpClient:
        with self._lock:
            known = self._clients.get(webhook.system)
            if known is not None and known[0] == webhook:
                return known[1]
            if known is not None:
                known[1].close()
            client = HttpClient(
                webhook.addresses,
                system=webhook.system,
                tls=TlsPolicy(ca_pem=webhook.ca_pem),
                timeouts=self._patience.timeouts,
                limits=Limits(body_bytes=16 * 1024, connections=8),
                retry=RetryPolicy.never(),
            )
            self._clients[webhook.system] = (webhook, client)
            return client

    def _after_failure(
        self, connection: psycopg.Connection[Any], notice: Notice, keys: SubjectKeys, error: LintasError
    ) -> Sent:
        if isinstance(error, NotFoundAtSource) and error.attributes.get("status") == 410:
            webhooks.pause(connection, notice.system, by=_ACTOR, reason="the receiver is gone (410)")
            return self._postpone(connection, replace(notice, attempts=0), error.code, 0.0)
        if isinstance(error, AddressRefused):
            webhooks.pause(connection, notice.system, by=_ACTOR, reason=error.why or error.what)
            return self._postpone(connection, replace(notice, attempts=0), error.code, 0.0)
        if notice.attempts >= self._patience.attempts:
            return self._end(connection, notice, keys, NoticeState.DEAD, error.code)
        asked = error.retry_after if isinstance(error, RetryLater) else None
        pause = self._patience.pause(notice.attempts, asked)
        return self._postpone(connection, notice, error.code, pause.total_seconds())

    def _postpone(
        self, connection: psycopg.Connection[Any], notice: Notice, problem: str, seconds: float
    ) -> Sent:
        notices.postpone(connection, notice, clock.now() + timedelta(seconds=seconds), problem)
        log.info("notice.postponed", notice=str(notice.notice_id), system=notice.system, problem=problem)
        return Sent.POSTPONED

    def _end(
        self,
        connection: psycopg.Connection[Any],
        notice: Notice,
        keys: SubjectKeys | None,
        state: NoticeState,
        problem: str | None,
    ) -> Sent:
        notices.settle(connection, notice, state, problem)
        append(connection, ending(notice, keys, _KINDS[state], _ACTOR, problem))
        log.info(f"notice.{state}", notice=str(notice.notice_id), system=notice.system, problem=problem)
        return Sent(str(state))


_KINDS = {
    NoticeState.DELIVERED: EntryKind.NOTICE_DELIVERED,
    NoticeState.DEAD: EntryKind.NOTICE_DEAD,
    NoticeState.DROPPED: EntryKind.NOTICE_DROPPED,
}


def ending(
    notice: Notice, keys: SubjectKeys | None, kind: EntryKind, actor: str, problem: str | None = None
) -> EntryDraft:
    """The entry of what became of a notice."""
    return EntryDraft(
        kind=kind,
        consumer=notice.consumer,
        system=notice.system,
        actor=actor,
        purpose=notice.purpose,
        outcome=kind.rpartition(".")[2],
        subject=keys,
        details=notice.details | {"attempts": notice.attempts, "problem": problem},
    )
