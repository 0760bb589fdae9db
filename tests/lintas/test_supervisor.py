import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from lintas.errors import AlreadyRunning, ProcessDidNotStart
from lintas.supervisor import ProcessSpec, ProcessState, ProcessStatus, RestartPolicy, Supervisor

QUICK = RestartPolicy(first_delay=0.05, longest_delay=0.2, start_attempts=2)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", textwrap.dedent(code))


def sleeper(name: str, **options: object) -> ProcessSpec:
    return ProcessSpec(name, python("import time; time.sleep(300)"), restart=QUICK, **options)  # type: ignore[arg-type]


def tree(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def wait_until(condition, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def settled(group: Supervisor) -> list[ProcessStatus]:
    """The group once every guardian has started its process."""
    group.wait_healthy(timeout=20)
    wait_until(lambda: all(status.pid and tree(status.pid) for status in group.status()))
    return group.status()


def family(status: ProcessStatus) -> list[psutil.Process]:
    assert status.pid is not None
    return [psutil.Process(status.pid), *tree(status.pid)]


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def test_a_group_starts_in_the_order_of_its_needs_and_ends_in_the_reverse(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    code = """
        import signal, sys, time
        def note(what): open(sys.argv[1], "a").write(what + "\\n")
        def end(*_): note("end " + sys.argv[2]); sys.exit(0)
        signal.signal(signal.SIGTERM, end); note("start " + sys.argv[2]); time.sleep(300)
    """

    def noted(line: str):
        return lambda: line in notes.read_text().splitlines()

    def spec(name: str, after: tuple[str, ...]) -> ProcessSpec:
        return ProcessSpec(
            name, (*python(code), str(notes), name), healthy=noted(f"start {name}"), after=after
        )

    with Supervisor(tmp_path, [spec("c", ("b",)), spec("b", ("a",)), spec("a", ())]) as group:
        group.wait_healthy(timeout=10)
        assert {status.state for status in group.status()} == {ProcessState.HEALTHY}
    lines = notes.read_text().splitlines()
    assert lines == ["start a", "start b", "start c", "end c", "end b", "end a"]


def test_stopping_leaves_no_process_and_no_lock(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [sleeper("a"), sleeper("b")]) as group:
        children = [process for status in settled(group) for process in family(status)]
        assert len(children) == 4
    assert all_gone(children)
    with Supervisor(tmp_path, []):
        pass
    assert not list((tmp_path / "run").iterdir())


def test_a_second_group_on_the_same_home_is_refused(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [sleeper("a")]), pytest.raises(AlreadyRunning, match=str(os.getpid())):
        Supervisor(tmp_path, []).start()


def test_a_process_that_dies_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [sleeper("a")]) as group:
        first = settled(group)[0].pid
        os.kill(tree(first)[0].pid, signal.SIGKILL)
        wait_until(
            lambda: group.status()[0].restarts == 1 and group.status()[0].state is ProcessState.HEALTHY
        )
        assert group.status()[0].pid != first
    assert [QUICK.delay(n) for n in (1, 2, 3, 9)] == [0.05, 0.1, 0.2, 0.2]


def test_a_killed_guardian_takes_its_process_with_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [sleeper("a")]) as group:
        guardian = settled(group)[0].pid
        child = tree(guardian)
        os.kill(guardian, signal.SIGKILL)
        wait_until(lambda: all_gone(child))
        wait_until(lambda: group.status()[0].state is ProcessState.HEALTHY)


def test_workers_of_a_killed_process_are_ended_too(tmp_path: Path) -> None:
    code = """
        import os, signal, sys, time
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(300)
        time.sleep(300)
    """
    spec = ProcessSpec("a", python(code), restart=RestartPolicy(first_delay=60))
    with Supervisor(tmp_path, [spec]) as group:
        group.wait_healthy(timeout=10)
        guardian = group.status()[0].pid
        wait_until(lambda: len(tree(guardian)) == 4)
        everyone = tree(guardian)
        leader = next(p for p in everyone if p.ppid() == guardian)
        leader.kill()
        wait_until(lambda: all_gone(everyone))


def test_a_process_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    code = f"import signal, time; {ignore}; print('up', flush=True); time.sleep(300)"
    log = tmp_path / "logs" / "a.log"
    spec = ProcessSpec("a", python(code), healthy=lambda: "up" in log.read_text(), stop_timeout=0.3)
    group = Supervisor(tmp_path, [spec])
    group.start()
    group.wait_healthy(timeout=10)
    child = tree(group.status()[0].pid)
    started = time.monotonic()
    group.stop()
    assert all_gone(child)
    assert time.monotonic() - started < 5


def test_a_process_that_never_starts_is_named_with_its_log(tmp_path: Path) -> None:
    spec = ProcessSpec(
        "broken", python("print('why'); raise SystemExit(3)"), healthy=lambda: False, restart=QUICK
    )
    with (
        pytest.raises(ProcessDidNotStart, match=r"broken.*exit code 3"),
        Supervisor(tmp_path, [spec]) as group,
    ):
        group.wait_healthy(timeout=10)
    assert "why" in (tmp_path / "logs" / "broken.log").read_text()


def test_logs_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [sleeper("a")]) as group:
        group.wait_healthy(timeout=10)
    assert (tmp_path / "logs" / "a.log").stat().st_mode & 0o077 == 0


SUPERVISOR_PROGRAM = """
    import sys
    from pathlib import Path
    from lintas.supervisor import ProcessSpec, Supervisor
    serve = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))"
    serving = (sys.executable, "-S", "-c", serve + "; time.sleep(300)", sys.argv[2])
    specs = [ProcessSpec("a", serving), ProcessSpec("b", ("sleep", "300"))]
    with Supervisor(Path(sys.argv[1]), specs) as group:
        group.wait_healthy(timeout=20)
        print(*(s.pid for s in group.status()), flush=True)
        group.run_until_signal()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_supervisor_ends_nothing_stays_behind(tmp_path: Path, number: signal.Signals) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISOR_PROGRAM), str(tmp_path), str(port)],
        stdout=subprocess.PIPE,
    )
    assert supervisor.stdout is not None
    guardians = [int(pid) for pid in supervisor.stdout.readline().split()]
    processes = [p for pid in guardians for p in (psutil.Process(pid), *tree(pid))]
    wait_until(lambda: all(len(tree(pid)) == 1 for pid in guardians))
    supervisor.send_signal(number)
    supervisor.wait(20)
    supervisor.stdout.close()
    wait_until(lambda: all_gone(processes))
    assert supervisor.returncode == (0 if number is not signal.SIGKILL else -signal.SIGKILL)
    with socket.create_server(("127.0.0.1", port)), Supervisor(tmp_path, []):
        pass


def test_children_are_not_tied_to_the_thread_that_asked_for_them(tmp_path: Path) -> None:
    group = Supervisor(tmp_path, [sleeper("a")])
    starter = threading.Thread(target=group.start)
    starter.start()
    starter.join()
    try:
        group.wait_healthy(timeout=10)
        time.sleep(0.3)
        assert group.status()[0].restarts == 0
    finally:
        group.stop()


def test_a_task_that_runs_once_is_done_when_it_ends_well(tmp_path: Path) -> None:
    task = ProcessSpec("task", python("import time; time.sleep(0.3)"), once=True)
    with Supervisor(tmp_path, [task, sleeper("b", after=("task",))]) as group:
        group.wait_healthy(timeout=10)
        first, second = group.status()
        assert (first.state, first.pid, first.restarts) == (ProcessState.HEALTHY, None, 0)
        assert second.pid is not None


def test_a_task_that_fails_stops_the_start(tmp_path: Path) -> None:
    task = ProcessSpec("task", python("raise SystemExit(1)"), once=True, restart=QUICK)
    with pytest.raises(ProcessDidNotStart, match="task"), Supervisor(tmp_path, [task]) as group:
        group.wait_healthy(timeout=10)
