"""What the log costs: bulk end to end, the price of a transaction, how soon a receipt, verification."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import ClassVar
from uuid import UUID, uuid4

import psutil
import psycopg
from rich.console import Console

from audit.checking.verification import verify_installation
from audit.checkpoints.checkpoint import open_checkpoint
from audit.checkpoints.keys import log_verifier_keys
from audit.log import append
from audit.publishing.receipt import receipt, verify_receipt
from audit.search import Indexer
from audit.tree.merkle import Frontier, leaf_hash
from audit.tree.tiles import TILE_WIDTH
from benchmarks.audit_processes import BULK, draft, sequencing, subjects, writers
from benchmarks.measure import Measurement, measured, median_round, percentiles
from benchmarks.workspace import settle, workspace
from foundation import pipelines
from foundation.database import Role
from foundation.installation import Installation

TITLE = "The transparency log (entries of about 800 bytes)"
CONNECTIONS = 8
WRITERS = 2
ROUNDS = 5


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs each part small."""
    small, large, seconds = (160, 10_000, 2) if smoke else (12_000, 400_000, 30)
    with workspace() as installation:
        _tables(installation)
        rows = _bulk(installation, large)
        rows += [_indexing(installation), _verify(installation)]
        settle(installation)
        for business in (_OneRow(), _Transfer()):
            rows += _transactions(installation, small, business)
        rows.append(_receipts(installation, seconds))
    console.print(
        f"[dim]{WRITERS} bulk writers, {BULK:,} entries a transaction; {CONNECTIONS} connections, one entry a"
        f" transaction, the median of {ROUNDS} rounds by turns[/dim]"
    )
    return rows


def _tables(installation: Installation) -> None:
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("CREATE SCHEMA bench")
        connection.execute("CREATE TABLE bench.business (id uuid PRIMARY KEY, body text NOT NULL)")
        connection.execute("CREATE TABLE bench.plain (entry bytea NOT NULL)")
        connection.execute("GRANT USAGE ON SCHEMA bench TO lintas_api")
        connection.execute("GRANT INSERT ON bench.business, bench.plain TO lintas_api")
        _Transfer.make_tables(connection)


def _bulk(installation: Installation, count: int) -> list[Measurement]:
    """Writers and sequencer at the same time, and a reader that recomputes the root behind them."""
    keys = log_verifier_keys(installation)
    frontier, lengths = Frontier(), 0
    with (
        ExitStack() as processes,
        installation.database.connect(Role.AUDITOR, autocommit=True) as reader,
    ):
        processes.enter_context(sequencing(installation.settings))
        ready = processes.enter_context(writers(installation.settings, count, WRITERS))
        ready.wait()
        before = _cpu_seconds(installation)
        what = "end to end: appended in bulk, sequenced, tiled, signed, root recomputed"
        with measured(what, count, "entries") as result:
            while True:
                lengths += _recompute(reader, frontier)
                note = _signed(reader, count)
                if note is not None and frontier.size == count:
                    break
                time.sleep(0.02)
            checkpoint = open_checkpoint(note.encode(), keys)
        if (checkpoint.size, checkpoint.root) != (count, frontier.root()):
            raise SystemExit("the root recomputed from the stored entries is not the one that was signed")
        used = _cpu_seconds(installation) - before
        behind = _indexed_to(reader), _wait_for_the_index(reader, count)
    result.note = (
        f"{lengths / count:,.0f} bytes an entry, one subject each; {used / count * 1e6:.0f} µs of CPU,"
        f" PostgreSQL's included; the search index, built behind, stood at {behind[0] / count:.0%} and was"
        f" whole {behind[1]:.1f} s later"
    )
    return [_plain_copy(installation, count), result]


def _indexed_to(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT indexed_to FROM audit.search_state").fetchone()
    return int(row[0]) if row else 0


def _wait_for_the_index(connection: psycopg.Connection, count: int) -> float:
    started = time.perf_counter()
    while _indexed_to(connection) < count // TILE_WIDTH * TILE_WIDTH:
        time.sleep(0.05)
    return time.perf_counter() - started


def _recompute(connection: psycopg.Connection, frontier: Frontier) -> int:
    """Hash what was stored since the last look; returns how many bytes that was."""
    query = "SELECT entry FROM audit.entries WHERE entry_index >= %s ORDER BY entry_index LIMIT 20000"
    entries = [entry for (entry,) in connection.execute(query, (frontier.size,), binary=True)]
    frontier.extend(map(leaf_hash, entries))
    return sum(map(len, entries))


def _signed(connection: psycopg.Connection, size: int) -> str | None:
    row = connection.execute("SELECT note FROM audit.checkpoints WHERE tree_size = %s", (size,)).fetchone()
    return row[0] if row else None


def _plain_copy(installation: Installation, count: int) -> Measurement:
    """The same bytes into a table without index, hash or order."""
    count = min(count, 100_000)
    with installation.database.connect(Role.AUDITOR) as connection:
        query = "SELECT entry FROM audit.entries WHERE entry_index < %s"
        entries = [row[0] for row in connection.execute(query, (count,), binary=True)]
    with (
        installation.database.connect(Role.API) as connection,
        measured(
            "the same bytes by COPY into a plain table, one connection", count, "entries", baseline=True
        ) as result,
    ):
        for start in range(0, count, BULK):
            with (
                connection.transaction(),
                connection.cursor().copy("COPY bench.plain FROM STDIN (FORMAT binary)") as copy,
            ):
                copy.set_types(["bytea"])
                for entry in entries[start : start + BULK]:
                    copy.write_row((entry,))
    return result


def _indexing(installation: Installation) -> Measurement:
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("TRUNCATE audit.search_blocks, audit.entry_counts")
        connection.execute("UPDATE audit.search_state SET indexed_to = 0")
    with Indexer(installation) as indexer, measured("search index, alone", 0, "entries") as result:
        result.count = indexer.catch_up()
    return result


def _verify(installation: Installation) -> Measurement:
    with measured("verify the whole log", 0, "entries") as result:
        report = verify_installation(installation)
        result.count = report.entries
    if report.damages:
        raise SystemExit(f"the log of the benchmark does not verify: {report.damages[0]}")
    return result


class _OneRow:
    """The smallest transaction there is: one row of about 300 bytes is inserted."""

    name = "one row inserted"
    _body = "x" * 280

    def do(self, connection: psycopg.Connection) -> UUID:
        """Do the business; returns its number."""
        number = uuid4()
        connection.execute("INSERT INTO bench.business VALUES (%s, %s)", (number, self._body))
        return number


class _Transfer:
    """The transaction of TPC-B, as pgbench has it: three balances changed, one read, one line of history."""

    name = "TPC-B"
    _SIZES: ClassVar = {"account": 100_000, "teller": 1_000, "branch": 100}

    @classmethod
    def make_tables(cls, connection: psycopg.Connection) -> None:
        """Make the tables, and fill them."""
        for name, count in cls._SIZES.items():
            columns = "id integer PRIMARY KEY, balance bigint NOT NULL, filler char(84) NOT NULL"
            connection.execute(f"CREATE TABLE bench.{name} ({columns})")
            connection.execute(f"INSERT INTO bench.{name} SELECT n, 0, '' FROM generate_series(1, {count}) n")
            connection.execute(f"GRANT SELECT, UPDATE ON bench.{name} TO lintas_api")
        columns = (
            "number uuid, teller integer, branch integer, account integer, amount bigint, at timestamptz"
        )
        connection.execute(f"CREATE TABLE bench.history ({columns})")
        connection.execute("GRANT INSERT ON bench.history TO lintas_api")

    def do(self, connection: psycopg.Connection) -> UUID:
        """Do the business; returns its number."""
        number, amount = uuid4(), random.randint(-5_000, 5_000)
        account, teller, branch = (random.randint(1, count) for count in self._SIZES.values())
        changed = "UPDATE bench.{} SET balance = balance + %s WHERE id = %s"
        connection.execute(changed.format("account"), (amount, account))
        connection.execute("SELECT balance FROM bench.account WHERE id = %s", (account,))
        connection.execute(changed.format("teller"), (amount, teller))
        connection.execute(changed.format("branch"), (amount, branch))
        connection.execute(
            "INSERT INTO bench.history VALUES (%s, %s, %s, %s, %s, now())",
            (number, teller, branch, account, amount),
        )
        return number


def _transactions(installation: Installation, count: int, business: _OneRow | _Transfer) -> list[Measurement]:
    """Business transactions with and without their entry, by turns, while the sequencer works.

    Both are sent as the bus sends its own: BEGIN, what is done and COMMIT in one pipeline.
    """
    person = subjects(1)[0]

    def plainly(connection: psycopg.Connection) -> None:
        business.do(connection)

    def with_its_entry(connection: psycopg.Connection) -> None:
        append(connection, draft(person, business.do(connection)))

    without, with_entry, behind = [], [], []
    with sequencing(installation.settings), installation.database.connect(Role.AUDITOR) as reader:
        reader.autocommit = True
        size = _written(reader)
        for _ in range(ROUNDS):
            without.append(_round(installation, count, plainly))
            with_entry.append(_round(installation, count, with_its_entry))
            size += count
            # What is built behind is not left to the next round, which has no entries to pay for.
            behind.append(_wait_for_the_index(reader, size))
    prices = sorted(1 - one.rate / other.rate for one, other in zip(with_entry, without, strict=True))
    plain, audited = median_round(without), median_round(with_entry)
    plain.what, plain.baseline = f"transactions without audit: {business.name}", True
    audited.what = "the same, each with its entry, sequenced meanwhile"
    # Each round beside the one before it, for the machine's own speed changes from minute to minute.
    audited.note = (
        f"price of audit {statistics.median(prices):.0%} (rounds: {prices[0]:.0%} to {prices[-1]:.0%});"
        f" signed and indexed {statistics.median(behind):.1f} s after the last"
    )
    return [plain, audited]


def _written(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT coalesce(max(tree_size), 0) FROM audit.checkpoints").fetchone()
    return int(row[0]) if row else 0


def _round(installation: Installation, count: int, do: Callable[[psycopg.Connection], None]) -> Measurement:
    share = count // CONNECTIONS
    ready = threading.Barrier(CONNECTIONS + 1)

    def work() -> None:
        with pool.connection() as connection:
            ready.wait()
            for _ in range(share):
                with pipelines.transaction(connection):
                    do(connection)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    # The connections of the API: its pool, its prepared statements, a transaction in one pipeline.
    with installation.database.pool(
        Role.API, min_size=CONNECTIONS, max_size=CONNECTIONS, autocommit=True, plans_once=True
    ) as pool:
        pool.wait()
        for thread in threads:
            thread.start()
        ready.wait()
        with measured("", share * CONNECTIONS, "transactions") as result:
            for thread in threads:
                thread.join()
    return result


def _receipts(installation: Installation, seconds: int, rate: int = 200) -> Measurement:
    """Commits at a steady rate; for each the time until a checkpoint covers it, then receipts, checked."""
    committed: dict[UUID, float] = {}
    covered: dict[UUID, float] = {}
    total = seconds * rate
    with (
        sequencing(installation.settings),
        installation.database.connect(Role.API, autocommit=True) as api,
        installation.database.connect(Role.AUDITOR, autocommit=True) as reader,
    ):
        writer = threading.Thread(target=_commit_steadily, args=(api, total, rate, committed))
        writer.start()
        with measured("receipts, from the commit until the proof can be made", total, "receipts") as result:
            for entry_id, moment in _covered(reader, total):
                covered[entry_id] = moment
        writer.join()
        result.latencies_ms = percentiles([covered[each] - moment for each, moment in committed.items()])
        made = []
        keys = log_verifier_keys(installation)
        for entry_id in list(committed)[:: max(1, total // 500)]:
            started = time.perf_counter()
            verify_receipt(str(receipt(reader, entry_id)), keys)
            made.append(time.perf_counter() - started)
    result.note = f"{rate} commits a second; to make and check one: p99 {percentiles(made)['p99']:.1f} ms"
    return result


def _commit_steadily(
    connection: psycopg.Connection, total: int, rate: int, committed: dict[UUID, float]
) -> None:
    person, started = subjects(1)[0], time.perf_counter()
    for number in range(total):
        time.sleep(max(0.0, started + number / rate - time.perf_counter()))
        promise = append(connection, draft(person))
        committed[promise.entry_id] = time.perf_counter()


def _covered(connection: psycopg.Connection, total: int) -> Iterator[tuple[UUID, float]]:
    """Each new entry with the moment at which a checkpoint covering it was first seen."""
    newest = "SELECT coalesce(max(tree_size), 0) FROM audit.checkpoints"
    between = "SELECT entry_id FROM audit.entries WHERE entry_index >= %s AND entry_index < %s"
    start = covered = connection.execute(newest).fetchone()[0]  # type: ignore[index]
    while covered < start + total:
        time.sleep(0.005)
        size = connection.execute(newest).fetchone()[0]  # type: ignore[index]
        moment = time.perf_counter()
        if size > covered:
            yield from ((row[0], moment) for row in connection.execute(between, (covered, size)))
            covered = size


def _cpu_seconds(installation: Installation) -> float:
    """Processor time of this process, its children and PostgreSQL, so far."""
    server = installation.database.server
    roots = [psutil.Process(), *([psutil.Process(server.pid)] if server is not None else [])]
    total = 0.0
    for root in roots:
        own = root.cpu_times()
        total += own.user + own.system + own.children_user + own.children_system
        for child in root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                total += times.user + times.system
    return total
