"""The filter: which entries are asked for. Pure: it is also checked offline, entry by entry.

What names a person or a case is never part of the filter itself: it is given beside it as keys
(`Hidden`), so that a filter can be saved, logged and written into a manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

from audit.entry import looks_personal
from audit.errors import FilterInvalid
from audit.search.terms import term
from audit.subjects.subject_keys import SubjectKeys

__all__ = ["Hidden", "LogFilter"]

_LISTED = {"dataset": "datasets", "rule": "rules"}
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Entries that have all of what is set; `since` is the first moment, `until` the first one after.

    `kind` may be a family (`exchange`) or one kind (`exchange.answered`); `agency` is provider or consumer.
    """

    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None
    agency: str | None = None
    provider: str | None = None
    consumer: str | None = None
    dataset: str | None = None
    purpose: str | None = None
    legal_basis: str | None = None
    decision: str | None = None
    rule: str | None = None
    outcome: str | None = None
    system: str | None = None
    actor: str | None = None
    batch: str | None = None

    def __post_init__(self) -> None:
        for name, value in self._set():
            if isinstance(value, datetime):
                if value.tzinfo is None:
                    raise FilterInvalid(f"The moment `{name}` has no time zone.", remedy=_MOMENT)
            elif not isinstance(value, str) or not 0 < len(value) <= _LONGEST or looks_personal(value):
                raise FilterInvalid(
                    f"The value of `{name}` cannot stand in a filter.",
                    why="It is empty, too long, or looks like a national identifier, which no entry holds.",
                    remedy="Look for a person with `--nik-file`, for a case with `--case-file`.",
                )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a filter as `as_dict` writes it.

        Raises:
            FilterInvalid: when it has unknown names or impossible values.
        """
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise FilterInvalid(f"A filter has no {', '.join(unknown)}.", remedy=f"It has {sorted(known)}.")
        values = dict(data)
        for name in ("since", "until"):
            if isinstance(values.get(name), str):
                values[name] = _moment(values[name])
        return cls(**values)

    def as_dict(self) -> dict[str, str]:
        """What is set, as text."""
        return {
            name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
            for name, value in self._set()
        }

    @property
    def names(self) -> list[str]:
        """Names of what is set; they, not the values, go into the entry that logs the search."""
        return [name for name, _ in self._set()]

    @property
    def digest(self) -> str:
        """A digest of the filter, which ties a cursor to it."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def terms(self) -> list[int]:
        """Numbers of the terms that a block must hold to hold a match."""
        return [term(name, value) for name, value in self._set() if isinstance(value, str)]

    def matches(self, data: Mapping[str, Any]) -> bool:
        """Whether an entry is one of those asked for."""
        return all(_has(data, name, value) for name, value in self._set())

    def _set(self) -> list[tuple[str, Any]]:
        pairs = [(each.name, getattr(self, each.name)) for each in fields(self)]
        return [(name, value) for name, value in pairs if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Hidden:
    """Whom and which case is looked for: as keys of the indexes outside the log, never in clear."""

    subject: SubjectKeys | None = None
    case_key: bytes | None = None

    def __bool__(self) -> bool:
        return self.subject is not None or self.case_key is not None

    @property
    def names(self) -> list[str]:
        """What is looked for, by name."""
        pairs = (("subject", self.subject), ("case", self.case_key))
        return [name for name, value in pairs if value is not None]

    def carried_by(self, data: Mapping[str, Any]) -> bool:
        """Whether the entry itself carries the subject's tag: the index only finds, the tag counts."""
        if self.subject is None:
            return True
        return self.subject.tag(bytes.fromhex(data.get("nonce", ""))) in data.get("subjects", [])


def _has(data: Mapping[str, Any], name: str, value: Any) -> bool:  # noqa: PLR0911 - one line per facet
    match name:
        case "since":
            return bool(datetime.fromisoformat(data["time"]) >= value)
        case "until":
            return bool(datetime.fromisoformat(data["time"]) < value)
        case "kind":
            return value in (data["kind"], data["kind"].partition(".")[0])
        case "agency":
            return value in (data.get("provider"), data.get("consumer"))
        case "batch":
            return value in (_batch_id(data, "batch"), _batch_id(data, "details"))
        case "dataset" | "rule":
            return value in data.get(_LISTED[name], ())
        case _:
            return bool(data.get(name) == value)


def _batch_id(data: Mapping[str, Any], part: str) -> str | None:
    found = data.get(part, {}).get("batch_id")
    return None if found is None else str(found)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise FilterInvalid("A moment of the filter is none.", remedy=_MOMENT) from error


_MOMENT = "Write it as 2026-01-31T08:00:00+07:00."
