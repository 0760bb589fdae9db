"""A verification: a portal's question becomes a signed answer, in the steps of the design.

::

    service   = catalogue.service(question.service)
    subject   = identity.confirm(question.applicant)     a second element must match
    decision  = consent.decide(request, facts)           deny: entry committed, then refused
    relations = records.relations(subject, claims)       a child: decided about as well; a stranger: nothing
    evidence  = records.evidence(subject, service.needs) stale? entry, live call, entry
    outcomes  = criteria.evaluate(service, claims, evidence)
    answer    = verdict + outcomes + provenance
    commit    = ONE transaction: locks, revisions re-read, quota, answer stored, entry appended
    reply     = signed answer + signed promise of inclusion

Invariant: no entry, no answer; and no entry of an answer that was not stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from uuid import UUID

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from audit.search.cases import case_key
from foundation import clock, telemetry
from verification import answers, idempotency, referrals, watches
from verification.claims import check_claims
from verification.composing import Composed, compose
from verification.confirming import confirmed
from verification.context import AnsweringContext, Session
from verification.exchange import (
    committing,
    decide_or_refuse,
    disclosure,
    entry_of,
    signed_promise,
)
from verification.idempotency import IdempotentRequest, RacedByTwin
from verification.journey import Asker, GivenAnswer, Question
from verification.judging import Judged, judge
from verification.officers import named_officer
from verification.reading import read_again


def answer(
    context: AnsweringContext, question: Question, asker: Asker, idempotency_key: str | None = None
) -> GivenAnswer:
    """Answer a question, or refuse it; either way an entry says so.

    Raises:
        ServiceUnknown, ClaimsInvalid, OfficerUnknown: When the question makes no sense; nobody was looked up.
        IdempotencyConflict: When the key was used for another question.
        SubjectNotMatched: When the applicant could not be confirmed.
        ExchangeDenied: When the decision layer said no.
        ConsentChanged, AgreementChanged, QuotaExhausted: When it no longer held at the commit.
    """
    service = context.catalogue.service(question.service)
    claims = check_claims(service, question.claims)
    once = _once(context, question, asker, idempotency_key)
    with context.session(asker, question.case_number) as session:
        if (given := _given_before(session, once)) is not None:
            return read_again(session, given, is_replay=True)
        if question.officer is not None:
            named_officer(session.connection, asker.agency, question.officer)
        purpose = question.purpose or service.definition.purpose
        subject = confirmed(session, question.applicant, purpose, service.identifier)
        request = disclosure(
            asker,
            purpose,
            service.fields_about_applicant,
            subject.keys.handle,
            officer=question.officer,
            case=question.case_number,
        )
        decision = decide_or_refuse(session, request, subject.keys)
        judged = judge(session, service, subject, claims, decision)
        composed = compose(service, question, judged)
        try:
            return commit(session, question, judged, composed, once=once)
        except RacedByTwin:
            given = _given_before(session, once)
            if given is None:
                raise
            return read_again(session, given, is_replay=True)


def _once(
    context: AnsweringContext, question: Question, asker: Asker, key: str | None
) -> IdempotentRequest | None:
    if key is None:
        return None
    return idempotency.identify(context.request_secret, asker.system, key, question.request)


def _given_before(session: Session, once: IdempotentRequest | None) -> UUID | None:
    return None if once is None else idempotency.answer_given(session.connection, once, clock.now())


def commit(
    session: Session,
    question: Question,
    judged: Judged,
    composed: Composed,
    *,
    once: IdempotentRequest | None,
) -> GivenAnswer:
    """The transaction that makes an answer an answer."""
    connection, subject, decision = session.connection, judged.subject, judged.decision
    jws, referral = session.context.signer.sign(composed.content), composed.referral
    draft = entry_of_answer(session.context, judged, composed, jws)
    with (
        telemetry.span("verification.commit"),
        committing(session, decision, subject.keys, judged.other, tags=judged.tags) as transaction,
    ):
        promise = append(connection, draft)
        given = GivenAnswer(
            answer_id=composed.answer_id,
            content=composed.content,
            jws=jws,
            promise=signed_promise(session.context, promise),
            entry_id=promise.entry_id,
        )
        answers.store(connection, answers.record_of(given, judged, question))
        watches.store(connection, composed.answer_id, judged.watch())
        if referral is not None:
            referrals.open_referral(connection, referral, decision, subject.keys)
        if once is not None:
            idempotency.remember(connection, transaction, once, composed.answer_id, clock.now())
    return given


def entry_of_answer(context: AnsweringContext, judged: Judged, composed: Composed, jws: str) -> EntryDraft:
    """The entry that records an answer."""
    referral = composed.referral
    details = {
        "service": composed.content["service"],
        "service_version": composed.content["service_version"],
        "answer": composed.answer_id,
        "case": composed.case_number is not None,
        "referral": referral.referral_id if referral else None,
        **judged.details,
    }
    personal = {
        "answer_sha256": hashlib.sha256(jws.encode()).hexdigest(),
        "outcomes": dict(composed.outcomes),
        "case_number": composed.case_number,
    }
    draft = entry_of(
        EntryKind.EXCHANGE_ANSWERED,
        judged.decision,
        judged.subject.keys,
        str(composed.verdict),
        details=details,
        sealed=personal,
        other=judged.other,
    )
    if composed.case_number is not None:
        draft = replace(draft, case_key=case_key(context.vault.keyring, composed.case_number))
    return draft
