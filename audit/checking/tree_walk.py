"""Growing the tree again over the leaves of a log, and comparing it with tiles and signed roots.

Only roots that are truly signed are believed; tiles help to say which entry is bad, and how. Where the leaves
come from (a database, files, a server) is the caller's part.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from audit.checking.damage import Damage, DamageKind, classify
from audit.checking.repeated import LeavesSeen
from audit.tree.merkle import HASH_SIZE, Frontier
from audit.tree.tiles import TILE_WIDTH, fold

__all__ = ["Findings", "TreeWalk"]

_MAXIMUM = 20
_TILE_HEIGHT = TILE_WIDTH.bit_length() - 1


@dataclass(slots=True)
class Findings:
    """What was found so far; of many, those with the lowest index are kept."""

    damages: list[Damage] = field(default_factory=list)

    def report(self, index: int, kind: DamageKind, detail: str) -> None:
        """Note a damage."""
        self.damages.append(Damage(index, kind, detail))
        if len(self.damages) > _MAXIMUM:
            self.damages.remove(max(self.damages, key=lambda damage: damage.index))

    def has(self, kind: DamageKind) -> bool:
        """Whether a damage of this kind was noted."""
        return any(damage.kind == kind for damage in self.damages)

    def in_order(self) -> tuple[Damage, ...]:
        """By entry; what stands beside an entry comes after the change of the entry itself."""
        return tuple(sorted(self.damages, key=lambda damage: (damage.index, _RANK.get(damage.kind, 0))))


_RANK = {DamageKind.SEALED_DROPPED: 1, DamageKind.SEALED_EDITED: 1, DamageKind.SEARCH_COLUMN_EDITED: 2}


@dataclass(slots=True)
class TreeWalk:
    """Where the walk stands.

    Attributes:
        roots: the signed roots, by tree size.
        findings: what was found.
        elsewhere: sizes whose roots were kept elsewhere, and are not among the log's own checkpoints.
        frontier: the tree over the leaves so far.
        proven: size of the last signed tree that was reached.
        gap: whether an entry was missing, so that later ones have no certain place.
        folded: roots of the full tiles that the leaves make.
        seen: the leaves so far, so that none stands there twice.
    """

    roots: Mapping[int, bytes]
    findings: Findings
    elsewhere: Set[int] = frozenset()
    frontier: Frontier = field(default_factory=Frontier)
    proven: int = 0
    gap: bool = False
    folded: list[bytes] = field(default_factory=list)
    seen: LeavesSeen = field(default_factory=LeavesSeen)
    _sizes: list[int] = field(default_factory=list)
    _misplaced: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sizes = sorted(self.roots)

    @property
    def is_clean(self) -> bool:
        """Whether all leaves so far stand where they belong."""
        return not (self.gap or self._misplaced or self.findings.damages)

    @property
    def misplaced_from(self) -> int:
        """The first entry that does not stand where the tiles have it."""
        return self._misplaced[0][0] if self._misplaced else 0

    def begin(self, frontier: Frontier) -> None:
        """Begin where an earlier walk stopped, which had met every signed root up to there."""
        self.frontier = frontier
        self.proven = max((size for size in self._sizes if size <= frontier.size), default=0)

    def take(self, indexes: Sequence[int], leaves: Sequence[bytes], stored: bytes) -> None:
        """Add leaves of one tile.

        Args:
            indexes: where their entries stand, ascending.
            leaves: hashes of the entries' bytes.
            stored: the tile as it is stored, from its first hash.
        """
        if self.gap:
            return
        first, count = indexes[0], len(indexes)
        if first == self.frontier.size and indexes[-1] - first == count - 1:
            self._take_run(first, leaves, stored)
            return
        for index, leaf in zip(indexes, leaves, strict=True):
            if index != self.frontier.size:
                self.gap = True
                detail = f"the next entry present is {index}"
                self.findings.report(self.frontier.size, DamageKind.ENTRY_DROPPED, detail)
                return
            self._take_run(index, [leaf], stored)

    def settle(self, place_of: Callable[[bytes], int | None]) -> None:
        """Name what was done to the entries that do not stand where the tiles have them.

        Args:
            place_of: where the tiles have a leaf, if anywhere.
        """
        self.findings.damages += classify([(index, place_of(leaf)) for index, leaf in self._misplaced])
        self._misplaced.clear()
        if self.is_clean and (repeated := self.seen.repeated()) is not None:
            detail = f"the very bytes of entry {repeated[1]} stand here again"
            self.findings.report(repeated[0], DamageKind.ENTRY_REPEATED, detail)

    def _take_run(self, first: int, leaves: Sequence[bytes], stored: bytes) -> None:
        joined = b"".join(leaves)
        self.seen.add(first, leaves)
        offset = first % TILE_WIDTH * HASH_SIZE
        if joined != stored[offset : offset + len(joined)]:
            self._compare(first, leaves, stored[offset:])
        end = first + len(leaves)
        signed = self._sizes[bisect_right(self._sizes, first) : bisect_right(self._sizes, end)]
        if len(leaves) < TILE_WIDTH:
            self._grow(self.frontier, leaves, signed)
            return
        if signed and signed != [end]:
            self._grow(Frontier(first, list(self.frontier.peaks)), leaves, signed)
        root = fold(joined)
        self.frontier.append_subtree(_TILE_HEIGHT, root)
        self.folded.append(root)
        if signed == [end]:
            self._check_root(self.frontier)

    def _compare(self, first: int, leaves: Sequence[bytes], stored: bytes) -> None:
        for place, leaf in enumerate(leaves):
            expected = stored[place * HASH_SIZE : (place + 1) * HASH_SIZE]
            if leaf != expected and len(self._misplaced) < _MAXIMUM:
                self._misplaced.append((first + place, leaf))

    def _grow(self, frontier: Frontier, leaves: Sequence[bytes], signed: Sequence[int]) -> None:
        """Add leaf by leaf, stopping at each signed size."""
        start = frontier.size
        for size in signed:
            frontier.extend(leaves[frontier.size - start : size - start])
            self._check_root(frontier)
        frontier.extend(leaves[frontier.size - start :])

    def _check_root(self, frontier: Frontier) -> None:
        """Compare with a signed root. Where it is reached although tiles differ, the tiles were changed."""
        size = frontier.size
        misplaced = [place for place in self._misplaced if place[0] < size]
        if frontier.root() == self.roots[size]:
            self.proven = size
            if misplaced:
                detail = "the leaf in the tile is not the one that was signed"
                self.findings.report(misplaced[0][0], DamageKind.TILE_EDITED, detail)
                self._misplaced = self._misplaced[len(misplaced) :]
        elif misplaced or self.findings.has(DamageKind.HISTORY_REWRITTEN):
            return
        elif size in self.elsewhere:
            detail = f"the tree of {size} entries was another one when it was seen last"
            self.findings.report(size, DamageKind.HISTORY_REWRITTEN, detail)
        else:
            detail = f"the entries from here to {size - 1} do not lead to the root that was signed"
            self.findings.report(self.proven, DamageKind.HISTORY_REWRITTEN, detail)
