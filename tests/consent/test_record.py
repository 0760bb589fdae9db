import os
from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from consent.errors import ConsentNotPossible, RevisionBroken
from consent.record import (
    ConsentNotice,
    ConsentQuestion,
    ConsentRevision,
    GivenBy,
    expire,
    grant,
    history,
    latest,
    objections,
    refuse,
    verify_stored,
    withdraw,
)
from consent.vocabulary import Channel, ConsentState, Giver, GuardianGround
from foundation.database import Role
from participants.registry import Agency, Officer, register_agency, register_officer
from participants.roles import OfficerRole

from .facts import NOW, OFFICE, PERSONS, PURPOSE

NOTICE = ConsentNotice.of_text("Bolehkah kami memeriksa data Anda?", version="2026-1")
QUESTION = ConsentQuestion(OFFICE, PURPOSE, {PERSONS: frozenset({"nik", "birth_date"})}, NOTICE)


def new_subject() -> SubjectKeys:
    return SubjectKeys(SubjectHandle(uuid4()), os.urandom(32), os.urandom(32))


@pytest.fixture
def connection(installation):
    with installation.database.connect(Role.API) as connection:
        yield connection


def entries(connection: psycopg.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT kind FROM audit.outbox ORDER BY id").fetchall()]


def test_each_event_is_a_revision_chained_to_the_one_before_and_an_entry(connection):
    subject = new_subject()
    first = grant(connection, subject, QUESTION, channel=Channel.PORTAL, at=NOW)
    second = withdraw(
        connection, subject, first.consent_id, channel=Channel.COUNTER, at=NOW + timedelta(days=1)
    )
    third = refuse(connection, subject, QUESTION, channel=Channel.PORTAL, at=NOW + timedelta(days=2))
    fourth = grant(connection, subject, QUESTION, channel=Channel.PORTAL, at=NOW + timedelta(days=3))
    chain = history(connection, first.consent_id)
    assert chain == [first, second, third, fourth]
    assert [revision.predecessor for revision in chain] == [None, first.hash, second.hash, third.hash]
    assert [revision.state.value for revision in chain] == ["granted", "withdrawn", "refused", "granted"]
    assert verify_stored(connection, first.consent_id) == 4
    assert latest(connection, subject.handle, OFFICE, PURPOSE) == fourth


def test_every_event_is_in_the_log_if_and_only_if_its_transaction_commits(installation):
    subject = new_subject()
    with installation.database.connect(Role.API) as connection:
        grant(connection, subject, QUESTION, channel=Channel.PORTAL)
        connection.rollback()
        granted = grant(connection, subject, QUESTION, channel=Channel.PORTAL)
        connection.commit()
        withdraw(connection, subject, granted.consent_id, channel=Channel.PORTAL)
    with installation.database.connect(Role.MIGRATOR) as connection:
        assert entries(connection) == ["consent.granted", "consent.withdrawn"]


def test_the_entry_does_not_name_the_subject(installation):
    subject = new_subject()
    with installation.database.connect(Role.API) as connection:
        grant(connection, subject, QUESTION, channel=Channel.PORTAL)
    with installation.database.connect(Role.MIGRATOR) as connection:
        (entry,) = connection.execute("SELECT entry FROM audit.outbox").fetchone()
    assert str(subject.handle).encode() not in entry
    assert b'"purpose":"aid-micro-business"' in entry


def test_withdrawing_twice_changes_nothing(connection):
    subject = new_subject()
    granted = grant(connection, subject, QUESTION, channel=Channel.PORTAL)
    once = withdraw(connection, subject, granted.consent_id, channel=Channel.PORTAL)
    assert withdraw(connection, subject, granted.consent_id, channel=Channel.PORTAL) == once
    assert len(history(connection, granted.consent_id)) == 2


def test_nobody_withdraws_the_consent_of_another(connection):
    granted = grant(connection, new_subject(), QUESTION, channel=Channel.PORTAL)
    with pytest.raises(ConsentNotPossible):
        withdraw(connection, new_subject(), granted.consent_id, channel=Channel.PORTAL)
    with pytest.raises(ConsentNotPossible):
        withdraw(connection, new_subject(), uuid4(), channel=Channel.PORTAL)


def test_a_consent_in_force_is_withdrawn_not_refused(connection):
    subject = new_subject()
    grant(connection, subject, QUESTION, channel=Channel.PORTAL)
    with pytest.raises(ConsentNotPossible, match="Withdraw it"):
        refuse(connection, subject, QUESTION, channel=Channel.PORTAL)


def test_a_guardian_consents_for_a_child_and_an_officer_assists(installation, connection):
    guardian, child, elder = new_subject(), new_subject(), new_subject()
    with installation.database.connect(Role.STEWARD) as steward:
        register_agency(steward, Agency(OFFICE, "Dinas Koperasi"))
        register_officer(
            steward, Officer("officer-7", OFFICE, "sari", frozenset({OfficerRole.ASSISTING_OFFICER}))
        )
        register_officer(steward, Officer("officer-8", OFFICE, "budi"))
    by_guardian = GivenBy.by_guardian(guardian.handle, GuardianGround.CHILD, officer="officer-7")
    revision = grant(connection, child, QUESTION, channel=Channel.COUNTER, given_by=by_guardian)
    assert revision.given_by.guardian == guardian.handle
    assisted = grant(
        connection, elder, QUESTION, channel=Channel.PAPER, given_by=GivenBy.with_officer("officer-7")
    )
    assert assisted.given_by.kind is Giver.ASSISTING_OFFICER
    with pytest.raises(ConsentNotPossible, match="not registered to assist"):
        grant(
            connection,
            elder,
            QUESTION,
            channel=Channel.PAPER,
            given_by=GivenBy.with_officer("officer-8"),
        )
    with pytest.raises(ConsentNotPossible, match="own guardian"):
        grant(
            connection,
            child,
            QUESTION,
            channel=Channel.COUNTER,
            given_by=GivenBy.by_guardian(child.handle, GuardianGround.CHILD),
        )


@pytest.mark.parametrize(
    "half",
    [
        {"kind": Giver.GUARDIAN},
        {"kind": Giver.GUARDIAN, "ground": GuardianGround.CHILD},
        {"kind": Giver.ASSISTING_OFFICER},
        {"kind": Giver.SUBJECT, "guardian": uuid4(), "ground": GuardianGround.CHILD},
    ],
)
def test_who_spoke_for_the_subject_is_told_completely(half):
    with pytest.raises(ValueError, match=r"named"):
        GivenBy(**half)


def test_consents_past_their_term_are_noted_once(connection):
    early, late, open_ended = new_subject(), new_subject(), new_subject()
    first = grant(
        connection, early, QUESTION, channel=Channel.PORTAL, at=NOW, valid_until=NOW + timedelta(days=1)
    )
    grant(connection, late, QUESTION, channel=Channel.PORTAL, at=NOW, valid_until=NOW + timedelta(days=9))
    grant(connection, open_ended, QUESTION, channel=Channel.PORTAL, at=NOW)
    keys = {each.handle: each for each in (early, late, open_ended)}
    assert expire(connection, keys.get, at=NOW + timedelta(hours=23)) == 0
    assert expire(connection, keys.get, at=NOW + timedelta(days=1)) == 1
    assert expire(connection, keys.get, at=NOW + timedelta(days=1)) == 0
    assert latest(connection, early.handle, OFFICE, PURPOSE).state is ConsentState.EXPIRED
    assert verify_stored(connection, first.consent_id) == 2


def test_the_consent_of_an_erased_subject_expires_too(connection):
    subject = new_subject()
    grant(connection, subject, QUESTION, channel=Channel.PORTAL, at=NOW, valid_until=NOW + timedelta(days=1))
    assert expire(connection, lambda handle: None, at=NOW + timedelta(days=2)) == 1


def test_objections_are_those_who_said_no_last(connection):
    yes, no, changed_mind, back = (new_subject() for _ in range(4))
    grant(connection, yes, QUESTION, channel=Channel.PORTAL)
    refuse(connection, no, QUESTION, channel=Channel.PORTAL)
    granted = grant(connection, changed_mind, QUESTION, channel=Channel.PORTAL)
    withdraw(connection, changed_mind, granted.consent_id, channel=Channel.PORTAL)
    refuse(connection, back, QUESTION, channel=Channel.PORTAL)
    grant(connection, back, QUESTION, channel=Channel.PORTAL)
    assert objections(connection, OFFICE, PURPOSE) == {no.handle, changed_mind.handle}
    assert objections(connection, OFFICE, "another-purpose") == frozenset()


def test_a_consent_changed_behind_the_back_is_noticed(installation):
    subject = new_subject()
    with installation.database.connect(Role.API) as connection:
        granted = grant(connection, subject, QUESTION, channel=Channel.PORTAL)
    with installation.database.connect(Role.MIGRATOR) as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE consent.consent_revision SET payload = payload || ' '::bytea")
        connection.rollback()
        connection.execute(
            "UPDATE consent.consent_revision SET payload = %(p)s, hash = sha256(%(p)s)",
            {
                "p": granted.payload()
                .replace(b'"revision":1', b'"revision":2')
                .replace(b'"predecessor":null', b'"predecessor":"' + b"0" * 64 + b'"')
            },
        )
        with pytest.raises(RevisionBroken):
            verify_stored(connection, granted.consent_id)


def test_exchanging_roles_cannot_rewrite_a_consent(connection):
    grant(connection, new_subject(), QUESTION, channel=Channel.PORTAL)
    connection.commit()
    for statement in ("UPDATE consent.consent_revision SET state = 'granted'", "DELETE FROM consent.consent"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
        connection.rollback()


states = st.sampled_from(ConsentState)


@given(st.lists(states, max_size=6), states)
def test_a_chain_names_every_predecessor_by_the_hash_of_its_exact_bytes(later, first):
    chain = [
        ConsentRevision(
            consent_id=uuid4(),
            state=first,
            occurred_at=NOW,
            subject=uuid4(),
            consumer=OFFICE,
            purpose=PURPOSE,
            fields={PERSONS: ("nik",)},
            notice=NOTICE,
            channel=Channel.PORTAL,
            valid_from=NOW,
        )
    ]
    for state in later:
        chain.append(chain[-1].followed_by(state, occurred_at=NOW))
    for before, after in pairwise(chain):
        assert (after.revision, after.predecessor) == (before.revision + 1, before.hash)
        assert ConsentRevision.model_validate_json(after.payload()) == after
    assert len({revision.hash for revision in chain}) == len(chain)
