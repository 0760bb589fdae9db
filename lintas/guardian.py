"""Stands between the supervisor and one process, so that nothing outlives its parent.

Run as ``python -I -S guardian.py PARENT_PID GRACE_SECONDS COMMAND...``; standard library only, so it
starts in a few milliseconds and costs little memory. It

- is told by the kernel when the supervisor dies, however it dies (``PR_SET_PDEATHSIG``), and then ends the
  command;
- adopts whatever the command's own children leave behind (``PR_SET_CHILD_SUBREAPER``), so that workers whose
  parent was killed are found and ended too;
- passes SIGTERM and SIGINT on, waits, and kills what does not end within the grace.

Invariant: when this process has ended in any way but SIGKILL, no descendant of the command is alive.
"""

import ctypes
import os
import signal
import sys
import time

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SWEEP_SECONDS = 0.05
HANDLED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def _descendants(root: int) -> list[int]:
    """Every living process below `root`, children first; zombies do not count."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(name)] = int(fields[1])
    found: list[int] = []
    frontier = {root}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found.extend(frontier)
    return found


def _signal_all(number: int) -> bool:
    alive = False
    for pid in _descendants(os.getpid()):
        try:
            os.kill(pid, number)
            alive = True
        except ProcessLookupError:
            continue
    return alive


def _reap() -> dict[int, int]:
    """Collect every ended child, adopted ones too: process id to exit code."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        code = os.waitstatus_to_exitcode(status)
        ended[pid] = code if code >= 0 else 128 - code


def _sweep(grace: float) -> None:
    """End what the command left behind: politely for `grace` seconds, then for good."""
    deadline = time.monotonic() + grace
    number = signal.SIGTERM
    while _signal_all(number):
        signal.sigtimedwait({signal.SIGCHLD}, SWEEP_SECONDS)
        _reap()
        if time.monotonic() > deadline:
            number = signal.SIGKILL


def _start(command: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        os.execvp(command[0], command)  # noqa: S606 - the supervisor's own command line
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
    os._exit(127)


def _watch(child: int, grace: float) -> int:
    """Wait for the command, passing the first request to end on to it; return its exit code."""
    kill_at: float | None = None
    while True:
        event = signal.sigtimedwait(HANDLED, 1.0 if kill_at is None else SWEEP_SECONDS)
        ended = _reap()
        if child in ended:
            return ended[child]
        if event is not None and event.si_signo != signal.SIGCHLD and kill_at is None:
            os.kill(child, event.si_signo)
            kill_at = time.monotonic() + grace
        if kill_at is not None and time.monotonic() > kill_at:
            os.kill(child, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run the command until it ends or we are told to end it; return its exit code."""
    parent, grace, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:  # the supervisor died before the kernel could be asked
        return 0
    code = _watch(_start(command), grace)
    _sweep(grace=1.0)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
