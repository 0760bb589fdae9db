"""What verification found: which entry is bad first, and what was done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from audit.checkpoints.policy import Standing

__all__ = ["Damage", "DamageKind", "Taken", "VerificationReport", "classify", "what_is_not_proven"]


class DamageKind(StrEnum):
    """What was done to the log."""

    ENTRY_EDITED = "entry edited"
    ENTRY_DROPPED = "entry dropped"
    ENTRY_INSERTED = "entry inserted"
    ENTRY_REPEATED = "entry repeated"
    ENTRIES_REORDERED = "entries reordered"
    TAIL_TRUNCATED = "tail truncated"
    SEARCH_COLUMN_EDITED = "search column edited"
    SEALED_EDITED = "sealed content edited"
    SEALED_DROPPED = "sealed content dropped"
    TILE_EDITED = "tile edited"
    CHECKPOINT_FALSE = "checkpoint false"
    HISTORY_REWRITTEN = "history rewritten"
    STATE_EDITED = "state row edited"
    TIMESTAMP_FALSE = "timestamp false"
    PROGRESS_FALSE = "kept progress false"


@dataclass(frozen=True, slots=True)
class Damage:
    """One finding; `index` is the first entry concerned (for a checkpoint, its tree size)."""

    index: int
    kind: DamageKind
    detail: str

    def __str__(self) -> str:
        return f"entry {self.index}: {self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken from the progress that an earlier walk had kept."""

    size: int
    at: str

    def __str__(self) -> str:
        return f"entries 0 to {self.size - 1} were checked until {self.at}, not again now"


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What a walk over the log found, and what it could not show."""

    entries: int
    tree_size: int
    checkpoints: int
    signed_size: int
    damages: tuple[Damage, ...] = ()  # in order of their index
    not_proven: tuple[str, ...] = ()
    minimum_index: int = 0  # entries below it were pruned; their hashes were checked
    taken: Taken | None = None  # what an earlier walk had checked, and this one did not

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.damages

    @property
    def first(self) -> Damage | None:
        """The damage to look at first: the one at the lowest index."""
        return self.damages[0] if self.damages else None


def classify(placements: Sequence[tuple[int, int | None]]) -> list[Damage]:
    """Name what was done, from where entries stand and where the tree says they belong.

    Args:
        placements: (index at which an entry stands, index at which the tree has its leaf, or None),
            ascending, for entries that are not where they belong.
    """
    if not placements:
        return []
    (index, place), *others = placements
    later = dict(others)
    edited = [Damage(i, DamageKind.ENTRY_EDITED, _EDITED) for i, p in placements if p is None]
    if place is None and later.get(index + 1) == index:
        return [Damage(index, DamageKind.ENTRY_INSERTED, "the entries after it stand one place too far")]
    if place is None:
        return edited
    if place == index + 1 and later.get(index + 1) != index:
        return [Damage(index, DamageKind.ENTRY_DROPPED, "the entries after it were moved up")]
    detail = f"the entry that stands here belongs to index {place}"
    return [Damage(index, DamageKind.ENTRIES_REORDERED, detail), *edited]


def what_is_not_proven(
    size: int, signed: int, behind: Standing | None, minimum: int, taken: Taken | None = None
) -> tuple[str, ...]:
    """What a walk without findings leaves open.

    Args:
        size: how many entries the tree has.
        signed: how many of them stand under a signed checkpoint.
        behind: which witnesses stand behind it, where a policy was given.
        minimum: the first entry that was not pruned.
        taken: what was taken from an earlier walk.
    """
    witnesses = behind.independent if behind is not None else 0
    if behind is None or not (witnesses and behind.quorum_met):
        missing = [f"self-consistent only: {witnesses} independent witnesses"]
    else:
        missing = [f"that witnesses saw more than {behind.checkpoint.size} entries ({behind})"]
    if signed < size:
        missing.append(f"entries {signed} to {size - 1} stand under no checkpoint yet")
    if minimum:
        missing.append(f"what entries 0 to {minimum - 1} said: of what was pruned only hashes are checked")
    if taken:
        missing.append(
            f"that entries 0 to {taken.size - 1} are still as they were, and none stands again later"
        )
    missing.append("whether everything that happened was logged")
    return tuple(missing)


_EDITED = "its bytes do not hash to the leaf in the tree"
