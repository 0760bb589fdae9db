"""One key, one answer: a request that comes twice under one Idempotency-Key is answered once.

Keys and requests may hold personal data, so only keyed digests of them are stored. The row is inserted in
the transaction that stores the answer: of two requests racing under one key, one commits, the other replays.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from foundation.pipelines import Transaction
from verification.errors import IdempotencyConflict

KEPT_FOR = timedelta(hours=24)
_SELECT = """
SELECT request_tag, answer_id FROM verification.idempotency
WHERE system = %s AND key_tag = %s AND created_at > %s
"""
_INSERT = """
INSERT INTO verification.idempotency (system, key_tag, request_tag, answer_id, created_at)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (system, key_tag) DO UPDATE
    SET request_tag = EXCLUDED.request_tag, answer_id = EXCLUDED.answer_id, created_at = EXCLUDED.created_at
    WHERE idempotency.created_at <= %s
RETURNING 1
"""


_SELECT_TOGETHER = """
SELECT a.place, i.request_tag, i.answer_id
  FROM unnest(%s::int[], %s::text[], %s::bytea[]) AS a (place, system, key_tag)
  JOIN verification.idempotency i USING (system, key_tag) WHERE i.created_at > %s
"""
_INSERT_TOGETHER = """
INSERT INTO verification.idempotency (system, key_tag, request_tag, answer_id, created_at)
SELECT a.*, %s::timestamptz FROM unnest(%s::text[], %s::bytea[], %s::bytea[], %s::uuid[])
                                 AS a (system, key_tag, request_tag, answer_id)
 ORDER BY a.system, a.key_tag
ON CONFLICT (system, key_tag) DO UPDATE
    SET request_tag = EXCLUDED.request_tag, answer_id = EXCLUDED.answer_id, created_at = EXCLUDED.created_at
    WHERE idempotency.created_at <= %s::timestamptz
RETURNING 1
"""


class RacedByTwin(Exception):  # noqa: N818 - not an error: the twin's answer is replayed
    """Another request under the same key committed first."""


@dataclass(frozen=True)
class IdempotentRequest:
    """A request under an Idempotency-Key, as keyed digests."""

    system: str
    key_tag: bytes
    request_tag: bytes


def identify(secret: bytes, system: str, key: str, request: bytes) -> IdempotentRequest:
    """Digest the key and the canonical request under the installation's own secret."""
    return IdempotentRequest(
        system,
        hmac.digest(secret, b"key\x00" + system.encode() + b"\x00" + key.encode(), "sha256"),
        hmac.digest(secret, b"request\x00" + request, "sha256"),
    )


def answer_given(
    connection: psycopg.Connection[Any], request: IdempotentRequest, now: datetime
) -> UUID | None:
    """The answer that was already given to this request, if any.

    Raises:
        IdempotencyConflict: When the key was used for another request.
    """
    row = connection.execute(_SELECT, (request.system, request.key_tag, now - KEPT_FOR)).fetchone()
    if row is None:
        return None
    return _answer(request, row[0], row[1])


def _answer(request: IdempotentRequest, request_tag: bytes, answer_id: UUID) -> UUID:
    if not hmac.compare_digest(request_tag, request.request_tag):
        raise IdempotencyConflict(
            "This Idempotency-Key was used for a different request",
            remedy="Use a new key for a new request; repeat the old one unchanged to get its answer again",
        )
    return answer_id


def ask_together(
    connection: psycopg.Connection[Any], requests: Mapping[int, IdempotentRequest], now: datetime
) -> Callable[[], dict[int, UUID | IdempotencyConflict]]:
    """Ask which of several requests were answered already.

    Returns:
        What gives the answers, or the conflicts of keys, by the places of their requests. Calling it waits
        for the statement, and for those that travel with it.
    """
    if not requests:
        return dict
    asked = [list(requests), [each.system for each in requests.values()]]
    tags = [each.key_tag for each in requests.values()]
    rows = connection.execute(_SELECT_TOGETHER, (*asked, tags, now - KEPT_FOR))

    def told() -> dict[int, UUID | IdempotencyConflict]:
        found: dict[int, UUID | IdempotencyConflict] = {}
        for place, request_tag, answer_id in rows.fetchall():
            try:
                found[place] = _answer(requests[place], request_tag, answer_id)
            except IdempotencyConflict as conflict:
                found[place] = conflict
        return found

    return told


def remember_together(
    connection: psycopg.Connection[Any],
    transaction: Transaction,
    answered: Sequence[tuple[IdempotentRequest, UUID]],
    now: datetime,
) -> None:
    """Tie several keys to their answers, and wait for all that was sent in the caller's transaction.

    Raises:
        RacedByTwin: When another transaction did so first with one of them; the caller rolls back.
    """
    columns = [
        [request.system for request, _ in answered],
        [request.key_tag for request, _ in answered],
        [request.request_tag for request, _ in answered],
        [answer_id for _, answer_id in answered],
    ]
    tied = connection.execute(_INSERT_TOGETHER, (now, *columns, now - KEPT_FOR))
    transaction.settle()
    if len(tied.fetchall()) != len(answered):
        raise RacedByTwin


def remember(
    connection: psycopg.Connection[Any],
    transaction: Transaction,
    request: IdempotentRequest,
    answer_id: UUID,
    now: datetime,
) -> None:
    """Tie the key to its answer in the caller's transaction, and wait for all that was sent in it.

    Raises:
        RacedByTwin: When another transaction did so first; the caller rolls back and replays.
    """
    row = (request.system, request.key_tag, request.request_tag, answer_id, now, now - KEPT_FOR)
    tied = connection.execute(_INSERT, row)
    transaction.settle()
    if tied.fetchone() is None:
        raise RacedByTwin
