"""Exporting the log as static files in the layout of C2SP tlog-tiles, for readers that others wrote.

```
checkpoint                    the newest checkpoint, written last
checkpoints/<size>            every checkpoint before it
timestamps/<size>.<name>.tst  RFC 3161 tokens (DER) of authorities on the text of that checkpoint
tile/<level>/<index>[.p/<w>]  hash tiles of the tree of that checkpoint
tile/entries/<index>[.p/<w>]  entry bundles, only for those who may read entries
minimum-index                 the first entry that was not pruned, if any were
```
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.errors import LogDamaged, ReceiptNotReady
from audit.log import append
from audit.subject_view import Reader
from audit.timestamps.queue import stored as stored_timestamps
from audit.tree.tiles import TILE_WIDTH, DatabaseTiles, TileAddress
from foundation.files import write_private

__all__ = ["ExportReport", "entry_bundle", "export_log", "read_tile", "tiles_of"]

# With the cosignatures of witnesses, where there are any.
_CHECKPOINTS = (
    "SELECT tree_size, coalesce(w.note, s.note) FROM audit.checkpoints s"
    " LEFT JOIN audit.cosigned_checkpoints w USING (tree_size)"
)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written where."""

    directory: Path
    tree_size: int
    tiles: int
    bundles: int
    checkpoints: int
    timestamps: int = 0


def export_log(
    connection: psycopg.Connection[Any], directory: Path, reader: Reader, *, entries: bool = True
) -> ExportReport:
    """Write the log up to its newest checkpoint; the export itself is logged.

    Args:
        connection: connection of a role that reads the log and may write entries (auditor, steward).
        directory: where to; made if it is missing.
        reader: who exports, and why.
        entries: whether the entries go along, or only the hashes.

    Raises:
        ReceiptNotReady: when there is no checkpoint yet.
    """
    newest = connection.execute(f"{_CHECKPOINTS} ORDER BY tree_size DESC LIMIT 1").fetchone()
    if newest is None:
        raise ReceiptNotReady("The log has no checkpoint yet.", remedy="Start the sequencer.", retry_after=1)
    size, note = newest
    pruned = connection.execute("SELECT minimum_index FROM audit.retention_state").fetchone()
    minimum = int(pruned[0]) if pruned else 0
    tiles, bundles = 0, 0
    for address in tiles_of(size):
        _write(directory / address.path(), read_tile(connection, address))
        tiles += 1
        if address.level == 0 and entries and address.index * TILE_WIDTH >= minimum:
            bundle = TileAddress(None, address.index, address.width)
            _write(directory / bundle.path(), entry_bundle(connection, bundle))
            bundles += 1
    if minimum:
        _write(directory / "minimum-index", f"{minimum}\n".encode())
    history = connection.execute(f"{_CHECKPOINTS} WHERE tree_size <= %s", (size,))
    checkpoints = 0
    for earlier, earlier_note in history:
        _write(directory / "checkpoints" / str(earlier), earlier_note.encode())
        checkpoints += 1
    tokens = [each for each in stored_timestamps(connection) if each.tree_size <= size]
    for token in tokens:
        _write(directory / "timestamps" / f"{token.tree_size}.{token.authority}.tst", token.token)
    _write(directory / "checkpoint", note.encode())
    details = {
        "view": "export" if entries else "export of hashes",
        "entries": size - minimum if entries else 0,
    }
    append(
        connection,
        EntryDraft(
            kind=EntryKind.AUDIT_EXPORTED,
            actor=reader.actor,
            consumer=reader.consumer,
            system=reader.system,
            run_id=reader.run_id,
            details={**details, "checkpoint_size": size, "reason": reader.reason},
        ),
    )
    return ExportReport(directory, size, tiles, bundles, checkpoints, len(tokens))


def tiles_of(size: int) -> Iterator[TileAddress]:
    """Every hash tile of a tree of this size, full and partial, level by level."""
    level, nodes = 0, size
    while nodes:
        full, rest = divmod(nodes, TILE_WIDTH)
        for index in range(full):
            yield TileAddress(level, index)
        if rest:
            yield TileAddress(level, full, rest)
        level, nodes = level + 1, full


def read_tile(connection: psycopg.Connection[Any], address: TileAddress) -> bytes:
    """Content of a hash tile.

    Raises:
        LogDamaged: when it is not stored.
    """
    return DatabaseTiles(connection).hashes(address.level or 0, address.index, address.width)


def entry_bundle(connection: psycopg.Connection[Any], address: TileAddress) -> bytes:
    """Content of an entry bundle: each entry with its length before it.

    Raises:
        LogDamaged: when an entry is missing.
    """
    start = address.index * TILE_WIDTH
    rows = connection.execute(
        "SELECT entry FROM audit.entries WHERE entry_index >= %s AND entry_index < %s ORDER BY entry_index",
        (start, start + address.width),
    ).fetchall()
    if len(rows) != address.width:
        raise LogDamaged(
            f"Of the {address.width} entries from {start} on, {len(rows)} are stored.",
            remedy="Run `lintas audit verify`.",
        )
    entries = [bytes(row[0]) for row in rows]
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, content, 0o644)
