"""What can go wrong between the bus and an agency's system, beside what `foundation.http_errors` names.

::

    RetryLater
    ├── SourceBusy            the source is there and has no room, or a page took too long
    ├── LookupTimedOut        a live question was not answered within its time
    └── SourceInterrupted     the line was cut in the middle of a page
    FixSource
    ├── DatasetMissing        the database, table or view is not there
    ├── ColumnsMissing        columns of the contract are not there
    ├── PageUnreadable        a page is not what was agreed, or breaks its own rules
    ├── PageTooLarge          a page holds more than it may
    ├── KeyNotSelective       more rows share one key than a page can hold
    ├── CursorRepeated        the source sends the reader in a circle
    ├── NextLinkForeign       the next page is said to be at an address that nobody registered
    ├── OutcomeReported       a FHIR server reports an error where a page is due
    ├── FhirVersionRefused    a FHIR server, or a resource of it, is of another version
    ├── HostKeyRefused        the SFTP server shows a key that nobody pinned
    ├── ManifestUnreadable    a list of checksums is not one
    ├── ChecksumWrong         a file is not the one that its list promises
    └── FileTooLarge          a file, or what is packed in it, holds more than it may
    FixContract
    ├── ConfigurationInvalid  the connector's part of a contract is wrong
    └── TokenNotOurs          a page token belongs to another slice or another shape

Every kind that speaks to a server shares `AgencyUnreachable`, `LoginRefused`, `AccessRefused` and
`TlsRefused`. Every error says at which system, dataset, slice and page it happened. None carries a value or a
secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from foundation.errors import FixContract, FixSource, LintasError, RetryLater

__all__ = [
    "ColumnsMissing",
    "ConfigurationInvalid",
    "CursorRepeated",
    "DatasetMissing",
    "FhirVersionRefused",
    "KeyNotSelective",
    "LookupTimedOut",
    "NextLinkForeign",
    "OutcomeReported",
    "PageTooLarge",
    "PageUnreadable",
    "Place",
    "SourceBusy",
    "SourceInterrupted",
    "TokenNotOurs",
    "placed",
]


class SourceBusy(RetryLater):
    """The source is there and has no room, or a page took too long."""


class LookupTimedOut(RetryLater):
    """A live question was not answered within its time."""


class SourceInterrupted(RetryLater):
    """The line was cut in the middle of a page."""


class DropIncomplete(RetryLater):
    """No file of the drop is complete yet: the agency is still writing, or has left a file unlisted."""


class FileReplaced(RetryLater):
    """A file became another one between planning and the end of reading; the next batch reads the new one."""


class HostKeyRefused(FixSource):
    """The SFTP server shows a key that nobody pinned; nothing was sent to it."""


class ManifestUnreadable(FixSource):
    """A list of checksums is not one, or names something else than plain files."""


class ChecksumWrong(FixSource):
    """A file is not the one that its list promises."""


class FileTooLarge(FixSource):
    """A file, or what is packed in it, holds more than it may."""


class DatasetMissing(FixSource):
    """The table, view or path is not there."""


class ColumnsMissing(FixSource):
    """Columns of the contract are not there; names the closest ones that are."""

    def __init__(self, dataset: str, missing: Sequence[str], found: Sequence[str]) -> None:
        closest = {name: difflib.get_close_matches(name, found, n=1, cutoff=0.4) for name in missing}
        hints = [f"{name} (closest: {near[0]})" if near else name for name, near in closest.items()]
        super().__init__(
            f"{dataset} has no column {', '.join(hints)}",
            why=f"The columns found are {', '.join(found) or 'none'}",
            remedy="Ask the agency whether the column was renamed; then change physicalName in the contract",
            dataset=dataset,
            missing=tuple(missing),
            found=tuple(found),
            closest={name: near[0] for name, near in closest.items() if near},
        )


class PageUnreadable(FixSource):
    """A page is cut off, is not what was agreed, or breaks its own rules."""


class PageTooLarge(FixSource):
    """A page holds more than it may."""


class KeyNotSelective(FixSource):
    """More rows share one key than a page can hold."""


class CursorRepeated(FixSource):
    """The source sends the reader in a circle."""


class NextLinkForeign(FixSource):
    """The next page is said to be at an address that nobody registered."""


class OutcomeReported(FixSource):
    """A FHIR server reports an error where a page is due."""


class FhirVersionRefused(FixSource):
    """A FHIR server, or a resource of it, is of a version that was not agreed."""


class ConfigurationInvalid(FixContract):
    """The connector's part of a contract is wrong; holds every problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(
            f"The connector's part of the contract has {len(problems)} problem(s)",
            why="; ".join(problems),
            remedy="Correct the fields of the contract's server; docs/reference/connectors.md lists them",
            problems=tuple(problems),
        )


class TokenNotOurs(FixContract):
    """A page token belongs to another slice or another shape of the dataset."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a source something happened."""

    system_id: str
    dataset: str
    slice_id: str = ""
    page: int | None = None

    def __str__(self) -> str:
        parts = [f"system {self.system_id}", self.dataset]
        parts += [f"slice {self.slice_id}"] if self.slice_id else []
        parts += [f"page {self.page}"] if self.page is not None else []
        return ", ".join(parts)


@contextmanager
def placed(place: Place) -> Iterator[None]:
    """Let every error that passes say at which system, dataset, slice and page it happened."""
    try:
        yield
    except LintasError as error:
        if "system_id" not in error.attributes or "slice_id" not in error.attributes:
            error.attributes.update(
                system_id=place.system_id, dataset=place.dataset, slice_id=place.slice_id, page=place.page
            )
            error.what = f"{error.what.rstrip('.')} (at {place})"
        raise
