"""A review: an answer verified again, because what it relied on changed.

It takes the way of an answer: decided anew, judged by the same code on the evidence of now, committed with an
entry. If no outcome changed, the entry says so and nobody is told. If one did, the portal gets a notice of a
new answer; the old one stays as it was given, because it was true of what was known then.

Invariant: an answer is reviewed into at most one new answer, which takes its watch over; the new answer, its
entry, its watch and its notice exist together or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from audit.entry import EntryKind
from audit.log import append
from consent.errors import ExchangeDenied
from foundation.errors import Refused
from records.errors import SubjectNotMatched
from records.identity import Applicant, ConfirmedSubject
from records.tags import TagKey
from schemas.identifiers import Nik
from verification import answers, notices, referrals, watches
from verification.answers import AnswerRecord
from verification.claims import check_claims
from verification.composing import Composed, compose
from verification.context import AnsweringContext, Session
from verification.criteria import Outcome
from verification.errors import ClaimsInvalid, ServiceUnknown
from verification.exchange import committing, decide_or_refuse, disclosure, entry_of, signed_promise
from verification.journey import Asker, GivenAnswer, Question
from verification.judging import Judged, judge
from verification.notices import Owed

_FOR_NOW = frozenset({Outcome.STALE, Outcome.SOURCE_DOWN})
_LASTING = ("consent.", "agreement.", "legal-basis.")


class Reviewed(StrEnum):
    """How a review ended."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    POSTPONED = "postponed"
    ENDED = "ended"


@dataclass(frozen=True)
class _Case:
    """A stored answer with what was asked, opened for its review."""

    record: AnswerRecord
    subject: ConfirmedSubject
    outcomes: Mapping[str, str]
    asked: Mapping[str, Any] = field(repr=False)

    @property
    def asker(self) -> Asker:
        return Asker(system=self.record.system, agency=self.record.consumer)


def review(context: AnsweringContext, answer_id: UUID, found_at: datetime) -> Reviewed:
    """Verify a stored answer again; safe to repeat, and to race.

    Args:
        context: Open in the dispatcher's role.
        answer_id: The answer.
        found_at: When the change was found, for the notice.
    """
    with context.connection() as connection:
        case = _open(context, connection, answer_id)
        if case is None:
            watches.end(connection, answer_id)
            return Reviewed.ENDED
        session = Session(context, connection, case.asker, case_number=case.asked["case_number"])
        return _review(session, case, found_at)


def _review(session: Session, case: _Case, found_at: datetime) -> Reviewed:
    try:
        service = session.context.catalogue.service(case.record.service)
        claims = check_claims(service, case.asked["claims"])
    except (ServiceUnknown, ClaimsInvalid):  # the service asks something else now
        watches.end(session.connection, case.record.answer_id)
        return Reviewed.ENDED
    request = disclosure(
        case.asker,
        case.record.purpose,
        service.fields_about_applicant,
        case.subject.keys.handle,
        officer=None,
        case=str(case.record.answer_id),
    )
    try:
        decision = decide_or_refuse(session, request, case.subject.keys, is_counted=False)
        judged = judge(session, service, case.subject, claims, decision, is_counted=False)
        found = {each.identifier: each.outcome for each in judged.outcomes}
        changed = {name for name, outcome in found.items() if str(outcome) != case.outcomes.get(name)}
        lasting = {name for name in changed if found[name] not in _FOR_NOW}
        if lasting:
            question = _question(case)
            composed = compose(service, question, judged)
            return _commit_change(session, case, question, judged, composed, len(lasting), found_at)
        _commit_no_change(session, case, judged, is_settled=not changed)
    except Refused as refusal:
        return _after_refusal(session, case, refusal)
    return Reviewed.POSTPONED if changed else Reviewed.UNCHANGED


def _open(context: AnsweringContext, connection: Any, answer_id: UUID) -> _Case | None:
    """The case, unless it is watched no more, or its subject was erased."""
    record = answers.find_watched(connection, answer_id)
    keys = context.vault.keys_of(record.subject) if record else None
    if record is None or keys is None:
        return None
    opened = answers.unseal(keys, record.answer_id, record.sealed)
    asked = opened.get("question")
    if asked is None:
        return None
    nik = Nik.parse(asked["nik"])
    tag = TagKey.of(context.vault.keyring).subject(nik.value)
    outcomes = {each["criterion"]: each["outcome"] for each in answers.content_of(opened)["outcomes"]}
    return _Case(record, ConfirmedSubject(keys, nik, tag), outcomes, asked)


def _question(case: _Case) -> Question:
    record = case.record
    return Question(
        service=record.service,
        applicant=Applicant(case.subject.nik),
        claims=case.asked["claims"],
        purpose=record.purpose,
        case_number=case.asked["case_number"],
        request=b"review\x00" + record.answer_id.bytes,
        reviews=record.answer_id,
        origin=UUID(case.asked["origin"]),
    )


def _commit_no_change(session: Session, case: _Case, judged: Judged, *, is_settled: bool) -> None:
    """What was looked at is in the log, even though nobody is told anything."""
    draft = entry_of(
        EntryKind.EXCHANGE_REVIEWED,
        judged.decision,
        case.subject.keys,
        "unchanged" if is_settled else "postponed",
        details=_details(case),
        other=judged.other,
    )
    with committing(session, judged.decision, case.subject.keys, judged.other, tags=judged.tags):
        append(session.connection, session.of_case(draft))


def _commit_change(  # noqa: PLR0917 - one step of one way
    session: Session,
    case: _Case,
    question: Question,
    judged: Judged,
    composed: Composed,
    criteria: int,
    found_at: datetime,
) -> Reviewed:
    """The transaction in which a review becomes an answer of its own, and the portal is owed a notice."""
    connection, keys, old = session.connection, case.subject.keys, case.record.answer_id
    decision = judged.decision
    jws = session.context.signer.sign(composed.content)
    draft = entry_of(
        EntryKind.EXCHANGE_REVIEWED,
        decision,
        keys,
        str(composed.verdict),
        details=_details(case)
        | {
            "review": composed.answer_id,
            "criteria": criteria,
            "referral": composed.referral.referral_id if composed.referral else None,
        },
        sealed={
            "answer_sha256": hashlib.sha256(jws.encode()).hexdigest(),
            "outcomes": dict(composed.outcomes),
            "case_number": composed.case_number,
        },
        other=judged.other,
    )
    with committing(session, decision, keys, judged.other, tags=judged.tags):
        if not watches.take(connection, old):
            return Reviewed.ENDED  # somebody else was quicker; committing nothing is harmless
        promise = append(connection, session.of_case(draft))
        given = GivenAnswer(
            answer_id=composed.answer_id,
            content=composed.content,
            jws=jws,
            promise=signed_promise(session.context, promise),
            entry_id=promise.entry_id,
        )
        record = answers.record_of(given, judged, question)
        watch = judged.watch()
        answers.store(connection, record)
        watches.end(connection, old)
        watches.store(connection, record.answer_id, watch)
        if composed.referral is not None:
            referrals.open_referral(connection, composed.referral, decision, keys)
        owed = Owed(record, question, decision, keys, found_at, watch.until)
        notices.queue(connection, session.context.request_secret, owed)
    return Reviewed.CHANGED


def _after_refusal(session: Session, case: _Case, refusal: Refused) -> Reviewed:
    """Without a right there is no review: for good, or until it is decided again."""
    rules = refusal.attributes.get("rules", [])
    is_denied = isinstance(refusal, ExchangeDenied)
    if not isinstance(refusal, SubjectNotMatched) and not (
        is_denied and any(str(rule).startswith(_LASTING) for rule in rules)
    ):
        return Reviewed.POSTPONED  # a party is suspended, or something moved while it was decided
    watches.end(session.connection, case.record.answer_id)
    return Reviewed.ENDED


def _details(case: _Case) -> dict[str, Any]:
    return {
        "answer": case.record.answer_id,
        "service": case.record.service,
        "service_version": case.record.service_version,
    }
