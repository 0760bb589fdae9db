"""Consents as they are given and taken back: every event a revision, a lock, and an entry in one transaction.

Invariant: the revisions of a consent form a hash chain without gaps, and each was appended to the log in
the transaction that stored it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg import Connection
from pydantic import ValidationError

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from consent.errors import ConsentNotPossible, RevisionBroken
from consent.locks import consent_key, lock_exclusive, try_lock_exclusive
from consent.revision import ConsentNotice, ConsentRevision, GivenBy
from consent.vocabulary import Channel, ConsentState
from foundation import clock
from foundation.canonical import sha256_hex
from foundation.errors import Location
from participants.registry import officer
from participants.roles import OfficerRole, holds_role

__all__ = [
    "ConsentNotice",
    "ConsentQuestion",
    "ConsentRevision",
    "GivenBy",
    "expire",
    "grant",
    "history",
    "latest",
    "objections",
    "refuse",
    "verify_stored",
    "withdraw",
]

BY_SUBJECT = GivenBy()


@dataclass(frozen=True, slots=True)
class ConsentQuestion:
    """What the subject is asked: may this consumer use these fields for this purpose, in these words."""

    consumer: str
    purpose: str
    fields: Mapping[str, frozenset[str]]
    notice: ConsentNotice


def grant(
    connection: Connection[Any],
    subject: SubjectKeys,
    question: ConsentQuestion,
    *,
    channel: Channel,
    given_by: GivenBy = BY_SUBJECT,
    valid_until: datetime | None = None,
    at: datetime | None = None,
) -> ConsentRevision:
    """Record that the subject said yes; append `consent.granted`.

    Raises:
        ConsentNotPossible: If the event does not hold together (window, guardian), or the named officer
            is not registered to assist.
    """
    event = _Event(ConsentState.GRANTED, channel, given_by, at or clock.now(), valid_until)
    return _answer(connection, subject, question, event)


def refuse(
    connection: Connection[Any],
    subject: SubjectKeys,
    question: ConsentQuestion,
    *,
    channel: Channel,
    given_by: GivenBy = BY_SUBJECT,
    at: datetime | None = None,
) -> ConsentRevision:
    """Record that the subject said no; append `consent.refused`.

    Raises:
        ConsentNotPossible: If a consent in force stands, which is withdrawn instead.
    """
    event = _Event(ConsentState.REFUSED, channel, given_by, at or clock.now())
    return _answer(connection, subject, question, event)


def withdraw(
    connection: Connection[Any],
    subject: SubjectKeys,
    consent_id: UUID,
    *,
    channel: Channel,
    given_by: GivenBy = BY_SUBJECT,
    at: datetime | None = None,
) -> ConsentRevision:
    """Take a consent back at once; append `consent.withdrawn`.

    Waits for exchanges that are committing; what was decided but not committed is refused. Withdrawing
    what is not granted any more changes nothing.

    Raises:
        ConsentNotPossible: If the subject has no such consent.
    """
    before = _last(connection, consent_id)
    if before is None or before.subject != subject.handle:
        raise ConsentNotPossible(
            "The subject has no such consent", location=Location(field="consent_id", rule="consent.unknown")
        )
    lock_exclusive(connection, consent_key(before.subject, before.consumer, before.purpose))
    before = _last(connection, consent_id)
    assert before is not None
    if before.state in (ConsentState.WITHDRAWN, ConsentState.REFUSED):
        return before
    revision = before.followed_by(
        ConsentState.WITHDRAWN, occurred_at=at or clock.now(), channel=channel, given_by=given_by
    )
    _store(connection, revision, subject, EntryKind.CONSENT_WITHDRAWN)
    return revision


def expire(
    connection: Connection[Any],
    keys_of: Callable[[SubjectHandle], SubjectKeys | None],
    *,
    at: datetime | None = None,
    limit: int = 1000,
) -> int:
    """Note consents that have run out, and append `consent.expired` for each; return how many.

    Decisions do not wait for this: a consent past its term denies by itself. A consent that is in use at
    this moment is left for the next round. `keys_of` gives None for a subject that was erased.
    """
    moment = at or clock.now()
    due = connection.execute(_DUE, {"at": moment, "limit": limit}).fetchall()
    expired = 0
    for consent_id, subject, consumer, purpose in due:
        if not try_lock_exclusive(connection, consent_key(subject, consumer, purpose)):
            continue
        before = _last(connection, consent_id)
        if before is None or not _has_run_out(before, moment):
            continue
        revision = before.followed_by(ConsentState.EXPIRED, occurred_at=moment, reason="term-ended")
        _store(connection, revision, keys_of(SubjectHandle(subject)), EntryKind.CONSENT_EXPIRED)
        expired += 1
    return expired


def latest(
    connection: Connection[Any], subject: SubjectHandle, consumer: str, purpose: str
) -> ConsentRevision | None:
    """The latest revision of the consent of a subject to a consumer for a purpose."""
    row = connection.execute(_LATEST, [subject, consumer, purpose]).fetchone()
    return _parse(row[0], row[1]) if row else None


def history(connection: Connection[Any], consent_id: UUID) -> list[ConsentRevision]:
    """Every revision of a consent, oldest first."""
    rows = connection.execute(
        "SELECT payload, encode(hash, 'hex') FROM consent.consent_revision"
        " WHERE consent_id = %s ORDER BY revision",
        [consent_id],
    )
    return [_parse(payload, digest) for payload, digest in rows.fetchall()]


def objections(connection: Connection[Any], consumer: str, purpose: str) -> frozenset[SubjectHandle]:
    """Subjects who refused or withdrew, for a running sync to leave out at publish."""
    rows = connection.execute(_OBJECTIONS, [consumer, purpose])
    return frozenset(SubjectHandle(row[0]) for row in rows.fetchall())


def verify_stored(connection: Connection[Any], consent_id: UUID) -> int:
    """Check the chain of a consent again and return its length.

    Raises:
        RevisionBroken: If bytes, hashes or order do not hold.
    """
    before: str | None = None
    chain = history(connection, consent_id)
    for number, revision in enumerate(chain, start=1):
        if (revision.revision, revision.predecessor, revision.consent_id) != (number, before, consent_id):
            raise RevisionBroken(f"Revision {number} of a consent does not follow its predecessor")
        before = revision.hash
    return len(chain)


_LAST = """
SELECT payload, encode(hash, 'hex') FROM consent.consent_revision
 WHERE consent_id = %s ORDER BY revision DESC LIMIT 1
"""

_LATEST = """
SELECT r.payload, encode(r.hash, 'hex')
  FROM consent.consent c JOIN consent.consent_revision r USING (consent_id)
 WHERE c.subject = %s AND c.consumer = %s AND c.purpose = %s ORDER BY r.revision DESC LIMIT 1
"""

_DUE = """
SELECT c.consent_id, c.subject, c.consumer, c.purpose
  FROM consent.consent_revision r JOIN consent.consent c USING (consent_id)
 WHERE r.state = 'granted' AND r.valid_until <= %(at)s
   AND NOT EXISTS (SELECT FROM consent.consent_revision later
                    WHERE later.consent_id = r.consent_id AND later.revision > r.revision)
 ORDER BY r.valid_until LIMIT %(limit)s
"""

_OBJECTIONS = """
SELECT c.subject FROM consent.consent c CROSS JOIN LATERAL (
       SELECT state FROM consent.consent_revision r WHERE r.consent_id = c.consent_id
        ORDER BY revision DESC LIMIT 1) AS r
 WHERE c.consumer = %s AND c.purpose = %s AND r.state IN ('refused', 'withdrawn')
"""

_INSERT_CONSENT = """
INSERT INTO consent.consent (consent_id, subject, consumer, purpose) VALUES (%s, %s, %s, %s)
"""

_INSERT_REVISION = """
INSERT INTO consent.consent_revision (
    consent_id, revision, hash, predecessor, payload, state, valid_until, occurred_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""

_KINDS = {
    ConsentState.GRANTED: EntryKind.CONSENT_GRANTED,
    ConsentState.REFUSED: EntryKind.CONSENT_REFUSED,
}


@dataclass(frozen=True, slots=True)
class _Event:
    state: ConsentState
    channel: Channel
    given_by: GivenBy
    at: datetime
    valid_until: datetime | None = None


def _answer(
    connection: Connection[Any], subject: SubjectKeys, question: ConsentQuestion, event: _Event
) -> ConsentRevision:
    lock_exclusive(connection, consent_key(subject.handle, question.consumer, question.purpose))
    before = latest(connection, subject.handle, question.consumer, question.purpose)
    if event.state is ConsentState.REFUSED and before is not None and before.state is ConsentState.GRANTED:
        raise ConsentNotPossible(
            "A consent in force cannot be refused",
            remedy="Withdraw it.",
            location=Location(rule="consent.withdraw-instead"),
        )
    content = {
        "occurred_at": event.at,
        "fields": {dataset: tuple(names) for dataset, names in question.fields.items()},
        "notice": question.notice,
        "given_by": event.given_by,
        "channel": event.channel,
        "valid_from": event.at,
        "valid_until": event.valid_until,
    }
    try:
        if before is None:
            revision = ConsentRevision(
                consent_id=uuid4(),
                state=event.state,
                subject=subject.handle,
                consumer=question.consumer,
                purpose=question.purpose,
                **content,
            )
        else:
            revision = before.followed_by(event.state, **content)
    except ValidationError as error:
        raise _not_possible(error) from None
    if before is None:
        connection.execute(
            _INSERT_CONSENT, [revision.consent_id, subject.handle, question.consumer, question.purpose]
        )
    _store(connection, revision, subject, _KINDS[event.state])
    return revision


def _not_possible(error: ValidationError) -> ConsentNotPossible:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    field = ".".join(str(part) for part in found[0]["loc"]) or None
    return ConsentNotPossible(
        "The consent does not hold together",
        why="; ".join(
            each["msg"].removeprefix("Value error, ") for each in found if each["type"] == "value_error"
        ),
        remedy="Correct the named part and ask again.",
        location=Location(field=field, rule=found[0]["type"]),
    )


def _store(
    connection: Connection[Any], revision: ConsentRevision, subject: SubjectKeys | None, kind: EntryKind
) -> None:
    reference = revision.reference
    actor = _officer_pseudonym(connection, revision) if kind is not EntryKind.CONSENT_EXPIRED else None
    connection.execute(
        _INSERT_REVISION,
        [
            revision.consent_id,
            revision.revision,
            bytes.fromhex(reference.hash),
            bytes.fromhex(revision.predecessor) if revision.predecessor else None,
            revision.payload(),
            revision.state.value,
            revision.valid_until,
            revision.occurred_at,
        ],
    )
    append(
        connection,
        EntryDraft(
            kind=kind,
            occurred_at=revision.occurred_at,
            consumer=revision.consumer,
            actor=actor,
            purpose=revision.purpose,
            legal_basis="consent",
            consent=reference,
            outcome=revision.state.value,
            subject=subject,
            details={
                "channel": revision.channel.value,
                "language": revision.notice.language,
                "text_version": revision.notice.text_version,
                "given_by": revision.given_by.kind.value,
                "previous": revision.predecessor,
                "valid_until": revision.valid_until,
            },
        ),
    )


def _officer_pseudonym(connection: Connection[Any], revision: ConsentRevision) -> str | None:
    """The pseudonym of the named officer, who must be registered to assist."""
    officer_id = revision.given_by.officer
    if officer_id is None:
        return None
    if not holds_role(connection, officer_id, OfficerRole.ASSISTING_OFFICER, revision.occurred_at):
        raise ConsentNotPossible(
            "The named officer is not registered to assist with consents",
            remedy="Let a steward give the officer the role assisting-officer.",
            location=Location(field="given_by.officer", rule="consent.officer-role"),
        )
    return officer(connection, officer_id).pseudonym


def _last(connection: Connection[Any], consent_id: UUID) -> ConsentRevision | None:
    row = connection.execute(_LAST, [consent_id]).fetchone()
    return _parse(row[0], row[1]) if row else None


def _parse(payload: bytes, digest: str) -> ConsentRevision:
    if sha256_hex(payload) != digest:
        raise RevisionBroken("The bytes of a stored consent do not match their hash")
    return ConsentRevision.model_validate_json(payload)


def _has_run_out(revision: ConsentRevision, moment: datetime) -> bool:
    until = revision.valid_until
    return revision.state is ConsentState.GRANTED and until is not None and until <= moment
