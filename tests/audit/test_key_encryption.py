"""The key-encryption key: two keepers behind one interface, rotation that may be cut short anywhere."""

import signal
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from softhsm import SoftHsm
from transit_server import TOKEN, TransitServer

from audit.errors import KeyEncryptionMisconfigured, KeyStillInUse, SealBroken
from audit.key_rotation import keys_in_use, retire, rotate
from audit.subjects.key_encryption import KekVersion, KeyringKek, Secret, Wrapped
from audit.subjects.pkcs11 import Pkcs11Kek
from audit.subjects.transit import TransitKek
from audit.subjects.vault import Vault
from foundation.database import DatabaseName, Role
from foundation.errors import LintasError, RetryLater
from foundation.installation import Installation
from foundation.keyring import KeyMissing
from foundation.settings import Settings, SettingsInvalid
from foundation.tls import LocalAuthority

NIKS = [f"357602410785{number:04d}" for number in range(1, 41)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = LocalAuthority(tmp_path_factory.mktemp("tls"))
    made.issue("server", ["127.0.0.1", "localhost"])
    return made


@pytest.fixture
def transit(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", ["127.0.0.1", "localhost"]))
    with TransitServer(context) as server:
        yield server


@pytest.fixture
def with_transit(installation, transit, authority):
    """The same installation, told to let the Vault keep its KEK."""
    return Installation.open(_settings(installation, transit, authority))


def _settings(installation, transit, authority, **changes):
    token = installation.home / "transit.token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    given = {
        "key_encryption": "transit",
        "transit_url": transit.url,
        "transit_token_file": token,
        "transit_ca_file": authority.ca_path,
    }
    known = installation.settings.model_dump(exclude_unset=True)
    return Settings(**(known | given | changes))


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory):
    with SoftHsm(tmp_path_factory.mktemp("hsm")) as made:
        yield made


@pytest.fixture
def with_module(installation, softhsm):
    """The same installation, told to let a security module keep its KEK."""
    known = installation.settings.model_dump(exclude_unset=True)
    return Installation.open(Settings(**(known | softhsm.token(installation.home))))


@pytest.fixture(params=["keyring", "transit", "pkcs11"])
def kek(request, installation):
    if request.param == "keyring":
        yield KeyringKek(installation.keyring)
        return
    if request.param == "transit":
        made = TransitKek.of(request.getfixturevalue("with_transit").settings)
    else:
        made = Pkcs11Kek.of(request.getfixturevalue("with_module").settings)
        made.rotate_to(1)
    yield made
    made.close()


def test_each_keeper_wraps_and_unwraps_in_context_and_under_older_versions(kek):
    secrets = [Secret(b"one", b"keys\x00a"), Secret(b"\x00two", b"keys\x00b")]
    wrapped = kek.wrap(secrets)
    assert {each.kek for each in wrapped} == {KekVersion(kek.provider, 1)}
    assert b"\x00two" not in wrapped[1].blob
    kek.rotate_to(2)
    kek.rotate_to(2)
    assert kek.current_version() == 2
    assert kek.wrap(secrets)[0].kek.version == 2
    assert kek.unwrap(wrapped) == [b"one", b"\x00two"]


def test_what_was_wrapped_for_one_subject_does_not_open_for_another(kek):
    (wrapped,) = kek.wrap([Secret(b"one", b"keys\x00a")])
    for wrong in (
        Wrapped(wrapped.kek, wrapped.blob, b"keys\x00b"),
        Wrapped(wrapped.kek, wrapped.blob[:-4] + b"AAA=", wrapped.context),
    ):
        with pytest.raises(SealBroken):
            kek.unwrap([wrong])


def test_a_vault_that_refuses_the_token_or_lacks_the_key_is_told(installation, transit, authority, canary):
    token = installation.home / "wrong.token"
    token.write_text("another\n")
    token.chmod(0o600)
    refused = _settings(installation, transit, authority, transit_token_file=token)
    missing = _settings(installation, transit, authority, transit_key="another")
    for settings, error in ((refused, LintasError), (missing, KeyEncryptionMisconfigured)):
        with Vault(Installation.open(settings)) as vault, pytest.raises(error) as caught:
            vault.handle_for("nik", canary.nik)
        assert not canary.found_in(str(caught.value.as_dict()))
    transit.key_type = "rsa-2048"
    known = TransitKek.of(_settings(installation, transit, authority))
    with pytest.raises(KeyEncryptionMisconfigured):
        known.current_version()
    known.close()


def test_a_vault_whose_certificate_nobody_vouches_for_gets_nothing(installation, transit, authority):
    settings = _settings(installation, transit, authority, transit_ca_file=installation.authority.ca_path)
    with Vault(Installation.open(settings)) as vault, pytest.raises(LintasError):
        vault.handle_for("nik", NIKS[0])
    assert transit.requests == []


def test_transit_needs_its_address_and_token(monkeypatch):
    from foundation.settings import load_settings

    monkeypatch.setenv("LINTAS_KEY_ENCRYPTION", "transit")
    with pytest.raises(SettingsInvalid, match="LINTAS_TRANSIT_URL"):
        load_settings()


def test_keys_move_from_the_keyring_to_the_vault_and_back_by_rotating(installation, with_transit):
    with Vault(installation) as vault:
        before = {keys.handle: keys.data_key for keys in vault.handles_for("nik", NIKS)}
    moved = rotate(with_transit, actor="steward-01", batch=15)
    assert moved.kek.provider == "transit"
    assert moved.rewrapped == len(NIKS)
    with Vault(with_transit) as vault:
        assert {keys.handle: keys.data_key for keys in vault.handles_for("nik", NIKS)} == before
    with Vault(installation) as vault, pytest.raises(KeyEncryptionMisconfigured):
        vault.find("nik", NIKS[0])
    back = Installation.open(with_transit.settings.model_copy(update={"key_encryption": "keyring"}))
    assert rotate(back, actor="steward-01").kek.provider == "keyring"
    with Vault(installation, Role.STEWARD) as vault:
        found = vault.find("nik", NIKS[0])
        assert before[found.handle] == found.data_key
        assert vault.identifier_of(found.handle) == ("nik", NIKS[0])


KILLED = """
import os, signal, sys
from foundation.installation import Installation
from foundation.keyring import KeyMissing
from foundation.settings import load_settings
from audit.key_rotation import rotate

def kill(done, left):
    if done >= 15:
        os.kill(os.getpid(), signal.SIGKILL)

rotate(Installation.open(load_settings()), actor="steward-01", progress=kill, batch=5)
"""


def test_a_rotation_killed_in_the_middle_loses_nothing_and_is_continued(installation):
    with Vault(installation) as vault:
        before = {keys.handle: keys.data_key for keys in vault.handles_for("nik", NIKS)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={"PATH": "/usr/bin:/bin", **installation.settings.as_environment()},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-500:]
    assert [(each.kek.version, each.subjects) for each in keys_in_use(installation)] == [(1, 25), (2, 15)]
    with Vault(installation) as vault:
        assert {keys.handle: keys.data_key for keys in vault.handles_for("nik", NIKS)} == before
    told = []
    ended = rotate(installation, actor="steward-01", progress=lambda *each: told.append(each), batch=10)
    assert (ended.kek, ended.rewrapped, ended.continued) == (KekVersion("keyring", 2), len(NIKS), True)
    assert told[-1] == (25, 0)
    with Vault(installation) as vault:
        assert {keys.handle: keys.data_key for keys in vault.handles_for("nik", NIKS)} == before
    again = rotate(installation, actor="steward-01")
    assert (again.kek.version, again.continued) == (3, False)


def test_a_rotation_stands_in_the_log_and_changes_no_entry(installation):
    with Vault(installation) as vault:
        vault.handles_for("nik", NIKS[:3])
    rotate(installation, actor="steward-01")
    with installation.database.admin(installation.settings.database_name) as connection:
        kinds = [row[0] for row in connection.execute("SELECT kind FROM audit.outbox ORDER BY id")]
    assert kinds[-2:] == ["key.rolled", "key.rewrapped"]


def test_a_retired_version_opens_nothing_any_more_and_wraps_nothing(kek):
    secret = [Secret(b"one", b"keys\x00a")]
    old = kek.wrap(secret)
    kek.rotate_to(2)
    kek.destroy(1)
    kek.destroy(1)
    assert kek.unwrap(kek.wrap(secret)) == [b"one"]
    with pytest.raises((SealBroken, KeyMissing, KeyEncryptionMisconfigured)):
        kek.unwrap(old)


def test_only_a_version_that_wraps_nobodys_keys_is_retired_and_a_late_mint_is_refused(installation):
    first, second = KekVersion("keyring", 1), KekVersion("keyring", 2)
    with Vault(installation) as vault:
        vault.handles_for("nik", NIKS[:3])
        with pytest.raises(KeyStillInUse, match="wraps keys now"):
            retire(installation, first, actor="steward-01")
        installation.keyring.roll("vault-kek")
        with pytest.raises(KeyStillInUse, match="3 subjects"):
            retire(installation, first, actor="steward-01")
        rotate(installation, actor="steward-01")
        late = vault._keks.wrap
        vault._keks.wrap = lambda given: [replace(each, kek=second) for each in late(given)]
        retire(installation, first, actor="steward-01")
        retire(installation, second, actor="steward-01")
        with pytest.raises(RetryLater):
            vault.handle_for("nik", NIKS[9])
        vault._keks.wrap = late
        assert vault.handle_for("nik", NIKS[9])
    assert installation.keyring.versions("vault-kek") == [3]


@pytest.mark.parametrize("role", [Role.API, Role.DISPATCHER])
def test_only_stewards_rewrap_or_destroy_keys(installation, role):
    with Vault(installation) as vault:
        handle = vault.handle_for("nik", NIKS[0]).handle
    for statement in (
        "UPDATE vault.subjects SET wrapped_keys = ''",
        f"SELECT vault.forget('{handle}')",
        "DELETE FROM vault.subjects",
        "UPDATE vault.erasure_epoch SET epoch = 0",
        "SELECT vault.retire_kek('keyring', 1, now())",
    ):
        with (
            installation.database.connect(role, DatabaseName.VAULT) as connection,
            pytest.raises(Exception, match="permission denied"),
        ):
            connection.execute(statement)
