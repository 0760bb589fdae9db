"""Whether an entry stands in the log twice: an exchange that is told again, as if it had happened again.

Every entry has a nonce of its own, so two leaves are the same only where the very bytes were logged again. A
tree holds such a leaf as readily as any other; that is why somebody has to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["LeavesSeen"]

_KEPT_BYTES = 8


@dataclass(slots=True)
class LeavesSeen:
    """The leaves of a walk, 16 bytes of each.

    Attributes:
        first: index of the first leaf seen.
    """

    first: int | None = None
    _one: bytearray = field(default_factory=bytearray)
    _other: bytearray = field(default_factory=bytearray)

    def add(self, index: int, leaves: Sequence[bytes]) -> None:
        """Remember leaves that stand one after the other, `index` being the place of the first."""
        if self.first is None:
            self.first = index
        self._one += b"".join([leaf[:_KEPT_BYTES] for leaf in leaves])
        self._other += b"".join([leaf[_KEPT_BYTES : 2 * _KEPT_BYTES] for leaf in leaves])

    def repeated(self) -> tuple[int, int] | None:
        """The first entry that stood in the log before, and where it stood: (index, earlier index)."""
        import numpy as np

        one, other = (np.frombuffer(part, dtype="<u8") for part in (self._one, self._other))
        order = np.argsort(one, kind="stable")
        near = np.flatnonzero(one[order][1:] == one[order][:-1])
        pairs = [(int(order[place + 1]), int(order[place])) for place in near]
        found = [pair for pair in pairs if other[pair[0]] == other[pair[1]]]
        if not found or self.first is None:
            return None
        index, earlier = min(found)
        return self.first + index, self.first + earlier
