"""Resources of one type on a FHIR server, searched page by page; each is a row of the declared columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from connectors import cells
from connectors.checklist import Checklist
from connectors.errors import ColumnsMissing, CursorRepeated, PageUnreadable, Place, placed
from connectors.fhir_bundle import Bundle, check_version, read_bundle
from connectors.fhir_paths import FhirPath
from connectors.fhir_service import FhirService
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
from foundation.http import AccessRefused, NotFoundAtSource

_EVERYTHING, _CHANGES = "everything", "changes"
_EMPTY_PAGES = 50


class Columns:
    """The declared columns, compiled: from resources to a frame."""

    def __init__(self, declared: Mapping[str, str], wanted: Sequence[str], dataset: str) -> None:
        self._dataset = dataset
        self._declared = tuple(declared)
        self._paths = {name: FhirPath.compile(path) for name, path in declared.items()}
        self.names = tuple(wanted) or self._declared

    def elements(self, names: Iterable[str]) -> list[str]:
        """The elements that hold some columns, and those that may change what every other one means."""
        roots = {root for name in names for root in self._paths[name].roots}
        return sorted(roots | {"implicitRules", "modifierExtension"})

    def frame(self, bundle: Bundle, only: Collection[str] = ()) -> pl.DataFrame:
        """Read the resources of a page, column by column.

        Args:
            bundle: The page.
            only: These of the columns; all when none are named.

        Raises:
            ColumnsMissing: When a column is asked for that the contract declares no path for.
        """
        missing = [name for name in self.names if name not in self._paths]
        if missing:
            raise ColumnsMissing(self._dataset, missing, self._declared)
        wanted = [name for name in self.names if not only or name in only]
        return pl.DataFrame([self.column(name, bundle) for name in wanted])

    def column(self, name: str, bundle: Bundle) -> pl.Series:
        """Read one column; cells of resources whose meaning is changed say so, and no rule accepts them."""
        values = self._paths[name].values(bundle.resources)
        for place in bundle.modified:
            if values[place] is not None:
                values[place] = f"modified:{values[place]}"
        return cells.series(name, values)


@dataclass(slots=True)
class _Progress:
    """How far a slice has been read, and which pages led there."""

    path: str
    page: int = 0
    position: int = 0
    deleted: int = 0
    empty: int = 0
    totals: set[int] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)

    def token(self, slice: Slice) -> PageToken:
        held = {"l": self.path, "n": self.page, "p": self.position, "d": self.deleted}
        return write_token(slice.slice_id, held)

    @classmethod
    def resume(cls, after: PageToken, slice: Slice) -> _Progress:
        def found(value: Mapping[str, Any]) -> _Progress | None:
            read = cls(value["l"], int(value["n"]), int(value["p"]), int(value["d"]))
            return read if isinstance(read.path, str) else None

        return read_token(after, slice.slice_id, found)

    def step(self, path: str, bundle: Bundle) -> None:
        """Go on to the next page.

        Raises:
            CursorRepeated: When link or resources have been seen already, or pages stay empty for too long.
        """
        self.empty = 0 if bundle.resources else self.empty + 1
        marks = {hashlib.sha256(f"link {path}".encode()).digest()}
        if bundle.resources:
            identifiers = json.dumps([str(resource.get("id")) for resource in bundle.resources])
            marks.add(hashlib.sha256(f"page {identifiers}".encode()).digest())
        if not marks.isdisjoint(self.seen) or path == self.path or self.empty > _EMPTY_PAGES:
            raise CursorRepeated(
                "The server sends the reader in a circle",
                why="A link or a page came back that was seen before, or page after page was empty",
                remedy="Tell the agency: the link `next` must lead on with every page, and end with the last",
            )
        self.seen |= marks
        self.path = path


class FhirSource:
    """The resources of one type that an agency's server lets the bus search."""

    def __init__(self, service: FhirService, *, columns: Sequence[str] = ()) -> None:
        """Bind a type of resource; nothing is called yet.

        Args:
            service: The agency's server.
            columns: The columns to read, in this order; all that are declared when empty.
        """
        self.service = service
        self.configuration = service.configuration
        self.columns = Columns(self.configuration.columns, columns, self.configuration.resource)
        self._version: str | None = None

    def check(self) -> list[CheckStep]:
        """Try every step from the name of the host to one resource."""
        checklist = Checklist()
        with placed(self.place()):
            checklist.reach(self.service.line, tls=self.service.address.is_secured)
            checklist.step("authenticate", self._authenticate)
            checklist.step("version", self._speaks)
            checklist.step("authorise", self._authorise)
            checklist.step("list", self._list)
            checklist.step("schema", self._schema)
            checklist.step("read-one", lambda: f"{len(self._some(1).resources)} resource read")
        return checklist.steps

    def discover(self) -> list[DiscoveredDataset]:
        """Name the declared columns, with the types that a first page gives them."""
        with placed(self.place()):
            bundle = self._some(self.configuration.page_size)
            frame = self.columns.frame(bundle)
            columns = tuple(
                DiscoveredColumn(column.name, str(column.dtype).lower(), column.null_count() > 0)
                for column in frame
            )
            return [DiscoveredDataset(self.configuration.resource, columns, bundle.total)]

    def slices(self, window: Window) -> Sequence[Slice]:
        """Everything; or the changes of the window, if the server can be asked for them."""
        configuration = self.configuration
        if window.since is not None and configuration.changes:
            since = window.since - timedelta(seconds=configuration.overlap_seconds)
            description = f"{configuration.resource}: changes since {since.isoformat()}"
            return [Slice(_CHANGES, description, Operation.UPSERT, replace(window, since=since))]
        return [Slice(_EVERYTHING, f"{configuration.resource}: everything", Operation.SNAPSHOT, window)]

    def read(self, slice: Slice, after: PageToken | None = None) -> Iterator[Page]:
        """Read the pages of a slice, following the server's links.

        The next page is asked for as soon as its link is known, and comes while this one is made into columns
        and landed.
        """
        with placed(self.place(slice)):
            begin = self.service.first(self._parameters(slice))
            progress = _Progress(begin) if after is None else _Progress.resume(after, slice)
            self._speaks()
        complete, coming = False, None
        with ThreadPoolExecutor(1, thread_name_prefix="fhir-page") as line:
            while not complete:
                with placed(self.place(slice, progress.page)):
                    reply = coming.result() if coming else None
                    bundle = self.service.page(progress.path, self._bundle, reply)
                    _deletions_are_seen(bundle, slice)
                    complete = self._go_on(bundle, progress)
                    if not complete:
                        coming = line.submit(copy_context().run, self.service.ask, progress.path)
                    frame = self.columns.frame(bundle)
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
        name = slice.slice_id if slice else ""
        return Place(self.service.system_id, self.configuration.resource, name, page)

    def _go_on(self, bundle: Bundle, progress: _Progress) -> bool:
        """Move past a page; tells whether it was the last."""
        if bundle.next_link is not None:
            progress.step(self.service.below(bundle.next_link, progress.path), bundle)
        progress.page += 1
        progress.position += len(bundle.resources)
        progress.deleted += bundle.deleted
        if bundle.total is not None:
            progress.totals.add(bundle.total)
        ends = bundle.next_link is None
        seen = progress.position + progress.deleted
        if ends and len(progress.totals) == 1 and seen < min(progress.totals):
            raise PageUnreadable(
                f"The server tells of {bundle.total} resources and gave {progress.position}",
                why="No link leads on",
                remedy="It is a truncated search: tell the agency; nothing of this batch is published",
            )
        return ends

    def _bundle(self, document: Mapping[str, object]) -> Bundle:
        configuration = self.configuration
        bundle = read_bundle(document, configuration.resource, configuration.fhir_version)
        if len(bundle.resources) > configuration.page_size:
            raise PageUnreadable(
                f"A page holds {len(bundle.resources)} resources, {configuration.page_size} were asked for",
                remedy="Set page_size in the contract to what the server gives",
            )
        return bundle

    def _parameters(self, slice: Slice) -> dict[str, str]:
        parameters = {**self.configuration.search, "_count": str(self.configuration.page_size)}
        if slice.slice_id == _CHANGES and slice.window.since:
            parameters["_lastUpdated"] = f"ge{_instant(slice.window.since)}"
        return parameters

    def _speaks(self) -> str:
        """Which version the server speaks; one that does not tell is judged by its resources alone."""
        if self._version is None:
            try:
                told = check_version(self.service.capabilities(), self.configuration.fhir_version)
                self._version = f"the server speaks FHIR {told}"
            except (NotFoundAtSource, AccessRefused):
                self._version = "the server does not show its CapabilityStatement; its resources are judged"
        return self._version

    def _some(self, resources: int) -> Bundle:
        parameters = {**self._parameters(self.slices(Window())[0]), "_count": str(resources)}
        return self.service.page(self.service.first(parameters), self._bundle)

    def _authenticate(self) -> str:
        self.service.credentials.headers()
        return "the token endpoint accepts our name and secret"

    def _authorise(self) -> str:
        self._some(1)
        return f"{self.configuration.resource} may be searched"

    def _list(self) -> str:
        total = self._some(1).total
        return "resources are listed" if total is None else f"{total} resources are listed"

    def _schema(self) -> str:
        frame = self.columns.frame(self._some(self.configuration.page_size))
        silent = [column.name for column in frame if column.null_count() == frame.height > 0]
        told = f"; nothing found in this page for {', '.join(silent)}" if silent else ""
        return f"{frame.width} columns{told}"


def _deletions_are_seen(bundle: Bundle, slice: Slice) -> None:
    """What is deleted is missing from everything, which closes its record; among changes it would be lost."""
    if bundle.deleted and slice.operation is not Operation.SNAPSHOT:
        raise PageUnreadable(
            f"{bundle.deleted} entries tell of deleted resources without saying what they held",
            why="Among changes there is nothing that could be closed by them",
            remedy="Set `changes: false` in the contract, so that every run reads everything",
        )


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
