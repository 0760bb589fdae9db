"""What an operator can do who owns the database server, the home folder and the log's private key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from audit.checkpoints.checkpoint import Checkpoint, sign_checkpoint
from audit.checkpoints.keys import log_private_key
from audit.tree.merkle import Frontier, leaf_hash, root_of
from audit.tree.tiles import grow
from foundation import clock
from foundation.installation import Installation

Change = Callable[[list[bytes]], list[bytes]]

_INSERT = """
INSERT INTO audit.entries
       (entry_index, entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry)
SELECT i - 1, (e->>'id')::uuid, e->>'kind', (e->>'time')::timestamptz, e->>'provider', e->>'consumer',
       e->>'purpose', e->>'outcome', encoded
  FROM unnest(%s::bytea[]) WITH ORDINALITY AS given (encoded, i),
       LATERAL (SELECT convert_from(encoded, 'UTF8')::jsonb AS e) AS parsed
"""


class DishonestOperator:
    """Changes one bus behind everybody's back.

    Args:
        bus: Whose.
    """

    def __init__(self, bus: Installation) -> None:
        self._bus = bus

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run a statement as the owner of the database server."""
        with self._bus.database.admin(self._bus.settings.database_name) as connection:
            connection.execute(statement, parameters)  # type: ignore[call-overload]

    def entries(self) -> list[bytes]:
        """The whole log."""
        with self._bus.database.admin(self._bus.settings.database_name) as connection:
            rows = connection.execute("SELECT entry FROM audit.entries ORDER BY entry_index").fetchall()
        return [bytes(row[0]) for row in rows]

    def rewrite(self, change: Change) -> None:
        """Change the history, and make everything fit: tiles, state, checkpoints signed with the real key.

        Cosignatures cannot be made without the witnesses' keys, so they are removed.
        """
        history = change(self.entries())
        leaves = [leaf_hash(each) for each in history]
        frontier = Frontier()
        frontier.extend(leaves)
        tiles = grow({}, 0, leaves)
        with self._bus.database.admin(self._bus.settings.database_name) as connection:
            with connection.transaction():
                connection.execute("ALTER TABLE audit.entries_from_0 DROP CONSTRAINT IF EXISTS"
                                   " entries_from_0_entry_id_key")  # fmt: skip
                connection.execute("DELETE FROM audit.entries")
                connection.execute(_INSERT, [history])
                connection.execute("DELETE FROM audit.tiles")
                connection.execute(
                    "INSERT INTO audit.tiles SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[])",
                    [[key[0] for key in tiles], [key[1] for key in tiles], list(tiles.values())],
                )
                connection.execute(
                    "UPDATE audit.log_state SET tree_size = %s, frontier = %s",
                    [frontier.size, frontier.to_bytes()],
                )
            sizes = [row[0] for row in connection.execute("SELECT tree_size FROM audit.checkpoints")]
            signed = sorted({size for size in sizes if size <= len(leaves)} | {len(leaves)})
            notes = [(size, *self.signed_head(leaves[:size])) for size in signed]
            with connection.transaction():
                connection.execute("DELETE FROM audit.checkpoints")
                connection.execute("DELETE FROM audit.cosigned_checkpoints")
                connection.cursor().executemany(
                    "INSERT INTO audit.checkpoints VALUES (%s, %s, %s, %s)",
                    [(*note, clock.now()) for note in notes],
                )
        self.publish(notes[-1][2])

    def signed_head(self, leaves: Sequence[bytes]) -> tuple[bytes, str]:
        """The root of any history, and its checkpoint under the real key."""
        root = root_of(leaves)
        checkpoint = Checkpoint(self._bus.settings.log_origin, len(leaves), root)
        return root, sign_checkpoint(checkpoint, log_private_key(self._bus))

    def publish(self, note: str | None) -> None:
        """Put another checkpoint in the place of the published one; none makes the file go away."""
        folder, name = self._bus.settings.home / "log", self._bus.settings.database_name
        (folder / f"{name}.cosigned").unlink(missing_ok=True)
        (folder / f"{name}.checkpoint").unlink(missing_ok=True)
        if note is not None:
            (folder / f"{name}.checkpoint").write_text(note, encoding="utf-8")


def number_of(entries: Sequence[bytes], kind: str, nth: int = 0) -> int:
    """The index of the nth entry of a kind."""
    found = [index for index, each in enumerate(entries) if orjson.loads(each)["kind"] == kind]
    return found[nth]


def changed(entry: bytes, **values: Any) -> bytes:
    """An entry that says something else, in the form of a true one."""
    return orjson.dumps({**orjson.loads(entry), **values}, option=orjson.OPT_SORT_KEYS)
