"""The entry: what is written about one thing that happened, as exact RFC 8785 bytes.

Invariant: an entry holds nothing that can be tested against a person. Subjects are tags, personal
content is sealed beside the log, and a value that looks like a national identifier is refused.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from audit.errors import EntryRefused
from audit.kinds import BATCH_FIGURES, FIELDS, KINDS, EntryKind
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
MAXIMUM_ENTRY_BYTES = 65_535
_LARGEST_INTEGER = 2**53 - 1
_MAXIMUM_DEPTH = 6
_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/\-]{0,199}")
_LOOKS_PERSONAL = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ .\-]?[0-9]){14,15}(?![0-9A-Za-z])")
_DIGITS_IN_A_ROW = b"0" * 15
_ONLY_DIGITS_MATTER = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x78 for byte in range(256))
_MAY_STAND_BETWEEN_DIGITS = b" .-"
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_SINGLE = ("provider", "consumer", "system", "actor", "purpose", "legal_basis", "outcome")
_PLAIN = (*_SINGLE, "run", "trace")
_plain_fields = attrgetter(*_SINGLE, "run_id", "trace_id")


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
    kind: EntryKind
    occurred_at: datetime
    data: Mapping[str, Any]
    encoded: bytes
    leaf_hash: bytes
    sealed_blob: bytes | None
    index_keys: tuple[bytes, ...]
    case_key: bytes | None = None


def build(draft: EntryDraft) -> BuiltEntry:
    """Turn a draft into an entry.

    Raises:
        EntryRefused: when the draft is not an entry of its kind, or could be tested against a person.
    """
    entry_id, nonce = _new_id()
    sealed = _seal(draft, entry_id)
    data = _data(draft, entry_id, nonce, sealed)
    _check_kind(draft.kind, data)
    encoded = canonical_bytes(data)
    return BuiltEntry(
        entry_id=entry_id,
        kind=draft.kind,
        occurred_at=draft.occurred_at,
        data=data,
        encoded=encoded,
        leaf_hash=leaf_hash(encoded),
        sealed_blob=sealed.blob if sealed else None,
        index_keys=tuple(each.index_key() for each in draft.subjects),
        case_key=draft.case_key,
    )


def canonical_bytes(data: dict[str, Any]) -> bytes:
    """RFC 8785 bytes of an entry: ASCII keys, no floats, integers below 2^53, at most 65,535 bytes.

    With ASCII keys and without floats, sorted compact JSON is RFC 8785 (a property test says so).

    Raises:
        EntryRefused: when the object is not within those limits.
    """
    _check_value(data, "entry", 0)
    try:
        encoded = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise EntryRefused("The entry holds something that JSON cannot carry.") from error
    if len(encoded) > MAXIMUM_ENTRY_BYTES:
        raise EntryRefused(
            f"The entry has {len(encoded)} bytes; at most {MAXIMUM_ENTRY_BYTES} are allowed.",
            remedy="Give counts instead of lists, or put the content under `sealed`.",
        )
    _check_nothing_personal(data, encoded)
    return encoded


def looks_personal(text: str) -> bool:
    """Whether a text looks like a national identifier, so that no entry could hold it."""
    return bool(_LOOKS_PERSONAL.search(_UUID.sub("", text)))


def parse(encoded: bytes) -> dict[str, Any]:
    """Read stored entry bytes.

    Raises:
        EntryRefused: when they are not one JSON object.
    """
    try:
        data = orjson.loads(encoded)
    except orjson.JSONDecodeError as error:
        raise EntryRefused("The entry is not JSON.") from error
    if not isinstance(data, dict):
        raise EntryRefused("The entry is not a JSON object.")
    return data


def _seal(draft: EntryDraft, entry_id: UUID) -> Sealed | None:
    if not draft.sealed:
        return None
    if draft.subject is None:
        raise EntryRefused(
            "Sealed content needs a subject, whose data key seals it.",
            remedy="Give the draft the keys that Vault.handle_for returned.",
        )
    return seal(draft.subject, entry_id, draft.sealed)


def _data(draft: EntryDraft, entry_id: UUID, nonce: bytes, sealed: Sealed | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "v": ENTRY_VERSION,
        "id": str(entry_id),
        "nonce": nonce.hex(),
        "kind": str(draft.kind),
        "time": _timestamp(draft.occurred_at),
    }
    for name, value in zip(_PLAIN, _plain_fields(draft), strict=True):
        if value is not None:
            data[name] = value
    _add_lists(data, draft, nonce)
    if draft.consent:
        data["consent"] = draft.consent.as_dict()
    if draft.decision_id:
        data["decision"] = str(draft.decision_id)
    if draft.batch and (batch := _plain(draft.batch)):
        data["batch"] = batch
    if draft.details and (details := _plain(draft.details)):
        data["details"] = details
    if sealed:
        data["sealed"] = {"digest": sealed.digest, "commitments": dict(sealed.commitments)}
    return data


def _add_lists(data: dict[str, Any], draft: EntryDraft, nonce: bytes) -> None:
    """The lists of an entry; one that is empty is left out."""
    if draft.agreements:
        data["agreements"] = [reference.as_dict() for reference in draft.agreements]
    if draft.datasets:
        data["datasets"] = list(draft.datasets)
    if draft.fields:
        data["fields"] = sorted(draft.fields)
    if draft.rules:
        data["rules"] = list(draft.rules)
    if subjects := draft.subjects:
        data["subjects"] = [each.tag(nonce) for each in subjects]


def _check_kind(kind: EntryKind, data: Mapping[str, Any]) -> None:
    problems = list(_problems_of_shape(EntryKind(kind), tuple(data)))
    if "details" in data:
        unknown = _unknown(data["details"], KINDS[EntryKind(kind)].all_details)
        problems += [f"must not have the detail {name}" for name in unknown]
    if "batch" in data:
        problems += [
            f"must not have the batch figure {name}" for name in _unknown(data["batch"], BATCH_FIGURES)
        ]
    if problems:
        raise EntryRefused(
            f"An entry of kind {kind} {', '.join(problems)}.",
            remedy="See docs/reference/entry-kinds.md; new names are added in audit/kinds.py.",
            kind=str(kind),
        )
    for name in _SINGLE:
        if name in data and not _is_name(data[name]):
            raise EntryRefused(f"The field {name} must be a plain ASCII name.", location=Location(field=name))


@lru_cache(maxsize=1024)
def _problems_of_shape(kind: EntryKind, names: tuple[str, ...]) -> tuple[str, ...]:
    """What fields an entry of this kind lacks or must not have; few sets of fields occur at all."""
    rule = KINDS[kind]
    content = frozenset(names) - _IN_EVERY_ENTRY
    problems = [f"misses {name}" for name in sorted(rule.required - content)]
    problems += [f"must not have {name}" for name in sorted(content - rule.allowed)]
    return tuple(problems)


@lru_cache(maxsize=4096, typed=True)
def _is_name(value: Any) -> bool:
    """Remembered, for agencies, purposes and outcomes are few."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _unknown(given: Mapping[str, Any], allowed: Mapping[str, str]) -> list[str]:
    return sorted(str(name) for name in given if name not in allowed)


def _check_value(value: Any, where: str, depth: int) -> None:
    kind = type(value)
    if kind in _WITHOUT_PARTS:
        return
    if depth > _MAXIMUM_DEPTH:
        raise EntryRefused("The entry is nested too deeply.", location=Location(field=where))
    if kind is dict:
        if not (value.keys() <= _OUR_KEYS or all(map(_is_key, value))):
            raise EntryRefused("A key must be a plain ASCII name.", location=Location(field=where))
        for name, item in value.items():
            if type(item) not in _WITHOUT_PARTS:
                _check_value(item, name, depth + 1)
    elif kind is list:
        if not _WITHOUT_PARTS.issuperset(map(type, value)):
            for item in value:
                _check_value(item, where, depth + 1)
    else:
        _check_scalar(value, where)


def _check_scalar(value: Any, where: str) -> None:
    if not isinstance(value, int | str):
        raise EntryRefused(f"An entry cannot hold a {type(value).__name__}.", location=Location(field=where))
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise EntryRefused("An integer is too large for an entry.", location=Location(field=where))


_WITHOUT_PARTS = frozenset({str, bool, type(None)})
_OUR_KEYS = FIELDS.keys() | {"revision", "hash"}
_IN_EVERY_ENTRY = frozenset({"v", "id", "nonce", "kind", "time"})


@lru_cache(maxsize=1024, typed=True)
def _is_key(name: Any) -> bool:
    """Remembered, for keys are the few names that stand in our code."""
    return isinstance(name, str) and _KEY.fullmatch(name) is not None


def _check_nothing_personal(data: dict[str, Any], encoded: bytes) -> None:
    """Refuse what looks like a national identifier: a fast look, and a careful one where it finds digits.

    The fast look leaves out whatever may stand between the digits of one, so it finds at least as much.
    """
    if _DIGITS_IN_A_ROW in encoded.translate(_ONLY_DIGITS_MATTER, _MAY_STAND_BETWEEN_DIGITS):
        _check_texts(data, "entry")


def _check_texts(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, where)
            _check_texts(item, name)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item, where)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        _check_text(str(value), where)


def _check_text(value: str, where: str) -> None:
    if looks_personal(value):
        raise EntryRefused(
            "A text in the entry looks like a national identifier.",
            why="Entries hold nothing that can be tested against a person.",
            remedy="Put it under `sealed`, or leave it out.",
            location=Location(field=where),
        )


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
    noise = secrets.token_bytes(26)
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(noise[16:]) & _UUID_NOISE | _UUID_VERSION_7
    return UUID(int=value), noise[:16]


_UUID_NOISE = ~(0xF << 76) & ~(0x3 << 62)
_UUID_VERSION_7 = 0x7 << 76 | 0x2 << 62
