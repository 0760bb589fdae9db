"""This installation's private keys: encrypted files, versioned, rolled without losing old ones.

A key has a name (what it is for) and versions. Rolling makes a new version current; older versions
stay readable, because what they signed or sealed must stay verifiable and openable.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from foundation.canonical import canonical_json, sha256
from foundation.errors import FixInstallation
from foundation.files import make_private_directory, read_private, write_once

__all__ = [
    "Algorithm",
    "KeyMissing",
    "KeyPair",
    "Keyring",
    "KeyringLocked",
    "WrongKeyKind",
    "jwk_of",
    "public_key_of",
    "thumbprint",
]

Algorithm = Literal["ed25519", "x25519", "symmetric"]
PrivateKey = Ed25519PrivateKey | X25519PrivateKey
PublicKey = Ed25519PublicKey | X25519PublicKey


class KeyMissing(FixInstallation):
    """The keyring holds no key of that name or version."""


class KeyringLocked(FixInstallation):
    """The passphrase does not open the keyring."""


class WrongKeyKind(FixInstallation):
    """The key of that name is of another kind than asked for."""


@dataclass(frozen=True)
class KeyPair:
    """One version of a named key; its private parts never show in ``repr``."""

    name: str
    version: int
    algorithm: Algorithm
    kid: str
    secret: bytes = field(repr=False)

    @cached_property
    def private_key(self) -> PrivateKey:
        """The private key, for signing or opening.

        Raises:
            WrongKeyKind: When this is a symmetric key.
        """
        if self.algorithm == "ed25519":
            return Ed25519PrivateKey.from_private_bytes(self.secret)
        if self.algorithm == "x25519":
            return X25519PrivateKey.from_private_bytes(self.secret)
        raise _wrong_kind(self.name, "an asymmetric key")

    @property
    def public_key(self) -> PublicKey:
        """The public key."""
        return self.private_key.public_key()

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public key as a JWK, with its ``kid``."""
        return {**jwk_of(self.public_key), "kid": self.kid}

    def sign(self, payload: bytes) -> bytes:
        """Return the Ed25519 signature of a payload.

        Raises:
            WrongKeyKind: When this is not a signing key.
        """
        key = self.private_key
        if not isinstance(key, Ed25519PrivateKey):
            raise _wrong_kind(self.name, "a signing key")
        return key.sign(payload)


class Keyring:
    """A folder of encrypted keys.

    Args:
        directory: Folder of the key files.
        passphrase: What the files are encrypted under.
    """

    def __init__(self, directory: Path, passphrase: bytes) -> None:
        self.directory = directory
        self._passphrase = passphrase
        self._loaded: dict[tuple[str, int], KeyPair] = {}

    @classmethod
    def open(cls, directory: Path, passphrase: bytes | Path | None = None) -> Keyring:
        """Open (or begin) a keyring with a passphrase, or with the private file that holds it.

        Without either, the passphrase is made once and kept beside the folder, in ``<name>.passphrase``.

        Raises:
            FixInstallation: When the passphrase file is missing or readable by others.
        """
        make_private_directory(directory)
        if isinstance(passphrase, bytes):
            return cls(directory, passphrase)
        file = passphrase or directory.with_name(f"{directory.name}.passphrase")
        if passphrase is None:
            write_once(file, f"{secrets.token_urlsafe(32)}\n".encode())
        return cls(directory, read_private(file).strip())

    def ensure(self, name: str, algorithm: Algorithm = "ed25519") -> KeyPair:
        """Return the current key of a name, made on first use; of racing processes one makes it."""
        if not self.versions(name):
            self._make(name, 1, algorithm)
        key = self.current(name)
        if key.algorithm != algorithm:
            raise _wrong_kind(name, f"an {algorithm} key")
        return key

    def current(self, name: str) -> KeyPair:
        """Return the newest version of a key.

        Raises:
            KeyMissing: When there is none.
        """
        versions = self.versions(name)
        if not versions:
            raise KeyMissing(f"There is no key named {name}", remedy="Run `lintas init`", name=name)
        return self._load(name, versions[-1])

    def get(self, name: str, version: int) -> KeyPair:
        """Return one version of a key.

        Raises:
            KeyMissing: When it is not there.
        """
        return self._load(name, version)

    def by_kid(self, name: str, kid: str) -> KeyPair:
        """Return the version of a key that has a key id.

        Raises:
            KeyMissing: When no version has it.
        """
        for version in reversed(self.versions(name)):
            key = self._load(name, version)
            if key.kid == kid:
                return key
        raise KeyMissing(f"No version of the key {name} has the id {kid}", name=name, kid=kid)

    def versions(self, name: str) -> list[int]:
        """Return the versions of a key, oldest first."""
        found = (file.stem.rpartition(".") for file in self.directory.glob(f"{_checked(name)}.*.key"))
        return sorted(int(number) for stem, _, number in found if stem == name and number.isdigit())

    def names(self) -> list[str]:
        """Return the names of all keys."""
        return sorted({file.stem.rpartition(".")[0] for file in self.directory.glob("*.key")})

    def roll(self, name: str) -> KeyPair:
        """Make a new version current; the older ones stay."""
        present = self.current(name)
        self._make(name, present.version + 1, present.algorithm)
        return self.current(name)

    def destroy(self, name: str, version: int) -> None:
        """Remove an older version for good: what only it opens stays closed. Nothing when it is gone already.

        Raises:
            KeyMissing: When it is the current version, or there is no such key.
        """
        if version >= self.current(name).version:
            raise KeyMissing(
                f"Version {version} of the key {name} is not an older one",
                remedy="Roll the key first",
                name=name,
            )
        self._file(name, version).unlink(missing_ok=True)
        self._loaded.pop((name, version), None)

    def secret(self, name: str) -> bytes:
        """Return the 32 bytes of the current symmetric key of a name.

        Raises:
            WrongKeyKind: When the key is not symmetric.
        """
        key = self.current(name)
        if key.algorithm != "symmetric":
            raise _wrong_kind(name, "a symmetric key")
        return key.secret

    @cached_property
    def _wrapping_key(self) -> AESGCM:
        salt_file = self.directory / "keyring.salt"
        write_once(salt_file, secrets.token_bytes(16))
        derived = Scrypt(salt=read_private(salt_file), length=32, n=2**14, r=8, p=1).derive(self._passphrase)
        return AESGCM(derived)

    def _file(self, name: str, version: int) -> Path:
        return self.directory / f"{_checked(name)}.{version}.key"

    def _make(self, name: str, version: int, algorithm: Algorithm) -> None:
        if algorithm == "symmetric":
            content = self._seal(name, version, secrets.token_bytes(32))
        else:
            private = Ed25519PrivateKey.generate() if algorithm == "ed25519" else X25519PrivateKey.generate()
            encryption = BestAvailableEncryption(self._passphrase)
            content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        write_once(self._file(name, version), content)

    def _seal(self, name: str, version: int, secret: bytes) -> bytes:
        nonce, kid = secrets.token_bytes(12), secrets.token_urlsafe(16)
        label = f"{name}.{version}.{kid}".encode()
        sealed = nonce + self._wrapping_key.encrypt(nonce, secret, label)
        return json.dumps({"kid": kid, "sealed": base64.b64encode(sealed).decode()}).encode()

    def _load(self, name: str, version: int) -> KeyPair:
        key = self._loaded.get((name, version))
        if key is None:
            file = self._file(name, version)
            if not file.exists():
                raise KeyMissing(
                    f"There is no version {version} of the key {name}", name=name, version=version
                )
            content = read_private(file)
            try:
                key = (
                    self._load_symmetric(name, version, content)
                    if content.startswith(b"{")
                    else self._load_pem(name, version, content)
                )
            except (ValueError, TypeError, InvalidTag):
                raise KeyringLocked(
                    f"The key file {file.name} does not open",
                    why="the passphrase is another one, or the file is damaged",
                    remedy="Check LINTAS_KEYRING_PASSPHRASE_FILE, or put the file back from your backup",
                    name=name,
                ) from None
            self._loaded[(name, version)] = key
        return key

    def _load_symmetric(self, name: str, version: int, content: bytes) -> KeyPair:
        header = json.loads(content)
        sealed, kid = base64.b64decode(header["sealed"]), str(header["kid"])
        label = f"{name}.{version}.{kid}".encode()
        return KeyPair(
            name, version, "symmetric", kid, self._wrapping_key.decrypt(sealed[:12], sealed[12:], label)
        )

    def _load_pem(self, name: str, version: int, content: bytes) -> KeyPair:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        loaded = load_pem_private_key(content, self._passphrase)
        private = cast("PrivateKey", loaded)
        algorithm: Algorithm = "ed25519" if isinstance(loaded, Ed25519PrivateKey) else "x25519"
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return KeyPair(name, version, algorithm, thumbprint(jwk_of(private.public_key())), raw)


def jwk_of(key: PublicKey) -> dict[str, str]:
    """Return a public key as a JWK (RFC 8037)."""
    curve = "Ed25519" if isinstance(key, Ed25519PublicKey) else "X25519"
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"crv": curve, "kty": "OKP", "x": _encode(raw)}


def public_key_of(jwk: dict[str, str]) -> PublicKey:
    """Return the public key of a JWK.

    Raises:
        WrongKeyKind: When it is no Ed25519 or X25519 key.
    """
    kinds: dict[str | None, type[Ed25519PublicKey] | type[X25519PublicKey]] = {
        "Ed25519": Ed25519PublicKey,
        "X25519": X25519PublicKey,
    }
    kind = kinds.get(jwk.get("crv"))
    try:
        if kind is None or jwk.get("kty") != "OKP":
            raise ValueError
        text = jwk["x"]
        return kind.from_public_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, KeyError, TypeError):
        raise WrongKeyKind(
            "The JWK is not an Ed25519 or X25519 public key",
            remedy='Give an object with "kty": "OKP", "crv" and "x" (RFC 8037)',
        ) from None


def thumbprint(jwk: dict[str, str]) -> str:
    """Return the RFC 7638 thumbprint of an OKP key, our ``kid``."""
    required = {name: jwk[name] for name in ("crv", "kty", "x")}
    return _encode(sha256(canonical_json(required)))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _checked(name: str) -> str:
    allowed = name.replace("-", "").replace("_", "").replace(".", "")
    if not (allowed.isascii() and allowed.isalnum()) or name.startswith("."):
        raise ValueError(f"{name!r} is not a key name: use letters, digits, '-', '_' and '.'")
    return name


def _wrong_kind(name: str, expected: str) -> WrongKeyKind:
    return WrongKeyKind(f"The key {name} is not {expected}", remedy="Use a key of another name", name=name)
