"""Private files: written whole or not at all, readable by their owner alone, locked between processes."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from foundation.errors import FixInstallation, RetryLater

__all__ = [
    "LockBusy",
    "file_lock",
    "make_private_directory",
    "read_private",
    "remove_durably",
    "write_once",
    "write_private",
]


class LockBusy(RetryLater):
    """Another process holds a lock on this installation."""


def make_private_directory(path: Path, mode: int = 0o700) -> Path:
    """Create a directory (and its parents) for its owner alone; leave one that exists as it is."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=mode)
            path.chmod(mode)  # mkdir is subject to the umask
    return path


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step, so that a crash leaves the old content or the new."""
    temporary = _write_temporary(path, content, mode)
    os.replace(temporary, path)
    _sync_directory(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, if it is there, so that no crash brings it back."""
    path.unlink(missing_ok=True)
    _sync_directory(path.parent)


def write_once(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Create a file unless it exists; of several processes exactly one gets ``True``."""
    temporary = _write_temporary(path, content, mode)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)
    return True


def read_private(path: Path) -> bytes:
    """Read a secret file, refusing one that others may read.

    Raises:
        FixInstallation: When the file is missing or open to group or others.
    """
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            if mode & 0o077:
                raise FixInstallation(
                    f"The secret file {path} can be read by others",
                    remedy=f"Run: chmod 600 {path}",
                    path=str(path),
                )
            return handle.read()
    except FileNotFoundError as error:
        raise FixInstallation(
            f"The file {path} is missing",
            remedy="Run `lintas init`, or put the file back from your backup",
            path=str(path),
        ) from error


@contextmanager
def file_lock(path: Path, timeout: float = 120.0) -> Iterator[None]:
    """Hold an exclusive lock between processes; it ends with the process that holds it.

    Raises:
        LockBusy: When another process keeps the lock longer than ``timeout`` seconds.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, timeout)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LockBusy(
                    f"Another process has held the lock {path} for more than {timeout:.0f} s",
                    remedy="Wait for it to finish, or end it",
                    path=str(path),
                ) from None
            time.sleep(0.02)


def _write_temporary(path: Path, content: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            os.fchmod(handle.fileno(), mode)
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
