"""Receipts, promises and answers that portals hold, compared with the log.

A promise is the bus's signature that an entry will stand in the log: when it does not, the entry was
suppressed, and the portal can show it to anybody. An answer without an entry left the bus unlogged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from audit.errors import LogDamaged
from audit.log import MAXIMUM_MERGE_DELAY
from audit.reconciliation.discrepancies import Discrepancy, DiscrepancyKind, Reconciliation, Window
from audit.reconciliation.held_receipts import HeldAnswer, HeldPromise, HeldProof, HeldReceipts
from audit.tree.stored_tiles import LeafTiles
from audit.tree.tiles import DatabaseTiles, tree_root

__all__ = ["compare_receipts"]

_AROUND = timedelta(hours=1)
_ANSWER_KINDS = ["exchange.answered", "exchange.reviewed"]
_ANSWERED = """
SELECT details ->> 'answer', details ->> 'review', system, occurred_at
  FROM (SELECT convert_from(entry, 'UTF8')::jsonb -> 'details' AS details,
               convert_from(entry, 'UTF8')::jsonb ->> 'system' AS system, occurred_at
          FROM audit.entries
         WHERE kind = ANY(%(kinds)s) AND occurred_at BETWEEN %(since)s AND %(until)s) AS answered
"""


def compare_receipts(
    connection: psycopg.Connection[Any],
    held: HeldReceipts,
    result: Reconciliation,
    now: datetime,
    *,
    complete_for: Sequence[str] = (),
) -> None:
    """Note in `result` where the log does not hold what portals were told.

    Args:
        connection: connection of a role that reads the log (auditor).
        held: what the portals hold.
        result: where to note it; its window limits what is asked of `complete_for`.
        now: the moment of the comparison.
        complete_for: systems whose every answer is said to be in `held`.
    """
    result.compared.update(proofs=len(held.proofs), promises=len(held.promises), answers=len(held.answers))
    result.add(held.invalid)
    _compare_promises(connection, held.promises, result, now)
    result.add(_compare_proofs(connection, held.proofs))
    _compare_answers(connection, held.answers, result, now)
    result.add(_without_answer(connection, held.answers, result.window, complete_for))


def _compare_promises(
    connection: psycopg.Connection[Any], held: Sequence[HeldPromise], result: Reconciliation, now: datetime
) -> None:
    """The outbox is read before the log, so that an entry on its way is seen in one of them."""
    ids = [each.promise.entry_id for each in held]
    waiting = {
        row[0]
        for row in connection.execute("SELECT entry_id FROM audit.outbox WHERE entry_id = ANY(%s)", [ids])
    }
    query = "SELECT entry_id, sha256('\\x00'::bytea || entry) FROM audit.entries WHERE entry_id = ANY(%s)"
    logged = {entry_id: bytes(leaf) for entry_id, leaf in connection.execute(query, [ids])}
    tiles = LeafTiles(connection)
    for each in held:
        promise = each.promise
        window = Window(promise.deadline - MAXIMUM_MERGE_DELAY, promise.deadline)
        leaf = logged.get(promise.entry_id)
        if leaf == promise.leaf_hash:
            continue
        if leaf is not None:
            what = f"the entry {promise.entry_id} was promised with other bytes than the log holds"
            result.add([Discrepancy(DiscrepancyKind.ENTRY_DIFFERS, what, window, each.seen_in)])
        elif promise.deadline > now:
            result.pending += 1
        elif promise.entry_id in waiting:
            what = f"the entry {promise.entry_id} still waits in the outbox after its deadline"
            result.add([Discrepancy(DiscrepancyKind.PROMISE_LATE, what, window, each.seen_in)])
        elif tiles.place_of(promise.leaf_hash) is None:  # a pruned entry leaves its hash
            what = f"the entry {promise.entry_id} was promised and does not stand in the log"
            result.add([Discrepancy(DiscrepancyKind.PROMISE_BROKEN, what, window, each.seen_in)])


def _compare_proofs(connection: psycopg.Connection[Any], held: Iterable[HeldProof]) -> Iterable[Discrepancy]:
    """Each receipt's tree must be a tree that this log has been, with the same leaf in the same place."""
    leaves, tiles = LeafTiles(connection), DatabaseTiles(connection)
    roots: dict[int, bytes | None] = {}
    for each in held:
        size = each.checkpoint.size
        if size not in roots:
            try:
                roots[size] = tree_root(tiles, size)
            except LogDamaged:
                roots[size] = None
        if roots[size] is None:
            what = f"a checkpoint of {size} entries was signed, and this log does not reach that far"
        elif roots[size] != each.checkpoint.root:
            what = f"another tree of {size} entries was signed than this log was"
        elif leaves.at(each.index) != each.leaf:
            what = f"entry {each.index} is another one than the receipt proves"
        else:
            continue
        yield Discrepancy(DiscrepancyKind.RECEIPT_CONTRADICTS, what, Window(), each.seen_in)


def _compare_answers(
    connection: psycopg.Connection[Any], held: Sequence[HeldAnswer], result: Reconciliation, now: datetime
) -> None:
    if not held:
        return
    moments = [each.answered_at for each in held]
    given = {"kinds": _ANSWER_KINDS, "since": min(moments) - _AROUND, "until": max(moments) + _AROUND}
    logged = {
        answer for row in connection.execute(_ANSWERED, given) for answer in row[:2] if answer is not None
    }
    for each in held:
        if each.answer_id in logged:
            continue
        if each.answered_at + MAXIMUM_MERGE_DELAY > now:
            result.pending += 1
            continue
        if result.may_be_pruned(each.answered_at):
            result.beyond += 1
            continue
        window = Window(each.answered_at, each.answered_at + MAXIMUM_MERGE_DELAY)
        what = f"the answer {each.answer_id} was signed for {each.system}, and no entry tells of it"
        result.add([Discrepancy(DiscrepancyKind.ANSWER_UNLOGGED, what, window, each.seen_in)])


def _without_answer(
    connection: psycopg.Connection[Any],
    held: Sequence[HeldAnswer],
    window: Window,
    complete_for: Sequence[str],
) -> Iterable[Discrepancy]:
    if not complete_for:
        return
    known = {each.answer_id for each in held}
    given = {
        "kinds": _ANSWER_KINDS[:1],
        "since": window.since or "-infinity",
        "until": window.until or "infinity",
    }
    for answer, _, system, at in connection.execute(_ANSWERED, given):
        if system in complete_for and answer not in known:
            what = f"the log says that {system} was given the answer {answer}, and {system} does not hold it"
            yield Discrepancy(DiscrepancyKind.EXCHANGE_WITHOUT_ANSWER, what, Window(at, at), "the log")
