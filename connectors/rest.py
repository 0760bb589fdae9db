"""Collections of a REST service, read page by page after the service's own cursor."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from typing import Any

import polars as pl

from connectors import cells
from connectors.checklist import Checklist
from connectors.errors import ColumnsMissing, CursorRepeated, Place, placed
from connectors.page_token import read_token, write_token
from connectors.rest_service import RestService, at, unreadable
from connectors.source import (
    CheckStep,
    DiscoveredColumn,
    DiscoveredDataset,
    Operation,
    Page,
    PageToken,
    Slice,
    Window,
)

_EVERYTHING, _CHANGES = "everything", "changes"
_CURSOR_LENGTH = 4_096
_EMPTY_PAGES = 50
_SIMILAR = 0.6


@dataclass(slots=True)
class _Progress:
    """How far a slice has been read, and which cursors led there."""

    cursor: str | None = None
    page: int = 0
    position: int = 0
    empty: int = 0
    totals: set[int] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)

    def token(self, slice: Slice) -> PageToken:
        return write_token(slice.slice_id, {"c": self.cursor, "n": self.page, "p": self.position})

    @classmethod
    def resume(cls, after: PageToken | None, slice: Slice) -> _Progress:
        if after is None:
            return cls()

        def found(value: Mapping[str, Any]) -> _Progress | None:
            read = cls(cursor=value["c"], page=int(value["n"]), position=int(value["p"]))
            return read if isinstance(read.cursor, str) else None

        return read_token(after, slice.slice_id, found)

    def step(self, cursor: str, rows: int) -> None:
        """Go on to the next page.

        Raises:
            CursorRepeated: When the cursor has led somewhere already, or leads nowhere for too long.
        """
        self.empty = 0 if rows else self.empty + 1
        digest = hashlib.sha256(cursor.encode()).digest()
        if digest in self.seen or cursor == self.cursor or self.empty > _EMPTY_PAGES:
            raise CursorRepeated(
                "The service sends the reader in a circle",
                why="A cursor came back that was followed before, or page after page was empty",
                remedy="Tell the agency: next_cursor must change with every page and end with null",
            )
        self.seen.add(digest)
        self.cursor = cursor


class RestSource:
    """One collection of an agency's service."""

    def __init__(self, service: RestService, *, columns: Sequence[str] = ()) -> None:
        """Bind a collection; nothing is called yet.

        Args:
            service: The agency's service.
            columns: The fields to read, in this order; all when empty.
        """
        self.service = service
        self.configuration = service.configuration
        self.columns = tuple(columns)

    def check(self) -> list[CheckStep]:
        """Try every step from the name of the host to the fields of a record."""
        steps = Checklist()
        steps.reach(self.service.line, tls=self.service.is_secured)
        steps.step("authenticate", self._authenticate)
        steps.step("authorise", self._authorise)
        steps.step("list", self._list)
        steps.step("schema", self._schema)
        steps.step("read-one", lambda: f"{len(self._some(1)[:1])} record read")
        return steps.steps

    def discover(self) -> list[DiscoveredDataset]:
        """Tell the fields that the collection's first page shows."""
        with placed(self.place()):
            records, reply = self._first(self.configuration.page_rows)
        total = at(reply, self.configuration.total_at) if self.configuration.total_at else None
        columns = tuple(
            DiscoveredColumn(
                name=name,
                type_name=str(column.dtype).lower(),
                nullable=column.null_count() > 0,
            )
            for name in _names(records)
            for column in [cells.series(name, [record.get(name) for record in records])]
        )
        return [
            DiscoveredDataset(self.configuration.path, columns, total if isinstance(total, int) else None)
        ]

    def slices(self, window: Window) -> Sequence[Slice]:
        """Everything; or the changes of the window, if the service can be asked for them."""
        configuration = self.configuration
        if window.since is not None and configuration.changed_since_parameter:
            since = window.since - timedelta(seconds=configuration.overlap_seconds)
            description = f"{configuration.path}: changes since {since.isoformat()}"
            return [Slice(_CHANGES, description, Operation.UPSERT, replace(window, since=since))]
        return [Slice(_EVERYTHING, f"{configuration.path}: everything", Operation.SNAPSHOT, window)]

    def read(self, slice: Slice, after: PageToken | None = None) -> Iterator[Page]:
        """Read the pages of a slice, following the service's cursor."""
        with placed(self.place(slice)):
            progress = _Progress.resume(after, slice)
        complete = False
        while not complete:
            with placed(self.place(slice, progress.page)):
                reply = self.service.page(self._parameters(slice, progress.cursor))
                records = self._records(reply)
                frame = self._frame(records)
                complete = self._go_on(reply, progress, frame.height)
            yield Page(
                frame=frame,
                operation=slice.operation,
                first_position=progress.position - frame.height,
                number=progress.page - 1,
                token=None if complete else progress.token(slice),
                complete=complete,
            )

    def close(self) -> None:
        """Give back every connection."""
        self.service.close()

    def place(self, slice: Slice | None = None, page: int | None = None) -> Place:
        """Name where in the source something happens."""
        return Place(self.service.system_id, self.configuration.path, slice.slice_id if slice else "", page)

    def _go_on(self, reply: Mapping[str, Any], progress: _Progress, rows: int) -> bool:
        """Move past a page; tells whether it was the last."""
        cursor = at(reply, self.configuration.next_cursor_at)
        if not (cursor is None or (isinstance(cursor, str) and 0 < len(cursor) <= _CURSOR_LENGTH)):
            raise unreadable(
                f"{self.configuration.next_cursor_at} is neither a text nor null",
                "Compare next_cursor_at in the contract with a reply of the service",
            )
        if cursor is not None:
            progress.step(cursor, rows)
        progress.page += 1
        progress.position += rows
        self._count(reply, progress, complete=cursor is None)
        return cursor is None

    def _count(self, reply: Mapping[str, Any], progress: _Progress, *, complete: bool) -> None:
        """A listing that ends early without a word is noticed, if the service tells how many there are."""
        total = at(reply, self.configuration.total_at) if self.configuration.total_at else None
        if isinstance(total, int):
            progress.totals.add(total)
        if complete and len(progress.totals) == 1 and progress.position not in progress.totals:
            raise unreadable(
                f"The service tells of {total} records and gave {progress.position}",
                "It is a truncated listing: tell the agency; nothing of this batch is published",
            )

    def _parameters(self, slice: Slice, cursor: str | None) -> dict[str, str]:
        configuration = self.configuration
        parameters = {}
        if configuration.limit_parameter:
            parameters[configuration.limit_parameter] = str(configuration.page_rows)
        if cursor is not None:
            parameters[configuration.cursor_parameter] = cursor
        if slice.slice_id == _CHANGES and slice.window.since and configuration.changed_since_parameter:
            moment = slice.window.since.astimezone(UTC).isoformat().replace("+00:00", "Z")
            parameters[configuration.changed_since_parameter] = moment
        return parameters

    def _records(self, reply: Mapping[str, Any]) -> list[dict[str, Any]]:
        records = at(reply, self.configuration.records_at)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise unreadable(
                f"There is no list of records at {self.configuration.records_at}",
                "Compare records_at in the contract with a reply of the service",
            )
        if self.configuration.limit_parameter and len(records) > self.configuration.page_rows:
            raise unreadable(
                f"A page holds {len(records)} records where {self.configuration.page_rows} were asked for",
                "Set page_rows in the contract to what the service gives",
            )
        return records

    def _frame(self, records: list[dict[str, Any]]) -> pl.DataFrame:
        return frame_of(
            records,
            self.columns,
            dataset=self.configuration.path,
            omits_nulls=self.configuration.omits_nulls,
        )

    def _first(self, rows: int) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
        slice = self.slices(Window())[0]
        parameters = self._parameters(slice, None)
        if self.configuration.limit_parameter:
            parameters[self.configuration.limit_parameter] = str(rows)
        reply = self.service.page(parameters)
        return self._records(reply), reply

    def _some(self, rows: int) -> list[dict[str, Any]]:
        return self._first(rows)[0]

    def _authenticate(self) -> str:
        self.service.credentials.headers()
        return "the token endpoint accepts our name and secret"

    def _authorise(self) -> str:
        self._some(1)
        return f"{self.configuration.path} may be read"

    def _list(self) -> str:
        _, reply = self._first(1)
        total = at(reply, self.configuration.total_at) if self.configuration.total_at else None
        return "records are listed" if total is None else f"{total} records are listed"

    def _schema(self) -> str:
        frame = self._frame(self._some(self.configuration.page_rows))
        return f"{frame.width} fields, all as the contract names them"


def frame_of(
    records: Sequence[Mapping[str, Any]], columns: Sequence[str], *, dataset: str, omits_nulls: bool
) -> pl.DataFrame:
    """Records as a frame of exactly these columns.

    A column that no record of a page carries is missing, as after a renaming. Where the service is known to
    leave out empty fields it is taken as empty, unless most columns are missing or a stranger bears a similar
    name.

    Raises:
        ColumnsMissing: When a column is not there.
    """
    found = _names(records)
    wanted = tuple(columns) or found
    missing = [name for name in wanted if name not in found]
    if missing and records and not (omits_nulls and _may_be_empty(missing, found, wanted)):
        raise ColumnsMissing(dataset, missing, found)
    return pl.DataFrame([cells.series(name, [record.get(name) for record in records]) for name in wanted])


def _may_be_empty(missing: Sequence[str], found: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether missing fields are merely empty; a renamed one leaves a stranger of a similar name."""
    strangers = [name for name in found if name not in wanted]
    renamed = any(difflib.get_close_matches(name, strangers, n=1, cutoff=_SIMILAR) for name in missing)
    return len(missing) * 2 <= len(wanted) and not renamed


def _names(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for record in records for name in record))
