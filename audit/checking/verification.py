"""Verifying the whole stored log: entry bytes, tiles, checkpoints, search columns, sealed rows.

Nothing stored is believed but the checkpoints that a known key has signed. Entries are hashed as they
stand; the roots they lead to are compared with every checkpoint; tiles only help to say which entry is
bad and how. The walk reads one snapshot, so it runs beside the sequencer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from audit.checking.beside_entries import BesideEntries
from audit.checking.damage import Damage, DamageKind, Taken, VerificationReport, what_is_not_proven
from audit.checking.kept_progress import Begin, KeptProgress, Reached, roots_digest, take_up
from audit.checking.stamped import check_timestamps
from audit.checking.stored_entries import next_tile, read_tiles
from audit.checking.tree_walk import Findings, TreeWalk
from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.notes import VerifierKey
from audit.checkpoints.policy import Policy, Standing
from audit.errors import LogDamaged, NoteInvalid
from audit.publishing.published import PublishedCheckpoint
from audit.timestamps.authorities import Authority, TimestampSettings
from audit.timestamps.errors import TimestampMisconfigured
from audit.tree.merkle import leaf_hash
from audit.tree.pruned_prefix import grow_over_pruned, is_vouched_for
from audit.tree.stored_tiles import LeafTiles, first_bad_tile, leaf_tiles
from audit.tree.tiles import TILE_WIDTH, DatabaseTiles
from foundation.database import Role

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["Damage", "DamageKind", "VerificationReport", "verify_installation", "verify_log"]

Progress = Callable[[int, int], None]
_TILES_AT_ONCE = 64
_END = "SELECT coalesce(max(entry_index), -1) + 1 FROM audit.entries"


def verify_installation(
    installation: Installation,
    progress: Progress | None = None,
    *,
    kept: KeptProgress | None = None,
    begin: Begin = Begin.INTERRUPTED,
) -> VerificationReport:
    """Walk the log of this installation, with its own keys, published checkpoints and policy."""
    seen = PublishedCheckpoint.of(installation).seen()
    file = installation.settings.log_policy
    policy = Policy.load(file) if file is not None else None
    authorities = _authorities(installation)
    with installation.database.connect(Role.AUDITOR, autocommit=True) as connection:
        return verify_log(
            connection,
            log_verifier_keys(installation),
            progress,
            seen=seen,
            policy=policy,
            authorities=authorities,
            kept=kept,
            begin=begin,
        )


def verify_log(
    connection: psycopg.Connection[Any],
    keys: Sequence[VerifierKey],
    progress: Progress | None = None,
    *,
    seen: Sequence[Checkpoint] = (),
    policy: Policy | None = None,
    authorities: Sequence[Authority] = (),
    kept: KeptProgress | None = None,
    begin: Begin = Begin.INTERRUPTED,
) -> VerificationReport:
    """Walk the whole log of a database.

    Args:
        connection: connection of a role that reads the log (auditor), not inside a transaction.
        keys: verifier keys of the log, from a place other than this database.
        progress: called with (entries done, entries in all) now and then.
        seen: checkpoints kept elsewhere, already verified, that the log must contain.
        policy: which witnesses are trusted.
        authorities: whose timestamps are trusted.
        kept: where the progress is kept, so that an interrupted walk can go on.
        begin: whether the walk begins at the start, or where an earlier one stopped.

    Returns:
        The report; `report.first` names the first bad entry and the kind of damage.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        roots: dict[int, bytes] = {}
        findings = Findings()
        stored = _read_checkpoints(connection, keys, roots, findings)
        own = set(roots)
        behind = _read_cosigned(connection, keys, policy, roots, findings)
        for checkpoint in seen:
            _require_seen(roots, findings, checkpoint)
        signed = max(roots, default=0)
        size = _one(connection, "SELECT tree_size FROM audit.log_state")
        minimum = _one(connection, "SELECT minimum_index FROM audit.retention_state")
        tiles = DatabaseTiles(connection)
        reached = take_up(kept, begin, roots, tiles, findings, minimum=minimum)
        tree = TreeWalk(roots, findings, roots.keys() - own)
        walk = _Walk(connection, tree, BesideEntries(findings), minimum, kept, signed)
        walk.begin(reached)
        walk.run(progress or (lambda _done, _total: None))
        walk.finish(max(size, max(roots, default=0)))
        stamped = check_timestamps(connection, authorities, findings)
    taken = Taken(reached.size, reached.at) if reached else None
    return VerificationReport(
        entries=walk.entries,
        tree_size=size,
        checkpoints=stored,
        signed_size=signed,
        damages=findings.in_order(),
        not_proven=(
            *what_is_not_proven(size, signed, behind, minimum, taken),
            *stamped.not_proven(size),
        ),
        minimum_index=minimum,
        taken=taken,
    )


@dataclass(slots=True)
class _Walk:
    """One walk over the entries of a database."""

    connection: psycopg.Connection[Any]
    tree: TreeWalk
    beside: BesideEntries
    minimum: int
    kept: KeptProgress | None
    signed: int
    entries: int = 0
    resumed: bool = False
    _reached: Reached | None = None

    def begin(self, taken: Reached | None) -> None:
        """Begin the tree where an earlier walk stopped, or with the hashes of entries that were pruned."""
        if taken is not None:
            self.resumed, self._reached = True, taken
            self.tree.begin(taken.tree())
            self.beside.pruned, self.beside.sealed = taken.pruned, taken.sealed
            return
        tree = self.tree
        try:
            tree.proven = grow_over_pruned(self.connection, tree.frontier, tree.roots, self.minimum)
        except LogDamaged as error:
            self.tree.findings.report(self.tree.frontier.size, DamageKind.TILE_EDITED, error.what)
            self.tree.gap = True

    def run(self, progress: Progress) -> None:
        """Hash every entry in order, some tiles at a time."""
        connection, end = self.connection, _one(self.connection, _END)
        total = max(0, end - self.tree.frontier.size)
        first = next_tile(connection, self.tree.frontier.size)
        while first is not None:
            after = self._next_stop(first, end)
            stored = leaf_tiles(connection, first, after)
            for tile in read_tiles(connection, first, after - 1):
                leaves = [leaf_hash(entry) for entry in tile.entries]
                self.tree.take(tile.indexes, leaves, stored.get(tile.number, b""))
                self.beside.take(tile)
                self.entries += len(leaves)
            self.beside.settle(connection)
            self._keep()
            progress(self.entries, total)
            first = next_tile(connection, after * TILE_WIDTH)
        self.tree.settle(LeafTiles(connection).place_of)

    def finish(self, size: int) -> None:
        """Check what only the whole walk can show."""
        connection, findings = self.connection, self.tree.findings
        if not is_vouched_for(connection, self.minimum, self.beside.pruned):
            detail = f"no entry says that the entries before {self.minimum} were pruned"
            findings.report(0, DamageKind.ENTRY_DROPPED, detail)
        self.beside.check_unnamed(connection)
        self._check_tail(size)
        self._check_state()
        self._check_upper_tiles()
        if self.kept is not None and self._reached is not None and self.tree.is_clean:
            self.kept.keep(replace(self._reached, finished=True))

    def _next_stop(self, first: int, end: int) -> int:
        """Before which tile to stop and keep the progress: only full tiles under a checkpoint are kept."""
        stops = (self.signed // TILE_WIDTH, end // TILE_WIDTH, first + _TILES_AT_ONCE)
        return min(stop for stop in stops if stop > first)

    def _keep(self) -> None:
        tree = self.tree.frontier
        if self.kept is None or not self.tree.is_clean or tree.size % TILE_WIDTH or tree.size > self.signed:
            return
        self._reached = Reached(
            size=tree.size,
            frontier=tree.to_bytes().hex(),
            roots=roots_digest(self.tree.roots, tree.size),
            sealed=self.beside.sealed,
            pruned=self.beside.pruned,
        )
        self.kept.keep(self._reached)

    def _check_tail(self, size: int) -> None:
        findings = self.tree.findings
        end = _one(self.connection, _END) or self.minimum
        if end < size:
            detail = f"the tree has {size} leaves, but entries end here"
            findings.report(end, DamageKind.TAIL_TRUNCATED, detail)
        elif end > size and not self.tree.gap:
            findings.damages[:] = [damage for damage in findings.damages if damage.index < size]
            findings.report(size, DamageKind.ENTRY_INSERTED, "the tree has no leaf for it")

    def _check_state(self) -> None:
        findings, frontier = self.tree.findings, self.tree.frontier
        row = self.connection.execute("SELECT tree_size, frontier FROM audit.log_state").fetchone()
        if row is None:
            findings.report(0, DamageKind.STATE_EDITED, "the state row is missing")
        elif not findings.damages and (row[0], bytes(row[1])) != (frontier.size, frontier.to_bytes()):
            findings.report(row[0], DamageKind.STATE_EDITED, "size or frontier differ from the entries")

    def _check_upper_tiles(self) -> None:
        findings = self.tree.findings
        if findings.has(DamageKind.TILE_EDITED):
            return  # what is wrong below is wrong above
        walked = self.tree.is_clean and not self.minimum and not self.resumed
        bad = first_bad_tile(self.connection, self.tree.folded if walked else None)
        if bad is not None:
            findings.report(bad[0], DamageKind.TILE_EDITED, bad[1])


def _read_checkpoints(
    connection: psycopg.Connection[Any],
    keys: Sequence[VerifierKey],
    roots: dict[int, bytes],
    findings: Findings,
) -> int:
    """Collect the roots that are truly signed; report the others."""
    rows = connection.execute("SELECT tree_size, root, note FROM audit.checkpoints ORDER BY 1").fetchall()
    for size, root, note in rows:
        try:
            checkpoint = open_checkpoint(note, keys)
        except NoteInvalid as error:
            findings.report(size, DamageKind.CHECKPOINT_FALSE, error.what)
            continue
        if (checkpoint.size, checkpoint.root) != (size, bytes(root)):
            findings.report(size, DamageKind.CHECKPOINT_FALSE, "its columns differ from what was signed")
        roots[checkpoint.size] = checkpoint.root
    return len(rows)


def _read_cosigned(
    connection: psycopg.Connection[Any],
    keys: Sequence[VerifierKey],
    policy: Policy | None,
    roots: dict[int, bytes],
    findings: Findings,
) -> Standing | None:
    """Collect the roots that witnesses have cosigned; say who stands behind the newest of them."""
    if policy is None:
        return None
    newest = None
    rows = connection.execute("SELECT tree_size, note FROM audit.cosigned_checkpoints ORDER BY 1").fetchall()
    for size, note in rows:
        try:
            newest = policy.evaluate(note, keys)
        except NoteInvalid as error:
            findings.report(size, DamageKind.CHECKPOINT_FALSE, error.what)
            continue
        _require_seen(roots, findings, newest.checkpoint)
    return newest


def _require_seen(roots: dict[int, bytes], findings: Findings, seen: Checkpoint) -> None:
    if roots.get(seen.size, seen.root) != seen.root:
        detail = "a checkpoint kept elsewhere has another root"
        findings.report(seen.size, DamageKind.HISTORY_REWRITTEN, detail)
    roots[seen.size] = seen.root


def _one(connection: psycopg.Connection[Any], query: Any) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _authorities(installation: Installation) -> Sequence[Authority]:
    """Whose timestamps are trusted here; a file that cannot be read keeps no log from being verified."""
    file = installation.settings.timestamp_authorities
    try:
        return TimestampSettings.load(file).authorities if file is not None else ()
    except TimestampMisconfigured:
        return ()
