"""Handing quarantined rows back to their producer as a file that a spreadsheet cannot be tricked by.

The entry that the rows were handed over, with the file's digest, is committed before the file is written. The
rows stay in quarantine, marked as returned: until the register is corrected, they count.
"""

from __future__ import annotations

import csv
import hmac
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from foundation import clock
from foundation.database import Role, translated
from foundation.files import write_once
from records import quarantine
from records.errors import FileExists, QuarantineRowGone
from records.quarantine import OpenedRow
from records.tags import TagKey

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["MOST_ROWS", "Returned", "guarded", "return_rows"]

MOST_ROWS = 10_000
"""Rows of one file."""
_FORMULA = frozenset("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")
"""What makes a spreadsheet compute a cell; also in their full-width forms."""
_WOULD_BE_ROUNDED = re.compile(r"0[0-9]+|[0-9]{12,}|[0-9]+[.,]?[0-9]*[eE][+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Returned:
    """What was handed over."""

    rows: int
    path: Path


def return_rows(
    installation: Installation,
    dataset_id: str,
    path: Path,
    row_ids: Sequence[int] | None = None,
    *,
    actor: str,
    reason: str,
) -> Returned:
    """Write open rows of a dataset to a new CSV file, with the reason and the remedy of each.

    Args:
        installation: The installation; needs the quarantine's private key.
        dataset_id: The dataset.
        path: The file; it must not exist.
        row_ids: The rows; by default every open row of the dataset.
        actor: Pseudonym of the steward.
        reason: Why, without values.

    Raises:
        FileExists: When there is such a file already.
        QuarantineRowGone: When nothing is open there, or a row is not.
    """
    if path.exists():
        raise _exists(path)
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        if row_ids is None:
            listed = quarantine.list_rows(connection, dataset_id=dataset_id, limit=MOST_ROWS)
            row_ids = [each.row_id for each in listed]
        opened = quarantine.open_rows(connection, installation.keyring, row_ids)
        foreign = [each for each in opened if each.row.dataset_id != dataset_id or each.row.state != "open"]
        if foreign or not opened:
            raise QuarantineRowGone(
                f"There is nothing open to return, or {len(foreign)} of the rows are not, in {dataset_id}",
                remedy="`lintas quarantine list` shows what is open",
            )
        content = _file(opened)
        connection.execute(
            "UPDATE quality.quarantine_row SET returned_at = %s, returned_by = %s WHERE row_id = ANY(%s)",
            [clock.now(), actor, list(row_ids)],
        )
        details = {
            "rows": len(opened),
            "reason": reason,
            "rules": sorted({rule for each in opened for rule in each.row.rules}),
            "file_digest": hmac.digest(TagKey.of(installation.keyring).secret, content, "sha256").hex(),
        }
        append(
            connection,
            EntryDraft(
                kind=EntryKind.QUARANTINE_RETURNED, actor=actor, datasets=(dataset_id,), details=details,
                outcome="returned",
            ),
        )  # fmt: skip
    if not write_once(path, content):
        raise _exists(path)
    return Returned(len(opened), path)


def guarded(cell: Any) -> str:
    """The cell as text that no spreadsheet computes, rounds or shortens: an apostrophe goes before it.

    The apostrophe is not part of the value; a cell that begins with one gets a second.
    """
    text = "" if cell is None else str(cell)
    bare = text.lstrip(" \u00a0\ufeff")
    if (bare and (bare[0] in _FORMULA or bare[0] == "'")) or text[:1] in _FORMULA or _rounds(bare):
        return f"'{text}"
    return text


def _rounds(text: str) -> bool:
    return _WOULD_BE_ROUNDED.fullmatch(text.strip()) is not None


def _file(opened: Sequence[OpenedRow]) -> bytes:
    """UTF-8 with the mark that spreadsheets look for, every cell quoted."""
    columns = list(dict.fromkeys(name for each in opened for name in _content(each)))
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["row", "place", "field", "rule", "what_is_wrong", "what_to_do", *map(guarded, columns)])
    for each in opened:
        content = _content(each)
        cells = [*_about(each), *(content.get(name) for name in columns)]
        writer.writerow([guarded(cell) for cell in cells])
    return text.getvalue().encode("utf-8-sig")


def _about(each: OpenedRow) -> Iterator[str]:
    errors = each.row.errors
    yield str(each.row.row_id)
    yield each.row.place
    for name in ("field", "rule", "message", "remedy"):
        yield " / ".join(dict.fromkeys(str(error.get(name) or "") for error in errors))


def _content(each: OpenedRow) -> dict[str, Any]:
    """The row as it came; rows with one key were quarantined after they were mapped."""
    content = dict(each.content)
    canonical = content.get("canonical")
    return dict(canonical) if isinstance(canonical, dict) and len(content) == 1 else content


def _exists(path: Path) -> FileExists:
    return FileExists(
        f"The file {path.name} is there already",
        why="Rows that were handed over are never overwritten",
        remedy="Choose another name",
    )
