"""Segments: files of whole lines that are only ever added to, never changed, cut or removed.

The first line names the format, the log and the copy; then each line is an entry (`INDEX BYTES`) or a
checkpoint (`checkpoint BASE64`). Entries are JSON without line breaks, so the lines can be read with `grep`.

Invariant: no process goes on in a segment that another one began. A line that a crash cut short therefore
stays as it is, the last of its segment, and the next segment begins with the entry that was cut.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from audit.sink.errors import SinkUnwritable

__all__ = [
    "SEGMENT_BYTES",
    "Line",
    "Segment",
    "SegmentWriter",
    "checkpoint_line",
    "entry_line",
    "segments_in",
]

SEGMENT_BYTES = 64 * 2**20
_FORMAT = b"lintas-log-sink/1"
_CHECKPOINT = b"checkpoint"
_LONGEST_LINE = 2**20
_NAME = re.compile(r"(?P<first>[0-9]{20})-(?P<part>[0-9]{6})\.log")


@dataclass(frozen=True, slots=True)
class Line:
    """An entry with its index, or a checkpoint (`index` None)."""

    index: int | None
    content: bytes


@dataclass(slots=True)
class Segment:
    """One file, read line by line."""

    path: Path
    first: int
    part: int
    torn: int = field(default=0, init=False)
    """Bytes at its end that are no whole line; known when all lines were read."""

    def lines(self, origin: str) -> Iterator[Line]:
        """Its whole lines, up to the first that is none.

        Raises:
            OSError: when it cannot be read.
        """
        with self.path.open("rb") as file:
            place, size = 0, os.fstat(file.fileno()).st_size
            for number, raw in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b"")):
                line = _header(raw, origin) if number == 0 else _line(raw)
                if line is None:
                    break
                place += len(raw)
                if number:
                    yield line
            self.torn = size - place


def segments_in(directory: Path) -> list[Segment]:
    """The segments of a folder, in the order in which they were begun.

    Raises:
        OSError: when the folder cannot be read.
    """
    found = []
    for path in directory.iterdir():
        if match := _NAME.fullmatch(path.name):
            found.append(Segment(path, int(match["first"]), int(match["part"])))
    return sorted(found, key=lambda each: (each.first, each.part))


def entry_line(index: int, entry: bytes) -> bytes:
    """The line of an entry."""
    return b"%d %b\n" % (index, entry)


def checkpoint_line(note: str) -> bytes:
    """The line of a checkpoint."""
    return b"%b %b\n" % (_CHECKPOINT, base64.b64encode(note.encode()))


class SegmentWriter:
    """The segment that this process has begun, and no other writes to.

    Raises:
        SinkUnwritable: when it cannot be begun.
    """

    def __init__(self, directory: Path, origin: str, copy: UUID, first: int) -> None:
        self.size = 0
        self._descriptor = -1
        try:
            self._descriptor = _create(directory, first)
            self.append(b"%b %b %b\n" % (_FORMAT, str(copy).encode(), origin.encode()))
            os.fsync(self._descriptor)
            _sync_directory(directory)
        except OSError as error:
            self.close()
            raise _unwritable(error) from error

    def append(self, lines: bytes) -> None:
        """Add whole lines; nothing is kept for sure before `keep`.

        Raises:
            SinkUnwritable: when not all could be written; then this segment must not be gone on with.
        """
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise _unwritable(error) from error
        self.size += len(lines)

    def keep(self) -> None:
        """Bring everything to disk.

        Raises:
            SinkUnwritable: when the system does not say that it stands there; as for `append`.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise _unwritable(error) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1


def _header(raw: bytes, origin: str) -> Line | None:
    parts = raw.split(b" ", 2)
    is_ours = len(parts) == 3 and parts[0] == _FORMAT and parts[2] == origin.encode() + b"\n"
    return Line(None, raw) if is_ours else None


def _line(raw: bytes) -> Line | None:
    head, _, content = raw.partition(b" ")
    if not content.endswith(b"\n"):
        return None
    if head == _CHECKPOINT:
        try:
            return Line(None, base64.b64decode(content[:-1], validate=True))
        except binascii.Error:
            return None
    is_entry = head.isdigit() and len(head) < 20 and content[:1] == b"{" and content[-2:] == b"}\n"
    return Line(int(head), content[:-1]) if is_entry else None


def _create(directory: Path, first: int) -> int:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    part = 0
    while True:
        try:
            return os.open(directory / f"{first:020d}-{part:06d}.log", flags, 0o640)
        except FileExistsError:
            part += 1


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(error: OSError) -> SinkUnwritable:
    return SinkUnwritable(
        "The copy of the log cannot be written.",
        why=f"{error.strerror or type(error).__name__}.",
        remedy="Look at the disk behind LINTAS_LOG_SINK; the copy goes on by itself.",
    )
