"""Where entries are sent: address, format, filter, and how far it has come.

Invariant: `position` is the number of the next entry to look at; every entry before it was either
acknowledged by the receiver or is not for it. It never moves on before the acknowledgement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import SplitResult, urlsplit

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict

from audit.entry import EntryDraft, EntryKind, looks_personal
from audit.log import append
from audit.streaming.errors import StreamInvalid, StreamUnknown
from foundation import clock
from foundation.database_errors import translated
from foundation.http import AddressPolicy
from foundation.secrets import SecretReference

__all__ = ["Destination", "StreamFilter", "StreamFormat", "StreamState", "add", "find", "listed", "remove"]

Connection = psycopg.Connection[Any]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*", re.ASCII)
_PORTS = {"https": 443, "syslog+tls": 6514}


class StreamFormat(StrEnum):
    """How entries are written for a receiver."""

    OCSF = "ocsf"
    CEF = "cef"
    FHIR = "fhir"


_SCHEMES = {StreamFormat.OCSF: "https", StreamFormat.CEF: "syslog+tls", StreamFormat.FHIR: "https"}


class StreamFilter(BaseModel):
    """Which entries a receiver gets: those that fit every list that is not empty; `*` stands for anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry is for this receiver."""
        return (
            _any_fits(self.kinds, [entry.get("kind")])
            and _any_fits(self.providers, [entry.get("provider")])
            and _any_fits(self.consumers, [entry.get("consumer")])
            and _any_fits(self.purposes, [entry.get("purpose")])
            and _any_fits(self.datasets, entry.get("datasets") or [])
        )

    @property
    def is_about_datasets(self) -> bool:
        """Whether it says whose or which data it is about."""
        return bool(self.datasets or self.providers)

    def __str__(self) -> str:
        parts = [f"{name} {'|'.join(values)}" for name, values in self.model_dump().items() if values]
        return ", ".join(parts) or "everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A receiver of entries.

    Attributes:
        name: Short name, in lower case.
        format: How entries are written for it.
        url: `https://…`, or `syslog+tls://host:port`.
        filter: Which entries it gets.
        ca_pem: Authority of its certificate; the machine's authorities by default.
        client: Name of our certificate for it: `<client>.pem` and `<client>.key` among the operator's
            secrets.
        credential: Reference to the secret that is sent in `credential_header`.
        credential_header: Header that carries the secret.
    """

    name: str
    format: StreamFormat
    url: str
    filter: StreamFilter = field(default_factory=StreamFilter)
    ca_pem: str | None = field(default=None, repr=False)
    client: str | None = None
    credential: str | None = None
    credential_header: str = "Authorization"

    @property
    def host(self) -> str:
        """Name of the receiving host."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Port of the receiver."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS.get(parts.scheme, 0)

    @property
    def address(self) -> str:
        """Its `host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def addresses(self) -> AddressPolicy:
        """What may be called for it: this one address."""
        return AddressPolicy([self.address])

    def check(self) -> None:
        """Refuse a destination that cannot be one.

        Raises:
            StreamInvalid: Saying what is wrong with it.
        """
        problems = [problem for problem, found in self._problems().items() if found]
        if problems:
            raise StreamInvalid(
                f"The stream {self.name if _NAME.fullmatch(self.name) else ''} {'; '.join(problems)}",
                remedy="See docs/how-to/send-to-a-siem.md",
            )
        if self.credential is not None:
            SecretReference.parse(self.credential)

    def _problems(self) -> dict[str, bool]:
        try:
            parts = urlsplit(self.url)
            port_is_good = parts.port is None or parts.port > 0
        except ValueError:
            parts, port_is_good = SplitResult("", "", "", "", ""), False
        scheme = _SCHEMES[self.format]
        return {
            "needs a name of small letters, digits and hyphens": not _NAME.fullmatch(self.name),
            f"needs an address {scheme}://host": parts.scheme != scheme or not parts.hostname,
            "has an address whose port is none": not port_is_good,
            "must not hold a login in its address": "@" in parts.netloc,
            "must not hold a query or a fragment in its address": bool(parts.query or parts.fragment),
            "must not hold an identifier in its address": looks_personal(self.url),
            "sends secrets over HTTPS only": self.credential is not None and scheme != "https",
            "has a header that is none": not _HEADER.fullmatch(self.credential_header),
            "has a client certificate whose name is none": bool(self.client)
            and not _FILE.fullmatch(self.client or ""),
            "must say which datasets or providers are health's (FHIR)": self.format is StreamFormat.FHIR
            and not self.filter.is_about_datasets,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """How far a stream has come, and how it goes."""

    name: str
    position: int
    size: int
    """Entries under the newest checkpoint: what could be sent."""
    sent: int
    failures: int
    problem: str | None
    failing_since: datetime | None
    delivered_at: datetime | None
    next_attempt_at: datetime

    @property
    def waiting(self) -> int:
        """Entries that were not looked at yet."""
        return max(0, self.size - self.position)

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self.failures > 0


def add(connection: Connection, destination: Destination, *, by: str, since: int | None = None) -> None:
    """Register a destination, in the caller's transaction, with an entry.

    Args:
        connection: in a role that registers (steward).
        destination: where to.
        by: pseudonym of the operator who says so.
        since: number of the first entry to send; by default, whatever is written from now on.

    Raises:
        StreamInvalid: When it cannot be one, or the name is taken.
    """
    destination.check()
    with translated():
        row = connection.execute(
            _ADD,
            {
                "name": destination.name,
                "format": str(destination.format),
                "url": destination.url,
                "ca": destination.ca_pem,
                "client": destination.client,
                "credential": destination.credential,
                "header": destination.credential_header,
                "filter": Jsonb(destination.filter.model_dump(mode="json")),
                "since": since,
                "by": by,
                "at": clock.now(),
            },
        ).fetchone()
    if row is None:
        raise StreamInvalid(
            f"There is a stream {destination.name} already", remedy="Choose another name, or remove it first"
        )
    _log(connection, destination, "added", by, first=row[0])


def remove(connection: Connection, name: str, *, by: str) -> None:
    """Send no more to a destination, and forget how far it had come; with an entry.

    Raises:
        StreamUnknown: When there is none of that name.
    """
    destination = find(connection, name)
    connection.execute("DELETE FROM audit.stream WHERE name = %s", [name])
    _log(connection, destination, "removed", by)


def log_test(connection: Connection, destination: Destination, *, by: str, problem: str | None) -> None:
    """Record that a destination was tried out."""
    _log(connection, destination, "tested", by, problem=problem)


def find(connection: Connection, name: str) -> Destination:
    """The destination of a name.

    Raises:
        StreamUnknown: When there is none.
    """
    row = connection.execute(f"{_SELECT} WHERE name = %s", [name]).fetchone()
    if row is None:
        raise StreamUnknown(f"There is no stream {name}", remedy="`lintas audit streams list` names them")
    return from_row(row)


def listed(connection: Connection) -> list[Destination]:
    """All destinations, by name."""
    return [from_row(row) for row in connection.execute(f"{_SELECT} ORDER BY name").fetchall()]


def states(connection: Connection) -> list[StreamState]:
    """How far each stream has come, by name."""
    with connection.cursor(row_factory=class_row(StreamState)) as cursor:
        return cursor.execute(_STATES).fetchall()


COLUMNS = "name, format, url, filter, ca_pem, client, credential, credential_header"
_SELECT = f"SELECT {COLUMNS} FROM audit.stream"  # noqa: S608
_ADD = """
INSERT INTO audit.stream
       (name, format, url, ca_pem, client, credential, credential_header, filter, position, next_attempt_at,
        added_by, added_at)
SELECT %(name)s, %(format)s, %(url)s, %(ca)s, %(client)s, %(credential)s, %(header)s, %(filter)s,
       coalesce(%(since)s, tree_size), %(at)s, %(by)s, %(at)s
  FROM audit.log_state
ON CONFLICT (name) DO NOTHING
RETURNING position
"""
_STATES = """
SELECT name, position, coalesce((SELECT max(tree_size) FROM audit.checkpoints), 0) AS size, sent, failures,
       problem, failing_since, delivered_at, next_attempt_at
  FROM audit.stream ORDER BY name
"""


def from_row(row: tuple[Any, ...]) -> Destination:
    """A destination from its stored columns."""
    name, kind, url, kept, ca_pem, client, credential, header = row
    return Destination(
        name=name,
        format=StreamFormat(kind),
        url=url,
        filter=StreamFilter.model_validate(kept),
        ca_pem=ca_pem,
        client=client,
        credential=credential,
        credential_header=header,
    )


def _any_fits(patterns: tuple[str, ...], values: list[Any]) -> bool:
    if not patterns:
        return True
    return any(
        value is not None and fnmatchcase(str(value), pattern) for value in values for pattern in patterns
    )


def _log(
    connection: Connection,
    destination: Destination,
    outcome: str,
    by: str,
    *,
    first: int | None = None,
    problem: str | None = None,
) -> None:
    details = {
        "stream": destination.name,
        "format": str(destination.format),
        "host": destination.address,
        "filter": str(destination.filter)[:2000],
        "first": first,
        "problem": problem,
    }
    append(
        connection,
        EntryDraft(kind=EntryKind.STREAM_CHANGED, actor=by, outcome=outcome, details=details),
    )
