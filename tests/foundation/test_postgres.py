import os
import signal
import stat
import subprocess
import sys
import time

import psutil
import psycopg
import pytest

from foundation import postgres_account
from foundation.postgres import EmbeddedPostgres, ServerTuning
from foundation.postgres_account import ServerAccount, choose_account, socket_directory, usable_binaries

TUNING = ServerTuning(shared_buffers_mb=64, max_connections=20, durable=False)


@pytest.fixture
def cluster(session_directory, no_leaks):
    server = EmbeddedPostgres(session_directory / f"cluster-{time.monotonic_ns()}", tuning=TUNING)
    yield server
    processes = [] if server.pid is None else psutil.Process(server.pid).children(recursive=True)
    place = server.place
    server.remove()
    assert not [each for each in processes if each.is_running() and each.name() == "postgres"]
    assert not place.exists()


def connect(server, password=None, database="postgres"):
    parameters = server.conninfo(server.superuser, password or server.admin_password, database)
    return psycopg.connect(**parameters, connect_timeout=5)


_RACER = """
import sys
from pathlib import Path
from foundation.postgres import EmbeddedPostgres, ServerTuning
EmbeddedPostgres(Path(sys.argv[1]), tuning=ServerTuning(shared_buffers_mb=64, durable=False)).start()
"""


def test_processes_that_start_at_once_share_one_server(cluster):
    racers = [subprocess.Popen([sys.executable, "-c", _RACER, cluster.directory]) for _ in range(4)]
    assert [racer.wait(60) for racer in racers] == [0, 0, 0, 0]
    pid = cluster.pid
    cluster.start()
    assert cluster.pid == pid
    with connect(cluster) as connection:
        assert connection.execute("SHOW data_checksums").fetchone() == ("on",)


def test_the_server_is_reached_by_password_over_its_socket_only(cluster):
    cluster.start()
    with connect(cluster) as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone()[0] for name in ("listen_addresses", "fsync")]
        assert shown == ["", "off"]
        methods = connection.execute("SELECT DISTINCT type, auth_method FROM pg_hba_file_rules").fetchall()
        assert methods == [("local", "scram-sha-256")]
        hashed = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin").fetchall()
        assert all(each[0].startswith("SCRAM-SHA-256$") for each in hashed)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(cluster, password="guess")
    assert not psutil.Process(cluster.pid).net_connections(kind="inet")


def test_secrets_and_data_are_readable_by_their_owner_alone(cluster):
    cluster.start()
    private = [cluster.directory / "admin.password", cluster.data, cluster.socket_directory, cluster.log_file]
    assert [path.stat().st_mode & 0o077 for path in private] == [0, 0, 0, 0]
    assert psutil.Process(cluster.pid).uids().real != 0
    assert cluster.data.stat().st_uid == choose_account().effective_uid


def test_a_killed_server_comes_back_with_what_was_committed(cluster):
    cluster.start()
    with connect(cluster) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    idle = connect(cluster)
    cluster.kill()
    assert not cluster.is_running
    assert (cluster.data / "postmaster.pid").exists()
    cluster.start()
    idle.close()
    with connect(cluster) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_lock_files_that_name_a_living_stranger_do_not_stop_a_start(cluster):
    """After a reboot the process id of the dead server may belong to anybody."""
    cluster.start()
    cluster.stop()
    pid_file = cluster.data / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{cluster.data}\n1\n5432\n\n\n\nready\n")
    (cluster.socket_directory / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n{cluster.data}\n1\n5432\n")
    (cluster.socket_directory / ".s.PGSQL.5432").touch()
    assert not cluster.is_running
    cluster.start()
    assert cluster.is_running


def test_a_start_that_was_interrupted_in_initdb_begins_anew(cluster):
    unfinished = cluster.place / "data.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    cluster.start()
    assert cluster.is_running


def test_backends_that_outlive_their_server_do_not_stop_the_next(cluster):
    cluster.start()
    busy = connect(cluster)
    backend = psutil.Process(busy.info.backend_pid)
    backend.send_signal(signal.SIGSTOP)  # cannot notice that its server died
    cluster.kill()
    begin = time.monotonic()
    cluster.start()
    assert cluster.is_running
    assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
    assert time.monotonic() - begin < 20
    busy.close()


def test_stopping_ends_connections_and_leaves_no_process_or_socket(cluster):
    cluster.start()
    processes = [psutil.Process(cluster.pid), *psutil.Process(cluster.pid).children(recursive=True)]
    with connect(cluster) as connection:
        connection.execute("BEGIN")
        cluster.stop()
        connection.close()
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    assert list(cluster.socket_directory.iterdir()) == []
    cluster.stop()


def test_the_log_never_holds_a_row_value(cluster, canary):
    cluster.start()
    attempts = [
        ("SELECT %s::int", [canary.name]),
        ("INSERT INTO person VALUES (%s, %s)", [canary.nik, canary.name]),
        ("INSERT INTO person VALUES (%s, NULL)", [canary.nik]),
        ("SELECT 1/0 FROM person WHERE nik = %s", [canary.nik]),
    ]
    with connect(cluster) as connection:
        connection.autocommit = True
        connection.execute("CREATE TABLE person (nik text PRIMARY KEY, name text NOT NULL)")
        connection.execute("INSERT INTO person VALUES (%s, %s)", [canary.nik, canary.name])
        for statement, parameters in attempts:
            with pytest.raises(psycopg.Error):
                connection.execute(statement, parameters)
        with pytest.raises(psycopg.Error):
            connection.execute(f"DO $$ BEGIN RAISE EXCEPTION '{canary.name}'; END $$")
        connection.execute(f"DO $$ BEGIN RAISE WARNING '{canary.name}'; END $$")
    with connect(cluster) as connection:
        victim = connection.info.backend_pid
        cursor = connection.cursor()
        connection.pgconn.send_query(f"SELECT pg_sleep(30), '{canary.nik}'".encode())
        time.sleep(0.2)
        os.kill(victim, signal.SIGKILL)
        cursor.close()
        connection.close()
    time.sleep(1)
    log = cluster.log_file.read_text()
    assert "terminated by signal 9" in log
    assert canary.found_in(log) == []


def test_an_error_of_the_server_is_shown_with_its_own_words(cluster):
    from foundation.postgres import ServerBroken

    cluster.start()
    cluster.stop()
    broken = EmbeddedPostgres(cluster.directory, tuning=ServerTuning(max_connections=-1))
    with pytest.raises(ServerBroken, match="max_connections"):
        broken.start()


def test_a_folder_that_the_account_cannot_reach_is_placed_elsewhere_and_found_again(session_directory):
    hidden = session_directory / "hidden"
    hidden.mkdir(mode=0o700)
    server = EmbeddedPostgres(hidden / "postgres", tuning=TUNING)
    account = choose_account()
    if account.uid is None:
        assert server.place == server.directory
        return
    assert str(server.place).startswith("/var/lib/lintas/postgres-")
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700
    hidden.chmod(0o711)
    assert EmbeddedPostgres(hidden / "postgres").place == server.place
    place = server.place
    server.remove()
    assert not place.exists()


def test_a_long_path_gets_a_short_socket(tmp_path):
    deep = tmp_path / ("x" * 100)
    assert len(str(socket_directory(deep))) < 100
    assert socket_directory(deep) != socket_directory(deep / "y")
    assert socket_directory(tmp_path) == tmp_path / "socket"


def test_the_binaries_are_postgresql_18():
    assert (usable_binaries() / "postgres").exists()
    assert ServerAccount(None, None).effective_uid == os.geteuid()


def test_binaries_in_a_folder_that_the_servers_account_cannot_reach_run_from_a_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(postgres_account, "_SYSTEM_PLACE", tmp_path / "place")
    unreachable = type("Nowhere", (), {"can_reach": lambda *_: False})
    monkeypatch.setattr(postgres_account, "choose_account", unreachable)
    copied = usable_binaries.__wrapped__()
    assert copied.is_relative_to(tmp_path / "place")
    for program in ("initdb", "postgres", "psql"):
        command = [copied / program, "--version"]
        done = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
        assert " 18." in done.stdout, done.stderr
