"""Access logs of agencies: what a source served to the bus, in the agency's own words.

One line for each request that the source answered, as NDJSON or CSV (with a heading) of the same names:

```
{"time": "2026-11-22T04:05:06Z", "dataset": "kpp-mojokerto/taxpayers", "operation": "list", "records": 500}
```

`time` is RFC 3339; `dataset` is the bus's id of the dataset, or `agency/*` where the source cannot tell;
`operation` is `list` (part of a sync), `lookup` (one live question) or `session` (a log-in);
`records` is how many records went out, empty where the source does not count. No line names a person.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from audit.errors import AccessLogInvalid
from foundation.errors import Location

__all__ = ["Access", "Operation", "read_access_logs"]

_FORMS = frozenset({".ndjson", ".jsonl", ".csv"})
_NAMES = ("time", "dataset", "operation", "records")


class Operation(StrEnum):
    """What kind of request a source answered."""

    LIST = "list"
    LOOKUP = "lookup"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Access:
    """One request that a source answered."""

    at: datetime
    dataset: str
    operation: Operation
    records: int | None
    seen_in: str

    @property
    def agency(self) -> str:
        """Whose source it is."""
        return self.dataset.partition("/")[0]

    def concerns(self, dataset: str) -> bool:
        """Whether it may have been about a dataset."""
        return self.dataset == dataset or self.dataset == f"{dataset.partition('/')[0]}/*"


def read_access_logs(path: Path) -> list[Access]:
    """The lines of one file, or of every `access-log*.ndjson`, `.jsonl` or `.csv` below a folder, by time.

    Raises:
        AccessLogInvalid: When a line is not one of an access log.
    """
    files = sorted(_files(path)) if path.is_dir() else [path]
    found = [access for file in files for access in _read(file)]
    return sorted(found, key=lambda access: access.at)


def _files(folder: Path) -> Iterable[Path]:
    return (file for file in folder.rglob("access-log*") if file.suffix in _FORMS)


def _read(file: Path) -> list[Access]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AccessLogInvalid(
            "The access log cannot be read.", location=Location(file=file.name),
            remedy="Give a UTF-8 file, or a folder of them.",
        ) from error  # fmt: skip
    rows = _csv(text) if file.suffix == ".csv" else _ndjson(text, file)
    return [_access(row, file, line) for line, row in rows]


def _csv(text: str) -> list[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    return [(reader.line_num, row) for row in reader]


def _ndjson(text: str, file: Path) -> list[tuple[int, Mapping[str, Any]]]:
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            raise _invalid("it is not a JSON object", file, number)
        rows.append((number, row))
    return rows


def _access(row: Mapping[str, Any], file: Path, line: int) -> Access:
    if missing := [name for name in _NAMES[:3] if not row.get(name)]:
        raise _invalid(f"it lacks {', '.join(missing)}", file, line)
    try:
        at = datetime.fromisoformat(str(row["time"]))
        operation = Operation(str(row["operation"]))
        counted = row.get("records")
        records = None if counted in (None, "") else int(str(counted))
        if at.tzinfo is None or (records is not None and records < 0):
            raise ValueError
    except ValueError:
        raise _invalid(
            "a time has no zone, an operation is unknown, or a count is not a number", file, line
        ) from None
    return Access(at.astimezone(UTC), str(row["dataset"]), operation, records, f"{file.name}:{line}")


def _invalid(why: str, file: Path, line: int) -> AccessLogInvalid:
    return AccessLogInvalid(
        "A line is not one of an access log.",
        why=f"In this line {why}.",
        remedy=f"Write {', '.join(_NAMES)}; see docs/how-to/reconcile.md.",
        location=Location(file=file.name, line=line),
    )
