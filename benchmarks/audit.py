"""What the log costs: business transactions with and without an entry, bulk append, draining, verifying."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import uuid4

import psycopg
from rich.console import Console

from audit.checking.verification import verify_installation
from audit.entry import EntryDraft, EntryKind
from audit.log import append, append_many
from audit.publishing.sequencer import Sequencer
from benchmarks.measure import Measurement, measured
from benchmarks.workspace import workspace
from foundation.database import Role
from foundation.installation import Installation

TITLE = "The transparency log (entries of about 800 bytes)"
CONNECTIONS = 8
BULK = 5_000


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` runs each part small."""
    small, large = (200, 5_000) if smoke else (8_000, 200_000)
    with workspace() as installation:
        _business_table(installation)
        rows = [
            _transactions(installation, small, "business transactions without audit", None, baseline=True),
            _transactions(installation, small, "the same, each with its entry", _append_one),
            _bulk(installation, large),
            _drain(installation),
            _verify(installation),
        ]
    without, with_audit = rows[0].rate, rows[1].rate
    rows[1].note = f"price of audit {1 - with_audit / without:.0%}"
    console.print(f"[dim]{CONNECTIONS} connections; a transaction inserts one row of about 300 bytes[/dim]")
    return rows


def draft() -> EntryDraft:
    """An entry as a verification writes it, without a subject."""
    return EntryDraft(
        kind=EntryKind.EXCHANGE_REFUSED,
        provider="dukcapil-mojokerto",
        consumer="diskopukm-mojokerto",
        system="palapa-mojo",
        purpose="aid-micro-business",
        legal_basis="consent",
        datasets=("dukcapil-mojokerto/persons", "dukcapil-mojokerto/deaths", "kpp-mojokerto/tax-standing"),
        fields=tuple(f"dukcapil-mojokerto/persons:{name}" for name in ("nik", "region_code", "birth_date")),
        decision_id=uuid4(),
        rules=("agreement.purpose-not-covered",),
        outcome="deny",
    )


def _business_table(installation: Installation) -> None:
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("CREATE SCHEMA bench")
        connection.execute("CREATE TABLE bench.business (id uuid PRIMARY KEY, body text NOT NULL)")
        connection.execute("GRANT USAGE ON SCHEMA bench TO lintas_api")
        connection.execute("GRANT INSERT ON bench.business TO lintas_api")


def _append_one(connection: psycopg.Connection) -> None:
    append(connection, draft())


def _transactions(
    installation: Installation,
    count: int,
    what: str,
    also: Callable[[psycopg.Connection], None] | None,
    *,
    baseline: bool = False,
) -> Measurement:
    share = count // CONNECTIONS
    body = "x" * 280
    ready = threading.Barrier(CONNECTIONS + 1)

    def work() -> None:
        with installation.database.connect(Role.API) as connection:
            ready.wait()
            for _ in range(share):
                with connection.transaction():
                    connection.execute("INSERT INTO bench.business VALUES (%s, %s)", (uuid4(), body))
                    if also is not None:
                        also(connection)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    ready.wait()
    with measured(what, share * CONNECTIONS, "transactions", baseline=baseline) as result:
        for thread in threads:
            thread.join()
    return result


def _bulk(installation: Installation, count: int) -> Measurement:
    with (
        installation.database.connect(Role.API) as connection,
        measured(f"append in bulk, {BULK:,} a transaction", count, "entries") as result,
    ):
        for _ in range(count // BULK):
            with connection.transaction():
                append_many(connection, (draft() for _ in range(BULK)))
    return result


def _drain(installation: Installation) -> Measurement:
    with Sequencer(installation) as sequencer, measured("sequence, tile, sign", 0, "entries") as result:
        result.count = sequencer.settle()
    return result


def _verify(installation: Installation) -> Measurement:
    with measured("verify the whole log", 0, "entries") as result:
        report = verify_installation(installation)
        result.count = report.entries
    if report.damages:
        raise SystemExit(f"the log of the benchmark does not verify: {report.damages[0]}")
    return result
