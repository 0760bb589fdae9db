"""Whom a breach concerns: the exchanges of a window, credential, agency or field set, and what went to whom.

The log says it without naming anybody: subjects are counted by the keys of the index outside the log, and
named by those keys' first digits, which only the vault can lead back to a person.

An entry that names datasets and no fields counts for each of their fields, and a stolen key for all that its
owner did while it was valid: rather one exchange too many than one too few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from audit import entry as entries
from audit.errors import FilterInvalid

__all__ = ["NOTICE_WITHIN", "Breach", "BreachQuestion", "affected_by"]

NOTICE_WITHIN = timedelta(hours=72)
"""UU 27/2022 Art. 46(1): 3 x 24 hours, to the subjects and to the supervisory body."""

_DISCLOSING = (
    "exchange.answered", "exchange.read", "exchange.reviewed", "exchange.pushed", "lookup.completed",
    "notice.delivered", "notice.read", "quarantine.viewed", "quarantine.returned", "conflict.viewed",
    "referral.viewed", "audit.viewed", "audit.exported", "audit.dossier", "sync.completed",
)  # fmt: skip
_FOUND = """
SELECT entry_index, entry_id, entry FROM audit.entries
 WHERE kind = ANY(%(kinds)s)
   AND (%(since)s::timestamptz IS NULL OR occurred_at >= %(since)s)
   AND (%(until)s::timestamptz IS NULL OR occurred_at <= %(until)s)
 ORDER BY entry_index
"""
_SUBJECTS = "SELECT DISTINCT encode(index_key, 'hex') FROM audit.subject_index WHERE entry_id = ANY(%s)"
_KEY = """
SELECT kid, owner_kind, coalesce(o.pseudonym, owner_id), valid_from, valid_to
  FROM participants.public_key LEFT JOIN participants.officer o
    ON owner_kind = 'officer' AND o.officer_id = owner_id
 WHERE kid = %s
"""
_CHUNK = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BreachQuestion:
    """What was breached; what is left out is not limited.

    Attributes:
        since: Start of the window.
        until: End of the window.
        system: The system whose credential was used.
        key: The id of a public key of a system, officer or agency: what they did while it was valid.
        officer: The officer's pseudonym.
        agency: The agency that gave or received.
        datasets: Datasets, or fields as `dataset:field`.
    """

    since: datetime | None = None
    until: datetime | None = None
    system: str | None = None
    key: str | None = None
    officer: str | None = None
    agency: str | None = None
    datasets: tuple[str, ...] = ()

    def concerns(self, data: Mapping[str, Any], credential: Credential | None = None) -> bool:
        """Whether an entry is one of those breached; the credential is what `key` stands for."""
        details = data.get("details") or {}
        return (
            self.system in (None, data.get("system"), details.get("client"))
            and (credential is None or credential.made(data))
            and self.officer in (None, data.get("actor"))
            and self.agency in (None, data.get("provider"), data.get("consumer"), *_providers(data))
            and (not self.datasets or bool(self.fields_of(data)))
        )

    def fields_of(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """The fields of an entry that are asked about; a dataset without a field stands for all of them."""
        named = [str(name) for name in data.get("fields", ())]
        told = {name.partition(":")[0] for name in named}
        named += [str(name) for name in data.get("datasets", ()) if name not in told]
        if not self.datasets:
            return tuple(named)
        wanted, parts = set(self.datasets), {name.partition(":")[0] for name in self.datasets}
        return tuple(
            name
            for name in named
            if name in wanted or name.partition(":")[0] in (wanted if ":" in name else parts)
        )

    def filters(self) -> list[str]:
        """Names of the filters that are set."""
        names = ("since", "until", "system", "key", "officer", "agency", "datasets")
        return [name for name in names if getattr(self, name)]


@dataclass(frozen=True, slots=True)
class Credential:
    """Whose key it is, and while when it was valid."""

    kid: str
    owner_kind: str
    owner: str
    valid_from: datetime
    valid_to: datetime | None

    @classmethod
    def of(cls, connection: psycopg.Connection[Any], kid: str) -> Credential:
        """The owner of a key, as the log names them: officers by pseudonym.

        Raises:
            FilterInvalid: when no such key was ever registered.
        """
        row = connection.execute(_KEY, (kid,)).fetchone()
        if row is None:
            raise FilterInvalid("No such key was registered.", remedy="See `lintas keys list` for the ids.")
        return cls(*row)

    def made(self, data: Mapping[str, Any]) -> bool:
        """Whether an entry tells of something that its owner did while it was valid."""
        details = data.get("details") or {}
        if details.get("key") == self.kid:
            return True
        at = datetime.fromisoformat(str(data["time"]))
        if at < self.valid_from or (self.valid_to is not None and at > self.valid_to):
            return False
        if self.owner_kind == "system":
            return self.owner in (data.get("system"), details.get("client"))
        if self.owner_kind == "officer":
            return data.get("actor") == self.owner
        return self.owner_kind == "agency" and self.owner in (data.get("provider"), data.get("consumer"))


@dataclass(slots=True)
class Breach:
    """Whom it concerns, what went out, and to whom."""

    entries: list[UUID] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    receivers: Counter[str] = field(default_factory=Counter)
    systems: Counter[str] = field(default_factory=Counter)
    purposes: Counter[str] = field(default_factory=Counter)
    batch_records: Counter[str] = field(default_factory=Counter)
    subjects: list[str] = field(default_factory=list)
    first: str | None = None
    last: str | None = None

    def note(self, entry_id: UUID, data: Mapping[str, Any], fields: Sequence[str]) -> None:
        """Count one entry."""
        self.entries.append(entry_id)
        self.kinds[str(data["kind"])] += 1
        self.fields.update(fields)
        for counter, name in (
            (self.receivers, "consumer"),
            (self.systems, "system"),
            (self.purposes, "purpose"),
        ):
            if data.get(name):
                counter[str(data[name])] += 1
        figures = data.get("batch") or {}
        if figures.get("published"):
            self.batch_records[str(figures.get("contract"))] += int(figures["published"])
        self.first = min(self.first or str(data["time"]), str(data["time"]))
        self.last = max(self.last or str(data["time"]), str(data["time"]))


def affected_by(connection: psycopg.Connection[Any], question: BreachQuestion) -> Breach:
    """Answer the question from the log.

    Args:
        connection: connection of a role that reads the log (auditor).
        question: what was breached.

    Raises:
        FilterInvalid: when the key asked about was never registered.
    """
    breach = Breach()
    credential = None if question.key is None else Credential.of(connection, question.key)
    given = {"kinds": list(_DISCLOSING), "since": question.since, "until": question.until}
    with connection.cursor(name="audit_breach") as cursor:
        cursor.itersize = _CHUNK
        cursor.execute(_FOUND, given)
        for _, entry_id, encoded in cursor:
            data = entries.parse(bytes(encoded))
            if question.concerns(data, credential):
                breach.note(entry_id, data, question.fields_of(data))
    found: set[str] = set()
    for start in range(0, len(breach.entries), _CHUNK):
        rows = connection.execute(_SUBJECTS, [breach.entries[start : start + _CHUNK]])
        found.update(f"subject-{row[0][:16]}" for row in rows)
    breach.subjects = sorted(found)
    return breach


def _providers(data: Mapping[str, Any]) -> set[str]:
    """Agencies whose fields or datasets an entry names."""
    return {str(name).partition("/")[0] for name in (*data.get("fields", ()), *data.get("datasets", ()))}
