"""Verifying the whole stored log: entry bytes, tiles, checkpoints, search columns, sealed rows.

Nothing stored is believed but the checkpoints that a known key has signed. Entries are hashed as they
stand; the roots they lead to are compared with every checkpoint; tiles only help to say which entry is
bad and how. The walk reads one snapshot, so it runs beside the sequencer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import psycopg

from audit.checking.damage import Damage, DamageKind, VerificationReport, classify
from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.notes import VerifierKey
from audit.checkpoints.policy import Policy, Standing
from audit.errors import LogDamaged, NoteInvalid
from audit.kinds import EntryKind
from audit.publishing.published import PublishedCheckpoint
from audit.tree.merkle import Frontier, leaf_hash
from audit.tree.pruned_prefix import grow_over_pruned, is_vouched_for, pruned_to
from audit.tree.stored_tiles import CHUNK, LeafTiles, first_bad_tile
from foundation.canonical import sha256_hex
from foundation.database import Role

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["Damage", "DamageKind", "VerificationReport", "verify_installation", "verify_log"]

Progress = Callable[[int, int], None]
_MAXIMUM_DAMAGES = 20
_COLUMNS = ("entry_id", "kind", "occurred_at", "provider", "consumer", "purpose", "outcome")

_SEALED = """
SELECT e.entry_index, e.entry, s.blob
  FROM audit.entries e LEFT JOIN audit.sealed s USING (entry_id)
 WHERE s.entry_id IS NOT NULL OR position('"sealed":{'::bytea IN e.entry) > 0
 ORDER BY e.entry_index
"""


@dataclass(slots=True)
class _Walk:
    """Where the walk stands, and what it has found."""

    roots: dict[int, bytes] = field(default_factory=dict)
    frontier: Frontier = field(default_factory=Frontier)
    entries: int = 0
    proven: int = 0
    gap: bool = False
    pruned: int = 0
    placements: list[tuple[int, int | None]] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)

    def report(self, index: int, kind: DamageKind, detail: str) -> None:
        if len(self.damages) < _MAXIMUM_DAMAGES:
            self.damages.append(Damage(index, kind, detail))


def verify_installation(installation: Installation, progress: Progress | None = None) -> VerificationReport:
    """Walk the log of this installation, with its own keys, published checkpoints and policy."""
    seen = PublishedCheckpoint.of(installation).seen()
    file = installation.settings.log_policy
    policy = Policy.load(file) if file is not None else None
    with installation.database.connect(Role.AUDITOR, autocommit=True) as connection:
        return verify_log(connection, log_verifier_keys(installation), progress, seen=seen, policy=policy)


def verify_log(
    connection: psycopg.Connection[Any],
    keys: Sequence[VerifierKey],
    progress: Progress | None = None,
    *,
    seen: Sequence[Checkpoint] = (),
    policy: Policy | None = None,
) -> VerificationReport:
    """Walk the whole log of a database.

    Args:
        connection: connection of a role that reads the log (auditor), not inside a transaction.
        keys: verifier keys of the log, from a place other than this database.
        progress: called with (entries done, entries in all) now and then.
        seen: checkpoints kept elsewhere, already verified, that the log must contain.
        policy: which witnesses are trusted.

    Returns:
        The report; `report.first` names the first bad entry and the kind of damage.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        walk = _Walk()
        stored = _read_checkpoints(connection, keys, walk)
        behind = _read_cosigned(connection, keys, policy, walk)
        for checkpoint in seen:
            _require_seen(walk, checkpoint)
        size = _one(connection, "SELECT tree_size FROM audit.log_state")
        minimum = _walk_pruned(connection, walk)
        _walk_entries(connection, walk, progress or (lambda _done, _total: None))
        signed = max(walk.roots, default=0)
        _check_pruned(connection, walk, minimum)
        _check_tail(connection, walk, max(size, signed), minimum)
        _check_state(connection, walk)
        _check_upper_tiles(connection, walk)
        _check_sealed(connection, walk)
    damages = tuple(sorted(walk.damages, key=_precedence))
    missing = _not_proven(size, signed, behind, minimum)
    return VerificationReport(walk.entries, size, stored, signed, damages, missing, minimum)


def _read_checkpoints(connection: psycopg.Connection[Any], keys: Sequence[VerifierKey], walk: _Walk) -> int:
    """Collect the roots that are truly signed; report the others."""
    rows = connection.execute("SELECT tree_size, root, note FROM audit.checkpoints ORDER BY 1").fetchall()
    for size, root, note in rows:
        try:
            checkpoint = open_checkpoint(note, keys)
        except NoteInvalid as error:
            walk.report(size, DamageKind.CHECKPOINT_FALSE, error.what)
            continue
        if (checkpoint.size, checkpoint.root) != (size, bytes(root)):
            walk.report(size, DamageKind.CHECKPOINT_FALSE, "its columns differ from what was signed")
        walk.roots[checkpoint.size] = checkpoint.root
    return len(rows)


def _read_cosigned(
    connection: psycopg.Connection[Any], keys: Sequence[VerifierKey], policy: Policy | None, walk: _Walk
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
            walk.report(size, DamageKind.CHECKPOINT_FALSE, error.what)
            continue
        _require_seen(walk, newest.checkpoint)
    return newest


def _require_seen(walk: _Walk, seen: Checkpoint) -> None:
    if walk.roots.get(seen.size, seen.root) != seen.root:
        walk.report(seen.size, DamageKind.HISTORY_REWRITTEN, "a checkpoint kept elsewhere has another root")
    walk.roots[seen.size] = seen.root


def _walk_pruned(connection: psycopg.Connection[Any], walk: _Walk) -> int:
    """Begin the tree with the hashes of entries that were pruned; return the first entry that is there."""
    minimum = _one(connection, "SELECT minimum_index FROM audit.retention_state")
    try:
        walk.proven = grow_over_pruned(connection, walk.frontier, walk.roots, minimum)
    except LogDamaged as error:
        walk.report(walk.frontier.size, DamageKind.TILE_EDITED, error.what)
        walk.gap = True
    return minimum


def _check_pruned(connection: psycopg.Connection[Any], walk: _Walk, minimum: int) -> None:
    if not is_vouched_for(connection, minimum, walk.pruned):
        detail = f"no entry says that the entries before {minimum} were pruned"
        walk.report(0, DamageKind.ENTRY_DROPPED, detail)


def _walk_entries(connection: psycopg.Connection[Any], walk: _Walk, progress: Progress) -> None:
    """Hash every entry in order; compare with the tiles, and with each signed root that is reached."""
    total = _one(connection, "SELECT count(*) FROM audit.entries")
    tiles = LeafTiles(connection)
    with connection.cursor(name="audit_walk") as cursor:
        cursor.itersize = CHUNK
        cursor.execute(
            "SELECT entry_index, entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry"
            " FROM audit.entries ORDER BY entry_index",
            binary=True,
        )
        for row in cursor:
            encoded = bytes(row[8])
            _check_place(walk, tiles, row[0], leaf_hash(encoded))
            _check_columns(walk, row, encoded)
            walk.entries += 1
            if walk.entries % CHUNK == 0:
                progress(walk.entries, total)
    walk.damages += classify(walk.placements)
    progress(walk.entries, total)


def _check_place(walk: _Walk, tiles: LeafTiles, index: int, leaf: bytes) -> None:
    frontier = walk.frontier
    if walk.gap:
        return
    if index != frontier.size:
        walk.gap = True
        walk.report(frontier.size, DamageKind.ENTRY_DROPPED, f"the next entry present is {index}")
        return
    frontier.append(leaf)
    if tiles.at(index) != leaf and len(walk.placements) < _MAXIMUM_DAMAGES:
        walk.placements.append((index, tiles.place_of(leaf)))
    if frontier.size in walk.roots:
        _check_root(walk, walk.roots[frontier.size])


def _check_root(walk: _Walk, signed: bytes) -> None:
    """Compare with a signed root. Where it is reached although tiles differ, the tiles were changed."""
    size = walk.frontier.size
    if walk.frontier.root() == signed:
        walk.proven = size
        if walk.placements:
            detail = "the leaf in the tile is not the one that was signed"
            walk.report(walk.placements[0][0], DamageKind.TILE_EDITED, detail)
            walk.placements.clear()
    elif not walk.placements and not any(d.kind == DamageKind.HISTORY_REWRITTEN for d in walk.damages):
        detail = f"the entries from here to {size - 1} do not lead to the root that was signed"
        walk.report(walk.proven, DamageKind.HISTORY_REWRITTEN, detail)


def _check_columns(walk: _Walk, row: Sequence[Any], encoded: bytes) -> None:
    try:
        data = orjson.loads(encoded)
    except orjson.JSONDecodeError:
        return  # such bytes never hash to a leaf; that is reported with their place
    if data.get("kind") == EntryKind.AUDIT_PRUNED:
        walk.pruned = max(walk.pruned, pruned_to(data))
    get = data.get
    expected = (
        get("id"), get("kind"), _moment(get("time")), get("provider"),
        get("consumer"), get("purpose"), get("outcome"),
    )  # fmt: skip
    found = (str(row[1]), *row[2:8])
    if found != expected:
        wrong = [name for name, a, b in zip(_COLUMNS, found, expected, strict=True) if a != b]
        walk.report(row[0], DamageKind.SEARCH_COLUMN_EDITED, f"{', '.join(wrong)} differs from the entry")


def _check_tail(connection: psycopg.Connection[Any], walk: _Walk, size: int, minimum: int) -> None:
    end = _one(connection, "SELECT coalesce(max(entry_index), -1) + 1 FROM audit.entries") or minimum
    if end < size:
        walk.report(end, DamageKind.TAIL_TRUNCATED, f"the tree has {size} leaves, but entries end here")
    elif end > size and not walk.gap:
        walk.damages[:] = [damage for damage in walk.damages if damage.index < size]
        walk.report(size, DamageKind.ENTRY_INSERTED, "the tree has no leaf for it")


def _check_state(connection: psycopg.Connection[Any], walk: _Walk) -> None:
    row = connection.execute("SELECT tree_size, frontier FROM audit.log_state").fetchone()
    if row is None:
        walk.report(0, DamageKind.STATE_EDITED, "the state row is missing")
    elif not walk.damages and (row[0], bytes(row[1])) != (walk.frontier.size, walk.frontier.to_bytes()):
        walk.report(row[0], DamageKind.STATE_EDITED, "size or frontier differ from the entries")


def _check_upper_tiles(connection: psycopg.Connection[Any], walk: _Walk) -> None:
    if any(damage.kind == DamageKind.TILE_EDITED for damage in walk.damages):
        return  # what is wrong below is wrong above
    bad = first_bad_tile(connection)
    if bad is not None:
        walk.report(bad[0], DamageKind.TILE_EDITED, bad[1])


def _check_sealed(connection: psycopg.Connection[Any], walk: _Walk) -> None:
    """Sealed rows against the digests in the entries: no key is needed for that."""
    with connection.cursor(name="audit_sealed") as cursor:
        cursor.itersize = CHUNK
        cursor.execute(_SEALED, binary=True)
        for index, encoded, blob in cursor:
            digest = _sealed_digest(bytes(encoded))
            if digest is not None and blob is None:
                walk.report(index, DamageKind.SEALED_DROPPED, "the entry names sealed content that is gone")
            elif blob is not None and sha256_hex(bytes(blob)) != digest:
                walk.report(index, DamageKind.SEALED_EDITED, "it does not have the digest in the entry")


def _sealed_digest(encoded: bytes) -> str | None:
    try:
        sealed = orjson.loads(encoded).get("sealed")
    except orjson.JSONDecodeError:
        return None
    return sealed.get("digest") if sealed else None


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _precedence(damage: Damage) -> tuple[int, bool]:
    """By entry; a column that differs comes after the change of the entry itself."""
    return damage.index, damage.kind == DamageKind.SEARCH_COLUMN_EDITED


def _one(connection: psycopg.Connection[Any], query: Any) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _not_proven(size: int, signed: int, behind: Standing | None, minimum: int) -> tuple[str, ...]:
    witnesses = behind.independent if behind is not None else 0
    if behind is None or not (witnesses and behind.quorum_met):
        missing = [f"self-consistent only: {witnesses} independent witnesses"]
    else:
        missing = [f"that witnesses saw more than {behind.checkpoint.size} entries ({behind})"]
    if signed < size:
        missing.append(f"entries {signed} to {size - 1} stand under no checkpoint yet")
    if minimum:
        missing.append(f"what entries 0 to {minimum - 1} said: of what was pruned only hashes are checked")
    missing.append("whether everything that happened was logged")
    return tuple(missing)
