"""What every connector offers: sources that are read page by page, and look-ups of one record.

A source knows nothing of record types: it hands out columnar pages whose cells keep the types that the
agency's own system gave them, and the mapping of the contract gives them a meaning afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

import polars as pl


class Operation(StrEnum):
    """What the rows of a page say about the records at the source."""

    UPSERT = "upsert"
    DELETE = "delete"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class PageToken:
    """The place in a slice after which reading goes on.

    A token may hold a key of the source, which may be a person's number: store it beside the records, show it
    to nobody. Its `repr` therefore hides the value.
    """

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Window:
    """The changes that a run asks for: everything when `since` is None.

    `until` is the moment the run began; what changes later belongs to the next run.
    """

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("a window is bounded by moments that carry a time zone")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ValueError("a window cannot end before it begins")


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a dataset that can be read on its own, by one worker at a time.

    The identifier stays the same from run to run for the same part, so that a resumed run finds its ledger.
    """

    slice_id: str
    description: str
    operation: Operation
    window: Window = Window()
    bounds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a slice: a frame in the source's own columns and cell types.

    Attributes:
        frame: The rows, with exactly the columns that were asked for, in that order.
        operation: What the rows mean for the records.
        first_position: Position in the slice of the first row, counted from 0; it goes on after a resume.
        number: Number of the page in the slice, counted from 0; it goes on after a resume.
        token: Where to go on after this page; None when nothing comes after it.
        complete: Whether the slice ends with this page.
    """

    frame: pl.DataFrame
    operation: Operation
    first_position: int
    number: int
    token: PageToken | None
    complete: bool

    @property
    def positions(self) -> range:
        """Positions of the rows in the slice."""
        return range(self.first_position, self.first_position + self.frame.height)


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One named step of a connection check, and what to do when it failed."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class DiscoveredColumn:
    """A column of the source, with the type as the source calls it."""

    name: str
    type_name: str
    nullable: bool
    in_key: bool = False


@dataclass(frozen=True, slots=True)
class DiscoveredDataset:
    """A table, view or collection that the source lets the bus read."""

    name: str
    columns: tuple[DiscoveredColumn, ...]
    approximate_rows: int | None = None


@runtime_checkable
class Source(Protocol):
    """A system that an agency lets the bus read."""

    def check(self) -> list[CheckStep]:
        """Try every step from the name of the host to the columns, and say what each one gave."""

    def discover(self) -> list[DiscoveredDataset]:
        """List what the account may read, with columns and their own types."""

    def slices(self, window: Window) -> Sequence[Slice]:
        """Plan the parts in which the window is read; nothing personal is asked for."""

    def read(self, slice: Slice, after: PageToken | None = None) -> Iterator[Page]:
        """Read the pages of a slice, from its beginning or after a page already landed.

        The last page says so (`complete`); a slice without rows gives one empty, complete page, so that an
        empty source can be told from one that was never asked.
        """

    def close(self) -> None:
        """Give back every connection."""


@runtime_checkable
class Lookup(Protocol):
    """The rows of one key, live."""

    @property
    def key(self) -> Sequence[str]:
        """The source columns that a question carries."""

    def find(self, key: Mapping[str, str], budget: timedelta, *, columns: Sequence[str] = ()) -> pl.DataFrame:
        """Ask for the rows that carry this key, in the source's own columns; empty when none does.

        Args:
            key: For each source column of the key its value, as the source writes it.
            budget: Longest that the answer may take; then it is an error that says so.
            columns: The columns that are needed; the source is asked for no others where its kind lets one
                say so, and whatever else it sends goes no further. All that the contract names by default.
        """

    def close(self) -> None:
        """Give back every connection."""
