"""The transaction that makes several answers answers: all of them, or none.

Invariant: no entry, no answer; and no entry of an answer that was not stored. Locks, the last look and
everything that is written travel together; when the last look finds that one answer's right was lost
meanwhile, nothing of any is committed, and every question is asked alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.entry import EntryDraft
from audit.log import append_together
from consent.commitment import QuotaTaken, take_quota
from consent.errors import QuotaExhausted
from consent.holding import Held, hold_together
from foundation import clock, pipelines, telemetry
from foundation.database import translated
from foundation.pipelines import Transaction
from verification import answers, idempotency, referrals, watches
from verification.answering import entry_of_answer
from verification.asked import Going, OnItsWay
from verification.composing import Composed
from verification.exchange import signed_promise
from verification.journey import GivenAnswer
from verification.judging import Judged

__all__ = ["Ready", "commit_together"]


@dataclass(frozen=True)
class Ready:
    """An answer that was composed and signed, and its entry; nothing of it is written yet."""

    way: OnItsWay
    judged: Judged
    composed: Composed
    jws: str
    draft: EntryDraft

    @classmethod
    def of(cls, going: Going, way: OnItsWay, judged: Judged, composed: Composed) -> Ready:
        """Sign an answer, and draw up its entry."""
        jws = going.context.signer.sign(composed.content)
        draft = entry_of_answer(going.context, judged, composed, jws)
        return cls(way, judged, composed, jws, draft)

    @property
    def held(self) -> Held:
        """What it rests on."""
        other = self.judged.other
        decisions = (self.judged.own,) if other is None else (self.judged.own, other.decision)
        return Held(decisions, self.judged.tags)

    @property
    def drafts(self) -> list[EntryDraft]:
        """Its entry, and that of its referral."""
        referral = self.composed.referral
        if referral is None:
            return [self.draft]
        opening = referrals.opening_entry(referral, self.judged.decision, self.judged.subject.keys)
        return [self.draft, opening]


def commit_together(going: Going, ready: Sequence[Ready]) -> None:
    """Commit answers; each is given then, unless its quota is used up: its question is asked alone.

    Raises:
        Exception: When nothing was committed, for one thing because the right to one was lost; all may be
            asked alone.
    """
    taken: list[QuotaTaken] = []
    standing: list[Ready] = []
    given: list[GivenAnswer] = []
    is_written = False
    try:
        with (
            translated(),
            telemetry.span("verification.commit"),
            pipelines.transaction(going.connection) as transaction,
        ):
            standing = _with_quota(going, ready, taken)
            if standing:
                require_unchanged = hold_together(
                    going.connection, [each.held for each in standing], clock.now(), transaction
                )
                given = _write(going, standing, transaction)
                require_unchanged()
            is_written = True
    except Exception as error:
        if not is_written:
            for units in taken:
                units.give_back()
            raise
        for each in standing:  # a commit that failed may have happened all the same
            each.way.ending = error
        return
    for each, answer in zip(standing, given, strict=True):
        each.way.ending = answer


def _with_quota(going: Going, ready: Sequence[Ready], taken: list[QuotaTaken]) -> list[Ready]:
    """Those who got their unit of quota; the others are asked alone."""
    standing = []
    for each in ready:
        try:
            taken.append(take_quota(going.connection, each.judged.decision, going.context.leases))
        except QuotaExhausted:
            each.way.ending = each.way.asked.alone
        else:
            standing.append(each)
    return standing


def _write(going: Going, standing: Sequence[Ready], transaction: Transaction) -> list[GivenAnswer]:
    """Everything of every answer, sent together with what was sent before, and done when this returns."""
    connection = going.connection
    drafts = [each.drafts for each in standing]
    promises = iter(append_together(connection, [draft for each in drafts for draft in each]))
    given = []
    for each, own in zip(standing, drafts, strict=True):
        promise, *_ = [next(promises) for _ in own]
        given.append(
            GivenAnswer(
                answer_id=each.composed.answer_id,
                content=each.composed.content,
                jws=each.jws,
                promise=signed_promise(going.context, promise),
                entry_id=promise.entry_id,
            )
        )
    both = list(zip(given, standing, strict=True))
    answers.store_together(
        connection, [answers.record_of(one, each.judged, each.way.asked.question) for one, each in both]
    )
    watches.store_together(connection, [(one.answer_id, each.judged.watch()) for one, each in both])
    opened = [each.composed.referral for each in standing if each.composed.referral is not None]
    if opened:
        referrals.store_together(connection, opened)
    once = [(each.way.asked.once, one.answer_id) for one, each in both]
    keyed = [(request, answer_id) for request, answer_id in once if request is not None]
    if keyed:
        idempotency.remember_together(connection, transaction, keyed, clock.now())
    transaction.settle()  # from here on only COMMIT can fail
    return given
