"""`kill -9` of sequencers and of PostgreSQL while writers write: what was committed must stand in the log.

`python -m benchmarks.audit_crashes --times 200` kills for real, half of the times the leading sequencer
(another one stands by), half of the times PostgreSQL with all its processes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from tempfile import TemporaryDirectory
from uuid import UUID

import psutil
import psycopg
from psycopg.conninfo import make_conninfo
from rich.console import Console

from audit.checking.verification import verify_installation
from audit.entry import EntryDraft, EntryKind
from audit.log import append, append_many
from audit.publishing.sequencer import Sequencer
from audit.sink import verify_sink
from audit.tree.merkle import Frontier, leaf_hash
from audit.tree.tiles import DatabaseTiles, tree_root
from benchmarks.measure import Measurement, percentiles, show
from benchmarks.workspace import workspace
from foundation.database import Role
from foundation.errors import LintasError
from foundation.installation import Installation
from foundation.settings import Settings

TITLE = "The log under kill -9"
WRITERS = 3
_PATIENCE_SECONDS = 60.0
_SPAWN = multiprocessing.get_context("spawn")
_LEADER = """
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND a.application_name LIKE 'drill-%'
"""


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Kill a few times in a smoke run, and 200 times else."""
    return drill(3 if smoke else 100, 2 if smoke else 100, console)


def drill(sequencer_kills: int, database_kills: int, console: Console) -> list[Measurement]:
    """Kill, come back, and compare what writers had committed with what the log holds."""
    kills = ["sequencer"] * sequencer_kills + ["PostgreSQL"] * database_kills
    random.shuffle(kills)
    rows = {name: Measurement(f"{name} killed", kills.count(name), "kills") for name in sorted(set(kills))}
    waits: dict[str, list[float]] = {name: [] for name in rows}
    seen: dict[int, bytes] = {}
    with TemporaryDirectory(prefix="lintas-bench-copy-") as copy, workspace(log_sink=copy) as installation:
        with installation.database.connect(Role.MIGRATOR) as connection:
            connection.execute("CREATE SCHEMA bench")
            connection.execute("CREATE TABLE bench.business (entry_id uuid PRIMARY KEY)")
            connection.execute("GRANT USAGE ON SCHEMA bench TO lintas_api")
            connection.execute("GRANT INSERT ON bench.business TO lintas_api")
        begun = time.perf_counter()
        with _writing(installation) as writers, Pair(installation.settings) as pair:
            _wait(lambda: _tree_size(installation) > 0)
            for number, what in enumerate(kills, 1):
                pair.stand_by()
                time.sleep(random.uniform(0.0, 0.6))
                started = time.perf_counter()
                if what == "sequencer":
                    _kill_leader(installation, pair)
                else:
                    _kill_database(installation)
                waits[what].append(time.perf_counter() - started)
                rows[what].seconds += waits[what][-1]
                _remember_checkpoint(installation, seen)
                if number % 20 == 0:
                    console.print(f"[dim]{number} of {len(kills)} kills[/dim]")
        with Sequencer(installation) as last:
            last.settle()
        seconds = time.perf_counter() - begun
        found = _compare(installation, writers, seen)
        found.seconds = seconds
    for name, row in rows.items():
        row.latencies_ms = percentiles(waits[name])
        row.note = f"until the log grew again: at most {max(waits[name]):.1f} s"
    return [*rows.values(), found]


@dataclass
class Writer:
    """One writer: what it knows to be committed, and what it was told nothing about."""

    committed: set[UUID] = field(default_factory=set)
    doubtful: set[UUID] = field(default_factory=set)
    rolled_back: set[UUID] = field(default_factory=set)

    def write(self, installation: Installation, stop: threading.Event) -> None:
        """Write until told to stop, through whatever happens to the database."""
        while not stop.is_set():
            with suppress(psycopg.Error, LintasError), installation.database.connect(Role.API) as connection:
                while not stop.wait(random.uniform(0.0, 0.03)):
                    self._transaction(connection)
            stop.wait(0.05)

    def _transaction(self, connection: psycopg.Connection) -> None:
        """One business transaction: a row for each of its entries, so that both or neither must be there."""
        drafts = [
            EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="drill") for _ in range(random.randrange(1, 9))
        ]
        one = len(drafts) == 1
        promises = [append(connection, drafts[0])] if one else append_many(connection, drafts)
        ids = {promise.entry_id for promise in promises}
        connection.execute("INSERT INTO bench.business SELECT unnest(%s::uuid[])", (list(ids),))
        if random.random() < 0.15:
            self.rolled_back |= ids
            connection.rollback()
            return
        self.doubtful |= ids
        connection.commit()
        self.doubtful -= ids
        self.committed |= ids


class Pair:
    """Two sequencer processes, of which one works; one that is killed is replaced at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._number = 0
        self._running: dict[str, multiprocessing.context.SpawnProcess] = {}
        self._ready: dict[str, Event] = {}

    def __enter__(self) -> Pair:
        self.fill()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.kill(name)

    def fill(self) -> None:
        """Start what is missing."""
        while len(self._running) < 2:
            self._number += 1
            name = f"drill-{self._number}"
            self._ready[name] = _SPAWN.Event()
            process = _SPAWN.Process(
                target=_sequence, args=(self._settings, name, self._ready[name]), daemon=True
            )
            process.start()
            self._running[name] = process

    def stand_by(self) -> None:
        """Wait until both are there, so that what is measured next is the failover alone."""
        for name in self._running:
            if not self._ready[name].wait(_PATIENCE_SECONDS):
                raise SystemExit("a sequencer of the drill did not start")

    def kill(self, name: str) -> None:
        """SIGKILL, and wait for its end."""
        process = self._running.pop(name)
        process.kill()
        process.join()


def _sequence(settings: Settings, name: str, ready: Event) -> None:
    """A sequencer whose connections tell its name, so that the leader can be found."""
    installation = Installation.open(settings)
    plain = installation.database.conninfo
    installation.database.conninfo = lambda *a, **k: make_conninfo(plain(*a, **k), application_name=name)  # type: ignore[method-assign]
    worker = Sequencer(installation, drain_limit=200)
    ready.set()
    worker.run(threading.Event())


def _kill_leader(installation: Installation, pair: Pair) -> None:
    leader = _leader(installation)
    pair.kill(leader)
    _wait(lambda: _leader(installation) != leader)
    size = _tree_size(installation)
    _wait(lambda: _tree_size(installation) > size)
    pair.fill()


def _kill_database(installation: Installation) -> None:
    server = installation.database.server
    assert server is not None
    postmaster = psutil.Process(server.pid)
    size = _tree_size(installation)
    for process in [*postmaster.children(recursive=True), postmaster]:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    server.kill()
    server.start()
    _wait(lambda: _tree_size(installation) > size)


def _leader(installation: Installation) -> str:
    found = ""

    def leads() -> bool:
        nonlocal found
        with installation.database.admin(installation.settings.database_name) as connection:
            row = connection.execute(_LEADER).fetchone()
        found = row[0] if row else ""
        return bool(found)

    _wait(leads)
    return found


def _tree_size(installation: Installation) -> int:
    """How many entries the newest checkpoint covers; 0 while the database does not answer."""
    with suppress(psycopg.Error, LintasError), installation.database.connect(Role.AUDITOR) as connection:
        row = connection.execute("SELECT coalesce(max(tree_size), 0) FROM audit.checkpoints").fetchone()
        return int(row[0]) if row else 0
    return 0


def _remember_checkpoint(installation: Installation, seen: dict[int, bytes]) -> None:
    """What an outside observer would hold: roots that were signed once must never change."""
    with installation.database.connect(Role.AUDITOR) as connection:
        newest = "SELECT tree_size, root FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1"
        seen.update((size, bytes(root)) for size, root in connection.execute(newest))


@contextmanager
def _writing(installation: Installation) -> Iterator[list[Writer]]:
    writers, stop = [Writer() for _ in range(WRITERS)], threading.Event()
    threads = [threading.Thread(target=each.write, args=(installation, stop)) for each in writers]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _compare(installation: Installation, writers: list[Writer], seen: dict[int, bytes]) -> Measurement:
    committed = set[UUID]().union(*(each.committed for each in writers))
    doubtful = set[UUID]().union(*(each.doubtful for each in writers))
    rolled_back = set[UUID]().union(*(each.rolled_back for each in writers))
    with installation.database.connect(Role.AUDITOR) as connection:
        rows = connection.execute(
            "SELECT entry_index, entry_id, entry FROM audit.entries ORDER BY 1"
        ).fetchall()
        tiles = DatabaseTiles(connection)
        moved = [size for size, root in seen.items() if tree_root(tiles, size) != root]
        signed = connection.execute(
            "SELECT tree_size, root FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1"
        ).fetchone()
    with installation.database.connect(Role.MIGRATOR) as connection:
        business = {row[0] for row in connection.execute("SELECT entry_id FROM bench.business")}
    frontier = Frontier()
    frontier.extend(leaf_hash(bytes(entry)) for _, _, entry in rows)
    logged = [entry_id for _, entry_id, _ in rows]
    _demand(len(logged) == len(set(logged)), "an entry stands in the log twice")
    _demand([index for index, _, _ in rows] == list(range(len(rows))), "the numbers of the log have a gap")
    _demand(committed <= set(logged), "a committed transaction is not in the log")
    _demand(set(logged) <= committed | doubtful, "the log holds what nobody committed")
    _demand(not rolled_back & set(logged), "the log holds what was rolled back")
    _demand(business == set(logged), "an entry stands without its transaction, or a transaction without it")
    _demand(not moved, "a root that had been signed is not that of the log any more")
    _demand(signed == (len(rows), frontier.root()), "the recomputed root is not the one that was signed")
    report = verify_installation(installation)
    _demand(
        report.intact and report.signed_size == len(rows), f"the log does not verify: {report.damages[:1]}"
    )
    copied = verify_sink(installation)
    _demand(copied.intact and copied.behind == 0, f"the copy differs from the log: {copied.findings[:1]}")
    unsure = len(doubtful & set(logged))
    return Measurement(
        f"{WRITERS} writers, all entries compared",
        len(rows),
        "entries",
        note=f"{len(committed):,} known to be committed, all there; of {len(doubtful):,} whose commit was cut"
        f" off {unsure:,} there, each with its transaction; no gap, no double; {len(seen):,} roots held by an"
        f" observer hold; the copy agrees ({copied.segments:,} segments, {copied.cut:,} cut)",
    )


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(f"after the kills {otherwise}")


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with suppress(psycopg.Error, LintasError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise SystemExit("the log did not grow again after a kill")
        time.sleep(0.02)


def main() -> None:
    """Kill as often as asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_crashes", description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="kills altogether")
    times = parser.parse_args().times
    console = Console(width=150)
    show(TITLE, drill(times - times // 2, times // 2, console), console)


if __name__ == "__main__":
    main()
