"""The key-encryption key in a security module: real PKCS#11 against SoftHSM 2, its troubles included."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from softhsm import PIN, SoftHsm

from audit.errors import KeyEncryptionMisconfigured, KeyStillInUse, SealBroken
from audit.key_rotation import retire, rotate
from audit.subjects.key_encryption import KekVersion, Secret, Wrapped
from audit.subjects.pkcs11 import ModuleAway, Pkcs11Kek
from audit.subjects.vault import Vault
from foundation.database import Role
from foundation.installation import Installation
from foundation.settings import Settings, SettingsInvalid, load_settings

NIKS = [f"357602410785{number:04d}" for number in range(1, 21)]
SECRET = Secret(b"the keys of somebody", b"keys\x00a")


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory):
    with SoftHsm(tmp_path_factory.mktemp("hsm")) as made:
        yield made


@pytest.fixture
def given(softhsm, settings):
    settings.home.mkdir(parents=True)
    return softhsm.token(settings.home)


@pytest.fixture
def kek(given):
    made = Pkcs11Kek.of(Settings(**given))
    made.rotate_to(1)
    yield made
    made.close()


def test_the_key_never_leaves_the_module(kek, given):
    import pkcs11

    with pkcs11.lib(str(given["pkcs11_module"])).get_token(token_label=given["pkcs11_token"]).open() as seen:
        (key,) = seen.get_objects({pkcs11.Attribute.LABEL: "lintas-kek"})
        assert (key[pkcs11.Attribute.SENSITIVE], key[pkcs11.Attribute.ALWAYS_SENSITIVE]) == (True, True)
        assert (key[pkcs11.Attribute.EXTRACTABLE], key[pkcs11.Attribute.NEVER_EXTRACTABLE]) == (False, True)
        with pytest.raises(pkcs11.AttributeSensitive):
            _ = key[pkcs11.Attribute.VALUE]


def test_keys_move_from_the_keyring_to_the_module_and_back_by_rotating(installation, softhsm):
    known = installation.settings.model_dump(exclude_unset=True)
    with_module = Installation.open(Settings(**(known | softhsm.token(installation.home))))
    with Vault(installation) as vault:
        before = {keys.handle: keys.data_key for keys in vault.handles_for("nik", NIKS)}
    with Vault(with_module) as vault, pytest.raises(KeyEncryptionMisconfigured, match="holds no key"):
        vault.handle_for("nik", "3576024107859999")
    moved = rotate(with_module, actor="steward-01", batch=7)
    assert (moved.kek, moved.rewrapped) == (KekVersion("pkcs11", 1), len(NIKS))
    with Vault(with_module) as vault:
        assert {keys.handle: keys.data_key for keys in vault.handles_for("nik", NIKS)} == before
    with Vault(installation) as vault, pytest.raises(KeyEncryptionMisconfigured, match="pkcs11"):
        vault.find("nik", NIKS[0])
    back = Installation.open(with_module.settings.model_copy(update={"key_encryption": "keyring"}))
    assert rotate(back, actor="steward-01").kek.provider == "keyring"
    with Vault(installation, Role.STEWARD) as vault:
        assert before[vault.find("nik", NIKS[0]).handle]


def test_versions_are_rotated_and_retired(installation, softhsm):
    known = installation.settings.model_dump(exclude_unset=True)
    with_module = Installation.open(Settings(**(known | softhsm.token(installation.home))))
    for version in (1, 2):
        assert rotate(with_module, actor="steward-01").kek == KekVersion("pkcs11", version)
        with Vault(with_module) as vault:
            vault.handle_for("nik", NIKS[version])
    with pytest.raises(KeyStillInUse):
        retire(with_module, KekVersion("pkcs11", 2), actor="steward-01")
    retire(with_module, KekVersion("pkcs11", 1), actor="steward-01")
    made = Pkcs11Kek.of(with_module.settings)
    assert made.current_version() == 2
    with pytest.raises(KeyEncryptionMisconfigured, match="no version 1"):
        made.unwrap([Wrapped(KekVersion("pkcs11", 1), bytes(60), b"x")])
    made.close()
    with Vault(with_module) as vault:
        assert vault.find("nik", NIKS[1]) is not None


@pytest.mark.parametrize("length", [0, 27, 28, 60])
def test_what_the_module_did_not_wrap_is_broken_and_the_module_is_not_blamed(kek, length):
    with pytest.raises(SealBroken):
        kek.unwrap([Wrapped(KekVersion("pkcs11", 1), bytes(length), b"x")])
    assert kek.unwrap(kek.wrap([SECRET])) == [SECRET.plain]


def test_of_two_keys_of_one_number_either_opens_what_it_wrapped(kek, given):
    wrapped = kek.wrap([SECRET])
    kek._run(copy_of_version_1)
    again = kek.wrap([SECRET])
    assert kek.unwrap([*wrapped, *again]) == [SECRET.plain] * 2
    kek.destroy(1)
    assert kek.current_version() == 0


def copy_of_version_1(session):
    from pkcs11 import KeyType, MechanismFlag

    abilities = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
    return session.generate_key(
        KeyType.AES, 256, id=b"\0\0\0\1", label="lintas-kek", store=True, capabilities=abilities
    )


def test_all_threads_share_one_login_and_one_that_ends_logs_nobody_out(kek, given):
    wrapped = kek.wrap([SECRET])

    def work(_):
        other = Pkcs11Kek.of(Settings(**given))
        try:
            return other.unwrap(wrapped + other.wrap([SECRET]))
        finally:
            other.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [[SECRET.plain] * 2] * 40
    assert kek.unwrap(wrapped) == [SECRET.plain]


# The library itself tells of a search whose session is gone while it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_session_that_the_module_dropped_is_opened_again(kek, given):
    import pkcs11

    wrapped = kek.wrap([SECRET])
    pkcs11.lib(str(given["pkcs11_module"])).reinitialize()
    assert kek.unwrap(wrapped) == [SECRET.plain]


def test_a_module_that_fails_for_the_moment_is_asked_again_later(kek):
    import pkcs11

    def fail(_):
        raise pkcs11.GeneralError

    with pytest.raises(ModuleAway) as caught:
        kek._run(fail)
    assert caught.value.retry_after == 5
    assert kek.unwrap(kek.wrap([SECRET])) == [SECRET.plain]


FORKED = """
import os, sys
from audit.subjects.key_encryption import Secret
from audit.subjects.pkcs11 import Pkcs11Kek
from foundation.settings import load_settings

kek = Pkcs11Kek.of(load_settings())
wrapped = kek.wrap([Secret(b"one", b"x")])
child = os.fork()
if child == 0:
    again = Pkcs11Kek.of(load_settings())
    found = kek.unwrap(wrapped) + again.unwrap(again.wrap([Secret(b"two", b"x")]))
    os._exit(0 if found == [b"one", b"two"] else 1)
assert os.waitpid(child, 0)[1] == 0
assert kek.unwrap(wrapped) == [b"one"]
kek.close()
"""


def test_a_child_process_logs_in_for_itself_and_leaves_its_parent_alone(kek, given, softhsm):
    environment = {
        "PATH": "/usr/bin:/bin", "SOFTHSM2_CONF": str(softhsm.folder / "softhsm2.conf"),
        **Settings(**given).as_environment(),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-800:]


def test_a_refused_pin_is_not_tried_again_and_never_shown(given):
    pin = given["pkcs11_pin_file"]
    pin.write_text("99998888\n")
    kek = Pkcs11Kek.of(Settings(**given))
    told = []
    for _ in range(3):
        with pytest.raises(KeyEncryptionMisconfigured) as caught:
            kek.current_version()
        told.append(str(caught.value.as_dict()))
    assert "PinIncorrect" in told[0]
    assert all("is not asked again" in each for each in told[1:])
    assert not any("99998888" in each for each in told)
    pin.write_text(PIN)
    assert kek.current_version() == 0
    kek.close()


@pytest.mark.parametrize(
    ("name", "value"), [("pkcs11_token", "another"), ("pkcs11_module", "/nowhere/library.so")]
)
def test_a_token_or_module_that_is_not_there_is_told(given, name, value):
    kek = Pkcs11Kek.of(Settings(**(given | {name: value})))
    with pytest.raises(KeyEncryptionMisconfigured):
        kek.current_version()
    kek.close()


def test_the_module_needs_its_library_token_and_pin(monkeypatch):
    monkeypatch.setenv("LINTAS_KEY_ENCRYPTION", "pkcs11")
    monkeypatch.setenv("LINTAS_PKCS11_TOKEN", "lintas")
    with pytest.raises(SettingsInvalid, match="LINTAS_PKCS11_MODULE"):
        load_settings()
    monkeypatch.delenv("LINTAS_KEY_ENCRYPTION")
    with pytest.raises(KeyEncryptionMisconfigured):
        Pkcs11Kek.of(load_settings())


def test_an_installation_without_the_library_says_what_to_install(given, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(KeyEncryptionMisconfigured) as caught:
        Pkcs11Kek.of(Settings(**given))
    assert "lintas[pkcs11]" in caught.value.remedy
