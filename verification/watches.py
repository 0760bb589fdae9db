"""Watches: what an answer relied on, noted in the transaction that stores the answer.

A watch names people by the keyed tag of their number, and the datasets that were looked at. Whatever a
register later says about somebody carries their number, in the record or in its history, so the tag meets new
records (a death) as well as changed ones.

Invariant: `seen_from` is not later than any change that the answer's evidence could have missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from consent.decision import Decision
from records.evidence import Evidence

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Watch:
    """What to watch: datasets by the tag of the person looked at, from when on and until when."""

    things: Mapping[bytes, tuple[str, ...]] = field(repr=False)
    seen_from: int | None
    until: datetime


@dataclass(frozen=True)
class Seen:
    """A dataset that was looked at, and the transaction from which on a change may have been missed."""

    dataset: str
    seen_from: int | None


def watch_of(decision: Decision, looked_at: Mapping[bytes, Iterable[Evidence | Seen]]) -> Watch:
    """The watch of an answer: on the evidence by tag, until the consumer has to have deleted the answer."""
    found = {tag: list(evidence) for tag, evidence in looked_at.items()}
    horizons = [
        each.seen_from for evidence in found.values() for each in evidence if each.seen_from is not None
    ]
    return Watch(
        {tag: tuple(sorted({each.dataset for each in evidence})) for tag, evidence in found.items()},
        min(horizons, default=None),
        decision.request.at + timedelta(days=decision.retention_days or 0),
    )


_STORE = """
INSERT INTO verification.watch (answer_id, thing, datasets, seen_from, until)
VALUES (%s, %s, %s, coalesce(%s::text::xid8, pg_snapshot_xmin(pg_current_snapshot())), %s)
"""


def store(connection: Connection, answer_id: UUID, watch: Watch) -> None:
    """Note in the caller's transaction what an answer relied on."""
    for thing, datasets in watch.things.items():
        connection.execute(_STORE, (answer_id, thing, list(datasets), _horizon(watch), watch.until))


def _horizon(watch: Watch) -> str | None:
    return None if watch.seen_from is None else str(watch.seen_from)


_STORE_TOGETHER = """
INSERT INTO verification.watch (answer_id, thing, datasets, seen_from, until)
SELECT w.answer_id, w.thing, string_to_array(w.datasets, ' '),
       coalesce(w.seen_from::xid8, pg_snapshot_xmin(pg_current_snapshot())), w.until
  FROM unnest(%s::uuid[], %s::bytea[], %s::text[], %s::text[], %s::timestamptz[])
       AS w (answer_id, thing, datasets, seen_from, until)
"""


def store_together(connection: Connection, watched: Iterable[tuple[UUID, Watch]]) -> None:
    """Note in the caller's transaction what several answers relied on."""
    rows = [
        (
            answer_id,
            thing,
            " ".join(datasets),
            None if watch.seen_from is None else str(watch.seen_from),
            watch.until,
        )
        for answer_id, watch in watched
        for thing, datasets in watch.things.items()
    ]
    connection.execute(_STORE_TOGETHER, [list(column) for column in zip(*rows, strict=True)])


def take(connection: Connection, answer_id: UUID) -> bool:
    """Let nobody else review the answer before the transaction ends; False when it is watched no more."""
    locked = connection.execute(
        "SELECT FROM verification.watch WHERE answer_id = %s FOR UPDATE", (answer_id,)
    ).fetchall()
    return bool(locked)


def end(connection: Connection, answer_id: UUID) -> None:
    """Watch an answer no more."""
    connection.execute("DELETE FROM verification.watch WHERE answer_id = %s", (answer_id,))


def expire(connection: Connection, now: datetime) -> int:
    """End the watches whose time is over; returns how many there were."""
    ended = connection.execute("DELETE FROM verification.watch WHERE until <= %s", (now,))
    return ended.rowcount
