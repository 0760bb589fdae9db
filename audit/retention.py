"""Retention: removing the oldest entries by rule, and leaving everything that proves the rest.

Entries go by whole prefix, up to a minimum index (C2SP tlog-tiles), a multiple of 256. Gone are their bytes,
what was sealed beside them, and what indexes them. Hashes, tiles and checkpoints stay: receipts that were
given out, and every proof between trees, hold as before.

Invariants:
- An entry is removed only when it is older than its kind's retention, and stands under a signed checkpoint.
- One steward of the operator proposes, another approves; both stand in the log.
- The database itself holds to all of this (`audit.prune_entries`), whoever calls it: to the rules that the
  migrator wrote, which no steward changes.
- While a legal hold is open, nothing is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid4

import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.errors import PruningRefused
from audit.log import append
from audit.search.indexer import BLOCK
from foundation import clock
from foundation.database import Role, translated
from participants.stewards import steward

if TYPE_CHECKING:
    from foundation.installation import Installation
    from foundation.settings import Settings

__all__ = [
    "Proposal", "PruningPreview", "RetentionPolicy", "approve", "minimum_index", "newest_pruned",
    "open_proposals", "preview", "propose", "write_rules",
]  # fmt: skip

_RULE = re.compile(r"([a-z.\-]+)=([1-9][0-9]{0,4})")
_LONGEST_WAIT = "5s"


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long entries are kept at least: by kind, by family of kinds, and all others."""

    days: int
    by_kind: Mapping[str, int]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The policy of an installation.

        Raises:
            PruningRefused: when a rule is not written as `kind=days`.
        """
        rules = [_RULE.fullmatch(text) for text in settings.audit_retention_by_kind]
        if not all(rules):
            raise PruningRefused(
                "LINTAS_AUDIT_RETENTION_BY_KIND has a rule that is none.", remedy="Write `kind=days`."
            )
        return cls(settings.audit_retention_days, {rule[1]: int(rule[2]) for rule in rules if rule})

    def cutoffs(self, before: datetime) -> tuple[list[str], list[datetime], datetime]:
        """Kinds and families with the moments before which they may go, and the moment for all others."""
        now = clock.now()

        def cutoff(days: int) -> datetime:
            return min(before, now - timedelta(days=days))

        return list(self.by_kind), [cutoff(days) for days in self.by_kind.values()], cutoff(self.days)


def write_rules(installation: Installation) -> None:
    """Give the database the policy of the settings, as the migrator: what it holds every pruning to.

    Raises:
        PruningRefused: when a rule is not written as `kind=days`.
    """
    policy = RetentionPolicy.of(installation.settings)
    rules = {"": policy.days, **policy.by_kind}
    with translated(), installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DELETE FROM audit.retention_rules WHERE of_kind <> ALL (%s)", [list(rules)])
        connection.execute(
            "INSERT INTO audit.retention_rules AS r (of_kind, days)"
            " SELECT * FROM unnest(%s::text[], %s::integer[])"
            " ON CONFLICT (of_kind) DO UPDATE SET days = excluded.days WHERE r.days <> excluded.days",
            [list(rules), list(rules.values())],
        )


@dataclass(frozen=True, slots=True)
class PruningPreview:
    """What would be removed, and what stops more from being removed.

    Attributes:
        minimum_index: where the log begins now.
        would_begin_at: where it would begin.
        oldest: moment of the oldest entry that would go.
        newest: moment of the newest one.
        kinds: how many of each kind would go.
        kept_by: kind of the first entry that must be kept, if one is in the way.
    """

    minimum_index: int
    would_begin_at: int
    oldest: datetime | None
    newest: datetime | None
    kinds: Mapping[str, int]
    kept_by: str | None

    @property
    def entries(self) -> int:
        """How many entries would go."""
        return self.would_begin_at - self.minimum_index


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one steward proposed to remove; it waits for another."""

    pruning_id: UUID
    minimum_index: int
    before: datetime
    reason: str
    proposed_by: str
    proposed_at: datetime


def minimum_index(connection: psycopg.Connection[Any]) -> int:
    """The first entry that is still there."""
    row = connection.execute("SELECT minimum_index FROM audit.retention_state").fetchone()
    return int(row[0]) if row else 0


def newest_pruned(connection: psycopg.Connection[Any]) -> datetime | None:
    """When the latest of all entries that were removed had happened; what is older may be one of them."""
    row = connection.execute("SELECT max(newest) FROM audit.prunings").fetchone()
    return row[0] if row else None


def preview(connection: psycopg.Connection[Any], policy: RetentionPolicy, before: datetime) -> PruningPreview:
    """What could be removed of the entries before a moment; nothing is changed."""
    kinds, moments, default = policy.cutoffs(before)
    values = {"kinds": kinds, "moments": moments, "default": default}
    kept = connection.execute(_FIRST_KEPT, values).fetchone()
    signed = connection.execute("SELECT coalesce(max(tree_size), 0) FROM audit.checkpoints").fetchone()
    start, limit = minimum_index(connection), int(signed[0]) if signed else 0
    end = max(start, min(limit, kept[0] if kept else limit) // BLOCK * BLOCK)
    rows = connection.execute(_WOULD_GO, (end,)).fetchall()
    return PruningPreview(
        minimum_index=start,
        would_begin_at=end,
        oldest=min((row[2] for row in rows), default=None),
        newest=max((row[3] for row in rows), default=None),
        kinds={row[0]: row[1] for row in rows},
        kept_by=kept[1] if kept else None,
    )


def propose(
    connection: psycopg.Connection[Any],
    policy: RetentionPolicy,
    before: datetime,
    *,
    officer: str,
    reason: str,
) -> Proposal:
    """Propose to remove what the preview shows; another steward must approve it.

    Raises:
        NotASteward: when the officer is none.
        NotYourAgency: when they are not a steward of the operator.
        PruningRefused: when nothing is old enough, or a legal hold is open.
    """
    steward(connection, officer).for_operator()
    _refuse_while_held(connection)
    found = preview(connection, policy, before)
    if not found.entries:
        raise PruningRefused(
            "No whole block of entries is old enough to go.",
            why=f"The first entry that must be kept is of kind {found.kept_by}." if found.kept_by else "",
            remedy="`lintas audit prune --preview` shows what could go.",
        )
    proposal = Proposal(uuid4(), found.would_begin_at, before, reason, officer, clock.now())
    connection.execute(
        "INSERT INTO audit.prunings (pruning_id, minimum_index, before, reason, proposed_by, proposed_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (proposal.pruning_id, proposal.minimum_index, before, reason, officer, proposal.proposed_at),
    )
    _log(connection, proposal, officer, "proposed", found.entries)
    return proposal


def open_proposals(connection: psycopg.Connection[Any]) -> list[Proposal]:
    """What waits for a second steward, oldest first."""
    return [Proposal(*row) for row in connection.execute(f"{_PROPOSALS} ORDER BY proposed_at").fetchall()]


def approve(
    connection: psycopg.Connection[Any], policy: RetentionPolicy, pruning_id: UUID, *, officer: str
) -> int:
    """Approve what another steward proposed, and remove it.

    Args:
        connection: connection of the steward's role, in a transaction.
        policy: the retention now, which may have become longer since the proposal.
        pruning_id: the proposal.
        officer: pseudonym of a steward of the operator, not the one who proposed it.

    Returns:
        How many entries were removed.

    Raises:
        NotASteward: when the officer is none.
        NotYourAgency: when they are not a steward of the operator.
        PruningRefused: when it is their own proposal, does not wait any more, or must not go now.
    """
    steward(connection, officer).for_operator()
    _refuse_while_held(connection)
    row = connection.execute(f"{_PROPOSALS} AND pruning_id = %s", (pruning_id,)).fetchone()
    if row is None:
        raise PruningRefused("No such proposal waits.", remedy="`lintas audit prune --list` shows them.")
    proposal = Proposal(*row)
    if proposal.proposed_by == officer:
        raise PruningRefused(
            "Nobody approves their own proposal.", remedy="Let another steward of the operator approve it."
        )
    if preview(connection, policy, proposal.before).would_begin_at < proposal.minimum_index:
        raise PruningRefused(
            "Some of these entries must be kept now.", remedy="Propose again what may go today."
        )
    connection.execute(f"SET LOCAL lock_timeout = '{_LONGEST_WAIT}'")
    removed = connection.execute(
        "SELECT audit.prune_entries(%s, %s, %s)", (pruning_id, officer, clock.now())
    ).fetchone()
    count = int(removed[0]) if removed else 0
    _log(connection, proposal, officer, "pruned", count)
    return count


def _refuse_while_held(connection: psycopg.Connection[Any]) -> None:
    query = "SELECT count(hold_id) FROM audit.legal_hold WHERE released_at IS NULL"
    row = connection.execute(query).fetchone()
    if row and row[0]:
        raise PruningRefused(
            "Nothing is removed while a legal hold is open.",
            why="Which entries a hold concerns is known only to whoever has the keys of the person.",
            remedy="Have the holds released first.",
            holds=int(row[0]),
        )


def _log(
    connection: psycopg.Connection[Any], proposal: Proposal, officer: str, outcome: str, entries: int
) -> None:
    append(
        connection,
        EntryDraft(
            kind=EntryKind.AUDIT_PRUNED,
            actor=officer,
            outcome=outcome,
            details={
                "minimum_index": proposal.minimum_index,
                "before": proposal.before,
                "entries": entries,
                "pruning": proposal.pruning_id,
                "proposed_by": proposal.proposed_by,
                "reason": proposal.reason,
            },
        ),
    )


_FIRST_KEPT = """
SELECT entry_index, kind FROM audit.entries e
 WHERE occurred_at >= coalesce(
           (SELECT until FROM unnest(%(kinds)s::text[], %(moments)s::timestamptz[]) AS rule (of_kind, until)
             WHERE of_kind IN (e.kind, split_part(e.kind, '.', 1)) ORDER BY of_kind = e.kind DESC LIMIT 1),
           %(default)s)
 ORDER BY entry_index LIMIT 1
"""
_WOULD_GO = """
SELECT kind, count(*), min(occurred_at), max(occurred_at) FROM audit.entries
 WHERE entry_index < %s GROUP BY kind ORDER BY kind
"""
_PROPOSALS = """
SELECT pruning_id, minimum_index, before, reason, proposed_by, proposed_at
  FROM audit.prunings WHERE approved_by IS NULL
"""
