"""The KEK in a hardware security module (PKCS#11): AES-256-GCM inside it, and the key never leaves.

Each version is a secret key of the token under one label, with its number (four octets) as id; it is made
inside, sensitive and not extractable. What it wrapped is nonce, ciphertext and tag; the context goes along as
associated data. PKCS#11 knows one login for a whole process, so all threads share one session.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audit.errors import KeyEncryptionMisconfigured
from audit.subjects.key_encryption import PKCS11, KekVersion, Secret, Wrapped, broken
from foundation.errors import LintasError, RetryLater

if TYPE_CHECKING:
    from pkcs11 import Session

    from foundation.settings import Settings

__all__ = ["ModuleAway", "Pkcs11Kek", "Token"]

Result = TypeVar("Result")
SecretKey = Any
"""A handle of a key in the module; the library's types do not say what such a key can do."""

_CONTEXT = b"lintas/vault/v1\x00"
_NONCE = 12
_TAG = 16
_ID = 4


class ModuleAway(RetryLater):
    """The hardware security module does not answer now."""

    code = "module-away"


@dataclass(frozen=True, slots=True)
class Token:
    """Which token of which module, and where its PIN is kept."""

    library: Path
    label: str
    pin_file: Path


class Pkcs11Kek:
    """The KEK as the keys of one label in a token.

    Args:
        token: where they are.
        key: their label.
    """

    provider = PKCS11

    def __init__(self, token: Token, key: str) -> None:
        self._token = token
        self._key = key
        self._closed = False
        _login(token).joined()

    @classmethod
    def of(cls, settings: Settings) -> Pkcs11Kek:
        """The key that the settings name.

        Raises:
            KeyEncryptionMisconfigured: When module, token or PIN are not named, or PKCS#11 is not installed.
        """
        from importlib.util import find_spec

        if find_spec("pkcs11") is None:
            raise KeyEncryptionMisconfigured(
                "This installation cannot speak to security modules",
                remedy="Install it with `pip install 'lintas[pkcs11]'`",
            )
        library, label, pin = settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin_file
        if library is None or label is None or pin is None:
            raise KeyEncryptionMisconfigured(
                "The module of the key-encryption key is not fully named",
                remedy="Set LINTAS_PKCS11_MODULE, LINTAS_PKCS11_TOKEN and LINTAS_PKCS11_PIN_FILE",
            )
        return cls(Token(library, label, pin), settings.pkcs11_key)

    def current_version(self) -> int:
        """The newest version in the token; 0 while there is none."""
        return self._run(lambda session: max(self._versions(session), default=0))

    def wrap(self, given: Sequence[Secret]) -> list[Wrapped]:
        """Let the module wrap, all under its newest version.

        Raises:
            KeyEncryptionMisconfigured: When the token holds no key yet.
        """
        return self._run(lambda session: self._wrapped(session, given))

    def unwrap(self, given: Sequence[Wrapped]) -> list[bytes]:
        """Let the module unwrap, whatever version wrapped."""
        return self._run(lambda session: self._unwrapped(session, given))

    def rotate_to(self, version: int) -> None:
        """Let the module make a key, unless it has done so."""
        self._run(lambda session: self._make(session, version))

    def destroy(self, version: int) -> None:
        """Let the module destroy every key of this version."""

        def work(session: Session) -> None:
            for key in self._versions(session).get(version, []):
                key.destroy()

        self._run(work)

    def close(self) -> None:
        """Log out, when nobody else in this process needs the token."""
        if not self._closed:
            self._closed = True
            _login(self._token).left()

    def _run(self, work: Callable[[Session], Result]) -> Result:
        return _login(self._token).run(work)

    def _versions(self, session: Session) -> dict[int, list[SecretKey]]:
        """By number; two processes that made the same at once have made two keys of one number."""
        from pkcs11 import Attribute, ObjectClass

        found: dict[int, list[SecretKey]] = {}
        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: self._key}
        key: SecretKey
        for key in session.get_objects(wanted):
            if len(key.id) == _ID:
                found.setdefault(int.from_bytes(key.id, "big"), []).append(key)
        return found

    def _wrapped(self, session: Session, given: Sequence[Secret]) -> list[Wrapped]:
        versions = self._versions(session)
        if not versions:
            raise KeyEncryptionMisconfigured(
                f"The token {self._token.label} holds no key {self._key} yet",
                remedy="Let the module make one: `lintas audit keys rotate`",
            )
        version = max(versions)
        key, kek = versions[version][0], KekVersion(PKCS11, version)
        return [Wrapped(kek, _sealed(session, key, each), each.context) for each in given]

    def _unwrapped(self, session: Session, given: Sequence[Wrapped]) -> list[bytes]:
        versions = self._versions(session)
        missing = {each.kek.version for each in given} - set(versions)
        if missing:
            raise KeyEncryptionMisconfigured(
                f"The token {self._token.label} holds no version {min(missing)} of the key {self._key}",
                remedy="Name the token that wrapped subjects' keys; what is destroyed there is lost",
            )
        return [_opened(session, versions[each.kek.version], each) for each in given]

    def _make(self, session: Session, version: int) -> None:
        from pkcs11 import Attribute, KeyType, MechanismFlag

        if max(self._versions(session), default=0) >= version:
            return
        session.generate_key(
            KeyType.AES,
            256,
            id=version.to_bytes(_ID, "big"),
            label=self._key,
            store=True,
            capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
            template={
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.MODIFIABLE: False,
            },
        )


@dataclass(slots=True)
class _Login:
    """The session of this process with a token; one thread at a time."""

    token: Token
    users: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _session: Session | None = None
    _refused_pin: str | None = field(default=None, repr=False)

    def run(self, work: Callable[[Session], Result]) -> Result:
        """Do something in the session; once more in a new one, when the module had dropped it.

        Raises:
            KeyEncryptionMisconfigured: When the module cannot do it as the settings say.
            ModuleAway: When it does not answer.
        """
        from pkcs11 import PKCS11Error

        with self._lock:
            try:
                try:
                    return work(self._opened())
                except _lost():
                    self._drop()
                    return work(self._opened())
            except PKCS11Error as error:
                self._drop()
                raise self._told(error) from error

    def joined(self) -> None:
        """One user more."""
        with self._lock:
            self.users += 1

    def left(self) -> None:
        """One user less; the last one logs out."""
        with self._lock:
            self.users = max(0, self.users - 1)
            if not self.users:
                self._drop()

    def _opened(self) -> Session:
        import pkcs11

        if self._session is not None:
            return self._session
        pin = self._pin()
        library = pkcs11.lib(str(self.token.library))
        if _PROCESS["forked"]:
            library.reinitialize()
            _PROCESS["forked"] = False
        found = library.get_token(token_label=self.token.label)
        try:
            self._session = found.open(rw=True, user_pin=pin)
        except pkcs11.PinIncorrect:
            self._refused_pin = pin
            raise
        return self._session

    def _pin(self) -> str:
        """The PIN; one that was refused is not tried again, for a token locks after a few."""
        from foundation.files import read_private

        pin = read_private(self.token.pin_file).decode().strip()
        if pin == self._refused_pin:
            raise KeyEncryptionMisconfigured(
                f"The token {self.token.label} has refused the PIN, and is not asked again with it",
                remedy="Write the right PIN into LINTAS_PKCS11_PIN_FILE",
            )
        return pin

    def _drop(self) -> None:
        from contextlib import suppress

        from pkcs11 import PKCS11Error

        session, self._session = self._session, None
        if session is not None:
            with suppress(PKCS11Error):
                session.close()

    def _told(self, error: Exception) -> LintasError:
        import pkcs11

        passing = (
            *_lost(),
            pkcs11.GeneralError,
            pkcs11.FunctionFailed,
            pkcs11.HostMemory,
            pkcs11.DeviceMemory,
        )
        if isinstance(error, passing):
            return ModuleAway(
                "The module of the key-encryption key does not answer now",
                why=type(error).__name__,
                remedy="It is asked again; look at the module if that goes on",
                retry_after=5,
            )
        return KeyEncryptionMisconfigured(
            f"The token {self.token.label} cannot keep the key-encryption key",
            why=type(error).__name__,
            remedy="Check module, label and PIN; the token must do AES-GCM and let its user make AES keys",
        )


_LOGINS: dict[Token, _Login] = {}
_REGISTRY = threading.Lock()
_PROCESS = {"forked": False}


def _login(token: Token) -> _Login:
    with _REGISTRY:
        return _LOGINS.setdefault(token, _Login(token))


def _forget_after_fork() -> None:
    """A child has the memory of its parent, but no login: it makes its own."""
    global _REGISTRY  # noqa: PLW0603 - another thread of the parent may have held it
    _REGISTRY = threading.Lock()
    _PROCESS["forked"] = _PROCESS["forked"] or bool(_LOGINS)
    _LOGINS.clear()


os.register_at_fork(after_in_child=_forget_after_fork)


def _lost() -> tuple[type[Exception], ...]:
    """What a module says of a session that it does not know any more."""
    import pkcs11

    return (
        pkcs11.SessionHandleInvalid,
        pkcs11.SessionClosed,
        pkcs11.UserNotLoggedIn,
        pkcs11.ObjectHandleInvalid,
        pkcs11.KeyHandleInvalid,
        pkcs11.DeviceError,
        pkcs11.DeviceRemoved,
        pkcs11.TokenNotPresent,
    )


def _gcm(nonce: bytes, context: bytes) -> dict[str, Any]:
    from pkcs11 import GCMParams, Mechanism

    parameters = GCMParams(nonce, aad=_CONTEXT + context, tag_bits=8 * _TAG)
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": parameters}


def _sealed(session: Session, key: SecretKey, secret: Secret) -> bytes:
    nonce = session.generate_random(8 * _NONCE)
    return nonce + bytes(key.encrypt(secret.plain, **_gcm(nonce, secret.context)))


def _opened(session: Session, keys: Sequence[SecretKey], wrapped: Wrapped) -> bytes:
    """Open with one of the keys of its version.

    Modules name a false tag in as many ways as any other trouble. So a key that does not open this is asked
    to open something of its own: if it does, then this is broken, and not the module.
    """
    from pkcs11 import PKCS11Error

    if len(wrapped.blob) < _NONCE + _TAG:
        raise broken()
    for key in keys:
        try:
            return bytes(key.decrypt(wrapped.blob[_NONCE:], **_gcm(wrapped.blob[:_NONCE], wrapped.context)))
        except _lost():
            raise
        except PKCS11Error:
            probe = _sealed(session, key, Secret(b"probe", b"probe"))
            key.decrypt(probe[_NONCE:], **_gcm(probe[:_NONCE], b"probe"))
    raise broken()
