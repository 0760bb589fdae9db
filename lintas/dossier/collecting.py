"""Collecting what a dossier shows: entries with their proofs, and everything they rested on, as it stood."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lintas.dossier.question import MAXIMUM_ENTRIES, Asker, Kind, Question, QuestionTooWide

if TYPE_CHECKING:
    from psycopg import Connection

    from foundation.installation import Installation

__all__ = ["Collected", "CollectedEntry", "Revision", "collect"]

_COLUMNS = "SELECT e.entry_index, e.entry_id, e.entry, s.blob FROM audit.entries e"
_SEALED = " LEFT JOIN audit.sealed s USING (entry_id)"
_WINDOW = (
    " (%(since)s::timestamptz IS NULL OR e.occurred_at >= %(since)s)"
    " AND (%(until)s::timestamptz IS NULL OR e.occurred_at <= %(until)s)"
)
_END = " ORDER BY e.entry_index LIMIT %(limit)s"
_OF_SUBJECT = (
    f"{_COLUMNS} JOIN audit.subject_index i USING (entry_id){_SEALED}"
    f" WHERE i.index_key = %(key)s AND {_WINDOW}{_END}"
)
_OF_CASE = (
    f"{_COLUMNS} JOIN audit.case_index c USING (entry_id){_SEALED}"
    f" WHERE c.case_key = %(key)s AND {_WINDOW}{_END}"
)
_OF_PERIOD = f"{_COLUMNS}{_SEALED} WHERE {_WINDOW}{_END}"
_ONE = f"{_COLUMNS}{_SEALED} WHERE e.entry_id = %(entry)s"
_RELATED = (
    f"{_COLUMNS}{_SEALED} WHERE e.occurred_at BETWEEN %(at)s::timestamptz - interval '1 hour'"
    " AND %(at)s::timestamptz + interval '30 days' AND (position(%(decision)s::bytea IN e.entry) > 0"
    f" OR position(%(answer)s::bytea IN e.entry) > 0){_END}"
)
_CONTRACTS = (
    "SELECT entry FROM audit.entries WHERE kind = 'contract.published' AND occurred_at <= %s"
    " ORDER BY occurred_at, entry_index"
)


@dataclass(frozen=True, slots=True)
class CollectedEntry:
    """One entry: its exact bytes, its receipt where a checkpoint covers it, its own content for a citizen."""

    index: int
    entry_id: UUID
    encoded: bytes
    data: Mapping[str, Any]
    receipt: str | None
    opened: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Revision:
    """Something that entries rest on, as it stood: its exact bytes, where they are still at hand."""

    kind: str
    id: str
    revision: str
    hash: str
    content: bytes | None = field(default=None, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Collected:
    """All that a dossier shows."""

    entries: list[CollectedEntry] = field(default_factory=list)
    agreements: list[Revision] = field(default_factory=list)
    consents: list[Revision] = field(default_factory=list)
    contracts: list[Revision] = field(default_factory=list)
    services: list[Revision] = field(default_factory=list)
    rules: dict[str, Mapping[str, str]] = field(default_factory=dict)
    checkpoint: str = ""
    checkpoint_size: int = 0


def collect(installation: "Installation", connection: "Connection[Any]", question: Question) -> Collected:
    """Collect the answer to a question.

    Raises:
        QuestionTooWide: When it has more entries than anybody reads.
        UnknownEntry: When there is no such entry.
    """
    collected = Collected()
    rows = _rows(installation, connection, question)
    if len(rows) > MAXIMUM_ENTRIES:
        raise QuestionTooWide(
            f"The answer has more than {MAXIMUM_ENTRIES} entries.",
            remedy="Narrow the period, or use `lintas audit export`.",
        )
    collected.entries = [_collected(connection, question, row) for row in rows]
    collected.entries = [each for each in collected.entries if _may_be_shown(question, each)]
    newest = connection.execute(
        "SELECT tree_size, note FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1"
    ).fetchone()
    if newest is not None:
        collected.checkpoint_size, collected.checkpoint = newest
    entries = [each.data for each in collected.entries]
    collected.agreements = _agreements(connection, entries)
    collected.consents = _consents(connection, entries)
    collected.contracts = _contracts(installation, connection, collected.entries)
    collected.services = _services(installation, entries)
    collected.rules = _rules(entries)
    return collected


def _rows(installation: "Installation", connection: "Connection[Any]", question: Question) -> Sequence[Any]:
    from audit.search.cases import case_key

    given: dict[str, Any] = {
        "since": question.since,
        "until": question.until,
        "limit": MAXIMUM_ENTRIES + 1,
    }
    if question.kind is Kind.SUBJECT and question.subject is not None:
        return connection.execute(_OF_SUBJECT, given | {"key": question.subject.index_key()}).fetchall()
    if question.kind is Kind.CASE:
        key = case_key(installation.keyring, str(question.case))
        return connection.execute(_OF_CASE, given | {"key": key}).fetchall()
    if question.kind is Kind.EXCHANGE:
        return _exchange(connection, question, given)
    return connection.execute(_OF_PERIOD, given).fetchall()


def _exchange(connection: "Connection[Any]", question: Question, given: dict[str, Any]) -> Sequence[Any]:
    """The entry asked about, and those of the same decision or answer."""
    from audit import entry as entries
    from audit.errors import UnknownEntry

    row = connection.execute(_ONE, {"entry": UUID(str(question.entry))}).fetchone()
    if row is None:
        raise UnknownEntry("No entry has this id.", entry=str(question.entry))
    data = entries.parse(bytes(row[2]))
    answer = (data.get("details") or {}).get("answer")
    if not (data.get("decision") or answer):
        return [row]
    told = given | {
        "at": data["time"],
        "decision": str(data.get("decision") or answer).encode(),
        "answer": str(answer or data.get("decision")).encode(),
    }
    return connection.execute(_RELATED, told).fetchall()


def _collected(connection: "Connection[Any]", question: Question, row: Any) -> CollectedEntry:
    from audit import entry as entries
    from audit.errors import ReceiptNotReady, SealBroken
    from audit.publishing.receipt import receipt
    from audit.subjects.sealing import unseal

    index, entry_id, encoded, blob = row
    try:
        text: str | None = str(receipt(connection, entry_id))
    except ReceiptNotReady:
        text = None
    opened: Mapping[str, Any] | None = None
    if question.asker is Asker.CITIZEN and question.subject is not None and blob is not None:
        try:
            opened = unseal(question.subject, entry_id, bytes(blob)).content
        except SealBroken:  # sealed for somebody else, such as a child's guardian
            opened = None
    return CollectedEntry(index, entry_id, bytes(encoded), entries.parse(bytes(encoded)), text, opened)


def _may_be_shown(question: Question, each: CollectedEntry) -> bool:
    """A citizen is shown an entry only when it carries their own tag."""
    if question.asker is Asker.AUDITOR or question.subject is None:
        return True
    return question.subject.tag(bytes.fromhex(each.data["nonce"])) in each.data.get("subjects", [])


def _agreements(connection: "Connection[Any]", entries: Iterable[Mapping[str, Any]]) -> list[Revision]:
    from consent.agreement import revisions

    wanted = {
        (str(each["id"]), int(each["revision"]), str(each["hash"]))
        for entry in entries
        for each in entry.get("agreements", ())
    }
    found = []
    for agreement, number, digest in sorted(wanted):
        stored = [
            each for each in revisions(connection, agreement) if each.signed.revision.revision == number
        ]
        if not stored:
            found.append(Revision("agreement", agreement, str(number), digest))
            continue
        (one,) = stored
        facts = {
            **one.terms.model_dump(mode="json"),
            "published_at": one.published_at.isoformat(),
            "ended_at": one.ended_at.isoformat() if one.ended_at else None,
            "provider_kid": one.signed.provider_signature.kid,
            "provider_signature": one.signed.provider_signature.signature.hex(),
            "consumer_kid": one.signed.consumer_signature.kid,
            "consumer_signature": one.signed.consumer_signature.signature.hex(),
        }
        found.append(Revision("agreement", agreement, str(number), digest, one.signed.payload, facts))
    return found


def _consents(connection: "Connection[Any]", entries: Iterable[Mapping[str, Any]]) -> list[Revision]:
    wanted = {
        (str(entry["consent"]["id"]), int(entry["consent"]["revision"]), str(entry["consent"]["hash"]))
        for entry in entries
        if entry.get("consent")
    }
    found = []
    for consent, number, digest in sorted(wanted):
        row = connection.execute(
            "SELECT payload, state, valid_until, occurred_at FROM consent.consent_revision"
            " WHERE consent_id = %s AND revision = %s",
            [consent, number],
        ).fetchone()
        content, state, until, at = (bytes(row[0]), *row[1:]) if row else (None, None, None, None)
        facts = {"state": state, "occurred_at": _text(at), "valid_until": _text(until)} if row else {}
        found.append(Revision("consent", consent, str(number), digest, content, facts))
    return found


def _contracts(
    installation: "Installation", connection: "Connection[Any]", entries: Sequence[CollectedEntry]
) -> list[Revision]:
    """The contract of each dataset as it was in force at each entry; its text, if the file is the same.

    What no entry says was in force is claimed by no version and no hash.
    """
    from audit import entry as audit_entry
    from schemas.contracts import load_contracts

    named = [(each, dataset) for each in entries for dataset in _datasets(each.data)]
    if not named:
        return []
    published: dict[str, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    for row in connection.execute(_CONTRACTS, [max(str(each.data["time"]) for each, _ in named)]):
        data = audit_entry.parse(bytes(row[0]))
        for dataset in data.get("datasets", ()):
            published[dataset].append((str(data["time"]), data.get("details") or {}))
    rested: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for each, dataset in named:
        told = _contract_at(each.data, dataset, published[dataset])
        key = (dataset, str(told.get("contract_version", "?")), str(told.get("contract_hash", "")))
        rested[key].append(each.index)
    files = {contract.id: contract for contract in load_contracts(installation.settings.contracts)}
    found = []
    for (dataset, version, digest), indexes in sorted(rested.items()):
        here = files.get(dataset)
        content = here.path.read_bytes() if here and here.path and here.hash == digest else None
        facts = {"logged": bool(digest), "entries": indexes}
        found.append(Revision("contract", dataset, version, digest, content, facts))
    return found


def _datasets(entry: Mapping[str, Any]) -> list[str]:
    named = {str(name).partition(":")[0] for name in entry.get("fields", ())}
    return sorted(named | {str(name) for name in entry.get("datasets", ())})


def _contract_at(
    entry: Mapping[str, Any], dataset: str, published: Sequence[tuple[str, Mapping[str, Any]]]
) -> Mapping[str, Any]:
    """What the entry itself says was followed, else what was published last before it."""
    batch = entry.get("batch") or {}
    if batch.get("contract") == dataset and batch.get("contract_hash"):
        return {str(name): value for name, value in batch.items()}
    before = [details for at, details in published if at <= str(entry["time"])]
    return before[-1] if before else {}


def _services(installation: "Installation", entries: Iterable[Mapping[str, Any]]) -> list[Revision]:
    from foundation.canonical import sha256_hex
    from verification.catalogue import BUILT_IN

    wanted = {
        (str(details["service"]), str(details.get("service_version", "?")))
        for entry in entries
        if (details := entry.get("details") or {}).get("service")
    }
    folder = installation.settings.services or BUILT_IN
    found = []
    for service, version in sorted(wanted):
        file = folder / f"{service}.yaml"
        content = file.read_bytes() if file.exists() else None
        if content is not None and _version_of(content) != version:
            content = None
        digest = sha256_hex(content) if content is not None else ""
        found.append(Revision("service", service, version, digest, content))
    return found


def _rules(entries: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    from consent.rules import RULES

    named = sorted({str(rule) for entry in entries for rule in entry.get("rules", ())})
    return {
        rule: {"id": RULES[rule].indonesian, "en": RULES[rule].english} if rule in RULES else {}
        for rule in named
    }


def _version_of(content: bytes) -> str | None:
    """The version that the text of a service gives itself."""
    import yaml

    try:
        return str(yaml.safe_load(content)["version"])
    except (yaml.YAMLError, KeyError, TypeError):
        return None


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
