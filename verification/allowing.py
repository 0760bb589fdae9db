"""Whether a notice may be told now: decided anew, and logged before it is told, however it is told."""

from __future__ import annotations

from audit.entry import EntryKind
from audit.log import append
from audit.subjects.subject_keys import SubjectKeys
from records.errors import SubjectNotMatched
from verification import answers
from verification.context import Session
from verification.exchange import committing, decide_or_refuse, disclosure, entry_of
from verification.notices import Notice
from verification.reading import other_of, unknown


def allow(session: Session, notice: Notice, keys: SubjectKeys, outcome: str, *, is_logged: bool) -> None:
    """Decide about everybody whom a notice concerns, and commit that it is told.

    Args:
        session: Of the portal that is told.
        notice: What it is told.
        keys: Of the person.
        outcome: How it is told, for the entry.
        is_logged: Whether the log says so already.

    Raises:
        ExchangeDenied: When it may no longer be told; the refusal is logged.
        ConsentChanged, AgreementChanged: When something moved just now.
        AnswerUnknown: When somebody whom it concerns was erased.
    """
    record = answers.find(session.connection, notice.review_id, notice.system)
    request = disclosure(
        session.asker, notice.purpose, record.fields, keys.handle, officer=None, case=str(notice.answer_id)
    )
    decision = decide_or_refuse(session, request, keys, is_counted=False)
    other = other_of(session, record, decision, is_counted=False)
    tags = answers.tags_of(answers.unseal(keys, record.answer_id, record.sealed))
    try:
        with committing(session, decision, keys, other, tags=tags):
            if not is_logged:
                kind, about = EntryKind.EXCHANGE_PUSHED, notice.details
                append(
                    session.connection, entry_of(kind, decision, keys, outcome, details=about, other=other)
                )
    except SubjectNotMatched:
        raise unknown() from None


def is_for_good(rules: list[object]) -> bool:
    """Whether a denial by these rules lasts; a suspended party may be reinstated."""
    return not all(str(rule).endswith(".suspended") for rule in rules)
