"""One entry as streams carry it: its number, its content, and which log it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from audit.kinds import KINDS, EntryKind

__all__ = ["FAILED_OUTCOMES", "LoggedEntry", "Origin", "product_version"]

FAILED_OUTCOMES = frozenset({"refused", "denied", "failed", "rejected", "error", "not-matched", "dead"})
"""Outcomes that a SIEM should see as a failure."""

_FAILED_KINDS = frozenset(
    {"exchange.refused", "login.refused", "sync.failed", "sync.rejected", "notice.dead"}
)


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry with its number; both together are the same whenever it is sent again."""

    index: int
    data: Mapping[str, Any]

    @property
    def entry_id(self) -> str:
        """The entry's id."""
        return str(self.data["id"])

    @property
    def kind(self) -> str:
        """What the entry records."""
        return str(self.data["kind"])

    @property
    def time(self) -> str:
        """When it happened, as it stands in the entry (RFC 3339, UTC)."""
        return str(self.data["time"])

    @property
    def milliseconds(self) -> int:
        """When it happened, in milliseconds since 1970."""
        return int(datetime.fromisoformat(self.time).timestamp() * 1000)

    @property
    def has_failed(self) -> bool:
        """Whether it tells of something that was refused or went wrong."""
        return self.kind in _FAILED_KINDS or self.data.get("outcome") in FAILED_OUTCOMES

    @property
    def summary(self) -> str:
        """What this kind of entry records, in a short sentence."""
        try:
            return KINDS[EntryKind(self.kind)].summary
        except ValueError:
            return self.kind

    def text(self, name: str) -> str | None:
        """A field as text; lists are joined, and what is missing stays missing."""
        value = self.data.get(name)
        if value is None or value == []:
            return None
        return " ".join(map(str, value)) if isinstance(value, list) else str(value)


@dataclass(frozen=True, slots=True)
class Origin:
    """The log that speaks: its name in checkpoints, and the address of the bus."""

    log: str
    url: str
    version: str

    @property
    def host(self) -> str:
        """The name of the log without its path, as syslog wants a host."""
        return self.log.partition("/")[0][:255] or "-"


@lru_cache(maxsize=1)
def product_version() -> str:
    """The version of Lintas that speaks."""
    try:
        return version("lintas")
    except PackageNotFoundError:
        return "0"
