import os
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import FixInstallation
from foundation.keyring import (
    KeyMissing,
    Keyring,
    KeyringLocked,
    WrongKeyKind,
    public_key_of,
    thumbprint,
)


@pytest.fixture
def keyring(tmp_path):
    return Keyring.open(tmp_path / "keys")


@pytest.mark.parametrize("algorithm", ["ed25519", "x25519", "symmetric"])
def test_a_key_is_made_once_and_read_again_by_another_process(keyring, algorithm):
    made = keyring.ensure("log", algorithm)
    again = Keyring.open(keyring.directory).ensure("log", algorithm)
    assert (again.kid, again.version, again.secret) == (made.kid, 1, made.secret)
    assert keyring.names() == ["log"]


def test_files_are_private_and_encrypted(keyring):
    keys = [keyring.ensure("bus"), keyring.ensure("seal", "x25519"), keyring.ensure("kek", "symmetric")]
    files = list(keyring.directory.iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert keyring.directory.stat().st_mode & 0o777 == 0o700
    passphrase = keyring.directory.with_name("keys.passphrase")
    assert passphrase.stat().st_mode & 0o777 == 0o600
    content = b"".join(file.read_bytes() for file in files)
    assert content.count(b"ENCRYPTED PRIVATE KEY") == 4
    assert not any(key.secret in content for key in keys)


def test_a_rolled_key_is_current_and_the_old_one_stays(keyring):
    old = keyring.ensure("bus")
    new = keyring.roll("bus")
    assert keyring.current("bus").kid == new.kid != old.kid
    assert keyring.versions("bus") == [1, 2]
    assert keyring.by_kid("bus", old.kid).secret == old.secret
    assert keyring.ensure("bus").version == 2
    old.public_key.verify(keyring.get("bus", 1).sign(b"x"), b"x")
    kek = keyring.ensure("kek", "symmetric")
    assert keyring.roll("kek").secret != kek.secret
    assert keyring.get("kek", 1).secret == kek.secret
    assert keyring.secret("kek") == keyring.current("kek").secret


def test_names_with_dots_and_numbers_are_kept_apart(keyring):
    keyring.ensure("a")
    keyring.ensure("a.1")
    keyring.ensure("a-b_c.d")
    assert keyring.versions("a") == [1]
    assert keyring.names() == ["a", "a-b_c.d", "a.1"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a b", "ä", "a*"])
def test_a_name_is_never_a_path(keyring, name):
    with pytest.raises(ValueError, match="key name"):
        keyring.ensure(name)


def test_another_passphrase_does_not_open_it(keyring):
    keyring.ensure("bus")
    keyring.ensure("kek", "symmetric")
    thief = Keyring.open(keyring.directory, b"guess")
    for name in ("bus", "kek"):
        with pytest.raises(KeyringLocked):
            thief.current(name)


def test_sealed_symmetric_keys_cannot_be_exchanged_for_each_other(keyring):
    keyring.ensure("kek", "symmetric")
    keyring.ensure("index", "symmetric")
    os.replace(keyring.directory / "index.1.key", keyring.directory / "kek.1.key")
    with pytest.raises(KeyringLocked):
        Keyring.open(keyring.directory).current("kek")


def test_a_passphrase_file_must_be_private_and_present(tmp_path):
    file = tmp_path / "passphrase"
    with pytest.raises(FixInstallation, match="missing"):
        Keyring.open(tmp_path / "keys", file)
    file.write_text("correct horse\n")
    file.chmod(0o644)
    with pytest.raises(FixInstallation, match="chmod"):
        Keyring.open(tmp_path / "keys", file)
    file.chmod(0o600)
    kid = Keyring.open(tmp_path / "keys", file).ensure("bus").kid
    assert Keyring.open(tmp_path / "keys", b"correct horse").current("bus").kid == kid


def test_keys_of_the_wrong_kind_and_missing_keys_are_named(keyring):
    keyring.ensure("kek", "symmetric")
    keyring.ensure("seal", "x25519")
    for wrong in (
        lambda: keyring.ensure("kek"),
        lambda: keyring.current("kek").public_key,
        lambda: keyring.current("seal").sign(b"x"),
        lambda: keyring.secret("seal"),
    ):
        with pytest.raises(WrongKeyKind):
            wrong()
    for missing in (
        lambda: keyring.current("none"),
        lambda: keyring.get("kek", 2),
        lambda: keyring.by_kid("kek", "x"),
        lambda: keyring.roll("none"),
    ):
        with pytest.raises(KeyMissing):
            missing()


def test_of_racing_processes_one_makes_the_key(tmp_path):
    passphrase = secrets.token_bytes(16)

    def ensure(_):
        return Keyring.open(tmp_path / "keys", passphrase).ensure("bus").kid

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ensure, range(16)))) == 1


def test_a_key_never_shows_its_secret(keyring):
    key = keyring.ensure("bus")
    assert key.secret.hex() not in repr(key)
    assert str(key.secret) not in repr(key)


def test_the_key_id_is_the_thumbprint_of_rfc_8037():
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "sig"}
    assert thumbprint(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert isinstance(public_key_of(jwk), Ed25519PublicKey)


def test_a_public_jwk_leads_back_to_the_key(keyring):
    for algorithm in ("ed25519", "x25519"):
        key = keyring.ensure(algorithm, algorithm)
        assert public_key_of(key.public_jwk) == key.public_key
        assert key.public_jwk["kid"] == key.kid == thumbprint(key.public_jwk)


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y"]), st.text(max_size=50)))
def test_a_strange_jwk_is_refused_by_name(jwk):
    with pytest.raises(WrongKeyKind):
        public_key_of(jwk)
