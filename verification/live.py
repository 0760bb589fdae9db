"""Asking sources live, when what the bus holds is staler than the service allows.

::

    requested   one entry `lookup.requested` for each source, committed while the decision still holds
    asked       every source at once, within one budget; no transaction, no connection to the database
    completed   one entry `lookup.completed` for each, whatever came of it; only then anything is judged

Invariant: no source is asked without a committed entry that says so, and no reply counts before its own entry
is committed. What was cut off in between stays visible: a request without its completion.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import polars as pl

from audit.entry import EntryDraft, EntryKind
from audit.log import append
from audit.subjects.subject_keys import SubjectKeys
from consent.decision import Decision
from foundation import clock, pipelines, telemetry
from foundation.errors import LintasError
from records.evidence import SELF, About, Evidence, EvidenceStatus, Need
from records.live import live_evidence, lookup_key, narrowed, severed_keys
from verification.catalogue import OTHER_PERSON, Service
from verification.context import Session
from verification.exchange import OtherPerson, entry_of, standing
from verification.sources import LiveSource, LiveSources

if TYPE_CHECKING:
    from schemas.contract import Contract

_GRACE_SECONDS = 0.2
"""How much longer than the budget is waited for a look-up to say itself that its time is over."""


@dataclass(frozen=True)
class _Question:
    """One source that is asked about one person, for one or several needs."""

    lookup_id: UUID
    source: LiveSource
    contract: Contract
    about: About
    needs: tuple[Need, ...]
    key: Mapping[str, str] = field(repr=False)
    severed: frozenset[str] = field(repr=False)
    decision: Decision
    subject: SubjectKeys


@dataclass(frozen=True)
class _Reply:
    """What came of a question: the rows, or the code of what went wrong."""

    question: _Question
    frame: pl.DataFrame | None = field(repr=False)
    error: str | None
    at: datetime
    milliseconds: int


def renewed(  # noqa: PLR0917 - all that a question rests on
    session: Session,
    service: Service,
    decision: Decision,
    other: OtherPerson | None,
    abouts: Mapping[str, About],
    evidence: Mapping[str, Evidence],
) -> dict[str, Evidence]:
    """The evidence, with what was stale asked for live where its source can be asked.

    Raises:
        ConsentChanged, AgreementChanged: When the right to ask was lost meanwhile; no source was asked.
        SubjectNotMatched: When somebody was erased meanwhile.
    """
    found = dict(evidence)
    questions = _questions(session, decision, other, abouts, evidence.values())
    if not questions or session.context.sources is None:
        return found
    budget = timedelta(milliseconds=service.definition.live.milliseconds)
    with telemetry.span("verification.lookup", service=service.identifier, sources=len(questions)):
        tags = sorted({about.subject.tag for about in abouts.values()})
        with standing(session, decision, abouts[SELF].subject.keys, other, tags=tags):
            for question in questions:
                append(session.connection, session.of_case(_requested(question, service, budget)))
        with session.resting():
            replies = _asked(session.context.sources, questions, budget)
        told = [(reply, _judged(reply, found)) for reply in replies]
        with pipelines.transaction(session.connection):
            for reply, (outcome, status, _) in told:
                append(session.connection, session.of_case(_completed(reply, service, outcome, status)))
    for _, (_, _, renewals) in told:
        found |= {
            each.need.name: replace(each, seen_from=evidence[each.need.name].seen_from) for each in renewals
        }
    return found


def _questions(
    session: Session,
    decision: Decision,
    other: OtherPerson | None,
    abouts: Mapping[str, About],
    evidence: Iterable[Evidence],
) -> list[_Question]:
    """One question for each stale dataset and each person it is stale about."""
    if not session.may_rest or session.context.sources is None:
        return []
    stale: dict[tuple[str, UUID, str | None], list[Need]] = {}
    for each in evidence:
        if each.status is EvidenceStatus.STALE and each.need.relation in abouts:
            about = abouts[each.need.relation]
            target = about.target if each.need.target_field else None
            stale.setdefault((each.dataset, about.subject.keys.handle, target), []).append(each.need)
    found = []
    for (dataset, _, _), needs in stale.items():
        source = session.context.sources.source(session.connection, dataset)
        about = abouts[needs[0].relation]
        key = lookup_key(source.contract, source.lookup.key, needs[0], about) if source else None
        if source is None or key is None:
            continue
        theirs = needs[0].relation == OTHER_PERSON and other is not None
        found.append(
            _Question(
                lookup_id=uuid4(),
                source=source,
                contract=narrowed(source.contract, needs, source.shape.order_columns),
                about=about,
                needs=tuple(needs),
                key=key,
                severed=severed_keys(session.connection, source.shape, about),
                decision=other.decision if theirs and other is not None else decision,
                subject=about.subject.keys,
            )
        )
    return found


def _asked(sources: LiveSources, questions: Sequence[_Question], budget: timedelta) -> list[_Reply]:
    """Ask every source at once; whoever has not answered when the budget ends is taken for down."""
    began = time.monotonic()
    ends = began + budget.total_seconds()
    running = [(each, sources.submit(_asking(each, ends))) for each in questions]
    replies = []
    for question, future in running:
        try:
            replies.append(future.result(max(0.0, ends - time.monotonic()) + _GRACE_SECONDS))
        except NotInTime:
            future.cancel()
            replies.append(_Reply(question, None, "lookup-timed-out", clock.now(), _since(began)))
    return replies


def _asking(question: _Question, ends: float) -> Callable[[], _Reply]:
    def ask() -> _Reply:
        began, frame, error = time.monotonic(), None, None
        try:
            left = timedelta(seconds=max(0.001, ends - began))
            columns = question.contract.source_columns
            frame = question.source.lookup.find(question.key, left, columns=columns)
        except LintasError as problem:
            error = problem.code
        except Exception as problem:  # whatever a driver throws may hold values: only its kind is told
            error = "lookup-failed"
            telemetry.logger(__name__).warning(
                "a live question failed", dataset=question.contract.id, error=type(problem).__name__
            )
        return _Reply(question, frame, error, clock.now(), _since(began))

    return ask


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _judged(reply: _Reply, before: Mapping[str, Evidence]) -> tuple[str, str, list[Evidence]]:
    """The outcome and status for the log, and the evidence for each need that the question served."""
    question = reply.question
    if reply.frame is None:
        return "source_down", reply.error or "failed", _down(question, before)
    try:
        renewals = [
            live_evidence(
                question.contract,
                need,
                question.about,
                reply.frame,
                now=reply.at,
                order=question.source.shape.order_columns,
                severed=question.severed,
                contradictions=before[need.name].contradictions,
            )
            for need in question.needs
        ]
    except LintasError as problem:  # somebody else's record, or columns that are not the contract's
        telemetry.logger(__name__).warning(
            "a live reply is of no use", dataset=question.contract.id, error=problem.code
        )
        return "source_down", problem.code, _down(question, before)
    return "answered", "ok", renewals


def _down(question: _Question, before: Mapping[str, Evidence]) -> list[Evidence]:
    return [
        replace(before[need.name], status=EvidenceStatus.SOURCE_DOWN, values={}) for need in question.needs
    ]


def _requested(question: _Question, service: Service, budget: timedelta) -> EntryDraft:
    details = {"budget_milliseconds": int(budget.total_seconds() * 1000)}
    return _entry(EntryKind.LOOKUP_REQUESTED, question, service, "requested", details)


def _completed(reply: _Reply, service: Service, outcome: str, status: str) -> EntryDraft:
    details = {"milliseconds": reply.milliseconds, "status": status}
    return _entry(EntryKind.LOOKUP_COMPLETED, reply.question, service, outcome, details)


def _entry(
    kind: EntryKind, question: _Question, service: Service, outcome: str, details: Mapping[str, Any]
) -> EntryDraft:
    contract = question.contract
    about = {"lookup": question.lookup_id, "service": service.identifier, **details}
    entry = entry_of(kind, question.decision, question.subject, outcome, details=about)
    fields = tuple(f"{contract.id}:{name}" for name in sorted(contract.fields))
    return replace(entry, provider=contract.agency, datasets=(contract.id,), fields=fields)
