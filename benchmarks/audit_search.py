"""Searching a long log: the timeline of a subject, pages of a search, counts, an inclusion proof.

The log is made by bulk SQL, with the entries of one real person scattered over it; tiles are built from the
stored bytes, so the proofs are real and are verified.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from rich.console import Console

from audit.checkpoints.checkpoint import Checkpoint, sign_checkpoint
from audit.checkpoints.keys import log_private_key
from audit.entry import EntryDraft, EntryKind, build
from audit.search import Indexer, LogFilter, counts, search, timeline
from audit.subject_view import Reader
from audit.subjects.subject_keys import SubjectKeys
from audit.subjects.vault import Vault
from audit.tree.merkle import HASH_SIZE, Frontier, leaf_hash, verify_inclusion
from audit.tree.tiles import DatabaseTiles, inclusion_proof
from benchmarks.measure import Measurement, measured, percentiles
from benchmarks.workspace import workspace
from foundation.database import Role
from foundation.installation import Installation
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole

TITLE = "Searching the log (entries of about 800 bytes)"
ENTRIES, SMALL = 10_000_000, 20_480
CHUNK = 500_000
PEOPLE = 140_000
OF_ONE_PERSON = 200
READER = Reader(actor="auditor-01", reason="benchmark")
START = datetime(2026, 1, 1, tzinfo=UTC)


def run(*, smoke: bool, console: Console) -> list[Measurement]:
    """Measure; `smoke` takes a log of 20,480 entries."""
    size = SMALL if smoke else ENTRIES
    with workspace() as installation:
        return measure(installation, size, 20 if smoke else 200, console)


def measure(installation: Installation, size: int, repeats: int, console: Console) -> list[Measurement]:
    """Make a log of a size and search it."""
    _auditor(installation)
    with Vault(installation) as vault:
        person = vault.handle_for("nik", "3576010101900001")
    with measured("make the log (bulk SQL, with its tiles)", size, "entries") as made:
        root = _make_log(installation, person, size)
    rows = [made, _index(installation)]
    with installation.database.connect(Role.AUDITOR) as connection:
        rows += _searches(connection, person, size, repeats)
        rows.append(_proofs(connection, size, root, repeats))
        console.print(f"[dim]{_sizes(connection)}[/dim]")
    return rows


def _searches(
    connection: psycopg.Connection[Any], person: SubjectKeys, size: int, repeats: int
) -> list[Measurement]:
    chance = random.Random(1)

    def one_decision() -> int:
        wanted = LogFilter(decision=str(UUID(int=chance.randrange(size))))
        return len(search(connection, wanted, READER).entries)

    def many() -> int:
        wanted = LogFilter(consumer="dinsos-mojokerto", kind="exchange", outcome="deny")
        return len(search(connection, wanted, READER).entries)

    def rare() -> int:
        return len(search(connection, LogFilter(rule="agreement.ended"), READER).entries)

    def some_day() -> int:
        day = START + timedelta(seconds=chance.randrange(size))
        return len(search(connection, LogFilter(since=day, provider="kpp-mojokerto"), READER).entries)

    def by_index_alone() -> int:
        return len(connection.execute(_RAW, (person.index_key(),)).fetchall())

    return [
        _timed("the person's rows, by SQL alone", repeats, by_index_alone, baseline=True),
        _timed(
            f"timeline of a person ({OF_ONE_PERSON} entries)",
            repeats,
            lambda: len(timeline(connection, person, READER, limit=OF_ONE_PERSON).entries),
        ),
        _timed("a page: one decision", repeats, one_decision),
        _timed("a page: three common facets", repeats, many),
        _timed("a page: a rare rule", repeats, rare),
        _timed("a page: newest of a provider since some day", repeats, some_day),
        _timed(
            "counts a day by kind, whole log",
            max(3, repeats // 10),
            lambda: len(counts(connection, LogFilter(), READER, by="kind")),
        ),
    ]


def _timed(what: str, repeats: int, look: Callable[[], int], *, baseline: bool = False) -> Measurement:
    latencies = []
    with measured(what, repeats, "looks", baseline=baseline) as result:
        for _ in range(repeats):
            started = time.perf_counter()
            found = look()
            latencies.append(time.perf_counter() - started)
    if not found:
        raise SystemExit(f"the benchmark finds nothing: {what}")
    result.latencies_ms, result.note = percentiles(latencies), f"{found} found"
    return result


def _proofs(connection: psycopg.Connection[Any], size: int, root: bytes, repeats: int) -> Measurement:
    chance, latencies = random.Random(2), []
    with measured("inclusion proof, from stored tiles", 5 * repeats, "proofs") as result:
        for _ in range(5 * repeats):
            index = chance.randrange(size)
            started = time.perf_counter()
            path = inclusion_proof(DatabaseTiles(connection), index, size)
            latencies.append(time.perf_counter() - started)
            encoded = connection.execute("SELECT entry FROM audit.entries WHERE entry_index = %s", (index,))
            row = encoded.fetchone()
            verify_inclusion(index, size, leaf_hash(bytes(row[0])) if row else b"", path, root)
    result.latencies_ms = percentiles(latencies)
    return result


def _index(installation: Installation) -> Measurement:
    with Indexer(installation) as indexer, measured("index behind the log", 0, "entries") as result:
        result.count = indexer.catch_up()
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("ANALYZE audit.search_blocks, audit.entry_counts")
    return result


def _make_log(installation: Installation, person: SubjectKeys, size: int) -> bytes:
    with installation.database.connect(Role.MIGRATOR, autocommit=True) as connection:
        connection.execute("SELECT audit.ensure_partitions(%s)", (size,))
        step = size // OF_ONE_PERSON
        for first in range(0, size, CHUNK):
            values = {"first": first, "end": min(first + CHUNK, size), "step": step, "people": PEOPLE}
            with connection.transaction():
                connection.execute(_ENTRIES, {**values, "start": START})
        _entries_of(connection, person, range(0, size, step))
        connection.execute(_LEAF_TILES)
        level = 0
        while connection.execute(_UPPER_TILES, {"level": level}).rowcount:
            level += 1
        frontier = _frontier(connection)
        connection.execute(
            "UPDATE audit.log_state SET tree_size = %s, frontier = %s", (size, frontier.to_bytes())
        )
        checkpoint = Checkpoint(installation.settings.log_origin, size, frontier.root())
        note = sign_checkpoint(checkpoint, log_private_key(installation))
        connection.execute(
            "INSERT INTO audit.checkpoints (tree_size, root, note, signed_at) VALUES (%s, %s, %s, now())",
            (size, checkpoint.root, note),
        )
        connection.execute("VACUUM (ANALYZE) audit.entries, audit.subject_index, audit.tiles")
    return checkpoint.root


def _entries_of(connection: psycopg.Connection[Any], person: SubjectKeys, places: range) -> None:
    for index in places:
        entry = build(
            EntryDraft(
                kind=EntryKind.EXCHANGE_ANSWERED,
                occurred_at=START + timedelta(seconds=index),
                provider="dukcapil-mojokerto",
                consumer="dinsos-mojokerto",
                purpose="aid-micro-business",
                outcome="verified",
                decision_id=UUID(int=index),
                subject=person,
            )
        )
        row = (index, entry.entry_id, str(entry.draft.kind), entry.draft.occurred_at, entry.encoded)
        connection.execute(_OF_PERSON, row)
        connection.execute(
            "INSERT INTO audit.subject_index VALUES (%s, %s)", (person.index_key(), entry.entry_id)
        )


def _frontier(connection: psycopg.Connection[Any]) -> Frontier:
    frontier = Frontier()
    rows = connection.execute(
        "SELECT hashes FROM audit.tiles WHERE level = 0 ORDER BY tile_index", binary=True
    )
    for (hashes,) in rows:
        joined = bytes(hashes)
        frontier.extend([joined[i : i + HASH_SIZE] for i in range(0, len(joined), HASH_SIZE)])
    return frontier


def _auditor(installation: Installation) -> None:
    with installation.database.connect(Role.MIGRATOR) as connection:
        register_agency(connection, Agency("kominfo", "Kominfo", "operator"))
        roles = frozenset({OfficerRole.AUDITOR})
        register_officer(connection, Officer("a-1", "kominfo", "auditor-01", roles))


def _sizes(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute(_SIZES).fetchone()
    names = ("entries", "their two indexes", "subject index", "search blocks", "hourly counts")
    return ", ".join(f"{name} {size}" for name, size in zip(names, row or (), strict=True))


_RAW = """
SELECT e.entry FROM audit.subject_index i JOIN audit.entries e USING (entry_id)
 WHERE i.index_key = %s ORDER BY e.entry_index DESC
"""
_OF_PERSON = """
INSERT INTO audit.entries
       (entry_index, entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry)
VALUES (%s, %s, %s, %s, 'dukcapil-mojokerto', 'dinsos-mojokerto', 'aid-micro-business', 'verified', %s)
"""
_ENTRIES = """
WITH made AS (
    SELECT i, uuidv7() AS id, %(start)s::timestamptz + i * interval '1 second' AS at,
           (ARRAY['dukcapil-mojokerto', 'kpp-mojokerto', 'dpmptsp-mojokerto', 'bpjs-mojokerto'])[1 + i %% 4]
               AS provider,
           (ARRAY['dinsos-mojokerto', 'diskopukm-mojokerto', 'dikbud-mojokerto'])[1 + i / 7 %% 3] AS consumer,
           (ARRAY['aid-micro-business', 'school-admission'])[1 + i / 5 %% 2] AS purpose,
           (i %% 10 = 3) AS denied
      FROM generate_series(%(first)s::bigint, %(end)s::bigint - 1) AS i
     WHERE i %% %(step)s <> 0
), written AS (
    INSERT INTO audit.entries
           (entry_index, entry_id, kind, occurred_at, provider, consumer, purpose, outcome, entry)
    SELECT i, id, CASE WHEN denied THEN 'exchange.refused' ELSE 'exchange.answered' END, at,
           provider, consumer, purpose, CASE WHEN denied THEN 'deny' ELSE 'verified' END,
           convert_to('{"consumer":"' || consumer || '","datasets":["' || provider || '/persons","'
               || provider || '/deaths"],"decision":"' || lpad(to_hex(i), 32, '0')::uuid
               || '","fields":["' || provider
               || '/persons:birth_date","' || provider || '/persons:nik","' || provider
               || '/persons:region_code"],"id":"' || id || '","kind":"'
               || CASE WHEN denied THEN 'exchange.refused' ELSE 'exchange.answered' END
               || '","legal_basis":"consent","nonce":"' || md5(i::text) || '","outcome":"'
               || CASE WHEN denied THEN 'deny' ELSE 'verified' END || '","provider":"' || provider
               || '","purpose":"' || purpose || '","rules":["'
               || CASE WHEN i %% 50021 = 17 THEN 'agreement.ended' ELSE 'agreement.covers' END
               || '"],"subjects":["' || md5(id::text) || '"],"system":"palapa-mojo","time":"'
               || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS".000000Z"') || '","trace":"'
               || md5('t' || i) || '","v":1}', 'UTF8')
      FROM made
    RETURNING entry_id, entry_index
)
INSERT INTO audit.subject_index (index_key, entry_id)
SELECT sha256(convert_to('person ' || entry_index %% %(people)s, 'UTF8')), entry_id FROM written
"""
_LEAF_TILES = """
INSERT INTO audit.tiles (level, tile_index, hashes)
SELECT 0, entry_index / 256, string_agg(sha256('\\x00'::bytea || entry), ''::bytea ORDER BY entry_index)
  FROM audit.entries GROUP BY 2
"""
_UPPER_TILES = """
INSERT INTO audit.tiles (level, tile_index, hashes)
SELECT %(level)s + 1, tile_index / 256, string_agg(audit.merkle_fold(hashes), ''::bytea ORDER BY tile_index)
  FROM audit.tiles WHERE level = %(level)s AND octet_length(hashes) = 8192 GROUP BY 2
"""
_SIZES = """
SELECT pg_size_pretty(sum(pg_table_size(inhrelid))), pg_size_pretty(sum(pg_indexes_size(inhrelid))),
       pg_size_pretty(pg_total_relation_size('audit.subject_index')),
       pg_size_pretty(pg_total_relation_size('audit.search_blocks')),
       pg_size_pretty(pg_total_relation_size('audit.entry_counts'))
  FROM pg_inherits WHERE inhparent = 'audit.entries'::regclass
"""
