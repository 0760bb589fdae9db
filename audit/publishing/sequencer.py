"""The sequencer: drains the outbox into the log, grows the tree, signs checkpoints.

Invariants:
- One transaction takes rows from the outbox, writes them as entries, changes the tiles and the state
  row, and perhaps adds a checkpoint: a crash leaves the old state or the new one.
- Rows are taken by what is visible, ordered by outbox id, never by a watermark: a row that commits late
  is simply drained later. Most drains look only near the newest id, because the index of the outbox
  remembers what was taken until it is vacuumed; before each signature the whole outbox is looked through.
- No checkpoint is signed that is behind one which was signed before, or that a witness or the copy of the
  log contradicts; where that copy is required, none is signed that does not stand in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from audit.backlog import Acceptance
from audit.checkpoints.checkpoint import Checkpoint, sign_checkpoint
from audit.checkpoints.keys import log_private_key
from audit.errors import LogDamaged
from audit.publishing.published import PublishedCheckpoint
from audit.publishing.publisher import Publisher
from audit.sink.following import Sink
from audit.tree.merkle import HASH_SIZE, Frontier
from audit.tree.tiles import DatabaseTiles, grow, tree_root
from foundation import clock, pipelines, telemetry
from foundation.database import Role
from foundation.errors import RetryLater

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["DRAIN_LIMIT", "Sequencer"]

log = telemetry.logger(__name__)

DRAIN_LIMIT = 4096
IDLE_SECONDS = 0.05
CHECKPOINT_SECONDS = 1.0
STANDBY_SECONDS = 0.25
RECONNECT_SECONDS = 0.5
_LEADER_LOCK = 0x6C6F67  # "log"
_SILENT_LEADER = "4s"
_LOOK_BACK = 1024
"""How far below the newest outbox id a drain looks for what committed late; the rest waits a second."""

_WORK_MEMORY = "32MB"
"""A whole drain in memory: with PostgreSQL's 4 MB its entries would go through a temporary file."""

_WAITS = "SELECT id FROM audit.outbox WHERE id > %s ORDER BY id LIMIT 1"
_STATE = "SELECT tree_size, frontier FROM audit.log_state FOR UPDATE"
"""Locked, so that even two leaders could not number the same leaf twice."""

_MAKE_ROOM = "SELECT audit.ensure_partitions(tree_size + %s) FROM audit.log_state"
_EDGE = """
SELECT level, hashes FROM audit.log_state CROSS JOIN generate_series(0, 7) AS edge (l)
  JOIN audit.tiles ON level = l AND tile_index = tree_size >> 8 * l >> 8
"""
_DRAIN = """
WITH taken AS MATERIALIZED (
    SELECT id, entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry
      FROM audit.outbox WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
), gone AS (
    -- One statement sees one snapshot: what commits meanwhile under a lower id is neither taken nor deleted.
    DELETE FROM audit.outbox WHERE id > %(after)s AND id <= (SELECT max(id) FROM taken)
), written AS (
    INSERT INTO audit.entries
           (entry_index, entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry)
    SELECT row_number() OVER (ORDER BY id) - 1 + (SELECT tree_size FROM audit.log_state),
           entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry
      FROM taken
     ORDER BY id
    RETURNING entry_index, sha256('\\x00'::bytea || entry) AS leaf
)
SELECT string_agg(leaf, ''::bytea ORDER BY entry_index), (SELECT max(id) FROM taken) FROM written
"""

_SAVE_TILES = """
INSERT INTO audit.tiles (level, tile_index, hashes)
SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[])
ON CONFLICT (level, tile_index) DO UPDATE SET hashes = EXCLUDED.hashes
"""


class Sequencer:
    """One process that may sequence; of several, the one that holds the lock works.

    Args:
        installation: whose outbox is drained and whose log key signs.
        drain_limit: how many entries one transaction takes at most.
    """

    def __init__(self, installation: Installation, drain_limit: int = DRAIN_LIMIT) -> None:
        self._installation = installation
        self._limit = drain_limit
        self._origin = installation.settings.log_origin
        self._key = log_private_key(installation)
        self._published = PublishedCheckpoint.of(installation)
        self._publisher = Publisher(installation)
        self._acceptance = self._say_nothing_yet()
        self._sink: Sink | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._standing_by: psycopg.Connection[Any] | None = None
        self._signed_size: int | None = None
        self._signed_at = self._stepped_at = 0.0
        self._at_rest = False
        self._newest = 0
        self._running = False

    def __enter__(self) -> Sequencer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, stop: threading.Event) -> None:
        """Sequence until told to stop, and leave nothing unsigned; stand by while another process works.

        The database may go away and come back meanwhile.

        Raises:
            LogRolledBack: when the database is behind a checkpoint that was already signed.
            LogForked: when a witness is ahead of the database, or holds another history.
        """
        self._running = True
        while not stop.is_set():
            try:
                if not self._lead():
                    stop.wait(STANDBY_SECONDS)
                elif self.drain_once() < self._limit:
                    stop.wait(IDLE_SECONDS)
            except (psycopg.OperationalError, RetryLater) as error:
                log.warning("sequencer_lost_database", error=type(error).__name__)
                self.close()
                stop.wait(RECONNECT_SECONDS)
        self._publisher.stop()
        if self._sink is not None:
            self._sink.stop()
        with suppress(psycopg.OperationalError, RetryLater):
            if self._connection is not None:
                self.settle()
        self.close()

    def drain_once(self) -> int:
        """Take one drain from the outbox, and sign a checkpoint if one is due.

        Returns:
            How many entries were sequenced; 0 also when another process is the sequencer.
        """
        if not self._lead():
            return 0
        now = time.monotonic()
        looks_only = self._at_rest and now < self._stepped_at + CHECKPOINT_SECONDS
        drained = 0
        if not looks_only or self._something_waits():
            drained = self._step(now >= self._signed_at + CHECKPOINT_SECONDS)
        if self._running and self._connection is not None:
            self._acceptance.tell(self._connection, caught_up=drained < self._limit)
        return drained

    def settle(self) -> int:
        """Drain until the outbox is empty and sign at once; for tests, exports and clean ends.

        Returns:
            How many entries were sequenced.
        """
        total = 0
        while self._lead():
            drained = self._step(sign=True)
            total += drained
            if drained < self._limit:
                break
        if self._connection is not None and self._needs_copy:
            self._step(sign=True)  # what the step before has copied
        if self._connection is not None and not self._publisher.runs:
            self._publisher.publish()
        return total

    def close(self) -> None:
        """Give up the lock and the connection."""
        self._publisher.close()
        if self._sink is not None:
            self._sink.close()
        self._sink = None
        for connection in (self._connection, self._standing_by):
            if connection is not None:
                with suppress(psycopg.Error):
                    connection.close()
        self._connection = self._standing_by = None
        self._signed_size = None
        self._at_rest, self._newest = False, 0

    def _lead(self) -> bool:
        """Whether this process holds the lock; it is held by the session that also writes."""
        if self._connection is not None and not self._connection.broken:
            return True
        connection, self._standing_by = self._standing_by, None
        self.close()
        if connection is None:
            connection = self._installation.database.connect(Role.SEQUENCER, autocommit=True, fast=True)
        # Kept while another process leads: to connect anew costs most just when the machine is busiest.
        self._standing_by = connection
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LEADER_LOCK,)).fetchone()
        if row is None or not row[0]:
            return False
        connection.execute(f"SET work_mem = '{_WORK_MEMORY}'")
        # A leader that stands still is cut off by the server, so that another can take over.
        connection.execute(f"SET idle_in_transaction_session_timeout = '{_SILENT_LEADER}'")
        if self._running:
            connection.execute(f"SET idle_session_timeout = '{_SILENT_LEADER}'")
        self._connection, self._standing_by = connection, None
        self._take_over(connection)
        return True

    def _take_over(self, connection: psycopg.Connection[Any]) -> None:
        """Check that the database is not behind what was signed before, then go on from there."""
        size = _read_size(connection)
        row = connection.execute(
            "SELECT tree_size, note FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1"
        ).fetchone()
        signed = self._signed_size = row[0] if row else 0
        try:
            if signed > size:
                raise LogDamaged(f"The tree has {size} leaves, but a checkpoint of {signed} was signed.")
            self._published.refuse_rollback(connection)
            self._publisher.confirm(connection)
            self._sink = Sink.of(self._installation)
            if self._sink is not None:
                self._sink.confirm(connection)
            else:
                connection.execute("DELETE FROM audit.sink")
        except Exception:
            self.close()
            raise
        if row:
            self._published.publish(row[1])
        self._acceptance = self._say_nothing_yet()
        if self._running:
            self._publisher.start()
            if self._sink is not None:
                self._sink.start()
        log.info("sequencer_leads", tree_size=size, signed_size=signed)

    def _say_nothing_yet(self) -> Acceptance:
        settings = self._installation.settings
        return Acceptance(settings.log_backlog_entries, settings.log_backlog_seconds)

    def _something_waits(self) -> bool:
        """Whether there is something to drain: a look that writes nothing, while the log is at rest."""
        assert self._connection is not None
        return self._connection.execute(_WAITS, (self._newest,)).fetchone() is not None

    def _step(self, sign: bool) -> int:
        connection = self._connection
        assert connection is not None
        self._publisher.refuse_fork()
        signed: Checkpoint | None = None
        # A drain of a few entries costs what its statements cost, so they travel together, twice.
        with pipelines.transaction(connection):
            taken = _take(connection, 0 if sign else self._newest - _LOOK_BACK, self._limit)
            frontier = Frontier.from_bytes(taken.size, taken.frontier)
            if self._sink is not None:
                self._sink.refuse_contradiction()
                self._sink.refuse_unkept(taken.size)
            if taken.leaves:
                _save_tiles(connection, taken)
                frontier.extend(taken.leaves)
                connection.execute(
                    "UPDATE audit.log_state SET tree_size = %s, frontier = %s",
                    (frontier.size, frontier.to_bytes()),
                )
            signed = self._due(connection, frontier) if sign else None
            note = self._sign(connection, signed) if signed is not None else ""
        if taken.leaves:
            self._newest = max(self._newest, taken.newest)
            telemetry.count("lintas.audit.sequenced", len(taken.leaves))
        self._stepped_at = time.monotonic()
        if signed is not None:
            self._signed_size, self._signed_at = signed.size, self._stepped_at
            self._published.publish(note)
            self._publisher.offer()
        if taken.leaves or signed is not None:
            self._copy(connection)
        self._at_rest = not taken.leaves and frontier.size == self._signed_size
        return len(taken.leaves)

    @property
    def _needs_copy(self) -> bool:
        """Whether nothing is signed before it stands in the copy."""
        return self._sink is not None and self._sink.required

    def _due(self, connection: psycopg.Connection[Any], frontier: Frontier) -> Checkpoint | None:
        """The checkpoint to be signed now: of the whole tree, or of what stands in a required copy."""
        if self._sink is None or not self._sink.required:
            is_new = frontier.size != self._signed_size
            return Checkpoint(self._origin, frontier.size, frontier.root()) if is_new else None
        kept = min(self._sink.kept or 0, frontier.size)
        if kept <= (self._signed_size or 0):
            return None
        return Checkpoint(self._origin, kept, tree_root(DatabaseTiles(connection), kept))

    def _copy(self, connection: psycopg.Connection[Any]) -> None:
        """Let the copy follow: beside this process's work, or now where nothing runs beside it."""
        if self._sink is None:
            return
        if self._sink.runs:
            self._sink.offer()
        elif self._sink.required:
            self._sink.follow(connection)
        else:
            self._sink.try_to_follow(connection)

    def _sign(self, connection: psycopg.Connection[Any], checkpoint: Checkpoint) -> str:
        note = sign_checkpoint(checkpoint, self._key)
        connection.execute(
            "INSERT INTO audit.checkpoints (tree_size, root, note, signed_at) VALUES (%s, %s, %s, %s)",
            (checkpoint.size, checkpoint.root, note, clock.now()),
        )
        return note


def _read_size(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT tree_size FROM audit.log_state").fetchone()
    if row is None:
        raise _damage(row)
    return int(row[0])


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one drain took from the outbox, and the tree as it stood before."""

    size: int
    frontier: bytes
    edge: Mapping[int, bytes]
    leaves: list[bytes]
    newest: int


def _take(connection: psycopg.Connection[Any], after: int, limit: int) -> _Taken:
    """Lock the state, and make entries of what waits above an outbox id; one round trip."""
    reading = connection.execute(_STATE, (), binary=True)
    connection.execute(_MAKE_ROOM, (limit,))
    standing = connection.execute(_EDGE, (), binary=True)
    draining = connection.execute(_DRAIN, {"after": after, "limit": limit}, binary=True)
    try:
        taken = draining.fetchone()
    except psycopg.errors.IntegrityError as error:
        raise _damage(reading.fetchone()) from error
    state = reading.fetchone()
    if state is None:
        raise _damage(state)
    joined, newest = (taken[0] or b"", taken[1] or 0) if taken else (b"", 0)
    leaves = [joined[i : i + HASH_SIZE] for i in range(0, len(joined), HASH_SIZE)]
    edge = {level: bytes(hashes) for level, hashes in standing}
    return _Taken(state[0], bytes(state[1]), edge, leaves, newest)


def _damage(state: tuple[Any, ...] | None) -> LogDamaged:
    """What is wrong with a log that takes no entry, by what its state row says."""
    if state is None:
        return LogDamaged(
            "The state row of the log is missing.", remedy="Restore the database from a backup."
        )
    return LogDamaged(
        f"Beyond the {state[0]} entries of the tree stands another, or one that waits stands in it already.",
        why="Somebody wrote into the log past the sequencer; nothing more is numbered.",
        remedy="Run `lintas audit verify`, and keep a copy of the database as it is.",
        size=state[0],
    )


def _save_tiles(connection: psycopg.Connection[Any], taken: _Taken) -> None:
    changed = grow(taken.edge, taken.size, taken.leaves)
    connection.execute(
        _SAVE_TILES,
        ([key[0] for key in changed], [key[1] for key in changed], list(changed.values())),
    )
