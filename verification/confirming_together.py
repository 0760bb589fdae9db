"""The first transaction of several questions: applicants confirmed, decided about, their relations looked up.

Invariant: who looks at what attempts are counted on holds its lock until the attempt is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import uuid4

from audit.subjects.subject_keys import SubjectHandle
from consent.decision import Decision, ExchangeRequest, decide
from consent.exchange import Facts
from consent.facts import ask_together, gather_together
from foundation import pipelines
from foundation.errors import Refused
from records.attempts import Counting, Tally, lock_attempts, tallies, too_many
from records.evidence import EvidenceStatus
from records.identity import ConfirmedSubject, Confirming, confirm_together, hold_back_erasure
from records.people import carriers
from records.relations import relations_together
from schemas.identifiers import Nik
from verification import idempotency
from verification.asked import Going, OnItsWay, Rest
from verification.context import Session
from verification.errors import IdempotencyConflict
from verification.exchange import disclosure, log_unconfirmed, log_undecided, refuse
from verification.journey import GivenAnswer
from verification.relating import HORIZON, OVER_ALL, Related

__all__ = ["confirm_and_relate", "decide_together"]

Asking = TypeVar("Asking")

_SUPPRESSED = "SELECT tag FROM audit.suppression WHERE tag = ANY(%s::bytea[])"


def confirm_and_relate(going: Going, ask: Callable[[], Asking]) -> Asking:
    """Confirm who is asked about, decide, and look up whom or what they speak for.

    Args:
        going: The questions.
        ask: Sends the last statements, which travel with the end of the transaction.

    Returns:
        What `ask` returned.
    """
    confirming = Confirming(going.now, going.context.linked)
    try:
        asking = _in_one_transaction(going, confirming, ask)
    except Exception:  # nothing was counted, so what was found out counts for nothing
        for way in going.ways:
            way.ending = way.asked.alone
        raise
    confirming.committed()
    return asking


def _in_one_transaction(going: Going, confirming: Confirming, ask: Callable[[], Asking]) -> Asking:
    with pipelines.transaction(going.connection):
        lock_attempts(going.connection, [each for way in going.ways for each in way.asked.attempts])
        hold_back_erasure(going.connection, [tag for way in going.ways for tag in way.asked.persons])
        foreseen = _foresee(going)
        _confirm(going, confirming)
        _decide(going, foreseen)
        _relate(going, confirming.counting)
        _mint_children(going)
        confirming.counting.write(going.connection)
        return ask()


def _confirm(going: Going, confirming: Confirming) -> None:
    """Who was answered before, or cannot be confirmed, leaves."""
    once = {place: way.asked.once for place, way in enumerate(going.ways) if way.asked.once is not None}
    given_before = idempotency.ask_together(going.connection, once, going.now)
    asking = carriers(going.connection, [way.asked.claim.named for way in going.ways], going.now)
    for place, given in given_before().items():
        way = going.ways[place]
        way.ending = given if isinstance(given, IdempotencyConflict) else way.asked.alone
    found = zip(going.ways, asking(), strict=True)
    named = [(way, carrying) for way, carrying in found if way.ending is None]
    claims = [(way.asked.claim, carrying) for way, carrying in named]
    confirmed = confirm_together(going.connection, going.context.vault, claims, confirming)
    for (way, _), subject in zip(named, confirmed, strict=True):
        if isinstance(subject, Refused):
            way.leave(_unconfirmed(way, subject))
        else:
            way.subject = subject


def _unconfirmed(way: OnItsWay, refusal: Refused) -> Rest:
    def rest(session: Session) -> GivenAnswer:
        log_unconfirmed(session, way.asked.purpose, way.asked.service.identifier, refusal)
        raise refusal

    return rest


_Foreseen = Callable[[], list[tuple[ExchangeRequest, Facts]]]


def _foresee(going: Going) -> _Foreseen:
    """Ask for the facts about everybody on the way to confirming them, which saves a way there and back.

    Whoever was not met before is asked about by a handle of nobody, so that a refusal takes no less time.
    """
    vault = going.context.vault
    known = [vault.remembered("nik", way.asked.claim.applicant.nik.value) for way in going.ways]
    requests = [
        _request(going, way, SubjectHandle(uuid4()) if keys is None else keys.handle)
        for way, keys in zip(going.ways, known, strict=True)
    ]
    told = ask_together(going.connection, requests, going.context.leases)
    return lambda: list(zip(requests, told(), strict=True))


def _request(going: Going, way: OnItsWay, subject: SubjectHandle) -> ExchangeRequest:
    asked = way.asked
    fields, case = asked.service.fields_about_applicant, asked.question.case_number
    return disclosure(asked.asker, asked.purpose, fields, subject, officer=None, case=case, at=going.now)


def _decide(going: Going, foreseen: _Foreseen) -> None:
    """Whom nothing allows leaves; those who were met for the first time are asked about now."""
    if not going.open:
        return
    unknown = []
    for way, (request, facts) in zip(going.ways, foreseen(), strict=True):
        if way.ending is not None or way.subject is None:
            continue
        if request.subject == way.subject.keys.handle:
            way.decision = _decided(way, way.subject, request, facts)
        else:
            unknown.append((way, way.subject))
    requests = [_request(going, way, subject.keys.handle) for way, subject in unknown]
    for (way, _), decision in zip(unknown, decide_together(going, unknown, requests), strict=True):
        way.decision = decision


def decide_together(
    going: Going, about: Sequence[tuple[OnItsWay, ConfirmedSubject]], requests: Sequence[ExchangeRequest]
) -> list[Decision | None]:
    """Decide on each request about somebody; who is denied leaves, and the log says so."""
    if not requests:
        return []
    gathered = gather_together(going.connection, requests, going.context.leases)
    return [
        _decided(way, subject, request, facts)
        for (way, subject), request, facts in zip(about, requests, gathered, strict=True)
    ]


def _decided(
    way: OnItsWay, subject: ConfirmedSubject, request: ExchangeRequest, facts: Facts
) -> Decision | None:
    decision = decide(request, facts)
    try:
        decision.require_allowed()
    except Refused as refusal:
        way.leave(_denied(decision, subject, refusal))
        return None
    return decision


def _denied(decision: Decision, subject: ConfirmedSubject, refusal: Refused) -> Rest:
    return lambda session: refuse(session, decision, subject.keys, refusal)


def _relate(going: Going, counting: Counting) -> None:
    """Look up every relation named; who named too many in vain leaves."""
    ways = [way for way in going.open if way.asked.named]
    if not ways:
        return
    on = [(tag, way.asked.asker.agency) for way in ways for tag in way.asked.counted_on]
    failures = tallies(going.connection, on, going.now)
    seen_from = going.connection.execute(HORIZON, ())
    by_relation: dict[str, list[OnItsWay]] = {}
    for way in ways:
        by_relation.setdefault(next(iter(way.asked.named)), []).append(way)
    for relation, together in by_relation.items():
        asked = [(_subject(way), way.asked.named[relation][1]) for way in together]
        shown = relations_together(going.connection, relation, asked, now=going.now)
        for way, evidence in zip(together, shown, strict=True):
            number, target = way.asked.named[relation]
            way.related[relation] = Related(relation, number, target.tag or b"", evidence)
    row = seen_from.fetchone()
    horizon = row[0] if row else None
    counted = iter(failures())
    for way in ways:
        _count(way, [next(counted) for _ in way.asked.counted_on], counting, horizon)


def _count(way: OnItsWay, failures: Sequence[Tally], counting: Counting, horizon: int | None) -> None:
    asked = way.asked
    if any(counting.is_used_up(each, asked.asker.agency) for each in failures):
        way.leave(_tried_too_often(way))
        return
    for relation, related in way.related.items():
        way.related[relation] = related.seen(horizon)
        status = related.evidence.status
        if status is not EvidenceStatus.PRESENT:
            counting.note(asked.counted_on, asked.asker.agency, counts_over_all=status in OVER_ALL)


def _tried_too_often(way: OnItsWay) -> Rest:
    def rest(session: Session) -> GivenAnswer:
        refusal, service = too_many(), way.asked.service
        log_undecided(session, service.definition.purpose, service.identifier, refusal, _subject(way).keys)
        raise refusal

    return rest


def _mint_children(going: Going) -> None:
    """Children for whom somebody speaks get a handle, unless they were erased: then the question leaves."""
    ways = [way for way in going.open if way.speaks_for_a_child]
    if not ways:
        return
    tags = [child.tag for way in ways for child in way.related.values()]
    erased = {bytes(row[0]) for row in going.connection.execute(_SUPPRESSED, (tags,)).fetchall()}
    for way in ways:
        (child,) = way.related.values()
        if child.tag in erased or not isinstance(child.target, Nik):
            way.ending = way.asked.alone
        else:
            keys = going.context.vault.handle_for("nik", child.target.value)
            way.child = ConfirmedSubject(keys, child.target, child.tag)


def _subject(way: OnItsWay) -> ConfirmedSubject:
    assert way.subject is not None, "who is not confirmed has left"
    return way.subject
