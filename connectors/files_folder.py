"""A folder into which an agency drops files: what is in it, and pieces of one file.

Names come from the other side. Only plain names of plain files count; none ever becomes a path of this
machine, because what is read is kept in files without a name (`files_spool`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from connectors.checklist import Checklist
from connectors.errors import ConfigurationInvalid, DatasetMissing, FileReplaced, FileTooLarge
from foundation.http_errors import AccessRefused
from foundation.redaction import redact_text

MOST_ENTRIES = 100_000
_PLAIN = re.compile(r"[^\x00-\x1f\x7f/\\\ud800-\udfff]{1,255}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as its folder shows it.

    Attributes:
        name: Its plain name.
        size: Bytes it holds.
        modified: When it was last written to.
        identity: What tells it from a file that takes its place, where the folder knows.
    """

    name: str
    size: int
    modified: datetime
    identity: str = ""

    @property
    def version(self) -> str:
        """Another text when the file is another one, as far as the folder shows."""
        return f"{self.size}/{self.modified.isoformat()}/{self.identity}"

    @property
    def shown(self) -> str:
        """The name as errors and descriptions show it: without numbers that may be a person's."""
        return shown(self.name)


class Folder(Protocol):
    """Where files are dropped."""

    def reach(self, steps: Checklist) -> None:
        """Try the steps up to the login."""

    def list(self) -> Sequence[Entry]:
        """List the plain files, in no order."""

    def look(self, name: str) -> Entry:
        """Look at one file again.

        Raises:
            FileReplaced: When it is no longer there.
        """

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Read a piece of a file; shorter than asked only at its end."""

    def close(self) -> None:
        """Give back what was opened."""


class LocalFolder:
    """A folder on this machine, below one that the operator set aside for the agency."""

    def __init__(self, root: Path | None, folder: str) -> None:
        """Bind a folder.

        Raises:
            ConfigurationInvalid: When it lies elsewhere.
        """
        if root is None:
            raise ConfigurationInvalid(["transport: local files are not read here; use sftp"])
        self.path = (root / folder.strip("/")).resolve()
        if not self.path.is_relative_to(root.resolve()):
            raise ConfigurationInvalid(["folder: it leads out of the folder set aside for the agency"])
        self.shown = folder
        self._opened: tuple[str, int] | None = None

    def reach(self, steps: Checklist) -> None:
        """Nothing lies in between."""

    def list(self) -> Sequence[Entry]:
        """List the plain files; links are none."""
        try:
            with os.scandir(self.path) as found:
                entries = [
                    _entry(each.name, each.stat(follow_symlinks=False))
                    for each in found
                    if is_plain(each.name) and each.is_file(follow_symlinks=False)
                ]
        except (FileNotFoundError, NotADirectoryError):
            raise missing_folder(self.shown) from None
        except PermissionError:
            raise closed_folder(self.shown) from None
        return not_too_many(entries, self.shown)

    def look(self, name: str) -> Entry:
        """Look at one file again."""
        try:
            return _entry(name, os.stat(self.path / name, follow_symlinks=False))
        except FileNotFoundError:
            raise gone(name) from None

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Read a piece of a file."""
        try:
            return os.pread(self._descriptor(name), size, offset)
        except FileNotFoundError:
            raise gone(name) from None
        except PermissionError:
            raise closed_folder(self.shown) from None

    def close(self) -> None:
        """Close the file that was read last."""
        if self._opened is not None:
            os.close(self._opened[1])
            self._opened = None

    def _descriptor(self, name: str) -> int:
        if self._opened is None or self._opened[0] != name:
            self.close()
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            self._opened = (name, os.open(self.path / name, flags))
        return self._opened[1]


def is_plain(name: str) -> bool:
    """Whether a name is a file's name and not a way to somewhere else."""
    return _PLAIN.fullmatch(name) is not None and name not in (".", "..")


def shown(name: str) -> str:
    """A file's name without numbers that may be a person's."""
    return redact_text(re.sub(r"[0-9]{12,}", "…", name))


def missing_folder(folder: str) -> DatasetMissing:
    """The folder is not there."""
    return DatasetMissing(
        f"There is no folder {folder}",
        remedy="Compare `folder` in the contract with what the account sees, or ask the agency",
    )


def closed_folder(folder: str) -> AccessRefused:
    """The account may not look."""
    return AccessRefused(
        f"The account may not read {folder}", remedy="Ask the agency to let the account read the folder"
    )


def gone(name: str) -> FileReplaced:
    """The file is no longer there."""
    return FileReplaced(
        f"The file {shown(name)} is no longer there",
        why="The agency removed or renamed it after the reading was planned",
        remedy="Run the sync again: it begins with the files that are there then",
    )


def not_too_many(entries: Sequence[Entry], folder: str) -> Sequence[Entry]:
    """The entries, unless somebody drops files without end.

    Raises:
        FileTooLarge: When they are more than a folder of drops ever has.
    """
    if len(entries) > MOST_ENTRIES:
        raise FileTooLarge(
            f"The folder {folder} holds more than {MOST_ENTRIES:,} files",
            remedy="Have the agency move old drops away",
        )
    return entries


def _entry(name: str, found: os.stat_result) -> Entry:
    if not stat.S_ISREG(found.st_mode):
        raise gone(name)
    modified = datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, UTC)
    return Entry(name, found.st_size, modified, f"{found.st_dev}-{found.st_ino}")
