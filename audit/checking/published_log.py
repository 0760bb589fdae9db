"""Verifying a published log, without its database: exported files, or a server that shows its tiles.

The checkpoint is believed when a known key has signed it. Every entry is hashed (where no entries are shown,
their hashes are taken from the tiles), every tile is compared with what lies below it, and the tree must lead
to every signed root.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import orjson

from audit.checking.damage import Damage, DamageKind, Taken, VerificationReport, what_is_not_proven
from audit.checking.followed import FollowedLog
from audit.checking.kept_progress import Begin, KeptProgress, Reached, roots_digest, take_up
from audit.checking.log_files import LogFiles, PublishedTiles
from audit.checking.tree_walk import Findings, TreeWalk
from audit.checkpoints.checkpoint import Checkpoint, open_checkpoint
from audit.checkpoints.notes import VerifierKey
from audit.checkpoints.policy import Policy, Standing
from audit.errors import LogFileMissing, LogForked, NoteInvalid, ProgressFalse
from audit.kinds import EntryKind
from audit.tree.merkle import HASH_SIZE, leaf_hash
from audit.tree.pruned_prefix import pruned_to
from audit.tree.stored_tiles import first_difference
from audit.tree.tiles import TILE_WIDTH, TileAddress, fold

__all__ = ["seen_before", "verify_followed", "verify_published"]

_TILES_AT_ONCE = 64
_PRUNED = EntryKind.AUDIT_PRUNED.encode()
_ONLY_HASHES = "what the entries say: this log shows only their hashes here"


def verify_published(
    files: LogFiles,
    keys: Sequence[VerifierKey],
    progress: Callable[[int, int], None] | None = None,
    *,
    note: bytes | None = None,
    seen: Sequence[Checkpoint] = (),
    policy: Policy | None = None,
    kept: KeptProgress | None = None,
    begin: Begin = Begin.INTERRUPTED,
) -> VerificationReport:
    """Walk a whole published log.

    Args:
        files: where it is read.
        keys: verifier keys of the log, from a place other than these files.
        progress: called with (entries done, entries in all) now and then.
        note: the checkpoint to verify (default: the one that the log shows).
        seen: checkpoints kept from before, already verified, that the log must contain.
        policy: which witnesses are trusted.
        kept: where the progress is kept, so that an interrupted walk can go on.
        begin: whether the walk begins at the start, or where an earlier one stopped.

    Raises:
        LogFileMissing: when a file is missing that the check needs.
        LintasError: one of :mod:`foundation.http_errors`, when a server cannot be read.
    """
    findings = Findings()
    note = files.read("checkpoint") if note is None else note
    keys = policy.log_keys(keys) if policy is not None else keys
    try:
        checkpoint = open_checkpoint(note, keys)
        behind = policy.evaluate(note, keys) if policy is not None else None
    except NoteInvalid as error:
        findings.report(_claimed_size(note), DamageKind.CHECKPOINT_FALSE, error.what)
        return VerificationReport(0, 0, 0, 0, findings.in_order())
    roots, checkpoints = _signed_roots(files, keys, checkpoint, findings)
    own = set(roots)
    _require_seen(checkpoint, seen, roots, findings)
    minimum = _minimum(files, findings)
    reached = take_up(kept, begin, roots, PublishedTiles(files), findings)
    tree = TreeWalk(roots, findings, roots.keys() - own)
    walk = _Walk(files, tree, checkpoint.size, minimum, kept)
    walk.run(reached, progress or (lambda _done, _total: None))
    taken = Taken(reached.size, reached.at) if reached else None
    return VerificationReport(
        entries=walk.entries,
        tree_size=checkpoint.size,
        checkpoints=checkpoints,
        signed_size=checkpoint.size,
        damages=findings.in_order(),
        not_proven=_not_proven(files, checkpoint.size, behind, minimum, taken),
        minimum_index=minimum,
        taken=taken,
    )


def verify_followed(
    files: LogFiles,
    followed: FollowedLog,
    progress: Callable[[int, int], None] | None = None,
    *,
    policy: Policy | None = None,
    kept: KeptProgress | None = None,
    begin: Begin = Begin.INTERRUPTED,
) -> VerificationReport:
    """Walk a log that is followed: what it shows must go on from the checkpoint that was seen last.

    A server may show an older checkpoint than a moment ago; what is walked is the larger of the two.

    Raises:
        LintasError: as :func:`verify_published`.
    """
    seen_before(followed)
    shown = files.read("checkpoint")
    try:
        followed.observe(shown.decode("utf-8", "replace"), PublishedTiles(files))
        note = followed.file.read_bytes()
    except NoteInvalid:
        note = shown  # what is wrong with it is reported below
    except LogForked as error:
        sizes = error.attributes["shown"], error.attributes["seen"]
        kind = DamageKind.TAIL_TRUNCATED if sizes[0] < sizes[1] else DamageKind.HISTORY_REWRITTEN
        return VerificationReport(0, sizes[0], 1, sizes[0], (Damage(min(sizes), kind, error.what),))
    return verify_published(files, followed.keys, progress, note=note, policy=policy, kept=kept, begin=begin)


def seen_before(followed: FollowedLog) -> list[Checkpoint]:
    """The checkpoint that was kept, if any was.

    Raises:
        ProgressFalse: when the file is none of this log.
    """
    try:
        seen = followed.seen()
    except NoteInvalid as error:
        raise ProgressFalse(
            f"The checkpoint kept in {followed.file.name} is not one that this log signed.",
            why=error.what,
            remedy="Ask who could write to the file, and check that the verifier keys are the log's.",
        ) from None
    return [seen] if seen is not None else []


@dataclass(slots=True)
class _Walk:
    """One walk over the tiles of a published log."""

    files: LogFiles
    tree: TreeWalk
    size: int
    minimum: int
    kept: KeptProgress | None
    entries: int = 0
    pruned: int = 0
    _reached: Reached | None = None

    def run(self, taken: Reached | None, progress: Callable[[int, int], None]) -> None:
        """Walk the leaves, then the tiles above them, from where an earlier walk stopped."""
        if taken is not None:
            self.tree.begin(taken.tree())
            self._reached, self.pruned = taken, taken.pruned
        start = self.tree.frontier.size
        tiles = [
            *range(start // TILE_WIDTH, self.size // TILE_WIDTH, _TILES_AT_ONCE),
            self.size // TILE_WIDTH,
        ]
        for first, after in pairwise(tiles):
            self._take_tiles(first, after)
            self._keep()
            progress(self.tree.frontier.size - start, self.size - start)
        if self.size % TILE_WIDTH:
            self._take_tiles(tiles[-1], tiles[-1] + 1)
            progress(self.size - start, self.size - start)
        self.tree.settle(self._place_of)
        self._check_end()
        self._check_pruned()
        self._check_upper_tiles(start // TILE_WIDTH)
        if self.kept is not None and self._reached is not None and self.tree.is_clean:
            self.kept.keep(replace(self._reached, finished=True))

    def _take_tiles(self, first: int, after: int) -> None:
        """Some tiles, and the entries of those that were not pruned."""
        if self.tree.gap:
            return
        addresses = [TileAddress(0, tile, self._width(0, tile)) for tile in range(first, after)]
        stored = self.files.read_all([address.path() for address in addresses])
        there = [
            each for each in addresses if self.files.has_entries and each.index * TILE_WIDTH >= self.minimum
        ]
        bundles = self.files.read_all([TileAddress(None, each.index, each.width).path() for each in there])
        bundle_of = dict(zip([each.index for each in there], bundles, strict=True))
        for address, hashes in zip(addresses, stored, strict=True):
            self._take_tile(address, _present(address, hashes), bundle_of)

    def _take_tile(self, address: TileAddress, stored: bytes, bundles: dict[int, bytes | None]) -> None:
        start, width, tree = address.index * TILE_WIDTH, address.width, self.tree
        if tree.gap:
            return
        if len(stored) != width * HASH_SIZE:
            detail = f"the tile {address.path()} does not hold {width} hashes"
            tree.findings.report(start + min(width, len(stored) // HASH_SIZE), DamageKind.TILE_EDITED, detail)
            tree.gap = True
            return
        if address.index not in bundles:
            leaves = [stored[i : i + HASH_SIZE] for i in range(0, len(stored), HASH_SIZE)]
        else:
            entries = _entries_of(bundles[address.index] or b"")
            leaves = [leaf_hash(entry) for entry in entries]
            self.entries += len(leaves)
            self.pruned = max(self.pruned, _pruned_to(entries))
        if leaves:
            present = leaves[:width]
            tree.take(range(start, start + len(present)), present, stored)
        if len(leaves) != width:
            goes_on = any(content for index, content in bundles.items() if index > address.index)
            self._report_count(
                start, len(leaves), width, DamageKind.ENTRY_DROPPED if goes_on else DamageKind.TAIL_TRUNCATED
            )

    def _report_count(self, start: int, count: int, width: int, missing: DamageKind) -> None:
        """A bundle of another length; where its entries stand may say more."""
        tree = self.tree
        tree.gap = True
        tree.settle(self._place_of)
        if any(start <= damage.index <= start + min(count, width) for damage in tree.findings.damages):
            return
        if count > width:
            tree.findings.report(start + width, DamageKind.ENTRY_INSERTED, "the tree has no leaf for it")
            return
        detail = f"its bundle holds {count} entries instead of {width}"
        tree.findings.report(start + count, missing, detail)

    def _check_end(self) -> None:
        beyond = [size for size in self.tree.roots if size > self.size]
        if beyond:
            detail = f"a tree of {max(beyond)} entries was signed or walked before, but the log ends here"
            self.tree.findings.report(self.size, DamageKind.TAIL_TRUNCATED, detail)

    def _check_pruned(self) -> None:
        """The file with the minimum index is nobody's word: an entry must say that the log was pruned."""
        if self.tree.is_clean and self.pruned < self.minimum:
            detail = (
                f"no entry says that the entries before {self.minimum} were pruned (if that was done a moment"
                " ago, a later checkpoint holds it)"
            )
            self.tree.findings.report(self.pruned, DamageKind.ENTRY_DROPPED, detail)

    def _check_upper_tiles(self, offset: int) -> None:
        """Every upper tile is made of the full tiles below it, from those on that were walked now."""
        findings = self.tree.findings
        if not self.tree.is_clean:
            return  # what is wrong below is wrong above
        level, folded = 1, self.tree.folded
        while self.size >> 8 * level:
            above: list[bytes] = []
            last = ((self.size >> 8 * level) - 1) // TILE_WIDTH
            for tile in range(offset // TILE_WIDTH, last + 1):
                address = TileAddress(level, tile, self._width(level, tile))
                stored = _present(address, self.files.read_all([address.path()])[0])
                known = max(0, offset - tile * TILE_WIDTH)
                begin = tile * TILE_WIDTH + known - offset
                expected = b"".join(folded[begin : begin + address.width - known])
                place = first_difference(expected, stored[known * HASH_SIZE :])
                if place is not None:
                    detail = f"tile {tile} of level {level} is not made of the tiles below it"
                    index = (tile * TILE_WIDTH + known + place) << 8 * level
                    findings.report(index, DamageKind.TILE_EDITED, detail)
                    return
                if address.width == TILE_WIDTH:
                    above.append(fold(stored))
            level, folded, offset = level + 1, above, offset // TILE_WIDTH

    def _keep(self) -> None:
        tree = self.tree.frontier
        if self.kept is None or not self.tree.is_clean or tree.size % TILE_WIDTH:
            return
        roots = roots_digest(self.tree.roots, tree.size)
        self._reached = Reached(
            size=tree.size, frontier=tree.to_bytes().hex(), roots=roots, pruned=self.pruned
        )
        self.kept.keep(self._reached)

    def _width(self, level: int, tile: int) -> int:
        return min(TILE_WIDTH, (self.size >> 8 * level) - tile * TILE_WIDTH)

    def _place_of(self, leaf: bytes) -> int | None:
        """Where the tiles around have a leaf: an entry that was moved farther counts as edited."""
        near = self.tree.misplaced_from // TILE_WIDTH
        for tile in range(max(0, near - 1), min(near + _TILES_AT_ONCE, -(-self.size // TILE_WIDTH))):
            found = self.files.read_all([TileAddress(0, tile, self._width(0, tile)).path()])[0] or b""
            for place in range(0, len(found), HASH_SIZE):
                if found[place : place + HASH_SIZE] == leaf:
                    return tile * TILE_WIDTH + place // HASH_SIZE
        return None


def _signed_roots(
    files: LogFiles, keys: Sequence[VerifierKey], checkpoint: Checkpoint, findings: Findings
) -> tuple[dict[int, bytes], int]:
    """Every root that the log shows as signed, and how many checkpoints there are."""
    roots = {checkpoint.size: checkpoint.root} if checkpoint.size else {}
    history = files.history()
    for name, note in history:
        try:
            earlier = open_checkpoint(note, keys)
        except NoteInvalid as error:
            detail = f"checkpoints/{name}: {error.what}"
            findings.report(_claimed_size(note), DamageKind.CHECKPOINT_FALSE, detail)
        else:
            _require_seen(checkpoint, [earlier], roots, findings)
    return roots, len(history) or 1


def _require_seen(
    checkpoint: Checkpoint, seen: Sequence[Checkpoint], roots: dict[int, bytes], findings: Findings
) -> None:
    """Add roots that the walk must meet, too."""
    for other in seen:
        if other.origin != checkpoint.origin:
            detail = f"it is of another log, {other.origin}"
            findings.report(other.size, DamageKind.CHECKPOINT_FALSE, detail)
        elif other.size and roots.setdefault(other.size, other.root) != other.root:
            detail = "two different trees of this size were signed: a fork"
            findings.report(other.size, DamageKind.HISTORY_REWRITTEN, detail)


def _minimum(files: LogFiles, findings: Findings) -> int:
    """The first entry that was not pruned."""
    if not files.has_entries:
        return 0
    try:
        text = files.read("minimum-index").strip()
    except LogFileMissing:
        return 0
    if not text.isdigit() or len(text) > 18 or int(text) % TILE_WIDTH:
        findings.report(0, DamageKind.ENTRY_DROPPED, "the minimum index is not the first entry of a bundle")
        return 0
    return int(text)


def _present(address: TileAddress, content: bytes | None) -> bytes:
    if content is None:
        raise LogFileMissing(
            f"The tile {address.path()} is missing.",
            why="The signed checkpoint says that it is there.",
            remedy="Export the log again, or copy the folder again.",
            path=address.path(),
        )
    return content


def _entries_of(bundle: bytes) -> list[bytes]:
    """Entries of a bundle, each with its length before it, and at most one more than it may hold.

    One that is cut keeps its length before it: a true entry behind a false length must not pass for one.
    """
    entries: list[bytes] = []
    position = 0
    while position < len(bundle) and len(entries) <= TILE_WIDTH:
        end = position + 2 + int.from_bytes(bundle[position : position + 2], "big")
        entries.append(bundle[position + 2 : end] if end <= len(bundle) else bundle[position:])
        position = end
    return entries


def _pruned_to(entries: Sequence[bytes]) -> int:
    """Up to which index these entries say that the log was pruned."""
    found = 0
    for entry in entries:
        if _PRUNED in entry:
            try:
                data = orjson.loads(entry)
            except orjson.JSONDecodeError:
                continue
            if isinstance(data, dict) and data.get("kind") == EntryKind.AUDIT_PRUNED:
                found = max(found, pruned_to(data))
    return found


def _claimed_size(note: bytes) -> int:
    """The size that a note claims which nobody signed, only to name it."""
    lines = note.split(b"\n", 2)
    return int(lines[1]) if len(lines) > 1 and lines[1].isdigit() and len(lines[1]) < 19 else 0


def _not_proven(
    files: LogFiles, size: int, behind: Standing | None, minimum: int, taken: Taken | None
) -> tuple[str, ...]:
    missing = what_is_not_proven(size, size, behind, minimum, taken)
    return missing if files.has_entries else (_ONLY_HASHES, *missing)
