"""A real PostgreSQL 18 of our own: made, started, found again after a crash, and stopped.

Invariants kept here:
    * The server listens on a unix socket only, and every login is by SCRAM.
    * Starting is safe between processes, and starting a running server changes nothing.
    * After ``kill -9`` the next start clears what is left only when no process uses the cluster.
    * The server's log never holds row values: no statements, parameters, details or plain errors.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from foundation.errors import FixInstallation, RetryLater
from foundation.files import file_lock, make_private_directory, read_private, write_once, write_private
from foundation.postgres_account import choose_account, choose_place, socket_directory, usable_binaries

__all__ = ["EmbeddedPostgres", "ServerBroken", "ServerNotStopping", "ServerTuning"]

_PORT = 5432  # names the socket file; nothing listens on TCP
_LOG_LIMIT_BYTES = 16 * 1024 * 1024


class ServerBroken(FixInstallation):
    """The embedded PostgreSQL could not be made or started."""


class ServerNotStopping(RetryLater):
    """The embedded PostgreSQL did not stop in time."""


@dataclass(frozen=True, slots=True)
class ServerTuning:
    """What the cluster may use; the defaults suit a machine with two cores."""

    shared_buffers_mb: int | None = None
    max_connections: int = 200
    durable: bool = True

    def lines(self) -> list[str]:
        """Return the lines of ``postgresql.conf`` that follow from the tuning."""
        memory_mb = psutil.virtual_memory().total // (1024 * 1024)
        buffers = self.shared_buffers_mb or max(64, min(512, memory_mb // 8))
        flush = "on" if self.durable else "off"
        return [
            f"shared_buffers = {buffers}MB",
            f"effective_cache_size = {max(256, memory_mb // 2)}MB",
            f"max_connections = {self.max_connections}",
            f"fsync = {flush}",
            "synchronous_commit = on",  # even a throw-away server keeps what it committed when it is killed
            f"full_page_writes = {flush}",
        ]


class EmbeddedPostgres:
    """One PostgreSQL cluster in one folder.

    Args:
        directory: Folder of the cluster. Data, socket and log live in it, or, when the server's
            account cannot reach it, in a folder of ours under ``/var/lib/lintas``.
        superuser: Name of the administrator role.
        tuning: What the cluster may use.
    """

    def __init__(
        self, directory: Path, *, superuser: str = "lintas_admin", tuning: ServerTuning | None = None
    ) -> None:
        self.directory = Path(os.path.abspath(directory))
        self.superuser = superuser
        self.tuning = tuning or ServerTuning()
        self._place: Path | None = None

    @property
    def place(self) -> Path:
        """Folder in which the server keeps its data."""
        if self._place is None:
            make_private_directory(self.directory, 0o711 if os.geteuid() == 0 else 0o700)
            self._place = choose_place(self.directory, choose_account())
        return self._place

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.place / "data"

    @property
    def socket_directory(self) -> Path:
        """Folder of the unix socket: the ``host`` of a connection."""
        return socket_directory(self.place)

    @property
    def port(self) -> int:
        """Number in the socket's name."""
        return _PORT

    @property
    def log_file(self) -> Path:
        """The server's own log."""
        return self.place / "server.log"

    @property
    def admin_password(self) -> str:
        """Password of the administrator role, from its private file."""
        return read_private(self.directory / "admin.password").decode().strip()

    @property
    def is_running(self) -> bool:
        """Whether the server accepts connections now."""
        return self._accepts_connections()

    def _accepts_connections(self) -> bool:
        state = _read_pid_file(self.data)
        return state is not None and state.ready and _is_postmaster(state.pid, self.data)

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        state = _read_pid_file(self.data)
        return state.pid if state and _is_postmaster(state.pid, self.data) else None

    def conninfo(self, user: str, password: str, database: str = "postgres") -> dict[str, str]:
        """Return libpq parameters for a role."""
        return {
            "host": str(self.socket_directory),
            "port": str(self.port),
            "user": user,
            "password": password,
            "dbname": database,
        }

    def start(self) -> None:
        """Make the cluster if it is new, and start it unless it runs.

        Raises:
            ServerBroken: With the last lines of the server's log.
        """
        if self.is_running:
            return
        make_private_directory(self.place, 0o711 if os.geteuid() == 0 else 0o700)
        with file_lock(self.directory / "start.lock"):
            if self._accepts_connections():  # another process was faster
                return
            self._initialise()
            self._clear_leftovers()
            self._configure()
            self._launch()

    def stop(self, timeout: float = 60.0) -> None:
        """Stop the server if it runs: connections are ended, committed work is kept."""
        if not self.data.exists():
            return
        with file_lock(self.directory / "start.lock"):
            pid = self.pid
            if pid is not None:
                os.kill(pid, signal.SIGINT)  # PostgreSQL's "fast" shutdown
                if not _wait(lambda: not _is_postmaster(pid, self.data), timeout):
                    os.kill(pid, signal.SIGQUIT)
                    if not _wait(lambda: not _is_postmaster(pid, self.data), 10):
                        raise ServerNotStopping(
                            f"PostgreSQL (process {pid}) does not stop",
                            remedy="Look at its log and end it by hand",
                            pid=pid,
                            log=str(self.log_file),
                        )
            self._clear_leftovers()

    def kill(self) -> None:
        """Crash the server (SIGKILL), for tests of what a crash leaves behind."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            _wait(lambda: not _is_postmaster(pid, self.data), 10)

    def remove(self) -> None:
        """Stop the server and delete the cluster with everything in it."""
        self.stop()
        shutil.rmtree(self.socket_directory, ignore_errors=True)
        if self.place != self.directory:
            shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)
        self._place = None

    def _initialise(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        account = choose_account()
        write_once(self.directory / "admin.password", f"{secrets.token_urlsafe(32)}\n".encode())
        unfinished = self.place / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        password = self.place / "initial.password"
        write_private(password, f"{self.admin_password}\n".encode())
        account.own(password)
        command = [str(usable_binaries() / "initdb"), "-D", str(unfinished), "-U", self.superuser]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        command += [f"--wal-segsize={_WAL_SEGMENT_MIB}"]
        command += [] if self.tuning.durable else ["--no-sync"]
        try:
            done = self._run(command)
        finally:
            password.unlink(missing_ok=True)
        if done.returncode != 0:
            raise ServerBroken(
                "A new PostgreSQL cluster could not be made",
                why=done.stderr.strip()[-500:],
                remedy=f"Check free space and permissions of {self.place}",
            )
        unfinished.rename(self.data)

    def _configure(self) -> None:
        lines = [*_SETTINGS, *self.tuning.lines(), f"unix_socket_directories = '{self.socket_directory}'"]
        write_private(self.place / "postgresql.conf", "\n".join([*lines, ""]).encode(), 0o644)
        write_private(self.place / "pg_hba.conf", b"local all all scram-sha-256\n", 0o644)

    def _launch(self) -> None:
        account = choose_account()
        self._open_socket_directory()
        self._open_log()
        options = f"-c config_file={self.place}/postgresql.conf -c hba_file={self.place}/pg_hba.conf"
        command = [str(usable_binaries() / "pg_ctl"), "start", "-D", str(self.data), "-w", "-t", "120", "-s"]
        command += ["-l", str(self.log_file), "-o", options]
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            start_new_session=True,
            env=_environment(),
            **account.popen_arguments(),
        )
        if done.returncode != 0 or not _wait(lambda: self.is_running, 10):
            raise ServerBroken(
                "PostgreSQL did not start",
                why=_tail(self.log_file),
                remedy=f"Look at {self.log_file}",
                log=str(self.log_file),
            )

    def _open_socket_directory(self) -> None:
        directory, account = self.socket_directory, choose_account()
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            account.own(directory)
        state = directory.lstat()
        if directory.is_symlink() or state.st_uid != account.effective_uid or state.st_mode & 0o077:
            raise ServerBroken(
                f"The socket folder {directory} is not private to the server's account",
                remedy="Remove it and start again",
            )

    def _open_log(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_file.rename(self.log_file.with_suffix(".log.1"))
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(self.log_file, flags, 0o600))
        choose_account().own(self.log_file)

    def _clear_leftovers(self) -> None:
        """Remove lock files of a crashed server, once no process uses the cluster any more."""
        if self.pid is not None:
            return
        if not _wait(lambda: not _processes_in(self.data), 5):
            for process in _processes_in(self.data):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            _wait(lambda: not _processes_in(self.data), 10)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in self.socket_directory.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
            **choose_account().popen_arguments(),
        )


_WAL_SEGMENT_MIB = 4
"""A new segment is filled with zeros while commits wait for it: of 16 MiB, up to a tenth of a second."""

_SETTINGS = [
    "# Written by Lintas at every start; changes made here are lost.",
    "listen_addresses = ''",
    "unix_socket_permissions = 0700",
    "password_encryption = scram-sha-256",
    "timezone = 'UTC'",
    "log_timezone = 'UTC'",
    "datestyle = 'iso, ymd'",
    "lc_messages = 'C'",
    "default_text_search_config = 'pg_catalog.simple'",
    # Row values must never reach the log: an ERROR's own text may hold one, so errors stay out too.
    "log_min_messages = log",
    "log_min_error_statement = panic",
    "log_error_verbosity = terse",
    "log_statement = none",
    "log_min_duration_statement = -1",
    "log_autovacuum_min_duration = -1",
    "log_parameter_max_length = 0",
    "log_parameter_max_length_on_error = 0",
    "log_checkpoints = off",
    "log_line_prefix = '%m [%p] '",
    "wal_compression = on",
    "max_wal_size = 4GB",
    "min_wal_size = 128MB",
    "checkpoint_timeout = 15min",
    "work_mem = 32MB",
    "maintenance_work_mem = 256MB",
    "autovacuum_max_workers = 2",
    "autovacuum_naptime = 20s",
    "random_page_cost = 1.1",
    "jit = off",
    "max_parallel_workers = 2",
    "max_parallel_workers_per_gather = 1",
    "idle_in_transaction_session_timeout = 15min",
]


@dataclass(frozen=True, slots=True)
class _PidFile:
    pid: int
    ready: bool


def _read_pid_file(data: Path) -> _PidFile | None:
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return _PidFile(int(lines[0]), len(lines) > 7 and lines[7].strip() == "ready")
    except (OSError, ValueError, IndexError):
        return None


def _is_postmaster(pid: int, data: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and _works_in(process, data)
    except psutil.Error:
        return False


def _works_in(process: psutil.Process, data: Path) -> bool:
    """Whether a process is a PostgreSQL process of this cluster: they all stand in its data folder."""
    with suppress(psutil.Error, OSError):
        return process.name() == "postgres" and os.path.samefile(process.cwd(), data)
    return False


def _processes_in(data: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _works_in(process, data)]


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _tail(path: Path) -> str:
    with suppress(OSError):
        return " | ".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
    return ""
