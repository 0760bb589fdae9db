"""Who may do what to records and identities, held by the database itself."""

from __future__ import annotations

import psycopg
import pytest

from foundation.database import Role

from .world import PERSONS, World, person

FORBIDDEN = {
    Role.API: [
        "UPDATE identity.severance SET recorded_to = now()",
        "INSERT INTO identity.severance (subject_id, record_id, recorded_from, why, made_by)"
        " VALUES (gen_random_uuid(), 1, now(), 'x', 'x')",
        "UPDATE identity.link SET recorded_to = now()",
        "DELETE FROM identity.attempt",
        "DELETE FROM identity.consumer_attempt",
        "SELECT * FROM quality.quarantine_row",
        "UPDATE records.person_v1 SET name = 'x'",
        "DELETE FROM records.person_v1",
    ],
    Role.INGEST: [
        "SELECT * FROM verification.answer",
        "SELECT * FROM verification.referral",
        "SELECT * FROM identity.link",
        "SELECT * FROM identity.attempt",
        "SELECT * FROM identity.consumer_attempt",
        "SELECT identity.forget_attempts(now())",
        "SELECT * FROM audit.sealed",
        "SELECT sealed FROM quality.quarantine_row",
        "INSERT INTO consent.agreement_end SELECT",
        "INSERT INTO consent.consent SELECT",
    ],
    Role.AUDITOR: [
        "SELECT * FROM records.person_v1",
        "SELECT sealed FROM verification.answer",
        "SELECT subject FROM verification.answer",
        "SELECT * FROM quality.quarantine_row",
        "UPDATE records.batch SET status = 'released'",
    ],
    Role.SEQUENCER: [
        "SELECT * FROM records.person_v1",
        "SELECT * FROM verification.answer",
        "SELECT * FROM audit.sealed",
        "SELECT * FROM consent.consent",
    ],
}


def test_no_role_reaches_beyond_its_work(world: World) -> None:
    world.sync(PERSONS, [person(1)])
    for role, statements in FORBIDDEN.items():
        with world.installation.database.connect(role, autocommit=True) as connection:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
