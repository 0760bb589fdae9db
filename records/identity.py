"""Who a number stands for: confirming an applicant, and linking records to subjects.

Invariant: nobody learns whether a number exists, or which element failed. A handle is minted only for a
person who was confirmed, so trying numbers leaves no trace of a person anywhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

from audit.entry import EntryDraft, EntryKind
from audit.erasure.suppression import lock_key
from audit.log import append
from audit.subjects.subject_keys import SubjectKeys
from foundation import clock, pipelines
from foundation.errors import Refused
from records.attempts import (
    ATTEMPT_WINDOW,
    ATTEMPTS,
    CONSUMER_ATTEMPTS,
    Counting,
    count_attempt,
    lock_attempts,
    require_attempts_left,
    too_many,
)
from records.errors import SubjectNotMatched
from records.linking import Linked, link_together
from records.names import same_name
from records.people import Carriers, Named, carriers
from records.tags import TagKey
from schemas.identifiers import FamilyCardNumber, Nik

if TYPE_CHECKING:
    from audit.subjects.vault import Vault

__all__ = [
    "ATTEMPTS",
    "ATTEMPT_WINDOW",
    "CONSUMER_ATTEMPTS",
    "Applicant",
    "Claim",
    "ConfirmedSubject",
    "Confirming",
    "Link",
    "confirm",
    "confirm_together",
    "count_attempt",
    "hold_back_erasure",
    "links_of",
    "not_matched",
    "relink",
    "require_attempts_left",
    "sever",
]


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who an application says it is about: a number, and a second element that tells more than the number."""

    nik: Nik = field(repr=False)
    name: str | None = field(default=None, repr=False)
    birth_date: date | None = field(default=None, repr=False)
    family_card_number: FamilyCardNumber | None = field(default=None, repr=False)

    @property
    def has_second_element(self) -> bool:
        """Whether anything is given that the number does not tell: its digits 7 to 12 are the birth date."""
        return self.name is not None or self.family_card_number is not None


@dataclass(frozen=True, slots=True)
class ConfirmedSubject:
    """A person whose number and second element matched."""

    keys: SubjectKeys
    nik: Nik = field(repr=False)
    tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """That a record is about a subject, since when, why, and on whose word."""

    link_id: int
    record_id: int
    dataset_id: str
    recorded_from: datetime
    recorded_to: datetime | None
    why: str
    score: int
    made_by: str


def confirm(
    connection: psycopg.Connection[Any],
    vault: Vault,
    applicant: Applicant,
    consumer: str = "",
    linked: Linked | None = None,
) -> ConfirmedSubject:
    """Confirm that the number and every second element given belong to one registered person.

    Commits by itself: a failed attempt counts even though the caller's work is undone. Call it outside a
    transaction.

    Args:
        connection: Connection in the API role, in autocommit.
        vault: Where handles are minted.
        applicant: Who is asked about.
        consumer: The agency that asks; attempts are counted by consumer and number.
        linked: Who is known to be linked already.

    Raises:
        SubjectNotMatched: When the number is unknown, or an element is missing or does not match;
            one error for all.
        TooManyAttempts: When this consumer failed too often, on this number or over all.
    """
    claim = Claim.of(applicant, consumer, TagKey.of(vault.keyring))
    confirming = Confirming(clock.now(), linked)
    with pipelines.transaction(connection):
        lock_attempts(connection, [(claim.tag, consumer)])
        hold_back_erasure(connection, [claim.tag])
        asked = carriers(connection, [claim.named], confirming.now)
        (found,) = confirm_together(connection, vault, [(claim, asked()[0])], confirming)
        confirming.counting.write(connection)
    confirming.committed()
    if isinstance(found, Refused):
        raise found
    return found


@dataclass(frozen=True, slots=True)
class Claim:
    """Whom an application of a consumer says it is about, with the tag of the number."""

    applicant: Applicant
    consumer: str
    tag: bytes = field(repr=False)

    @classmethod
    def of(cls, applicant: Applicant, consumer: str, tags: TagKey) -> Claim:
        """The claim with its tag."""
        return cls(applicant, consumer, tags.subject(applicant.nik.value))

    @property
    def named(self) -> Named:
        """What is looked up of it."""
        return Named(self.applicant.nik.value, self.tag, self.consumer)


class Confirming:
    """One transaction in which applicants are confirmed: what it counts, and whom it links.

    Args:
        now: The moment.
        linked: Who was linked before, by this process.
    """

    def __init__(self, now: datetime, linked: Linked | None = None) -> None:
        self.now = now
        self.counting = Counting(now)
        self._linked = linked or Linked()
        self._fresh: list[tuple[UUID, bytes]] = []

    def link(
        self, connection: psycopg.Connection[Any], people: Sequence[tuple[SubjectKeys, str, bytes]]
    ) -> None:
        """Link who was not linked since the last batch: handle and number, and which batches there were."""
        fresh = [each for each in people if not self._linked.is_current(each[0].handle, each[2])]
        link_together(connection, [(keys.handle, number) for keys, number, _ in fresh], self.now)
        self._fresh += [(keys.handle, batches) for keys, _, batches in fresh]

    def committed(self) -> None:
        """Remember who was linked; only a transaction that committed did so."""
        for handle, batches in self._fresh:
            self._linked.note(handle, batches)


def confirm_together(
    connection: psycopg.Connection[Any],
    vault: Vault,
    claims: Sequence[tuple[Claim, Carriers]],
    confirming: Confirming,
) -> list[ConfirmedSubject | Refused]:
    """Confirm several applicants in the caller's transaction; each is a subject, or refused as by `confirm`.

    Args:
        connection: In a transaction that has done `lock_attempts` and `hold_back_erasure` for all of them.
        vault: Where handles are minted.
        claims: Whom each application says it is about, and who was found since the locks were taken; no two
            of one number and consumer.
        confirming: Counts attempts in vain; the caller writes them before the transaction ends.
    """
    results: list[ConfirmedSubject | Refused] = [not_matched()] * len(claims)
    matched: list[tuple[int, str, bytes]] = []
    for place, (claim, found) in enumerate(claims):
        if confirming.counting.is_used_up(found.tally, claim.consumer):
            results[place] = too_many()
        elif any(_matches(claim.applicant, person) for person in found.people):
            matched.append((place, claim.applicant.nik.value, found.batches))
        else:
            confirming.counting.note([claim.tag], claim.consumer)
            results[place] = not_matched()
    keys = vault.handles_for("nik", [number for _, number, _ in matched]) if matched else []
    for (place, _, _), each in zip(matched, keys, strict=True):
        results[place] = ConfirmedSubject(each, claims[place][0].applicant.nik, claims[place][0].tag)
    confirming.link(
        connection,
        [(each, number, batches) for each, (_, number, batches) in zip(keys, matched, strict=True)],
    )
    return results


def hold_back_erasure(connection: psycopg.Connection[Any], tags: Iterable[bytes]) -> None:
    """An erasure of one of them waits for this transaction, or this one sees that they are suppressed."""
    keys = sorted({lock_key(tag) for tag in tags})
    connection.execute("SELECT pg_advisory_xact_lock_shared(key) FROM unnest(%s::bigint[]) AS key", [keys])


def not_matched() -> SubjectNotMatched:
    """The one refusal for everybody who is not known, whatever the reason."""
    return SubjectNotMatched(
        "No person was found whose number and second element match",
        remedy="Check the number and the second element with the applicant",
    )


def links_of(
    connection: psycopg.Connection[Any], keys: SubjectKeys, *, at: datetime | None = None
) -> list[Link]:
    """The links of a subject as they are, or as they were known at a moment."""
    rows = connection.execute(
        "SELECT link_id, record_id, dataset_id, recorded_from, recorded_to, why, score, made_by FROM"
        " identity.link"
        " WHERE subject_id = %(subject)s AND recorded_from <= %(at)s"
        " AND (recorded_to IS NULL OR recorded_to > %(at)s) ORDER BY link_id",
        {"subject": keys.handle, "at": at or clock.now()},
    )
    return [Link(*row) for row in rows]


def sever(
    connection: psycopg.Connection[Any], keys: SubjectKeys, record_id: int, *, actor: str, why: str
) -> None:
    """Cut a record loose from a subject: it gives no evidence about them, whatever number it carries."""
    now = clock.now()
    given = {"subject": keys.handle, "record": record_id, "now": now, "actor": actor, "why": why}
    connection.execute(
        "UPDATE identity.link SET recorded_to = %(now)s, ended_by = %(actor)s, ended_why = %(why)s"
        " WHERE subject_id = %(subject)s AND record_id = %(record)s AND recorded_to IS NULL",
        given,
    )
    connection.execute(
        "INSERT INTO identity.severance (subject_id, record_id, recorded_from, why, made_by)"
        " VALUES (%(subject)s, %(record)s, %(now)s, %(why)s, %(actor)s) ON CONFLICT DO NOTHING",
        given,
    )
    append(
        connection,
        EntryDraft(
            kind=EntryKind.IDENTITY_UNLINKED,
            actor=actor,
            outcome="severed",
            subject=keys,
            details={"reason": why},
        ),
    )


def relink(
    connection: psycopg.Connection[Any],
    keys: SubjectKeys,
    record_id: int,
    dataset_id: str,
    *,
    actor: str,
    why: str,
) -> None:
    """Undo `sever`: a person says that the record is about the subject after all."""
    now = clock.now()
    given = {
        "subject": keys.handle, "record": record_id, "dataset": dataset_id, "now": now, "actor": actor,
        "why": why,
    }  # fmt: skip
    connection.execute(
        "UPDATE identity.severance SET recorded_to = %(now)s, ended_by = %(actor)s"
        " WHERE subject_id = %(subject)s AND record_id = %(record)s AND recorded_to IS NULL",
        given,
    )
    connection.execute(
        "INSERT INTO identity.link (record_id, dataset_id, subject_id, recorded_from, why, score, made_by)"
        " VALUES (%(record)s, %(dataset)s, %(subject)s, %(now)s, %(why)s, 1000, %(actor)s)"
        " ON CONFLICT (subject_id, record_id) WHERE recorded_to IS NULL DO NOTHING",
        given,
    )
    append(
        connection,
        EntryDraft(
            kind=EntryKind.IDENTITY_LINKED, actor=actor, outcome="linked", subject=keys,
            details={"reason": why, "method": "confirmed", "score": 1000},
        ),
    )  # fmt: skip


def _matches(applicant: Applicant, person: Mapping[str, Any]) -> bool:
    """Every element given must match, a second one among them; all are compared, whatever the first says."""
    results = list(_compared(applicant, person))
    return applicant.has_second_element and all(results)


def _compared(applicant: Applicant, person: Mapping[str, Any]) -> Iterable[bool]:
    if applicant.name is not None:
        yield same_name(applicant.name, person["name"])
    if applicant.birth_date is not None:
        yield applicant.birth_date == person["birth_date"]
    if applicant.family_card_number is not None:
        known = (person["family_card_number"] or "").encode()
        yield hmac.compare_digest(applicant.family_card_number.value.encode(), known)
