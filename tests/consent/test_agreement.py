from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.agreement import agreements, end_agreement, publish_revision, revisions, verify_stored
from consent.errors import AgreementInvalid, RevisionBroken
from consent.terms import AgreementRevision, AgreementTerms, payload_hash
from consent.vocabulary import LegalBasis, Mode, Verb
from foundation.database import Role
from foundation.keyring import Keyring
from participants.keys import add_key, end_key, roll_key

from .facts import NOW, OFFICE, PERSONS, REGISTRY, TAX, terms

names = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), min_size=1, max_size=5)
slugs = st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True)
some_terms = st.builds(
    terms,
    purposes=st.lists(slugs, min_size=1, max_size=3),
    datasets=st.dictionaries(slugs.map(lambda slug: f"{REGISTRY}/{slug}"), names, min_size=1, max_size=3),
    legal_basis=st.sampled_from(LegalBasis),
    verbs=st.lists(st.sampled_from(Verb), min_size=1),
    modes=st.lists(st.sampled_from(Mode), min_size=1),
    quota_per_day=st.none() | st.integers(1, 10**9),
    title=st.text(min_size=1, max_size=50).filter(lambda text: text.strip() and text.isprintable()),
)


def entries(practice) -> list[str]:
    with practice.connect(Role.MIGRATOR) as connection:
        rows = connection.execute("SELECT kind FROM audit.outbox ORDER BY id").fetchall()
    return [row[0] for row in rows]


@given(some_terms)
def test_a_revision_comes_back_from_its_exact_bytes(agreed):
    revision = AgreementRevision(terms=agreed)
    again = AgreementRevision.parse(revision.payload())
    assert again == revision
    assert again.payload() == revision.payload()


@given(some_terms, st.randoms())
def test_equal_terms_have_equal_bytes_whatever_the_order_they_were_written_in(agreed, random):
    plain = agreed.model_dump(mode="json")
    for value in (plain["purposes"], plain["verbs"], plain["modes"], *plain["datasets"].values()):
        random.shuffle(value)
    plain["datasets"] = dict(random.sample(list(plain["datasets"].items()), len(plain["datasets"])))
    assert (
        AgreementRevision(terms=AgreementTerms.model_validate(plain)).payload()
        == AgreementRevision(terms=agreed).payload()
    )


@given(some_terms, some_terms)
def test_a_successor_names_the_hash_of_its_predecessors_bytes(first_terms, second_terms):
    first = AgreementRevision(terms=first_terms)
    second = first.succeeded_by(second_terms)
    assert (second.revision, second.predecessor) == (2, payload_hash(first.payload()))


def test_bytes_that_say_the_same_in_another_form_are_not_the_agreement():
    payload = AgreementRevision(terms=terms()).payload()
    with pytest.raises(AgreementInvalid, match="canonical"):
        AgreementRevision.parse(payload.replace(b'","', b'", "', 1))


def test_every_invalid_part_of_the_terms_is_named_without_its_value():
    payload = AgreementRevision(terms=terms()).payload()
    spoiled = payload.replace(b'"retention_days":365', b'"retention_days":-1').replace(
        b'"consent"', b'"because-i-say-so"'
    )
    with pytest.raises(AgreementInvalid) as caught:
        AgreementRevision.parse(spoiled)
    fields = {finding["field"] for finding in caught.value.attributes["findings"]}
    assert fields == {"terms.retention_days", "terms.legal_basis"}
    assert "because-i-say-so" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"consumer": REGISTRY},
        {"valid_until": NOW - timedelta(days=31)},
        {"datasets": {"another-agency/persons": ("nik",)}},
        {"datasets": {PERSONS: ()}},
        {"datasets": {}},
        {"purposes": ()},
        {"quota_per_day": 0},
        {"agreement_id": "Not A Slug"},
        {"valid_from": NOW.replace(tzinfo=None)},
        {"surprise": True},
    ],
)
def test_terms_that_do_not_hold_together_are_refused(changes):
    with pytest.raises(ValueError, match="validation error"):
        terms(**changes)


def test_a_published_revision_is_stored_byte_for_byte_and_logged_once(practice):
    revision = practice.publish(terms())
    practice.publish(terms())
    with practice.connect() as connection:
        (stored,) = revisions(connection, revision.terms.agreement_id)
        assert stored.signed.payload == revision.payload()
        assert stored.terms == revision.terms
        assert verify_stored(connection, revision.terms.agreement_id) == 1
    assert entries(practice) == ["agreement.signed"]


def test_revisions_form_a_chain_and_the_latest_is_listed(practice):
    first = practice.publish(terms())
    second = practice.publish(terms(retention_days=30), after=first)
    practice.publish(terms(TAX))
    with practice.connect() as connection:
        assert verify_stored(connection, first.terms.agreement_id) == 2
        listed = {
            stored.terms.agreement_id: stored.signed.revision.revision for stored in agreements(connection)
        }
    assert listed == {second.terms.agreement_id: 2, f"pks-{TAX}-1": 1}


@pytest.mark.parametrize("side", ["provider_signature", "consumer_signature"])
def test_a_revision_is_refused_unless_both_sides_signed_exactly_its_bytes(practice, side):
    revision = AgreementRevision(terms=terms())
    signed, other = (
        practice.signed(revision),
        practice.signed(AgreementRevision(terms=terms(retention_days=1))),
    )
    foreign = practice.signed(AgreementRevision(terms=terms(TAX))).provider_signature
    unknown = replace(getattr(signed, side), kid="nobody")
    for wrong in (getattr(other, side), foreign, unknown):
        with practice.connect(Role.STEWARD) as connection, pytest.raises(AgreementInvalid):
            publish_revision(connection, replace(signed, **{side: wrong}), at=NOW)
    assert entries(practice) == []


def test_an_agency_cannot_sign_with_a_key_for_something_else(practice, tmp_path):
    wrong = Keyring.open(tmp_path / "other", b"practice").ensure("auth")
    with practice.connect(Role.STEWARD) as connection:
        add_key(
            connection,
            owner_kind="agency",
            owner_id=OFFICE,
            use="auth",
            public_jwk=wrong.public_jwk,
            valid_from=NOW.replace(year=2025),
        )
    spoiled = replace(practice, keys=practice.keys | {OFFICE: wrong})
    with pytest.raises(AgreementInvalid, match="not its key for agreements"):
        spoiled.publish(terms())


def test_a_rolled_key_still_verifies_what_it_signed_but_signs_nothing_new(practice, tmp_path):
    first = practice.publish(terms())
    new = Keyring.open(tmp_path / "new", b"practice").ensure("agreements")
    old = practice.keys[REGISTRY]
    with practice.connect(Role.STEWARD) as connection:
        roll_key(connection, old.kid, new.public_jwk, at=NOW + timedelta(seconds=1))
        assert verify_stored(connection, first.terms.agreement_id) == 1
        later = first.succeeded_by(terms(retention_days=1))
        with pytest.raises(AgreementInvalid, match="does not hold"):
            publish_revision(connection, practice.signed(later), at=NOW + timedelta(days=1))
        rolled = replace(practice, keys=practice.keys | {REGISTRY: new})
        publish_revision(connection, rolled.signed(later), at=NOW + timedelta(days=1))
        assert verify_stored(connection, first.terms.agreement_id) == 2


def test_a_revision_must_follow_the_latest_and_keep_its_sides(practice):
    first = practice.publish(terms())
    second = practice.publish(terms(retention_days=1), after=first)
    for wrong in (
        AgreementRevision(terms=terms(retention_days=2)),
        first.succeeded_by(terms(retention_days=2)),
        second.succeeded_by(terms(retention_days=2)).succeeded_by(terms(retention_days=3)),
        second.succeeded_by(terms(TAX, agreement_id=first.terms.agreement_id)),
    ):
        with practice.connect(Role.STEWARD) as connection, pytest.raises(AgreementInvalid):
            publish_revision(connection, practice.signed(wrong), at=NOW)
    with practice.connect() as connection:
        assert len(revisions(connection, first.terms.agreement_id)) == 2


def test_either_side_ends_an_agreement_once_and_nothing_follows(practice):
    first = practice.publish(terms())
    agreement_id = first.terms.agreement_id
    with practice.connect(Role.STEWARD) as connection:
        with pytest.raises(AgreementInvalid, match="not a side"):
            end_agreement(connection, agreement_id, ended_by=TAX, reason="no")
        end_agreement(connection, agreement_id, ended_by=OFFICE, reason="terminated-by-consumer", at=NOW)
        end_agreement(connection, agreement_id, ended_by=REGISTRY, reason="again")
        with pytest.raises(AgreementInvalid, match="no agreement"):
            end_agreement(connection, "pks-nowhere", ended_by=OFFICE, reason="no")
    assert entries(practice) == ["agreement.signed", "agreement.ended"]
    with pytest.raises(AgreementInvalid, match="has been ended"):
        practice.publish(terms(retention_days=1), after=first)


def test_damage_to_a_stored_agreement_is_noticed(practice):
    first = practice.publish(terms())
    with practice.connect(Role.MIGRATOR) as connection:
        for damage in ("payload = payload || ' '::bytea", "hash = sha256('x')"):
            with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
                connection.execute(f"UPDATE consent.agreement_revision SET {damage}")
        connection.execute("UPDATE consent.agreement_revision SET provider_signature = consumer_signature")
        with pytest.raises(RevisionBroken):
            verify_stored(connection, first.terms.agreement_id)


def test_a_key_reported_stolen_takes_its_later_signatures_with_it(practice):
    first = practice.publish(terms())
    with practice.connect(Role.STEWARD) as connection:
        end_key(connection, practice.keys[TAX].kid, at=NOW - timedelta(days=1), because="stolen")
        assert verify_stored(connection, first.terms.agreement_id) == 1
        end_key(connection, practice.keys[REGISTRY].kid, at=NOW - timedelta(days=1), because="stolen")
        with pytest.raises(RevisionBroken):
            verify_stored(connection, first.terms.agreement_id)


def test_only_stewards_publish_and_end(practice):
    signed = practice.signed(AgreementRevision(terms=terms()))
    for role in (Role.API, Role.INGEST):
        with practice.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            publish_revision(connection, signed, at=NOW)
