"""Who may decide a referral or hold its clock, and that whoever looks at one is on record."""

from __future__ import annotations

from uuid import UUID

import pytest

from foundation import clock
from foundation.database import Role
from participants.registry import Officer, register_officer
from participants.roles import OfficerRole, assign_role, end_role
from tests.verification.city import ASKER, BUDI, OFFICE, OFFICER, City
from verification import attending, officer_decision
from verification.answering import answer
from verification.context import AnsweringContext
from verification.deciding import decide
from verification.errors import OfficerUnknown, ReferralClosed, ReferralNotYours


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


def test_whoever_looks_at_referrals_is_on_record(
    city: City, context: AnsweringContext, referral: UUID
) -> None:
    (listed,) = attending.list_open(context, ASKER, after=None, limit=50)
    assert attending.read(context, ASKER, referral) == listed
    first, second = city.entries("referral.viewed")
    assert (first["outcome"], first["consumer"], first["details"]) == ("listed", OFFICE, {"referrals": 1})
    assert (second["outcome"], second["system"]) == ("shown", ASKER.system)
    assert second["details"]["referral"] == str(referral)
    assert len(second["subjects"]) == 1


def test_a_clock_is_moved_by_a_deciding_officer_and_on_record(
    city: City, context: AnsweringContext, referral: UUID
) -> None:
    for event in ("stop", "resume"):
        attending.move_clock(context, ASKER, referral, event, reason="waiting-for-applicant", officer=OFFICER)
    with pytest.raises(ReferralClosed):
        attending.move_clock(context, ASKER, referral, "resume", reason="again", officer=OFFICER)
    (paused,), (resumed,) = city.entries("referral.paused"), city.entries("referral.resumed")
    assert (paused["actor"], paused["outcome"], resumed["outcome"]) == (OFFICER, "stopped", "open")
    assert paused["details"]["reason"] == "waiting-for-applicant"


def test_nobody_else_moves_a_clock(city: City, context: AnsweringContext, referral: UUID) -> None:
    auditor = Officer("auditor", OFFICE, "auditor", frozenset({OfficerRole.AUDITOR}))
    with city.connect(Role.STEWARD) as connection:
        register_officer(connection, auditor)
    for officer, error in (("auditor", ReferralNotYours), ("nobody", OfficerUnknown)):
        with pytest.raises(error):
            attending.move_clock(context, ASKER, referral, "stop", reason="because", officer=officer)
    assert city.entries("referral.paused") == []
