"""The key-encryption key (KEK): what wraps every subject's keys in the vault, behind one small interface.

Three implementations: the keyring of this installation (default), the Transit engine of a HashiCorp Vault,
and a hardware security module (PKCS#11); the key never leaves the last two. Rows say by which provider and
version they are wrapped, so that both can be read while keys move from one to the other. Invariant: what is
wrapped opens only in the context (which handle, which column) that it was wrapped for.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import KeyEncryptionMisconfigured, SealBroken

if TYPE_CHECKING:
    from foundation.installation import Installation
    from foundation.keyring import Keyring

__all__ = [
    "KEYRING",
    "PKCS11",
    "TRANSIT",
    "KekVersion",
    "KeyEncryption",
    "KeyEncryptionKeys",
    "KeyringKek",
    "Secret",
    "Wrapped",
    "broken",
]

KEYRING = "keyring"
TRANSIT = "transit"
PKCS11 = "pkcs11"
_NAME = "vault-kek"
_NONCE = 12
_CONTEXT = b"lintas/vault/v1\x00"
_REMEDIES = {
    TRANSIT: "Set LINTAS_TRANSIT_URL and LINTAS_TRANSIT_TOKEN_FILE",
    PKCS11: "Set LINTAS_PKCS11_MODULE, LINTAS_PKCS11_TOKEN and LINTAS_PKCS11_PIN_FILE",
}


@dataclass(frozen=True, slots=True)
class KekVersion:
    """One version of the KEK of one provider."""

    provider: str
    version: int


@dataclass(frozen=True, slots=True)
class Secret:
    """What is to be wrapped, and the context that it belongs to."""

    plain: bytes = field(repr=False)
    context: bytes


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What was wrapped, by whom, and the context that it belongs to."""

    kek: KekVersion
    blob: bytes = field(repr=False)
    context: bytes


class KeyEncryption(Protocol):
    """A KEK that somebody keeps: it wraps, unwraps, and can be rotated; it is never handed out."""

    @property
    def provider(self) -> str:
        """Name that stands beside what it wrapped."""

    def current_version(self) -> int:
        """The version that wraps now."""

    def wrap(self, given: Sequence[Secret]) -> list[Wrapped]:
        """Wrap secrets under the current version, all under the same."""

    def unwrap(self, given: Sequence[Wrapped]) -> list[bytes]:
        """Unwrap what any version wrapped.

        Raises:
            SealBroken: When something does not open in its context.
        """

    def rotate_to(self, version: int) -> None:
        """Make this version, the one after the current, wrap from now on; nothing when it does already."""

    def destroy(self, version: int) -> None:
        """Destroy an older version for good; nothing when it is gone already."""

    def close(self) -> None:
        """Close connections, and forget what is held."""


class KeyringKek:
    """The KEK as an encrypted file of the keyring."""

    provider = KEYRING

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def current_version(self) -> int:
        """The newest version in the keyring."""
        return self._keyring.current(_NAME).version

    def wrap(self, given: Sequence[Secret]) -> list[Wrapped]:
        """Wrap with AES-256-GCM."""
        key = self._keyring.current(_NAME)
        kek, cipher = KekVersion(KEYRING, key.version), AESGCM(key.secret)
        wrapped = []
        for each in given:
            nonce = secrets.token_bytes(_NONCE)
            blob = nonce + cipher.encrypt(nonce, each.plain, _CONTEXT + each.context)
            wrapped.append(Wrapped(kek, blob, each.context))
        return wrapped

    def unwrap(self, given: Sequence[Wrapped]) -> list[bytes]:
        """Unwrap with the version that wrapped."""
        return [self._unwrapped(each) for each in given]

    def rotate_to(self, version: int) -> None:
        """Roll the key; of two that do so at once, one makes the version."""
        if self.current_version() < version:
            self._keyring.roll(_NAME)

    def destroy(self, version: int) -> None:
        """Remove the key file; other processes forget it when they end."""
        self._keyring.destroy(_NAME, version)

    def close(self) -> None:
        """Nothing is open."""

    def _unwrapped(self, wrapped: Wrapped) -> bytes:
        key = self._keyring.get(_NAME, wrapped.kek.version).secret
        nonce, sealed = wrapped.blob[:_NONCE], wrapped.blob[_NONCE:]
        try:
            return AESGCM(key).decrypt(nonce, sealed, _CONTEXT + wrapped.context)
        except (InvalidTag, ValueError):
            raise broken() from None


class KeyEncryptionKeys:
    """Every KEK that may have wrapped something, and the one that wraps now.

    Args:
        current: name of the provider that wraps now.
        openers: how to open each provider that is configured.
    """

    def __init__(self, current: str, openers: dict[str, Callable[[], KeyEncryption]]) -> None:
        self._current = current
        self._openers = openers
        self._opened: dict[str, KeyEncryption] = {}

    @classmethod
    def of(cls, installation: Installation) -> KeyEncryptionKeys:
        """Those that the settings of an installation name."""
        settings = installation.settings

        def transit() -> KeyEncryption:
            from audit.subjects.transit import TransitKek

            return TransitKek.of(settings)

        def module() -> KeyEncryption:
            from audit.subjects.pkcs11 import Pkcs11Kek

            return Pkcs11Kek.of(settings)

        openers: dict[str, Callable[[], KeyEncryption]] = {KEYRING: lambda: KeyringKek(installation.keyring)}
        if settings.transit_url is not None:
            openers[TRANSIT] = transit
        if settings.pkcs11_module is not None:
            openers[PKCS11] = module
        return cls(settings.key_encryption, openers)

    @property
    def current(self) -> KekVersion:
        """The provider and version that wrap now."""
        kek = self._by(self._current)
        return KekVersion(kek.provider, kek.current_version())

    def wrap(self, given: Sequence[Secret]) -> list[Wrapped]:
        """Wrap secrets with the KEK in force."""
        return self._by(self._current).wrap(given) if given else []

    def unwrap(self, given: Sequence[Wrapped]) -> list[bytes]:
        """Unwrap what any of the KEKs wrapped, in order."""
        found: dict[int, bytes] = {}
        for provider in {each.kek.provider for each in given}:
            places = [place for place, each in enumerate(given) if each.kek.provider == provider]
            opened = self._by(provider).unwrap([given[place] for place in places])
            found.update(zip(places, opened, strict=True))
        return [found[place] for place in range(len(given))]

    def rotate_to(self, version: int) -> None:
        """Make this version of the KEK in force wrap from now on."""
        self._by(self._current).rotate_to(version)

    def destroy(self, kek: KekVersion) -> None:
        """Destroy an older version of a provider's KEK."""
        self._by(kek.provider).destroy(kek.version)

    def close(self) -> None:
        """Close what was opened."""
        while self._opened:
            self._opened.popitem()[1].close()

    def _by(self, provider: str) -> KeyEncryption:
        if provider not in self._openers:
            raise KeyEncryptionMisconfigured(
                f"Keys of subjects are wrapped by {provider}, which is not configured",
                remedy=_REMEDIES[provider],
                provider=provider,
            )
        if provider not in self._opened:
            self._opened[provider] = self._openers[provider]()
        return self._opened[provider]


def broken() -> SealBroken:
    """The error for what does not unwrap."""
    return SealBroken(
        "The keys of a subject do not unwrap.",
        remedy="Check that the vault database and the key-encryption key belong to one installation.",
    )
