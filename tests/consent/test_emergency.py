from datetime import timedelta
from uuid import UUID

import pytest

from consent.commitment import hold
from consent.decision import EmergencyClaim, decide
from consent.emergency import close_review, open_reviews
from consent.errors import ReviewNotPossible
from consent.facts import gather
from foundation.database import Role

from .facts import NOW, PERSONS, request, terms


@pytest.fixture
def accessed(practice):
    practice.publish(terms(emergency_access=True))
    subject, _ = practice.consenting_subject()
    wanted = request(
        subject=subject.handle,
        fields={PERSONS: frozenset({"name"})},
        emergency=EmergencyClaim("officer-7", "unconscious"),
    )
    with practice.connect() as connection:
        decision = decide(wanted, gather(connection, wanted))
        hold(connection, decision, NOW)
    return decision


def test_every_emergency_access_waits_for_a_review_by_somebody_else(practice, accessed):
    with practice.connect(Role.STEWARD) as connection:
        (review,) = open_reviews(connection)
        assert (review.decision_id, review.due_at) == (UUID(accessed.decision_id), NOW + timedelta(hours=72))
        with pytest.raises(ReviewNotPossible, match="their own"):
            close_review(connection, review.decision_id, reviewed_by="officer-7", justified=True)
        close_review(connection, review.decision_id, reviewed_by="officer-9", justified=False, at=NOW)
        assert open_reviews(connection) == []
        with pytest.raises(ReviewNotPossible, match="No review"):
            close_review(connection, review.decision_id, reviewed_by="officer-9", justified=True)
    with practice.connect(Role.MIGRATOR) as connection:
        (outcome,) = connection.execute(
            "SELECT outcome FROM audit.outbox WHERE kind = 'emergency.reviewed'"
        ).fetchone()
    assert outcome == "not-justified"


def test_an_emergency_that_is_rolled_back_leaves_no_review(practice, accessed):
    with practice.connect(Role.STEWARD) as connection:
        before = len(open_reviews(connection))
    again = request(
        subject=accessed.request.subject, fields=accessed.request.fields, emergency=accessed.request.emergency
    )
    with practice.connect() as connection:
        hold(connection, decide(again, gather(connection, again)), NOW)
        connection.rollback()
    with practice.connect(Role.STEWARD) as connection:
        assert len(open_reviews(connection)) == before
