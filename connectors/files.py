"""Files that an agency drops into a folder: which are complete, and their rows in pages.

Invariant: pages come from one version of one file, held by its checksum; reading goes on after any page, in
another process, or says that the file is another one now.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from connectors import files_drop, files_spool
from connectors.checklist import Checklist
from connectors.configuration import FilesConfiguration
from connectors.errors import FileReplaced, Place, placed
from connectors.files_drop import Complete, Drop, Listed
from connectors.files_folder import Folder, shown
from connectors.files_spool import Spool, read_whole
from connectors.files_table import Table, after, chosen, paged
from connectors.page_token import read_token, write_token
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
from foundation import clock
from foundation.errors import Location

_NOTHING_NEW = "nothing-new"
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a file has been read."""

    page: int = 0
    position: int = 0
    sha256: str = ""

    def token(self, slice_id: str) -> PageToken:
        return write_token(slice_id, {"h": self.sha256, "n": self.page, "p": self.position})

    @classmethod
    def resume(cls, token: PageToken | None, slice_id: str) -> _Progress:
        if token is None:
            return cls()

        def found(value: Mapping[str, Any]) -> _Progress:
            return cls(int(value["n"]), int(value["p"]), str(value["h"]))

        return read_token(token, slice_id, found, made_for="another file or by another connector")


class FilesSource:
    """The files of one dataset in one folder."""

    def __init__(
        self,
        configuration: FilesConfiguration,
        folder: Folder,
        *,
        system_id: str,
        columns: Sequence[str] = (),
        spool: Path | None = None,
    ) -> None:
        """Bind a folder; nothing is connected yet.

        Args:
            configuration: The connector's part of the contract.
            folder: Where the files are.
            system_id: The registered system, named in errors.
            columns: The columns to read, in this order; all when empty.
            spool: Private folder for copies while they are read; the machine's temporary one when None.
        """
        self.configuration = configuration
        self.folder = folder
        self.system_id = system_id
        self.columns = tuple(columns)
        self._spool = spool

    def check(self) -> list[CheckStep]:
        """Try every step from the name of the host to one row."""
        steps = Checklist()
        self.folder.reach(steps)
        steps.step("authorise", self._authorise)
        steps.step("list", self._list)
        steps.step("schema", self._schema)
        steps.step("read-one", self._read_one)
        return steps.steps

    def discover(self) -> list[DiscoveredDataset]:
        """Tell the columns of the newest complete file, and the workbook's other sheets by name."""
        with placed(self.place()):
            newest = self._drop().require(self.configuration).complete[-1]
            with self._fetched(newest) as spool:
                table = open_table(spool, self.configuration, into=self._spool)
                columns = tuple(
                    DiscoveredColumn(name, kind, nullable=True) for name, kind in table.describe()
                )
                sheets = getattr(table, "sheets", ())
                own = f"{newest.entry.shown}#{table.sheet.name}" if sheets else newest.entry.shown  # type: ignore[attr-defined]
                others = [f"{newest.entry.shown}#{each.name}" for each in sheets]
                return [
                    DiscoveredDataset(own, columns, table.rows),
                    *(DiscoveredDataset(name, ()) for name in others if name != own),
                ]

    def slices(self, window: Window) -> Sequence[Slice]:
        """The newest complete file, or all of them; with a window, those that were completed in it."""
        with placed(self.place()):
            drop = self._drop().require(self.configuration)
        wanted = drop.complete if self.configuration.files == "all" else drop.complete[-1:]
        if window.since is None:
            return [self._slice(each, drop, Operation.SNAPSHOT) for each in wanted]
        since = window.since - timedelta(seconds=self.configuration.overlap_seconds)
        new = [each for each in wanted if each.completed >= since]
        if new:
            return [self._slice(each, drop, Operation.UPSERT) for each in new]
        description = self._described(f"no file completed since {since.isoformat()}", drop)
        return [Slice(_NOTHING_NEW, description, Operation.UPSERT, Window(None, wanted[-1].completed))]

    def read(self, slice: Slice, after: PageToken | None = None) -> Iterator[Page]:
        """Read the pages of a file, or say that it is another one now."""
        with placed(self.place(slice)):
            progress = _Progress.resume(after, slice.slice_id)
        if "file" not in slice.bounds:
            yield self._nothing(slice)
            return
        with placed(self.place(slice)):
            spool = self._fetch(slice, progress)
        try:
            yield from self._pages(slice, replace(progress, sha256=spool.sha256), spool)
        finally:
            spool.close()

    def close(self) -> None:
        """Give back every connection."""
        self.folder.close()

    def place(self, slice: Slice | None = None, page: int | None = None) -> Place:
        """Name where in the source something happens."""
        configuration = self.configuration
        dataset = f"{configuration.folder.rstrip('/')}/{configuration.pattern}"
        return Place(self.system_id, dataset, slice.slice_id if slice else "", page)

    def _pages(self, slice: Slice, progress: _Progress, spool: Spool) -> Iterator[Page]:
        with placed(self.place(slice, progress.page)):
            pages = self._cut(spool, progress.position)
        complete = False
        while not complete:
            with placed(self.place(slice, progress.page)):
                frame, complete = next(pages)
            first, number = progress.position, progress.page
            progress = replace(progress, page=number + 1, position=first + frame.height)
            token = None if complete else progress.token(slice.slice_id)
            yield Page(frame, slice.operation, first, number, token, complete)

    def _cut(self, spool: Spool, position: int) -> Iterator[tuple[pl.DataFrame, bool]]:
        configuration = self.configuration
        table = open_table(spool, configuration, into=self._spool)
        pieces = after(table.pieces(self._chosen(table, spool)), position)
        return paged(pieces, configuration.page_rows, configuration.page_megabytes)

    def _chosen(self, table: Table, spool: Spool) -> tuple[str, ...]:
        if self.configuration.format == "jsonl" and (self.configuration.omits_nulls or not table.columns):
            return self.columns or table.columns
        location = Location(file=shown(spool.name), row=self._header_row)
        return chosen(table.columns, self.columns, shown(spool.name), location)

    @property
    def _header_row(self) -> int | None:
        return self.configuration.header_row if self.configuration.format in ("csv", "xlsx") else None

    def _nothing(self, slice: Slice) -> Page:
        frame = pl.DataFrame(schema=dict.fromkeys(self.columns, pl.String()))
        return Page(frame, slice.operation, 0, 0, None, complete=True)

    def _drop(self) -> Drop:
        entries = self.folder.list()
        listed: dict[str, Listed] | None = None
        if self.configuration.manifest is not None:
            listed = {}
            for entry in files_drop.manifests(entries, self.configuration.manifest):
                size = min(entry.size, files_drop.LARGEST_MANIFEST + 1)
                content = read_whole(self.folder, entry, size) if size else b""
                listed.update(files_drop.read_manifest(entry, content))
        return files_drop.sort_out(entries, self.configuration, listed, clock.now())

    def _slice(self, file: Complete, drop: Drop, operation: Operation) -> Slice:
        entry = file.entry
        told = f"{operation}\0{entry.name}\0{file.sha256 or entry.version}"
        bounds = {"file": entry.name, "version": entry.version}
        if file.sha256:
            bounds["sha256"] = file.sha256
        if self._header_row is not None:
            bounds["first_row"] = str(self.configuration.data_row)
        if self.configuration.sheet:
            bounds["sheet"] = self.configuration.sheet
        return Slice(
            hashlib.sha256(told.encode()).hexdigest()[:32],
            self._described(entry.shown, drop),
            operation,
            Window(None, min(file.completed, clock.now())),
            bounds,
        )

    def _described(self, what: str, drop: Drop) -> str:
        left_alone = f"; left alone: {drop.notes}" if drop.left_alone else ""
        return f"{self.configuration.folder}: {what}{left_alone}"

    def _fetch(self, slice: Slice, progress: _Progress) -> Spool:
        bounds = slice.bounds
        spool = self._copied(bounds["file"], bounds.get("version", ""), bounds.get("sha256"))
        if progress.sha256 and progress.sha256 != spool.sha256:
            spool.close()
            raise FileReplaced(
                f"The file {shown(spool.name)} is not the one whose first pages were landed",
                remedy="Open another batch: it begins with the file that is there now",
                location=Location(file=shown(spool.name)),
            )
        return spool

    def _fetched(self, file: Complete) -> closing[Spool]:
        return closing(self._copied(file.entry.name, file.entry.version, file.sha256))

    def _copied(self, name: str, version: str, sha256: str | None) -> Spool:
        return files_spool.fetch(
            self.folder,
            name,
            version=version,
            sha256=sha256,
            into=self._spool,
            megabytes=self.configuration.file_megabytes,
        )

    def _authorise(self) -> str:
        return f"{self.configuration.folder} may be read: {len(self.folder.list())} files"

    def _list(self) -> str:
        drop = self._drop().require(self.configuration)
        newest = drop.complete[-1]
        found = f"{len(drop.complete)} complete files, the newest is {newest.entry.shown}"
        return f"{found}; left alone: {drop.notes}" if drop.left_alone else found

    def _schema(self) -> str:
        newest = self._drop().require(self.configuration).complete[-1]
        with self._fetched(newest) as spool:
            names = self._chosen(open_table(spool, self.configuration, into=self._spool), spool)
        return f"{len(names)} columns, all as the contract names them"

    def _read_one(self) -> str:
        newest = self._drop().require(self.configuration).complete[-1]
        with self._fetched(newest) as spool:
            frame, _ = next(self._cut(spool, 0))
        return f"{min(frame.height, 1)} row read"


def open_table(spool: Spool, configuration: FilesConfiguration, *, into: Path | None) -> Table:
    """Open a copy in its format; what must be read from its end is unpacked into another one first."""
    if configuration.format == "csv":
        from connectors.files_csv import CsvTable

        return CsvTable(spool, configuration)
    if configuration.format == "jsonl":
        from connectors.files_jsonl import JsonLinesTable

        return JsonLinesTable(spool, configuration)
    unpacked = _unpacked(spool, configuration, into)
    if configuration.format == "xlsx":
        from connectors.files_xlsx import XlsxTable

        return XlsxTable(unpacked, configuration)
    from connectors.files_parquet import ParquetTable

    return ParquetTable(unpacked, configuration)


def _unpacked(spool: Spool, configuration: FilesConfiguration, into: Path | None) -> Spool:
    if not spool.name.casefold().endswith(".gz"):
        spool.file.seek(0)
        return spool
    from connectors.files_text import Unpacked

    source = Unpacked(spool, configuration.unpacked_megabytes)
    with tempfile.TemporaryFile(dir=into) as copy:
        while chunk := source.read(_CHUNK):
            copy.write(chunk)
        copy.seek(0)
        spool.file.seek(0)
        spool.file.truncate()
        while chunk := copy.read(_CHUNK):
            spool.file.write(chunk)
    spool.file.seek(0)
    return replace(spool, name=spool.name[:-3])
