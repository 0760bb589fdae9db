import secrets
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation import clock
from foundation.database import PermissionMissing, Role
from foundation.keyring import Keyring, WrongKeyKind
from participants import KeyConflict, KeyNotValid, PublicKeyRecord, SignatureWrong, UnknownKey
from participants import keys as participant_keys

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def keyring(settings):
    return Keyring.open(settings.home / "agency", secrets.token_bytes(32))


@pytest.fixture
def connection(installation):
    with installation.database.connect(Role.STEWARD) as opened:
        yield opened


def add(connection, key, **changes):
    facts = {
        "owner_kind": "agency",
        "owner_id": "kpp-mojokerto",
        "use": "agreement",
        "public_jwk": key.public_jwk,
        "valid_from": BEGIN,
        "vouched_by": "PKS 470/12/2026",
    }
    return participant_keys.add_key(connection, **{**facts, **changes})


def test_a_rolled_key_keeps_what_it_signed_in_its_time_and_nothing_after(connection, keyring):
    old = keyring.ensure("agency")
    add(connection, old)
    signature = old.sign(b"terms")
    new = keyring.roll("agency")
    participant_keys.roll_key(connection, old.kid, new.public_jwk, at=BEGIN + 10 * DAY)

    assert participant_keys.verify(connection, old.kid, b"terms", signature, BEGIN + 9 * DAY).kid == old.kid
    with pytest.raises(KeyNotValid):
        participant_keys.verify(connection, old.kid, b"terms", signature, BEGIN + 10 * DAY)
    with pytest.raises(KeyNotValid):
        participant_keys.verify(connection, new.kid, b"terms", new.sign(b"terms"), BEGIN + 9 * DAY)
    found = participant_keys.verify(connection, new.kid, b"terms", new.sign(b"terms"), BEGIN + 10 * DAY)
    assert (found.owner_id, found.use) == ("kpp-mojokerto", "agreement")


def test_exactly_one_key_of_an_owner_is_valid_at_each_moment_of_a_roll(connection, keyring):
    first = keyring.ensure("agency")
    add(connection, first)
    second = keyring.roll("agency")
    participant_keys.roll_key(connection, first.kid, second.public_jwk, at=BEGIN + DAY)
    valid = {
        hours: [key.kid for key in participant_keys.keys_of(connection, "kpp-mojokerto", BEGIN + hours)]
        for hours in (timedelta(), DAY - timedelta(microseconds=1), DAY, 2 * DAY)
    }
    assert list(valid.values()) == [[first.kid], [first.kid], [second.kid], [second.kid]]
    assert participant_keys.keys_of(connection, "kpp-mojokerto", BEGIN - DAY) == []


def test_a_stolen_key_ends_at_the_theft_and_cannot_be_revived(connection, keyring):
    key = keyring.ensure("agency")
    add(connection, key)
    participant_keys.end_key(connection, key.kid, at=BEGIN + DAY, because="stolen")
    with pytest.raises(KeyNotValid, match="stolen"):
        participant_keys.verify(connection, key.kid, b"x", key.sign(b"x"), BEGIN + 2 * DAY)
    with pytest.raises(KeyConflict):
        participant_keys.end_key(connection, key.kid, at=BEGIN + 5 * DAY, because="later")
    with pytest.raises(KeyConflict):
        participant_keys.roll_key(connection, key.kid, key.public_jwk, at=BEGIN + 5 * DAY)
    earlier = participant_keys.end_key(connection, key.kid, at=BEGIN + DAY / 2, because="stolen earlier")
    assert earlier.valid_to == BEGIN + DAY / 2


def test_a_key_belongs_to_one_owner_and_use(connection, keyring):
    key = keyring.ensure("agency")
    first = add(connection, key)
    assert add(connection, key, valid_from=BEGIN + DAY) == first
    with pytest.raises(KeyConflict):
        add(connection, key, owner_id="dukcapil-mojokerto")
    with pytest.raises(KeyConflict):
        add(connection, key, use="auth")


def test_a_wrong_signature_and_an_unknown_key_are_refused(connection, keyring):
    key = keyring.ensure("agency")
    add(connection, key)
    with pytest.raises(SignatureWrong):
        participant_keys.verify(connection, key.kid, b"other", key.sign(b"terms"), BEGIN)
    with pytest.raises(UnknownKey):
        participant_keys.verify(connection, "nobody", b"terms", b"", BEGIN)


def test_a_sealing_key_never_verifies_and_a_private_jwk_is_not_stored(connection, keyring):
    sealing = keyring.ensure("seal", "x25519")
    stored = add(connection, sealing, use="seal")
    with pytest.raises(SignatureWrong):
        stored.check(b"x", b"y" * 64, BEGIN)
    signing = keyring.ensure("agency")
    record = add(connection, signing, public_jwk={**signing.public_jwk, "d": "c2VjcmV0"})
    assert set(record.public_jwk) == {"crv", "kty", "x", "kid"}
    with pytest.raises(WrongKeyKind):
        add(connection, signing, public_jwk={"kty": "RSA", "n": "AQAB"})


def test_a_published_key_cannot_be_exchanged_even_by_a_steward(connection, keyring):
    key = keyring.ensure("agency")
    add(connection, key)
    connection.commit()
    for change in ("public_jwk = '{}'", "owner_id = 'me'", "valid_from = '1970-01-01'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"UPDATE participants.public_key SET {change}")
        connection.rollback()


@pytest.mark.parametrize("role", [Role.INGEST, Role.API, Role.SEQUENCER, Role.AUDITOR])
def test_other_roles_read_keys_and_register_none(installation, keyring, role):
    with installation.database.connect(role) as connection:
        assert participant_keys.keys_of(connection, "kpp-mojokerto") == []
        with pytest.raises(PermissionMissing):
            add(connection, keyring.ensure("agency"))


def test_the_fingerprint_is_the_thumbprint_people_compare_on_paper():
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    # RFC 8037, appendix A.3: thumbprint kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k
    digits = participant_keys.fingerprint(jwk)
    assert digits.startswith("90fa cafe a9b1 5566")
    assert len(digits.split()) == 16


moments = st.integers(0, 365 * 24).map(lambda hours: BEGIN + timedelta(hours=hours))


@given(begin=moments, end=st.none() | moments, at=moments)
@settings(max_examples=200)
def test_validity_is_half_open(begin, end, at):
    record = PublicKeyRecord("k", "agency", "a", "sign", "ed25519", {}, "f", begin, end)
    assert record.valid_at(at) == (begin <= at and (end is None or at < end))


def test_without_a_moment_the_clock_decides(connection, keyring):
    key = keyring.ensure("agency")
    with clock.fixed(BEGIN):
        add(connection, key, valid_from=None)
        assert participant_keys.verify(connection, key.kid, b"x", key.sign(b"x")).valid_from == BEGIN
    with clock.fixed(BEGIN - DAY), pytest.raises(KeyNotValid):
        participant_keys.verify(connection, key.kid, b"x", key.sign(b"x"))
