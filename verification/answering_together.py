"""Several questions answered in one go: every step of `verification.answering` taken for all of them at once.

::

    first   ONE transaction: attempts locked, applicants confirmed, decided, relations looked up, counted,
            evidence read
    then    criteria judged, answers composed and signed
    last    ONE transaction: locks; revisions and erasures re-read; quota; answers stored, entries appended

What costs as much for one question as for ten (a round trip, a plan, a commit, a change of processes) is so
paid once. Each question is still decided, judged, signed and entered into the log by itself.

Invariants: a question ends among others as it would alone. What refuses one refuses no other: it leaves them
and goes the rest of its way alone, and so do all when something fails for all. No two questions of one go
share what attempts are counted on, or an Idempotency-Key, so none misses what another one did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from consent.exchange import new_decision_id
from foundation import clock, telemetry
from records.evidence import Evidence, EvidenceStatus, evidence_together
from verification import answering
from verification.asked import Asked, Ending, Going, OnItsWay, Rest
from verification.committing_together import Ready, commit_together
from verification.composing import compose
from verification.confirming_together import confirm_and_relate, decide_together
from verification.context import AnsweringContext, Session
from verification.exchange import OtherPerson
from verification.journey import GivenAnswer
from verification.judging import Found, concluded, judged_by, without_strangers

__all__ = ["MOST_TOGETHER", "answer_together"]

MOST_TOGETHER = 16
"""Questions answered in one go at the most."""

log = telemetry.logger(__name__)


def answer_together(context: AnsweringContext, questions: Sequence[Asked]) -> list[Ending]:
    """Answer plain questions that exclude each other in nothing; each ends by itself.

    Returns:
        For each question its answer, its refusal, or what is left to be done for it alone.
    """
    ways = [OnItsWay(each) for each in questions]
    try:
        with context.connection() as connection:
            _go(Going(context, connection, ways, clock.now()))
    except Exception as error:  # for instance a batch that was published while its records were read
        log.warning("questions_go_alone", questions=len(ways), error=type(error).__name__)
    return [way.asked.alone if way.ending is None else way.ending for way in ways]


def _go(going: Going) -> None:
    for ways, told in confirm_and_relate(going, lambda: _ask_for_evidence(going)):
        _take_in(ways, told)
    ready = []
    for way in going.open:
        if any(each.status is EvidenceStatus.STALE for each in way.evidence.values()):
            way.leave(_asking_live(way))
            continue
        found = _found(way)
        judged = judged_by(found, way.evidence)
        ready.append(Ready.of(going, way, judged, compose(found.service, way.asked.question, judged)))
    if ready:
        commit_together(going, ready)


def _decide_about_children(going: Going) -> None:
    """What is about a child is decided by itself, as the child's own consent counts."""
    ways = [
        (way, way.child, way.decision)
        for way in going.open
        if way.child is not None and way.decision is not None and way.asked.service.fields_about_other
    ]
    requests = [
        replace(
            decision.request,
            subject=child.keys.handle,
            fields=way.asked.service.fields_about_other,
            decision_id=new_decision_id(),
        )
        for way, child, decision in ways
    ]
    about = [(way, child) for way, child, _ in ways]
    for (way, child), decision in zip(about, decide_together(going, about, requests), strict=True):
        way.other = None if decision is None else OtherPerson(child.keys, decision)


_Told = Callable[[], list[dict[str, Evidence]]]


def _ask_for_evidence(going: Going) -> list[tuple[list[OnItsWay], _Told]]:
    """One question to the registers for all that need the same of the same."""
    _decide_about_children(going)
    alike: dict[tuple[str, frozenset[str]], list[OnItsWay]] = {}
    for way in going.open:
        people = frozenset(_found(way).abouts)
        alike.setdefault((way.asked.service.identifier, people), []).append(way)
    asking = []
    for ways in alike.values():
        abouts = [_found(way).abouts for way in ways]
        needs = ways[0].asked.service.needs
        asking.append((ways, evidence_together(going.connection, abouts, needs, going.now)))
    return asking


def _take_in(ways: Sequence[OnItsWay], told: _Told) -> None:
    with telemetry.span("verification.evidence", service=ways[0].asked.service.identifier):
        read = told()
    for way, evidence in zip(ways, read, strict=True):
        way.evidence = without_strangers(evidence, _found(way).abouts, way.related)


def _asking_live(way: OnItsWay) -> Rest:
    """What the bus holds is stale: the sources are asked, which takes a while."""

    def rest(session: Session) -> GivenAnswer:
        found = _found(way)
        judged = concluded(session, found, way.evidence)
        composed = compose(found.service, way.asked.question, judged)
        return answering.commit(session, way.asked.question, judged, composed, once=way.asked.once)

    return rest


def _found(way: OnItsWay) -> Found:
    asked, subject, decision = way.asked, way.subject, way.decision
    assert subject is not None, "who is not confirmed has left"
    assert decision is not None, "who is not decided about has left"
    return Found(asked.service, asked.claims, decision, way.related, subject, way.child, way.other)
