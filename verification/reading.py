"""A stored answer given again: a new disclosure, decided anew and logged anew."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from audit.entry import EntryKind
from audit.log import append
from consent.decision import Decision
from records.errors import SubjectNotMatched
from verification import answers
from verification.answers import AnswerRecord
from verification.context import AnsweringContext, Session
from verification.errors import AnswerUnknown
from verification.exchange import (
    OtherPerson,
    committing,
    decide_about_other,
    decide_or_refuse,
    disclosure,
    entry_of,
    signed_promise,
)
from verification.journey import Asker, GivenAnswer


def read(context: AnsweringContext, answer_id: UUID, asker: Asker, officer: str | None = None) -> GivenAnswer:
    """Give a stored answer again.

    Raises:
        AnswerUnknown: When there is none, or it is not this asker's.
        ExchangeDenied: When it may no longer be disclosed.
    """
    with context.session(asker) as session:
        return read_again(session, answer_id, officer=officer, is_replay=False)


def read_again(
    session: Session, answer_id: UUID, *, officer: str | None = None, is_replay: bool
) -> GivenAnswer:
    """The stored answer, after a fresh decision and under a fresh entry."""
    record = answers.find(session.connection, answer_id, session.asker.system)
    keys = session.context.vault.keys_of(record.subject)
    if keys is None:  # the subject was erased, and the answer with it
        raise unknown()
    opened = answers.unseal(keys, record.answer_id, record.sealed)
    session.case_number = opened["question"]["case_number"]
    request = disclosure(
        session.asker, record.purpose, record.fields, keys.handle, officer=officer, case=str(answer_id)
    )
    decision = decide_or_refuse(session, request, keys)
    other = other_of(session, record, decision)
    draft = entry_of(
        EntryKind.EXCHANGE_READ,
        decision,
        keys,
        "read",
        details=_details(record, is_replay=is_replay),
        other=other,
    )
    try:
        with committing(session, decision, keys, other, tags=answers.tags_of(opened)):
            promise = append(session.connection, session.of_case(draft))
    except SubjectNotMatched:
        raise unknown() from None
    return GivenAnswer(
        answer_id=record.answer_id,
        content=answers.content_of(opened),
        jws=answers.jws_of(opened),
        promise=signed_promise(session.context, promise),
        entry_id=promise.entry_id,
        is_replay=is_replay,
    )


def other_of(
    session: Session, record: AnswerRecord, decision: Decision, *, is_counted: bool = True
) -> OtherPerson | None:
    """What the answer tells of another person is decided anew, too."""
    if record.other is None:
        return None
    keys = session.context.vault.keys_of(record.other)
    if keys is None:
        raise unknown()
    return decide_about_other(session, decision, keys, record.other_fields, is_counted=is_counted)


def unknown() -> AnswerUnknown:
    """What is said of an answer whose subject was erased: the same as of one that never was."""
    return AnswerUnknown("There is no such answer", remedy="Use the id from the reply to your question")


def _details(record: AnswerRecord, *, is_replay: bool) -> dict[str, Any]:
    return {
        "answer": record.answer_id,
        "service": record.service,
        "service_version": record.service_version,
        "replay": is_replay,
    }
