"""Taking a filtered set of entries out of the log, so that it can be checked elsewhere.

```
manifest.jws      what was asked for, how much was found, digests of the files; signed as the bus
checkpoint        the signed checkpoint that the proofs lead to
entries.ndjson    a line each: index, inclusion proof, and the entry's exact bytes
entries.csv       the same entries as a table (if asked for), safe to open in a spreadsheet
entries.parquet   the same, typed, with the entry's bytes (if asked for)
```

Entries are streamed in the order of the log: memory does not grow with them. Taking them out is logged
before the first one is read, and once more, with figures, when all are written.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from audit.checkpoints.checkpoint import Checkpoint
from audit.entry import EntryKind
from audit.errors import ExtractRefused, ReceiptNotReady
from audit.search.extract_files import Columns, CsvFile, ExtractFile, NdjsonFile, ParquetFile
from audit.search.filter import Hidden, LogFilter
from audit.search.readers import log_look, require_auditor
from audit.search.walking import Extent, Found, Walk
from audit.subject_view import Reader
from audit.tree.tiles import DatabaseTiles, inclusion_proof
from foundation import clock
from foundation.canonical import canonical_json
from foundation.files import write_private
from foundation.signatures import compact_jws

if TYPE_CHECKING:
    from foundation.keyring import KeyPair

__all__ = ["FORMATS", "ExtractReport", "extract"]

FORMATS = ("ndjson", "csv", "parquet")
TOKEN_TYPE = "lintas-extract+jwt"  # noqa: S105 - a type, not a secret
_PROOFS_PER_CACHE = 1_000
_TELL_EVERY = 500

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExtractReport:
    """What was written where."""

    directory: Path
    entries: int
    checkpoint_size: int
    minimum_index: int
    files: tuple[str, ...]


@dataclass(slots=True)
class _Tally:
    """What the manifest says about the entries."""

    entries: int = 0
    first: int | None = None
    last: int | None = None
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, found: Found) -> None:
        self.entries += 1
        self.first = found.index if self.first is None else self.first
        self.last = found.index
        self.kinds[found.entry["kind"]] += 1


def extract(
    connection: psycopg.Connection[Any],
    directory: Path,
    wanted: LogFilter,
    reader: Reader,
    bus_key: KeyPair,
    *,
    hidden: Hidden | None = None,
    formats: Iterable[str] = ("ndjson", "csv"),
    progress: Progress | None = None,
) -> ExtractReport:
    """Write exactly the entries that a filter asks for, up to the newest checkpoint.

    Args:
        connection: connection of a role that reads the log and may write entries (auditor), in autocommit.
        directory: a new folder, or an empty one.
        wanted: the filter.
        reader: who takes them, and why; an auditor.
        bus_key: the key of the bus, which signs the manifest.
        hidden: whom and which case they must be about.
        formats: of `FORMATS`; `ndjson` is always written, for it holds the proofs.
        progress: called with (entries of the log done, entries of the log in all) now and then.

    Raises:
        NotAnAuditor: when the reader is none.
        ExtractRefused: when the folder holds something, or a format is unknown.
        ReceiptNotReady: when there is no checkpoint yet.
    """
    hidden = hidden or Hidden()
    names = [*wanted.names, *hidden.names]
    files = _files(directory, formats)
    with connection.transaction():
        require_auditor(connection, reader.actor)
        log_look(connection, reader, {"view": "extract begun", "filter": names}, subject=hidden.subject)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        note, checkpoint = _newest_checkpoint(connection)
        low = Extent.of(connection).minimum_index
        walk = Walk(connection, wanted, hidden, low=low, high=max(low, checkpoint.size), newest_first=False)
        tally = _write_entries(connection, walk, checkpoint, files, progress or (lambda _done, _all: None))
        write_private(directory / "checkpoint", note.encode(), 0o644)
        names_of_files = (*(file.name for file in files), "checkpoint")
        manifest = {
            "v": 1,
            "nonce": secrets.token_hex(16),  # so that its digest cannot be tested against a set of entries
            "origin": checkpoint.origin,
            "checkpoint_size": checkpoint.size,
            "minimum_index": low,
            "filter": wanted.as_dict(),
            "about": hidden.names,
            "entries": tally.entries,
            "first": tally.first,
            "last": tally.last,
            "kinds": dict(tally.kinds),
            "files": {
                name: _described(directory / name) for name in [*(f.name for f in files), "checkpoint"]
            },
            "made_at": clock.now().isoformat(),
            "made_by": reader.actor,
            "reason": reader.reason,
        }
        encoded = canonical_json(manifest)
        details = {"view": "extract", "filter": names, "entries": tally.entries}
        details |= {"checkpoint_size": checkpoint.size, "manifest": hashlib.sha256(encoded).hexdigest()}
        log_look(connection, reader, details, kind=EntryKind.AUDIT_EXPORTED)
    token = compact_jws(bus_key, TOKEN_TYPE, encoded)
    write_private(directory / "manifest.jws", token.encode() + b"\n", 0o644)
    return ExtractReport(directory, tally.entries, checkpoint.size, low, names_of_files)


def _files(directory: Path, formats: Iterable[str]) -> list[ExtractFile]:
    asked = set(formats)
    if unknown := asked - set(FORMATS):
        raise ExtractRefused(
            f"Entries are not written as {', '.join(sorted(unknown))}.",
            remedy=f"Choose of {', '.join(FORMATS)}.",
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ExtractRefused("The folder is not empty.", remedy="Name a new one.", folder=str(directory))
    directory.mkdir(parents=True, exist_ok=True)
    files: list[ExtractFile] = [NdjsonFile(directory / "entries.ndjson")]
    if "csv" in asked:
        files.append(CsvFile(directory / "entries.csv"))
    if "parquet" in asked:
        files.append(ParquetFile(directory / "entries.parquet"))
    return files


def _write_entries(
    connection: psycopg.Connection[Any],
    walk: Walk,
    checkpoint: Checkpoint,
    files: list[ExtractFile],
    progress: Progress,
) -> _Tally:
    tally, tiles = _Tally(), DatabaseTiles(connection)
    with ExitStack() as opened:
        for file in files:
            opened.enter_context(file)
        for found in walk:
            if tally.entries % _PROOFS_PER_CACHE == 0:
                tiles = DatabaseTiles(connection)  # it remembers every tile it has read
            path = [
                base64.b64encode(h).decode() for h in inclusion_proof(tiles, found.index, checkpoint.size)
            ]
            columns = Columns.of(found)
            for file in files:
                file.write(found, path, columns)
            tally.add(found)
            if tally.entries % _TELL_EVERY == 0:
                progress(walk.reached, checkpoint.size)
    progress(checkpoint.size, checkpoint.size)
    return tally


def _newest_checkpoint(connection: psycopg.Connection[Any]) -> tuple[str, Checkpoint]:
    row = connection.execute("SELECT note FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1").fetchone()
    if row is None:
        raise ReceiptNotReady("The log has no checkpoint yet.", remedy="Start the sequencer.", retry_after=1)
    return row[0], Checkpoint.parse(row[0].partition("\n\n")[0] + "\n")


def _described(file: Path) -> dict[str, Any]:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"sha256": digest, "bytes": file.stat().st_size}
