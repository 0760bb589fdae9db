"""Applications of the practice people: what each asks for, and how it ends.

Each outcome that a service can have is here once. How an application ends is said for registers that are in
order, except where its name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.fixed_people import FIXED
from sandbox.practice_person import AID, CHILD_CARD, POLICE_CERTIFICATE, PracticePerson

AMOUNT = 3_000_000


@dataclass(frozen=True, slots=True)
class Application:
    """One application and its known end.

    Attributes:
        applicant: Who applies.
        service: What they apply for.
        claims: What the application states besides.
        expected: `verified`, `refer`, `not_possible` or `denied`.
        outcome: Outcome of the criterion that decides, when it is not verified.
        criterion: That criterion.
        purpose: Another purpose than the service's, when somebody tries one.
    """

    applicant: PracticePerson
    service: str
    claims: Mapping[str, Any] = field(default_factory=dict)
    expected: str = "verified"
    outcome: str = ""
    criterion: str = ""
    purpose: str | None = None


def aid(person: PracticePerson, *, criterion: str = "", purpose: str | None = None) -> Application:
    """The application of a practice person for the aid to their business."""
    claims = {"amount_requested": AMOUNT, "business_nib": person.nib}
    return Application(person, AID, claims, person.expected, person.outcome, criterion, purpose)


def child_card(
    child: PracticePerson, *, expected: str = "verified", outcome: str = "", criterion: str = ""
) -> Application:
    """The mother's application for a child's identity card."""
    claims = {"child_nik": child.nik}
    return Application(FIXED.guardian, CHILD_CARD, claims, expected, outcome, criterion)


def police_certificate(person: PracticePerson, *, criterion: str = "") -> Application:
    """The application of a practice person for a police certificate."""
    return Application(person, POLICE_CERTIFICATE, {}, person.expected, person.outcome, criterion)


APPLICATIONS: Mapping[str, Application] = {
    "aid-verified": aid(FIXED.verified),
    "aid-tax-not-valid": aid(FIXED.tax_not_valid, criterion="tax-standing"),
    "aid-licenses-overdue": aid(FIXED.overdue, criterion="licensed"),
    "aid-birth-dates-differ": aid(FIXED.birth_dates_differ, criterion="adult"),
    "aid-denied": aid(FIXED.denied, purpose="credit-scoring"),
    "aid-dies-later": aid(FIXED.dies_later),
    "aid-deceased": aid(FIXED.deceased, criterion="alive"),
    "aid-dead-owner": aid(FIXED.dead_owner, criterion="alive"),
    "aid-death-quarantined": aid(FIXED.death_quarantined, criterion="alive"),
    "aid-minor": aid(FIXED.minor, criterion="adult"),
    "aid-elsewhere": aid(FIXED.elsewhere, criterion="resident"),
    "aid-no-tax": aid(FIXED.no_tax, criterion="tax-standing"),
    "card-verified": child_card(FIXED.child),
    "card-newborn": child_card(FIXED.newborn),
    "card-birth-not-recorded": child_card(
        FIXED.unrecorded_child, expected="refer", outcome="unknown", criterion="birth-recorded"
    ),
    "card-of-a-strangers-child": child_card(
        FIXED.minor, expected="refer", outcome="not_met", criterion="guardian"
    ),
    "police-verified": police_certificate(FIXED.jkn_active),
    "police-lapsed": police_certificate(FIXED.jkn_inactive, criterion="insured"),
}
