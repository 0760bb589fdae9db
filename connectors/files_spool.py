"""A file of an agency, copied to this machine before it is read, with its checksum.

Invariant: a spooled file has no name on this machine, so it ends with the process, however that ends; and it
is one version of the agency's file, or an error.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from connectors.errors import ChecksumWrong, FileReplaced, FileTooLarge, SourceInterrupted
from connectors.files_folder import Entry, Folder
from foundation.errors import Location, RetryLater
from foundation.files import make_private_directory

_SMALLEST, _FIRST, _LARGEST = 32 * 1024, 256 * 1024, 4 * 1024 * 1024
_ATTEMPTS = 4
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0
_QUICK = 1.0


@dataclass(frozen=True, slots=True)
class Spool:
    """A copy without a name.

    Attributes:
        file: The copy, at its beginning; whoever reads may seek.
        name: The name of the file at the agency.
        size: Bytes it holds.
        sha256: Its checksum.
        reconnected: How often the line was cut while it was copied.
    """

    file: BinaryIO
    name: str
    size: int
    sha256: str
    reconnected: int = 0

    def close(self) -> None:
        """Let go of the copy."""
        self.file.close()


def fetch(
    folder: Folder, name: str, *, version: str, sha256: str | None, into: Path | None, megabytes: int
) -> Spool:
    """Copy a file, going on where the line was cut.

    Args:
        folder: Where it is.
        name: Its name.
        version: Its version when the reading was planned (`Entry.version`); any when empty.
        sha256: The checksum that its list promises; none when None.
        into: Private folder for the copy; the machine's own temporary one when None.
        megabytes: Most that it may hold.

    Raises:
        FileReplaced: When it is, or becomes, another one.
        ChecksumWrong: When it is not the one that its list promises.
        FileTooLarge: When it holds more than it may.
        RetryLater: When the line is cut without any progress.
    """
    before = folder.look(name)
    if version and before.version != version:
        raise _replaced(before, "it was replaced after the reading was planned")
    if before.size > megabytes * 1024 * 1024:
        raise FileTooLarge(
            f"The file {before.shown} holds {before.size:,} bytes",
            why=f"At most {megabytes} MB are read",
            remedy="Make file_megabytes larger in the contract, if the file is right",
            location=Location(file=before.shown),
        )
    copy = tempfile.TemporaryFile(dir=make_private_directory(into) if into else None)  # noqa: SIM115
    try:
        digest, reconnected = _copy(folder, before, copy)
        after = folder.look(name)
        if after.version != before.version:
            raise _replaced(before, "it was written to while it was read")
        if sha256 is not None and digest != sha256:
            raise ChecksumWrong(
                f"The file {before.shown} is not the one that its list of checksums promises",
                why="Its SHA-256 is another: it was changed after the list was made, or damaged on its way",
                remedy="Have the agency drop file and list again; nothing of it was read",
                location=Location(file=before.shown, rule="checksum"),
            )
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return Spool(copy, name, before.size, digest, reconnected)


def _copy(folder: Folder, entry: Entry, copy: BinaryIO) -> tuple[str, int]:
    digest, offset, piece, failures, reconnected = hashlib.sha256(), 0, _FIRST, 0, 0
    while offset < entry.size:
        begin = time.monotonic()
        try:
            data = folder.read(entry.name, offset, min(piece, entry.size - offset))
        except RetryLater as error:
            failures, reconnected = failures + 1, reconnected + 1
            _go_on(folder, entry, error, failures)
            piece = _SMALLEST
            continue
        if not data:
            raise _replaced(entry, "it became shorter while it was read")
        digest.update(data)
        copy.write(data)
        offset, failures = offset + len(data), 0
        if time.monotonic() - begin < _QUICK:
            piece = min(piece * 2, _LARGEST)
    return digest.hexdigest(), reconnected


def read_whole(folder: Folder, entry: Entry, size: int) -> bytes:
    """Read a small file in one piece, again where the line was cut.

    Raises:
        RetryLater: When it was cut too often, or the file was replaced meanwhile.
    """
    failures = 0
    while True:
        try:
            return folder.read(entry.name, 0, size)
        except RetryLater as error:
            failures += 1
            _go_on(folder, entry, error, failures)


def _go_on(folder: Folder, entry: Entry, error: RetryLater, failures: int) -> None:
    """Wait a moment and see that the file is still the same, after the line was cut."""
    if isinstance(error, FileReplaced) or failures >= _ATTEMPTS:
        raise error
    time.sleep(min(_FIRST_WAIT * 4 ** (failures - 1), _LONGEST_WAIT))
    try:
        now = folder.look(entry.name)
    except SourceInterrupted:
        return  # counted when the next piece fails
    if now.version != entry.version:
        raise _replaced(entry, "it was replaced while it was read")


def _replaced(entry: Entry, why: str) -> FileReplaced:
    return FileReplaced(
        f"The file {entry.shown} is not the one that this reading began with",
        why=f"The agency works on it: {why}",
        remedy="Run the sync again: it begins with the file that is there then",
        location=Location(file=entry.shown),
    )
