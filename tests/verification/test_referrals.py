"""Who may decide a referral or hold its clock, and that whoever looks at one is on record."""

from __future__ import annotations

from uuid import UUID

import pytest

from foundation import clock
from foundation.database import Role
from participants.roles import OfficerRole, assign_role, end_role
from tests.verification.city import BUDI, OFFICE, OFFICER, PORTAL, City
from verification import officer_decision
from verification.answering import answer
from verification.context import AnsweringContext
from verification.deciding import decide
from verification.errors import ReferralNotYours
from verification.journey import Asker

ASKER = Asker(system=PORTAL, agency=OFFICE)


@pytest.fixture
def referral(city: City, context: AnsweringContext) -> UUID:
    city.consent_of(context, BUDI)
    return UUID(answer(context, BUDI.question(), ASKER).content["referral"]["referral_id"])


def signed(city: City, referral: UUID) -> str:
    with city.connect() as connection:
        row = connection.execute(
            "SELECT answer_id FROM verification.referral WHERE referral_id = %s", [referral]
        ).fetchone()
    content = {
        "format": officer_decision.FORMAT,
        "referral_id": str(referral),
        "answer_id": str(row[0]) if row else "",
        "verdict": "approved",
        "reason": "The tax office confirmed the standing by letter.",
        "officer": OFFICER,
        "decided_at": clock.now().isoformat(),
    }
    return officer_decision.sign(content, city.keys[OFFICER])


@pytest.mark.parametrize("role", [role for role in OfficerRole if role is not OfficerRole.DECIDING_OFFICER])
def test_only_a_deciding_officer_decides(
    city: City, context: AnsweringContext, referral: UUID, role: OfficerRole
) -> None:
    with city.connect(Role.STEWARD) as connection:
        end_role(connection, OFFICER, OfficerRole.DECIDING_OFFICER)
        assign_role(connection, OFFICER, role, assigned_by="test")
    with pytest.raises(ReferralNotYours):
        decide(context, referral, OFFICE, signed(city, referral))
    assert city.entries("referral.decided") == []


def test_a_deciding_officer_decides(city: City, context: AnsweringContext, referral: UUID) -> None:
    ended, _ = decide(context, referral, OFFICE, signed(city, referral))
    assert ended.verdict == "approved"
