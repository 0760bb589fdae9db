"""What can go wrong when a question is asked or a service is described.

::

    FixContract      ServiceInvalid
    Refused          ServiceUnknown, ClaimsInvalid, AnswerUnknown, IdempotencyConflict,
                     ReferralUnknown, ReferralClosed, ReferralNotYours, OfficerSignatureInvalid,
                     OfficerUnknown, NoticeUnknown, NoticeNotWaiting, WebhookInvalid, WebhookUnknown
    RetryLater       ReceiptPending
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.errors import FixContract, Location, Refused, RetryLater


@dataclass(frozen=True)
class ServiceProblem:
    """One thing wrong with a service file."""

    location: Location
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.location}: {self.what}. {self.remedy}"


class ServiceInvalid(FixContract):
    """A service file does not say what it must, or says what cannot be checked."""

    def __init__(self, problems: Sequence[ServiceProblem]) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"{len(problems)} problem(s) in the service catalogue:\n{listed}",
            remedy="Correct the service files; nothing of the catalogue was loaded",
            location=problems[0].location if problems else None,
        )
        self.problems = tuple(problems)


class ServiceUnknown(Refused):
    """No service of this name is in the catalogue."""


class ClaimsInvalid(Refused):
    """The application lacks a claim that the service asks for, or states it in the wrong form."""


class AnswerUnknown(Refused):
    """There is no such answer, or it is not this client's."""


class IdempotencyConflict(Refused):
    """The same Idempotency-Key came with a different request."""


class ReceiptPending(RetryLater):
    """The entry is committed, but not yet in a signed checkpoint."""


class ReferralUnknown(Refused):
    """There is no such referral, or it is another agency's."""


class ReferralClosed(Refused):
    """The referral was decided already."""


class ReferralNotYours(Refused):
    """The officer may not decide for this agency."""


class OfficerSignatureInvalid(Refused):
    """The officer's signature does not cover this decision."""


class OfficerUnknown(Refused):
    """The named officer is not registered for the agency that asks."""


class NoticeUnknown(Refused):
    """There is no such notice."""


class NoticeNotWaiting(Refused):
    """The notice is not in a state in which this can be done with it."""


class WebhookInvalid(Refused):
    """The address is not one to which the bus would send anything."""


class WebhookUnknown(Refused):
    """The system has no webhook."""
