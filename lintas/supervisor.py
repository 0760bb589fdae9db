"""Starts the processes of the bus as one group, watches them, and ends them as one group.

Invariant: when `Supervisor.stop` has returned, or the supervisor has died in whatever way, none of the
group's processes is alive and its lock is free.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from lintas.errors import AlreadyRunning, ProcessDidNotStart

__all__ = ["ProcessSpec", "ProcessState", "ProcessStatus", "RestartPolicy", "Supervisor", "instance_lock"]

GUARDIAN = Path(__file__).with_name("guardian.py")
TICK_SECONDS = 0.05
LOG_LIMIT_BYTES = 20_000_000


@dataclass(frozen=True)
class RestartPolicy:
    """How soon a process that ended by itself is started again."""

    first_delay: float = 0.5
    longest_delay: float = 30.0
    forgiven_after: float = 60.0
    """Seconds of life after which earlier failures no longer count."""
    start_attempts: int = 3
    """Deaths before the first good health check after which starting is given up."""

    def delay(self, failures: int) -> float:
        """Seconds to wait after this many failures in a row."""
        return min(self.longest_delay, self.first_delay * 2.0 ** max(0, failures - 1))


@dataclass(frozen=True)
class ProcessSpec:
    """One process of the group: what to run and how to tell that it is well."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    healthy: Callable[[], bool] = lambda: True
    prepare: Callable[[], None] = lambda: None
    """Done before each start, such as forgetting a predecessor's sign of life."""
    once: bool = False
    """A task rather than a service: done, and thereby healthy, when it ends with exit code 0."""
    after: tuple[str, ...] = ()
    """Processes that must be healthy before this one starts."""
    start_timeout: float = 90.0
    stop_timeout: float = 15.0
    restart: RestartPolicy = RestartPolicy()


class ProcessState(StrEnum):
    """Where a process is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ProcessStatus:
    """What the supervisor knows of one process now."""

    name: str
    state: ProcessState
    pid: int | None
    restarts: int
    log_file: Path
    seconds_to_healthy: float | None


@dataclass
class _Member:
    """The supervisor's own notes on one process."""

    spec: ProcessSpec
    log_file: Path
    state: ProcessState = ProcessState.WAITING
    process: subprocess.Popen[bytes] | None = None
    output: BinaryIO | None = None
    started_at: float = 0.0
    healthy_after: float | None = None
    check_at: float = 0.0
    restart_at: float = 0.0
    failures: int = 0
    restarts: int = 0

    def status(self) -> ProcessStatus:
        pid = self.process.pid if self.process is not None and self.process.poll() is None else None
        return ProcessStatus(
            self.spec.name, self.state, pid, self.restarts, self.log_file, self.healthy_after
        )


class Supervisor:
    """A group of processes with one life.

    All children are started by one thread that lives as long as the group: the kernel's parent-death signal
    is tied to the thread that forked, not to the process.
    """

    def __init__(self, home: Path, specs: Sequence[ProcessSpec]) -> None:
        self.home = home
        self._members = {spec.name: _Member(spec, home / "logs" / f"{spec.name}.log") for spec in specs}
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._failure: ProcessDidNotStart | None = None
        self._thread: threading.Thread | None = None
        self._locks = contextlib.ExitStack()

    def __enter__(self) -> "Supervisor":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Take the lock and begin to start the group; return at once."""
        self._locks.enter_context(instance_lock(self.home))
        (self.home / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thread = threading.Thread(target=self._life, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the group in the reverse order of its start and give the lock back; idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._locks.close()

    def status(self) -> list[ProcessStatus]:
        """The state of every process, in the order in which they start."""
        return [member.status() for member in self._members.values()]

    def wait_healthy(self, names: Sequence[str] | None = None, timeout: float = 120.0) -> None:
        """Wait until the named processes (all, when none are named) are healthy.

        Raises:
            ProcessDidNotStart: When one ends too often or does not become healthy in time.
        """
        wanted = list(self._members) if names is None else list(names)
        deadline = time.monotonic() + timeout

        def settled() -> bool:
            return self._failure is not None or not self._missing(wanted)

        with self._changed:
            self._changed.wait_for(settled, timeout=max(0.0, deadline - time.monotonic()))
        if self._failure is not None:
            raise self._failure
        if missing := self._missing(wanted):
            raise ProcessDidNotStart(missing[0], self._members[missing[0]].log_file, "is not healthy in time")

    def run_until_signal(self, on_change: Callable[[list[ProcessStatus]], None] | None = None) -> int:
        """Block the main thread until SIGINT or SIGTERM (or a failed start); return the signal."""
        caught: list[int] = []

        def remember(number: int, _frame: FrameType | None) -> None:
            caught.append(number)

        previous = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
        last: list[ProcessStatus] = []
        try:
            while not caught and self._failure is None:
                time.sleep(0.1)
                if on_change is not None and (current := self.status()) != last:
                    on_change(current)
                    last = current
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self._failure is not None:
            raise self._failure
        return caught[0]

    def _missing(self, wanted: Sequence[str]) -> list[str]:
        return [name for name in wanted if self._members[name].state is not ProcessState.HEALTHY]

    def _life(self) -> None:
        try:
            while not self._stopping.wait(TICK_SECONDS):
                for member in self._members.values():
                    self._advance(member)
        finally:
            self._end_all()

    def _advance(self, member: _Member) -> None:
        """Move one process on by at most one step."""
        if member.state is ProcessState.WAITING:
            if not self._missing(member.spec.after):
                self._launch(member)
            return
        if member.state is ProcessState.RESTARTING:
            if time.monotonic() >= member.restart_at:
                self._launch(member)
            return
        if member.process is None or member.process.poll() is None:
            self._check(member)
        elif not member.spec.once or member.process.returncode != 0:
            self._ended_by_itself(member, member.process.returncode)
        elif member.healthy_after is None:
            member.healthy_after = time.monotonic() - member.started_at
            self._become(member, ProcessState.HEALTHY)

    def _launch(self, member: _Member) -> None:
        spec = member.spec
        spec.prepare()
        _rotate(member.log_file)
        if member.output is None:
            descriptor = os.open(member.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            member.output = os.fdopen(descriptor, "ab", buffering=0)
        member.process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                str(GUARDIAN),
                str(os.getpid()),
                str(spec.stop_timeout),
                *spec.command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=member.output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **spec.environment},
            start_new_session=True,
        )
        member.started_at = member.check_at = time.monotonic()
        member.healthy_after = None
        self._become(member, ProcessState.STARTING)

    def _check(self, member: _Member) -> None:
        now = time.monotonic()
        if now < member.check_at:
            return
        well = not member.spec.once and _is_well(member.spec)
        lived = now - member.started_at
        if well and member.healthy_after is None:
            member.healthy_after = lived
        if well and lived > member.spec.restart.forgiven_after:
            member.failures = 0
        member.check_at = now + (1.0 if well else 0.2)
        if well:
            self._become(member, ProcessState.HEALTHY)
        elif member.state is ProcessState.HEALTHY:
            self._become(member, ProcessState.UNHEALTHY)
        elif member.state is ProcessState.STARTING and lived > member.spec.start_timeout:
            self._fail(member, f"is not healthy {member.spec.start_timeout:.0f} s after its start")

    def _ended_by_itself(self, member: _Member, code: int) -> None:
        _kill_group(member.process)
        member.failures += 1
        never_healthy = member.healthy_after is None and member.restarts == 0
        if never_healthy and member.failures >= member.spec.restart.start_attempts:
            self._fail(member, f"ended with exit code {code} at each of {member.failures} starts")
            return
        if not never_healthy:
            member.restarts += 1
        delay = member.spec.restart.delay(member.failures)
        from foundation import telemetry  # here, because `lintas health` must be quick

        log = telemetry.logger(__name__)
        log.warning("process ended", process=member.spec.name, exit_code=code, restart_in_seconds=delay)
        member.restart_at = time.monotonic() + delay
        self._become(member, ProcessState.RESTARTING)

    def _fail(self, member: _Member, why: str) -> None:
        _kill_group(member.process)
        with self._changed:
            self._failure = ProcessDidNotStart(member.spec.name, member.log_file, why)
            self._changed.notify_all()
        self._stopping.set()

    def _become(self, member: _Member, state: ProcessState) -> None:
        if member.state is not state:
            with self._changed:
                member.state = state
                self._changed.notify_all()

    def _end_all(self) -> None:
        """Last started, first ended; those that depend on nobody alive end together."""
        remaining = [member for member in self._members.values() if member.process is not None]
        while remaining:
            needed = {name for member in remaining for name in member.spec.after}
            wave = [member for member in remaining if member.spec.name not in needed]
            for member in wave:
                _terminate(member.process)
            for member in wave:
                _wait_or_kill(member)
                self._become(member, ProcessState.STOPPED)
            remaining = [member for member in remaining if member not in wave]


@contextlib.contextmanager
def instance_lock(home: Path) -> Iterator[None]:
    """Hold the lock of the group on this home; the kernel gives it back if we die.

    Raises:
        AlreadyRunning: When another group holds it.
    """
    folder = home / "run"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "supervisor.pid"
    descriptor = _lock(path)
    if descriptor is None:
        raise AlreadyRunning(home, path.read_text(encoding="ascii", errors="replace").strip())
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int | None:
    """Lock the file that bears the name now: an earlier holder removes it just before it lets go."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def _is_well(spec: ProcessSpec) -> bool:
    try:
        return spec.healthy()
    except Exception:  # a health check that cannot even ask has its answer
        return False


def _rotate(path: Path) -> None:
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))


def _terminate(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()


def _wait_or_kill(member: _Member) -> None:
    process = member.process
    if process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(member.spec.stop_timeout + 3.0)
        _kill_group(process)
        process.wait()
    if member.output is not None:
        member.output.close()
        member.output = None


def _kill_group(process: subprocess.Popen[bytes] | None) -> None:
    """Nothing of the process's own session may stay, even when its guardian was killed."""
    if process is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
