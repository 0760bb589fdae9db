"""Which files of a folder are complete, and what is left alone and why.

Invariant: a file counts only when a list of checksums names it, or, where there are no lists, when it has
rested; so a file that somebody still writes is never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from connectors.configuration import FilesConfiguration
from connectors.errors import DatasetMissing, DropIncomplete, ManifestUnreadable
from connectors.files_folder import Entry, is_plain, shown
from foundation.errors import Location

LARGEST_MANIFEST = 1024 * 1024
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
#: What clocks and file systems round away.
_TICK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list of checksums says about a file."""

    sha256: str
    listed_at: datetime


@dataclass(frozen=True, slots=True)
class Complete:
    """A file that may be read.

    Attributes:
        entry: The file.
        sha256: What its list promises, if there are lists.
        completed: When it was complete: the file and the list that names it were both there.
    """

    entry: Entry
    sha256: str | None
    completed: datetime


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A file that is not read yet, and why."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{shown(self.name)} ({self.why})"


@dataclass(frozen=True, slots=True)
class Drop:
    """The files of a dataset: those that are complete, oldest first, and those that are not."""

    complete: tuple[Complete, ...]
    left_alone: tuple[LeftAlone, ...] = ()

    @property
    def notes(self) -> str:
        """What is left alone, for whoever reads about the sync."""
        return ", ".join(map(str, self.left_alone[:5])) + (" …" if len(self.left_alone) > 5 else "")

    def require(self, configuration: FilesConfiguration) -> Drop:
        """The drop, which has a complete file.

        Raises:
            DropIncomplete: When there are only files that are left alone.
            DatasetMissing: When there is no file at all; an empty folder is not an empty dataset.
        """
        what = f"{configuration.folder}: no file {configuration.pattern}"
        if not self.complete and self.left_alone:
            raise DropIncomplete(
                f"{what} is complete",
                why=f"Left alone: {self.notes}",
                remedy="Wait until the agency has written file and list; then run the sync again",
                left_alone=tuple(map(str, self.left_alone)),
            )
        if not self.complete:
            raise DatasetMissing(
                f"{what} is there",
                remedy="Compare folder and pattern in the contract with what the agency drops",
            )
        return self


def sort_out(
    entries: Iterable[Entry],
    configuration: FilesConfiguration,
    listed: Mapping[str, Listed] | None,
    now: datetime,
) -> Drop:
    """Tell the complete files of a dataset from the others.

    Args:
        entries: The files of the folder.
        configuration: Pattern, and how long a file rests.
        listed: What the lists say; None where there are none.
        now: The moment.
    """
    settled = timedelta(seconds=configuration.settle_seconds)
    complete, left_alone = [], []
    for entry in sorted(entries, key=lambda each: (each.modified, each.name)):
        if not fnmatchcase(entry.name, configuration.pattern):
            continue
        found = _judge(entry, listed, now, settled)
        if isinstance(found, str):
            left_alone.append(LeftAlone(entry.name, found))
        else:
            complete.append(found)
    return Drop(tuple(complete), tuple(left_alone))


def _judge(
    entry: Entry, listed: Mapping[str, Listed] | None, now: datetime, settled: timedelta
) -> Complete | str:
    rested = now - entry.modified >= settled
    if listed is None:
        if not rested:
            return "still being written, or its time lies ahead of ours"
        return Complete(entry, None, entry.modified)
    promise = listed.get(entry.name)
    if promise is None:
        return "no list of checksums names it"
    if entry.modified > promise.listed_at + _TICK and not rested:
        return "written to after its list"
    return Complete(entry, promise.sha256, max(entry.modified, promise.listed_at))


def manifests(entries: Sequence[Entry], pattern: str) -> list[Entry]:
    """The lists of checksums in a folder, oldest first."""
    found = [each for each in entries if fnmatchcase(each.name, pattern)]
    return sorted(found, key=lambda each: (each.modified, each.name))


def read_manifest(entry: Entry, content: bytes) -> dict[str, Listed]:
    """Read a list as `sha256sum` writes it.

    Raises:
        ManifestUnreadable: When a line is no checksum with a plain file's name; names the line.
    """
    if len(content) > LARGEST_MANIFEST:
        raise _unreadable(entry, None, "small", f"The list is larger than {LARGEST_MANIFEST:,} bytes")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise _unreadable(entry, None, "utf-8", "The list is not text in UTF-8") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise _unreadable(entry, number, "checksum-and-name", "The line is no checksum and name")
        if not is_plain(parts[2]) or "\\" in parts[2]:
            raise _unreadable(entry, number, "plain-name", "The name leads out of the folder")
        found[parts[2]] = Listed(parts[1].lower(), entry.modified)
    return found


def _unreadable(entry: Entry, line: int | None, rule: str, what: str) -> ManifestUnreadable:
    return ManifestUnreadable(
        what,
        why="A list has lines of a SHA-256 checksum, two blanks and the name of a file in the same folder",
        remedy="Have the agency write the list with `sha256sum FILE… > LIST` in the folder itself",
        location=Location(file=entry.shown, line=line, rule=rule),
    )
