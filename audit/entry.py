"""The entry: what is written about one thing that happened, as exact RFC 8785 bytes.

Invariant: an entry holds nothing that can be tested against a person. Subjects are tags, personal
content is sealed beside the log, and a value that looks like a national identifier is refused.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from audit.entry_bytes import (
    MAXIMUM_ENTRY_BYTES,
    canonical_bytes,
    canonical_value,
    check_whole,
    looks_personal,
    parse,
)
from audit.errors import EntryRefused
from audit.kinds import BATCH_FIGURES, KINDS, EntryKind
from audit.subjects.sealing import Sealed, seal
from audit.subjects.subject_keys import SubjectKeys
from audit.tree.merkle import leaf_hash
from foundation import clock
from foundation.errors import Location

__all__ = [
    "MAXIMUM_ENTRY_BYTES",
    "BuiltEntry",
    "EntryDraft",
    "EntryKind",
    "RevisionReference",
    "build",
    "canonical_bytes",
    "looks_personal",
    "parse",
]

ENTRY_VERSION = 1
_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_SINGLE = ("provider", "consumer", "system", "actor", "purpose", "legal_basis", "outcome")
_in_common = attrgetter("kind", *_SINGLE, "agreements", "consent", "datasets", "fields", "rules")


@dataclass(frozen=True, slots=True)
class RevisionReference:
    """The exact revision of an agreement or consent that was relied on."""

    id: str
    revision: int
    hash: str

    def as_dict(self) -> dict[str, Any]:
        """The reference as it stands in an entry."""
        return {"id": str(self.id), "revision": self.revision, "hash": self.hash}


@dataclass(slots=True, kw_only=True)
class EntryDraft:
    """What a room wants to have recorded. `sealed` is personal or raw, and needs a `subject`.

    Not frozen, for that would be a third of what a draft costs; nobody changes one.

    `also_about` are further persons whom the entry concerns, such as the child of an applicant: each gets a
    tag of their own and finds the entry, but only `subject` can open what is sealed. `case_key` (from
    `audit.search.case_key`) lists the entry under its case beside the log; the entry itself does not say it.
    """

    kind: EntryKind
    occurred_at: datetime = field(default_factory=clock.now)
    provider: str | None = None
    consumer: str | None = None
    system: str | None = None
    actor: str | None = None
    purpose: str | None = None
    legal_basis: str | None = None
    agreements: tuple[RevisionReference, ...] = ()
    consent: RevisionReference | None = None
    datasets: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    decision_id: str | UUID | None = None
    rules: tuple[str, ...] = ()
    outcome: str | None = None
    batch: Mapping[str, Any] | None = None
    run_id: str | None = None
    trace_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    subject: SubjectKeys | None = None
    also_about: tuple[SubjectKeys, ...] = ()
    sealed: Mapping[str, Any] | None = field(default=None, repr=False)
    case_key: bytes | None = field(default=None, repr=False)

    @property
    def subjects(self) -> tuple[SubjectKeys, ...]:
        """Everybody whom the entry concerns."""
        return self.also_about if self.subject is None else (self.subject, *self.also_about)


class BuiltEntry(NamedTuple):
    """An entry ready to be written: its bytes, its leaf hash, and what goes beside the log."""

    entry_id: UUID
    draft: EntryDraft
    encoded: bytes
    leaf_hash: bytes
    sealed_blob: bytes | None
    index_keys: tuple[bytes, ...]

    @property
    def case_key(self) -> bytes | None:
        """The key under which the entry is listed with its case."""
        return self.draft.case_key

    @property
    def data(self) -> dict[str, Any]:
        """What the bytes say."""
        return parse(self.encoded)


def build(draft: EntryDraft) -> BuiltEntry:
    """Turn a draft into an entry.

    Raises:
        EntryRefused: when the draft is not an entry of its kind, or could be tested against a person.
    """
    entry_id, nonce = _new_id()
    sealed = _seal(draft, entry_id)
    own = _own_fields(draft, entry_id, nonce, sealed)
    encoded = check_whole(_frame(_in_common(draft), tuple(own)) % tuple(own.values()))
    keys = tuple([each.index_key() for each in draft.subjects])
    return BuiltEntry(entry_id, draft, encoded, leaf_hash(encoded), sealed.blob if sealed else None, keys)


def _seal(draft: EntryDraft, entry_id: UUID) -> Sealed | None:
    if not draft.sealed:
        return None
    if draft.subject is None:
        raise EntryRefused(
            "Sealed content needs a subject, whose data key seals it.",
            remedy="Give the draft the keys that Vault.handle_for returned.",
        )
    return seal(draft.subject, entry_id, draft.sealed)


def _own_fields(draft: EntryDraft, entry_id: UUID, nonce: bytes, sealed: Sealed | None) -> dict[str, bytes]:
    """The fields in which entries of one kind of exchange differ, encoded, in the order of their names."""
    own: dict[str, bytes] = {}
    if draft.batch and (batch := _figures(draft.kind, "batch", draft.batch)):
        own["batch"] = batch
    if draft.decision_id:
        own["decision"] = canonical_value(str(draft.decision_id), "decision")
    if draft.details and (details := _figures(draft.kind, "details", draft.details)):
        own["details"] = details
    own["id"] = b'"%b"' % str(entry_id).encode()
    own["nonce"] = b'"%b"' % nonce.hex().encode()
    if draft.run_id is not None:
        own["run"] = canonical_value(draft.run_id, "run")
    if sealed is not None:
        own["sealed"] = canonical_value(sealed.as_dict(), "sealed")
    if subjects := draft.subjects:
        own["subjects"] = b'["%b"]' % '","'.join([each.tag(nonce) for each in subjects]).encode()
    own["time"] = b'"%b"' % _timestamp(draft.occurred_at).encode()
    if draft.trace_id is not None:
        own["trace"] = canonical_value(draft.trace_id, "trace")
    return own


def _figures(kind: EntryKind, name: str, given: Mapping[str, Any]) -> bytes | None:
    """Details or batch figures, encoded; None where none are given."""
    if not (plain := _plain(given)):
        return None
    is_batch = name == "batch"
    allowed, what = (
        (BATCH_FIGURES, "batch figure") if is_batch else (KINDS[EntryKind(kind)].all_details, "detail")
    )
    if unknown := sorted(str(each) for each in plain if each not in allowed):
        raise _not_of_its_kind(kind, [f"must not have the {what} {each}" for each in unknown])
    return canonical_value(plain, name)


@lru_cache(maxsize=1024)
def _frame(common: tuple[Any, ...], own: tuple[str, ...]) -> bytes:
    """An entry with a place (`%b`) for each of its own fields.

    Remembered, for the parties, the right and the data of an exchange are the same in thousands of entries.

    Raises:
        EntryRefused: when an entry of this kind may not have these fields, or a field is not what it must be.
    """
    data = _common_fields(common)
    kind = EntryKind(common[0])
    check_kind(kind, (*data, *own))
    for name in _SINGLE:
        if name in data and not (isinstance(data[name], str) and _NAME.fullmatch(data[name])):
            raise EntryRefused(f"The field {name} must be a plain ASCII name.", location=Location(field=name))
    parts = dict.fromkeys(own, b"%b")
    parts |= {name: canonical_value(value, name).replace(b"%", b"%%") for name, value in data.items()}
    return b"{%b}" % b",".join([b'"%b":%b' % (name.encode(), parts[name]) for name in sorted(parts)])


def _common_fields(common: tuple[Any, ...]) -> dict[str, Any]:
    kind, *single, agreements, consent, datasets, fields, rules = common
    given = {
        "v": ENTRY_VERSION,
        "kind": str(kind),
        **dict(zip(_SINGLE, single, strict=True)),
        "agreements": [reference.as_dict() for reference in agreements] or None,
        "consent": consent.as_dict() if consent else None,
        "datasets": list(datasets) or None,
        "fields": sorted(fields) or None,
        "rules": list(rules) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def check_kind(kind: EntryKind, names: Iterable[str]) -> None:
    """Check that an entry of this kind has the fields it must have, and no others.

    Raises:
        EntryRefused: otherwise; it names the fields.
    """
    rule = KINDS[kind]
    content = frozenset(names) - _IN_EVERY_ENTRY
    problems = [f"misses {name}" for name in sorted(rule.required - content)]
    problems += [f"must not have {name}" for name in sorted(content - rule.allowed)]
    if problems:
        raise _not_of_its_kind(kind, problems)


def _not_of_its_kind(kind: EntryKind, problems: Sequence[str]) -> EntryRefused:
    return EntryRefused(
        f"An entry of kind {kind} {', '.join(problems)}.",
        remedy="See docs/reference/entry-kinds.md; new names are added in audit/kinds.py.",
        kind=str(kind),
    )


_IN_EVERY_ENTRY = frozenset({"v", "id", "nonce", "kind", "time"})


def _plain(mapping: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The mapping with UUIDs, moments and hashes as text, and without what is None."""
    if mapping is None:
        return None
    return {name: _plain_value(value) for name, value in mapping.items() if value is not None}


def _plain_value(value: Any) -> Any:
    plain: Any = value
    match value:
        case datetime():
            plain = _timestamp(value)
        case UUID():
            plain = str(value)
        case bytes():
            plain = value.hex()
        case Mapping():
            plain = _plain(value)
        case set() | frozenset():
            plain = sorted(str(item) for item in value)
        case list() | tuple():
            plain = [_plain_value(item) for item in value]
    return plain


def _timestamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise EntryRefused("A moment in an entry must have a time zone.", location=Location(field="time"))
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def _new_id() -> tuple[UUID, bytes]:
    """A UUID of version 7, whose leading time keeps the indexes of the log compact, and a fresh nonce."""
    noise = _noise()
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(noise[16:]) & _UUID_NOISE | _UUID_VERSION_7
    return UUID(int=value), noise[:16]


def _noise() -> bytes:
    """26 random bytes that nobody else gets, fetched for many entries at once.

    Whoever asks the kernel lets go of the interpreter, and gets it back only after all threads that wait
    for it: with eight of them that cost an entry more than all the rest of building it.
    """
    while True:
        try:
            return _NOISE.pop()
        except IndexError:
            fetched = secrets.token_bytes(26 * _AT_ONCE)
            _NOISE.extend([fetched[start : start + 26] for start in range(0, len(fetched), 26)])


_AT_ONCE = 256
_NOISE: deque[bytes] = deque()
os.register_at_fork(after_in_child=_NOISE.clear)  # a child must not use what its parent will use, too
_UUID_NOISE = ~(0xF << 76) & ~(0x3 << 62)
_UUID_VERSION_7 = 0x7 << 76 | 0x2 << 62
