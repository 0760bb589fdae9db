"""One exchange through the decision layer: decided, held until it commits, logged whichever way it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn

from audit.entry import EntryDraft, EntryKind
from audit.log import Promise, append
from audit.publishing.receipt import sign_promise
from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from consent.commitment import QuotaTaken, hold, take_quota
from consent.decision import Decision, ExchangeRequest, decide
from consent.errors import PersonErased
from consent.exchange import Facts, Fields, new_decision_id
from consent.facts import gather
from consent.vocabulary import Mode, Verb
from foundation import clock, pipelines, telemetry
from foundation.errors import Refused
from foundation.pipelines import Transaction
from records.errors import SubjectNotMatched
from records.identity import not_matched
from verification.context import AnsweringContext, Session
from verification.journey import Asker


@dataclass(frozen=True)
class OtherPerson:
    """Another person whom an exchange concerns, the applicant's child, and what was decided about them."""

    keys: SubjectKeys
    decision: Decision


def disclosure(
    asker: Asker,
    purpose: str,
    fields: Fields,
    subject: SubjectHandle,
    *,
    officer: str | None,
    case: str | None,
    at: datetime | None = None,
) -> ExchangeRequest:
    """The request to disclose, in answers that carry no values, what a service looks at; now by default."""
    return ExchangeRequest(
        verb=Verb.DISCLOSE,
        mode=Mode.VERIFY,
        consumer=asker.agency,
        system=asker.system,
        purpose=purpose,
        fields=fields,
        at=at or clock.now(),
        subject=subject,
        actor=officer,
        case_present=case is not None,
    )


def decide_or_refuse(
    session: Session, request: ExchangeRequest, subject: SubjectKeys, *, is_counted: bool = True
) -> Decision:
    """Decide; a denial is committed as an entry before it is told.

    What belongs to an exchange that was counted when it was answered is decided anew, but not counted again.

    Raises:
        ExchangeDenied: With rule ids and the promise that the refusal will stand in the log.
    """
    with telemetry.span("verification.decide", purpose=request.purpose):
        facts = gather(session.connection, request, session.context.leases)
        decision = decide(request, facts if is_counted else _uncounted(facts))
    try:
        decision.require_allowed()
    except Refused as refusal:
        _log_refusal(session, decision, subject, refusal)
        raise
    return decision if is_counted else replace(decision, quotas={})


def decide_about_other(
    session: Session,
    decision: Decision,
    keys: SubjectKeys,
    fields: Fields,
    *,
    is_counted: bool = True,
) -> OtherPerson:
    """Decide on what is about another person, whose own consent counts where consent is the basis.

    Raises:
        ExchangeDenied: As for the applicant; the refusal carries the other person's tag.
    """
    own = decision.request
    request = replace(own, subject=keys.handle, fields=fields, decision_id=new_decision_id())
    return OtherPerson(keys, decide_or_refuse(session, request, keys, is_counted=is_counted))


def widened(decision: Decision, other: OtherPerson | None) -> Decision:
    """All that an exchange rests on: the applicant's decision with what only the other one covers.

    One exchange takes one unit of each agreement, whomever it concerns.
    """
    if other is None:
        return decision
    own, theirs = decision, other.decision
    fields = {
        dataset: own.allowed_fields.get(dataset, frozenset())
        | theirs.allowed_fields.get(dataset, frozenset())
        for dataset in {**own.allowed_fields, **theirs.allowed_fields}
    }
    agreements = {each.id: each for each in (*own.agreements, *theirs.agreements)}
    kept = [days for days in (own.retention_days, theirs.retention_days) if days is not None]
    return replace(
        own,
        request=replace(own.request, fields=fields),
        allowed_fields=fields,
        agreements=tuple(agreements[name] for name in sorted(agreements)),
        quotas={**theirs.quotas, **own.quotas},
        rules=(*own.rules, *(rule for rule in theirs.rules if rule not in own.rules)),
        legal_instruments=tuple(dict.fromkeys((*own.legal_instruments, *theirs.legal_instruments))),
        retention_days=min(kept, default=None),
    )


def _uncounted(facts: Facts) -> Facts:
    agreements = (replace(fact, quota_left=max(1, fact.quota_left or 0)) for fact in facts.agreements)
    return replace(facts, agreements=tuple(agreements))


@contextmanager
def committing(
    session: Session,
    decision: Decision,
    subject: SubjectKeys,
    other: OtherPerson | None = None,
    *,
    tags: Sequence[bytes],
) -> Iterator[Transaction]:
    """The transaction in which an exchange happens: what was decided still holds, and quota is taken.

    Args:
        session: Of the asker.
        decision: What was decided.
        subject: Keys of the applicant.
        other: The other person concerned.
        tags: Suppression tags of everybody concerned; who erases one of them waits for the transaction.

    Raises:
        ConsentChanged, AgreementChanged, QuotaExhausted: When it no longer holds; the refusal is logged.
        SubjectNotMatched: When somebody was erased meanwhile; the entry about it names nobody.
    """
    taken, is_written = QuotaTaken(), False
    try:
        with pipelines.transaction(session.connection) as transaction:
            hold(session.connection, decision, transaction=transaction, persons=tags)
            if other is not None:
                hold(session.connection, other.decision, transaction=transaction)
            taken = take_quota(session.connection, widened(decision, other), session.context.leases)
            yield transaction
            transaction.settle()  # from here on only COMMIT can fail
            is_written = True
    except PersonErased:
        taken.give_back()
        raise _erased(session, decision) from None
    except Refused as refusal:
        taken.give_back()
        _log_refusal(session, decision, subject, refusal)
        raise
    except BaseException:
        if not is_written:  # a commit that failed may have happened all the same
            taken.give_back()
        raise


@contextmanager
def standing(
    session: Session,
    decision: Decision,
    subject: SubjectKeys,
    other: OtherPerson | None = None,
    *,
    tags: Sequence[bytes],
) -> Iterator[Transaction]:
    """A transaction on the way to an exchange: what was decided still holds; nothing is counted yet.

    Raises:
        ConsentChanged, AgreementChanged: When it no longer holds; the refusal is logged.
        SubjectNotMatched: When somebody was erased meanwhile; the entry about it names nobody.
    """
    try:
        with pipelines.transaction(session.connection) as transaction:
            hold(session.connection, decision, transaction=transaction, persons=tags)
            if other is not None:
                hold(session.connection, other.decision, transaction=transaction)
            yield transaction
    except PersonErased:
        raise _erased(session, decision) from None
    except Refused as refusal:
        _log_refusal(session, decision, subject, refusal)
        raise


def entry_of(
    kind: EntryKind,
    decision: Decision,
    subject: SubjectKeys,
    outcome: str,
    *,
    details: Mapping[str, Any],
    sealed: Mapping[str, Any] | None = None,
    other: OtherPerson | None = None,
) -> EntryDraft:
    """The entry that records an exchange and everything it rests on; it is the other person's entry, too."""
    decision = widened(decision, other)
    request = decision.request
    providers = sorted(request.providers)
    return EntryDraft(
        kind=kind,
        occurred_at=clock.now(),
        provider=providers[0] if len(providers) == 1 else None,
        consumer=request.consumer,
        system=request.system,
        actor=request.actor,
        purpose=request.purpose,
        legal_basis=decision.legal_basis,
        agreements=decision.agreements,
        consent=decision.consent,
        datasets=tuple(sorted(request.fields)),
        fields=decision.field_names if decision.allowed else (),
        decision_id=decision.decision_id,
        rules=decision.rule_ids,
        outcome=outcome,
        trace_id=telemetry.trace_id(),
        details={**details, **_about_other(other)},
        subject=subject,
        also_about=() if other is None else (other.keys,),
        sealed=sealed,
    )


def _about_other(other: OtherPerson | None) -> dict[str, Any]:
    if other is None:
        return {}
    consent = other.decision.consent
    return {
        "related_decision": other.decision.decision_id,
        "related_consent": consent.hash if consent else None,
    }


def signed_promise(context: AnsweringContext, promise: Promise) -> str:
    """The bus's word that an entry will stand in the log."""
    return sign_promise(promise, context.bus_key, context.origin)


def log_unconfirmed(session: Session, purpose: str, service: str, refusal: Refused) -> None:
    """Record that an applicant could not be confirmed: nothing in the entry says who was meant."""
    log_undecided(session, purpose, service, refusal)


def log_undecided(
    session: Session,
    purpose: str,
    service: str | None,
    refusal: Refused,
    subject: SubjectKeys | None = None,
) -> None:
    """Record a refusal that is no decision; one after a person was confirmed carries the person's tag."""
    draft = EntryDraft(
        kind=EntryKind.EXCHANGE_REFUSED,
        occurred_at=clock.now(),
        consumer=session.asker.agency,
        system=session.asker.system,
        purpose=purpose,
        outcome="refused",
        trace_id=telemetry.trace_id(),
        details={"service": service, "problem": refusal.code},
        subject=subject,
    )
    _append_refusal(session, draft, refusal)


def _erased(session: Session, decision: Decision) -> SubjectNotMatched:
    """An erased person is refused as one whom nobody knows, and nothing more is written about them."""
    refusal = not_matched()
    log_undecided(session, decision.request.purpose, None, refusal)
    return refusal


def refuse(session: Session, decision: Decision, subject: SubjectKeys, refusal: Refused) -> NoReturn:
    """Commit the entry that says no, and say it."""
    _log_refusal(session, decision, subject, refusal)
    raise refusal


def _log_refusal(session: Session, decision: Decision, subject: SubjectKeys, refusal: Refused) -> None:
    details = {"problem": refusal.code}
    draft = entry_of(EntryKind.EXCHANGE_REFUSED, decision, subject, "refused", details=details)
    _append_refusal(session, draft, refusal)


def _append_refusal(session: Session, draft: EntryDraft, refusal: Refused) -> None:
    """Commit the entry, and let the refusal carry the promise that it will stand in the log."""
    with session.connection.transaction():
        promise = append(session.connection, session.of_case(draft))
    refusal.attributes["promise"] = signed_promise(session.context, promise)
