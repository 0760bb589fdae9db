"""Who is meant: the applicant confirmed by a second element, every failure logged, none explained."""

from __future__ import annotations

from foundation import telemetry
from foundation.errors import Refused
from records.identity import Applicant, ConfirmedSubject, confirm
from verification.context import Session
from verification.exchange import log_unconfirmed


def confirmed(session: Session, applicant: Applicant, purpose: str, service: str) -> ConfirmedSubject:
    """The subject that the applicant names.

    Raises:
        SubjectNotMatched: When no person matches number and second element; it never says which.
        TooManyAttempts: When this consumer tried too often, this number or over all.
    """
    try:
        with telemetry.span("verification.confirm"):
            context = session.context
            return confirm(session.connection, context.vault, applicant, session.asker.agency, context.linked)
    except Refused as refusal:
        log_unconfirmed(session, purpose, service, refusal)
        raise
