"""Following the log into the copy: every numbered entry, then the checkpoints that cover it.

Invariants:
- Only what is committed under its number is copied, so the copy is never ahead of a database that was
  neither restored nor changed. If it is, nothing more is signed.
- `kept` says what stands on disk (fsync): where the copy is required, no checkpoint is signed above it.
- A slow or hanging disk stops this follower, never the sequencer.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg

from audit.checkpoints.keys import log_verifier_keys
from audit.sink.comparing import Comparison
from audit.sink.errors import SinkContradictsLog, SinkUnwritable
from audit.sink.segments import (
    SEGMENT_BYTES,
    Segment,
    SegmentWriter,
    checkpoint_line,
    entry_line,
    segments_in,
)
from foundation import telemetry
from foundation.database import Role
from foundation.errors import RetryLater

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["Sink"]

log = telemetry.logger(__name__)

_AT_ONCE = 4096
_IDLE_SECONDS = 1.0
_AGAIN_SECONDS = 5.0
_TELL_SECONDS = 1.0
_PATIENCE_SECONDS = 3.0
_LONGEST_COMPARING = 20.0
_LONGEST_STAND = 10.0
_COMPARED_SEGMENTS = 2

_TELL = """
INSERT INTO audit.sink (directory, copy, required, kept, kept_at, trouble)
VALUES (%(directory)s, %(copy)s, %(required)s, %(kept)s, now(), %(trouble)s)
ON CONFLICT (only_row) DO UPDATE
   SET directory = EXCLUDED.directory, copy = EXCLUDED.copy, required = EXCLUDED.required,
       kept = EXCLUDED.kept, trouble = EXCLUDED.trouble,
       kept_at = CASE WHEN EXCLUDED.trouble IS NULL THEN EXCLUDED.kept_at ELSE sink.kept_at END
"""


class Sink:
    """The copy of one installation's log, written by the leading sequencer alone.

    Args:
        installation: whose log is copied.
        directory: folder in another failure domain; it must exist.
    """

    def __init__(self, installation: Installation, directory: Path) -> None:
        self._installation = installation
        self._directory = directory
        self.required = installation.settings.log_sink_required
        self.kept: int | None = None
        """All entries before this one stand in the copy, on disk; None while nobody knows."""
        self._kept_before = 0
        self._copy = uuid4()
        self._writer: SegmentWriter | None = None
        self._noted = 0
        self._trouble: str | None = None
        self._told = ("", float("-inf"))
        self._moved_at = time.monotonic()
        self._contradiction: SinkContradictsLog | None = None
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, installation: Installation) -> Sink | None:
        """The copy that the settings ask for, if any."""
        directory = installation.settings.log_sink
        return None if directory is None else cls(installation, directory)

    @property
    def runs(self) -> bool:
        """Whether the copy is written beside the sequencer."""
        return self._thread is not None

    def refuse_contradiction(self) -> None:
        """Refuse to sign once the copy was found to hold what the database does not.

        Raises:
            SinkContradictsLog: then.
        """
        if self._contradiction is not None:
            raise self._contradiction

    def refuse_unkept(self, size: int) -> None:
        """Refuse to go on without a required copy.

        Raises:
            SinkUnwritable: when it cannot be written, or has stood still below this size for seconds.
        """
        if not self.required or (self.kept is not None and self.kept >= size):
            self._moved_at = time.monotonic()
        elif self.kept is None or time.monotonic() > self._moved_at + _LONGEST_STAND:
            raise SinkUnwritable(
                "The copy of the log is required, and cannot be written.",
                why=self._trouble or "Its disk does not answer.",
                remedy="Look at the disk behind LINTAS_LOG_SINK; the log goes on by itself.",
            )

    def confirm(self, connection: psycopg.Connection[Any]) -> None:
        """Compare the end of the copy with the database, before the first signature.

        Raises:
            SinkContradictsLog: when it holds what the database does not.
            SinkUnwritable: when it is required, and cannot be reached.
        """
        try:
            if self.required:
                self._open(connection)
            else:
                self._open_in_time(connection)
        except SinkUnwritable as error:
            self._fail(connection, error)
            if self.required:
                raise

    def follow(self, connection: psycopg.Connection[Any]) -> None:
        """Copy what is new: entries, then the newest checkpoint that they reach.

        Raises:
            SinkContradictsLog: as `confirm`.
            SinkUnwritable: when it cannot be written; what was kept before stays kept.
        """
        try:
            if self.kept is None:
                self._open(connection)
            self._copy_entries(connection)
            self._copy_checkpoint(connection)
        except SinkUnwritable as error:
            self._fail(connection, error)
            raise
        self._trouble = None
        self._tell(connection)

    def try_to_follow(self, connection: psycopg.Connection[Any]) -> bool:
        """As `follow`, but what cannot be written is only told; returns whether all was copied.

        Raises:
            SinkContradictsLog: as `confirm`.
        """
        try:
            self.follow(connection)
        except SinkUnwritable:
            return False
        return True

    def start(self) -> None:
        """Begin to write the copy beside the sequencer."""
        if self._thread is None:
            self._end.clear()
            self._thread = threading.Thread(target=self._run, name="sink", daemon=True)
            self._thread.start()

    def offer(self) -> None:
        """Say that there is something new."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread; one whose disk hangs is left to end with its process."""
        if self._thread is not None:
            self._end.set()
            self._wake.set()
            self._thread.join(timeout=_PATIENCE_SECONDS)
            if not self._thread.is_alive():
                self._thread = None
                self._end.clear()

    def close(self) -> None:
        """End the thread and let go of the file; an object that was closed is not used again."""
        self.stop()
        if not self.runs:
            self._let_go()

    def _run(self) -> None:
        end = self._end
        while not end.is_set():
            pause = _AGAIN_SECONDS
            try:
                with self._installation.database.connect(Role.SEQUENCER, autocommit=True) as connection:
                    while not end.is_set() and self.try_to_follow(connection):
                        self._wake.wait(_IDLE_SECONDS)
                        self._wake.clear()
            except SinkContradictsLog as error:
                self._contradiction = error  # the sequencer meets it before it signs again
                return
            except (psycopg.Error, RetryLater) as error:
                log.warning("sink_lost_database", error=type(error).__name__)
                pause = _IDLE_SECONDS
            except Exception as error:  # without this thread nobody would copy
                log.error("sink_follower_failed", error=type(error).__name__)
            end.wait(pause)

    def _open(self, connection: psycopg.Connection[Any]) -> None:
        """Find out what is kept; the next entries go into a segment of their own."""
        known = connection.execute("SELECT directory, copy, kept FROM audit.sink").fetchone()
        try:
            segments = segments_in(self._directory)
            if not segments:
                self._begin(connection, known)
                return
            comparison = Comparison(connection, log_verifier_keys(self._installation))
            kept, compared = segments[-1].first, 0
            for segment in reversed(segments):  # one without a line, left by a full disk, tells nothing
                end = self._compared(segment, comparison)
                kept, compared = max(kept, end or 0), compared + (end is not None)
                if compared == _COMPARED_SEGMENTS:
                    break
        except OSError as error:
            raise SinkUnwritable(
                "The copy of the log cannot be reached.",
                why=f"{error.strerror or type(error).__name__}.",
                remedy="Make the folder of LINTAS_LOG_SINK, or mount its disk.",
            ) from error
        if kept > comparison.size:
            raise _contradiction(f"{kept} entries were copied", segments[-1].path.name)
        self._copy = known[1] if known else self._copy
        self.kept, self._noted = kept, comparison.checkpoint_size

    def _open_in_time(self, connection: psycopg.Connection[Any]) -> None:
        """As `_open`, but a disk that hangs does not hold up a log whose copy is only wished for."""
        other, failed = Sink(self._installation, self._directory), list[Exception]()

        def work() -> None:
            try:
                with self._installation.database.connect(Role.SEQUENCER, autocommit=True) as own:
                    other._open(own)
            except Exception as error:  # it is raised by who waits
                failed.append(error)

        thread = threading.Thread(target=work, name="sink-opening", daemon=True)
        thread.start()
        deadline = time.monotonic() + _LONGEST_COMPARING
        while thread.is_alive() and time.monotonic() < deadline:
            thread.join(min(_IDLE_SECONDS, _LONGEST_COMPARING))
            connection.execute("SELECT 1")  # the server cuts off a leader that is silent
        if thread.is_alive():
            raise SinkUnwritable(
                "The copy of the log cannot be reached.",
                why="Its disk does not answer.",
                remedy="Look at the disk behind LINTAS_LOG_SINK; the copy goes on by itself.",
            )
        if failed:
            raise failed[0]
        self.kept, self._noted, self._copy = other.kept, other._noted, other._copy

    def _compared(self, segment: Segment, comparison: Comparison) -> int | None:
        """Where a segment ends that agrees with the database; None when it holds no line."""
        end: int | None = None
        for line in segment.lines(self._installation.settings.log_origin):
            if problem := comparison.problem(line):
                raise _contradiction(problem, segment.path.name)
            end = max(end or 0, 0 if line.index is None else line.index + 1)
        if segment.torn:
            log.warning("sink_line_cut", segment=segment.path.name, bytes=segment.torn)
        return end

    def _begin(self, connection: psycopg.Connection[Any], known: tuple[str, UUID, int] | None) -> None:
        """Begin a new copy, unless the old one is only out of sight."""
        if known is not None and known[0] == str(self._directory) and known[2] > 0:
            raise SinkUnwritable(
                "The folder of the copy of the log is empty.",
                why=f"It held {known[2]} entries.",
                remedy="Mount its disk; to begin a new copy, set LINTAS_LOG_SINK to another folder.",
            )
        row = connection.execute("SELECT minimum_index FROM audit.retention_state").fetchone()
        self.kept, self._noted = int(row[0]) if row else 0, 0

    def _copy_entries(self, connection: psycopg.Connection[Any]) -> None:
        row = connection.execute("SELECT tree_size FROM audit.log_state").fetchone()
        size = int(row[0]) if row else 0
        while self.kept is not None and self.kept < size and not self._end.is_set():
            self._copy_some(connection, self.kept, min(size, self.kept + _AT_ONCE))

    def _copy_some(self, connection: psycopg.Connection[Any], start: int, end: int) -> None:
        rows = connection.execute(
            "SELECT entry_index, entry FROM audit.entries WHERE entry_index >= %s AND entry_index < %s"
            " ORDER BY entry_index",
            (start, end),
            binary=True,
        ).fetchall()
        if [index for index, _ in rows] != list(range(start, end)):
            raise SinkUnwritable(
                "The copy of the log lacks entries that are not in the database any more.",
                why=f"Not all from {start} to before {end} are there.",
                remedy="Run `lintas audit verify`; if they were pruned, begin a new copy in another folder.",
            )
        self._write(b"".join([entry_line(index, entry) for index, entry in rows]), start)
        self.kept, self._moved_at = end, time.monotonic()

    def _copy_checkpoint(self, connection: psycopg.Connection[Any]) -> None:
        row = connection.execute(
            "SELECT tree_size, note FROM audit.checkpoints WHERE tree_size <= %s"
            " ORDER BY tree_size DESC LIMIT 1",
            (self.kept or 0,),
        ).fetchone()
        if row is not None and row[0] > self._noted:
            self._write(checkpoint_line(row[1]), self.kept or 0)
            self._noted = row[0]

    def _write(self, lines: bytes, first: int) -> None:
        if self._writer is not None and self._writer.size >= SEGMENT_BYTES:
            self._writer.close()
            self._writer = None
        if self._writer is None:
            origin = self._installation.settings.log_origin
            self._writer = SegmentWriter(self._directory, origin, self._copy, first)
        self._writer.append(lines)
        self._writer.keep()

    def _fail(self, connection: psycopg.Connection[Any], error: SinkUnwritable) -> None:
        """Tell whoever looks, and compare again before the next line is written."""
        self._kept_before = self._kept_before if self.kept is None else self.kept
        if self._trouble is None:
            log.error("sink_failed", error=error.code, why=error.why)
        self._trouble = f"{error.what} {error.why}".strip()
        self._let_go()
        self._tell(connection)

    def _let_go(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self.kept = None, None

    def _tell(self, connection: psycopg.Connection[Any]) -> None:
        """Note in the database how the copy stands; seldom, unless there is news."""
        news = f"{self._directory} {self._trouble}"
        if news == self._told[0] and time.monotonic() < self._told[1] + _TELL_SECONDS:
            return
        row = connection.execute(
            "SELECT kept FROM audit.sink WHERE directory = %s", (str(self._directory),)
        ).fetchone()
        kept = self.kept if self.kept is not None else max(self._kept_before, row[0] if row else 0)
        if news == self._told[0] and row is not None and row[0] == kept:
            return
        values = {"directory": str(self._directory), "copy": self._copy, "required": self.required}
        with suppress(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute(_TELL, values | {"kept": kept, "trouble": self._trouble})
        self._told = (news, time.monotonic())


def _contradiction(problem: str, segment: str) -> SinkContradictsLog:
    return SinkContradictsLog(
        "The copy of the log contradicts the database.",
        why=f"{problem[0].upper()}{problem[1:]}.",
        remedy="The database is an older copy or was changed: `lintas audit sink verify` says more.",
        segment=segment,
    )
