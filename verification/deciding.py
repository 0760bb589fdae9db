"""An officer ends a referral: the signature checked, the decision stored and logged in one transaction."""

from __future__ import annotations

from uuid import UUID

from audit.log import Promise
from verification import officer_decision, referrals
from verification.context import AnsweringContext
from verification.errors import ReferralClosed, ReferralUnknown
from verification.referrals import Referral, ReferralState


def decide(context: AnsweringContext, referral_id: UUID, owner: str, signed: str) -> tuple[Referral, Promise]:
    """Check an officer's signed decision and end the referral with it.

    Raises:
        ReferralUnknown: When the office owns no such referral.
        ReferralClosed: When it was decided already.
        OfficerSignatureInvalid, ReferralNotYours: When the decision is not a valid one of its officer.
    """
    with context.connection() as connection, connection.transaction():
        referral = referrals.find(connection, referral_id, owner, locked=True)
        if referral.state is ReferralState.DECIDED:
            raise ReferralClosed("The referral was decided already", remedy="Read the decision that stands")
        decision = officer_decision.check(
            connection, signed, referral_id=referral_id, answer_id=referral.answer_id, owner=owner
        )
        keys = context.vault.keys_of(referral.subject)
        if keys is None:
            raise ReferralUnknown("There is no such referral", remedy="List your open referrals")
        promise = referrals.decide_referral(connection, referral, decision, keys)
        return referrals.find(connection, referral_id, owner), promise
