"""The timestamps that stand beside the checkpoints: does each stamp the checkpoint that is stored now?

Whoever signs another history with the real key cannot change the tokens on the first one, only remove them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from audit.checking.damage import DamageKind
from audit.checking.tree_walk import Findings
from audit.errors import NoteInvalid
from audit.timestamps.authorities import Authority
from audit.timestamps.errors import TimestampInvalid
from audit.timestamps.queue import StoredTimestamp, stored
from audit.timestamps.token import open_token, stamped_bytes, stated_imprint

__all__ = ["Stamped", "check_timestamps"]


@dataclass(frozen=True, slots=True)
class Stamped:
    """How far the log is stamped, by whom, and whose tokens could not be verified."""

    size: int = 0
    unknown: frozenset[str] = frozenset()

    def not_proven(self, size: int) -> tuple[str, ...]:
        """What that leaves open of a tree of this size."""
        missing = []
        if self.size == 0:
            missing.append("since when the log exists: no authority that is known here has stamped it")
        elif self.size < size:
            missing.append(
                f"since when entries {self.size} to {size - 1} exist: no timestamp covers them yet"
            )
        if self.unknown:
            names = ", ".join(sorted(self.unknown))
            missing.append(f"that the timestamps of {names} are true: their roots are not known here")
        return tuple(missing)


def check_timestamps(
    connection: psycopg.Connection[Any], authorities: Sequence[Authority], findings: Findings
) -> Stamped:
    """Check every stored token against its checkpoint, and by its authority's roots where they are known."""
    known = {each.name: each for each in authorities}
    size, unknown = 0, set()
    for token in stored(connection):
        authority = known.get(token.authority)
        flaw = _flaw(token, authority)
        if flaw is not None:
            detail = f"the timestamp of {token.authority}: {flaw}"
            findings.report(token.tree_size, DamageKind.TIMESTAMP_FALSE, detail)
        elif authority is None:
            unknown.add(token.authority)
        else:
            size = max(size, token.tree_size)
    return Stamped(size, frozenset(unknown))


def _flaw(token: StoredTimestamp, authority: Authority | None) -> str | None:
    try:
        text = stamped_bytes(token.note)
        if stated_imprint(token.token) != hashlib.sha256(text).digest():
            return "it stamps another checkpoint than the one that stands there"
        if (
            authority is not None
            and open_token(token.token, text, authority).generated_at != token.generated_at
        ):
            return "it states another time than stands beside it"
    except (TimestampInvalid, NoteInvalid) as error:
        return error.what
    return None
