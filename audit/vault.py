"""The vault: identifier to handle and keys, minted once, committed before use.

Invariant: one identifier has one handle, however many processes ask at once. A handle is committed in
the vault before anything in the main database mentions it.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import SealBroken
from audit.subjects import KEY_BYTES, SubjectHandle, SubjectKeys
from foundation import clock
from foundation.database import DatabaseName, Role, translated

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from foundation.installation import Installation
    from foundation.keyring import Keyring

__all__ = ["Vault"]

_KEK = "vault-kek"
_INDEX_KEY = "vault-index"
_NONCE = 12
_CACHE_SIZE = 50_000
_CACHE_SECONDS = 300.0


class Vault:
    """Subjects' handles and keys, for one process in one role.

    Args:
        installation: whose vault database and keyring are used.
        role: database role of the process (`Role.API` or `Role.STEWARD`).
    """

    def __init__(self, installation: Installation, role: Role = Role.API) -> None:
        self._keyring = installation.keyring
        self._pool: ConnectionPool[Any] = installation.database.pool(
            role, DatabaseName.VAULT, min_size=1, max_size=4, autocommit=True, plans_once=True
        )
        self._cache: OrderedDict[bytes, tuple[float, SubjectKeys]] = OrderedDict()
        self._guard = threading.Lock()

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def keyring(self) -> Keyring:
        """The keyring of the installation; tags of records are made with a key of it."""
        return self._keyring

    def warm_up(self, seconds: float) -> None:
        """Open keys and a connection now, so that the first request does not wait for them.

        Raises:
            DatabaseUnavailable: When there is no connection within so many seconds.
        """
        self._keyring.get(_INDEX_KEY, 1)
        self._keyring.current(_KEK)
        with translated(), self._pool.connection(timeout=seconds):
            pass

    def close(self) -> None:
        """Close the connections and forget every key."""
        self._cache.clear()
        self._pool.close()

    def handle_for(self, kind: str, value: str) -> SubjectKeys:
        """The subject whom an identifier names; minted, and committed, on first sight.

        Args:
            kind: kind of the identifier, such as `nik`.
            value: the normalised identifier.
        """
        return self.handles_for(kind, [value])[0]

    def handles_for(self, kind: str, values: Sequence[str]) -> list[SubjectKeys]:
        """The subjects whom identifiers name, in their order; missing ones are minted together."""
        indexes = [self._index(kind, value) for value in values]
        found = {index: keys for index in indexes if (keys := self._cached(index))}
        missing = {i: v for i, v in zip(indexes, values, strict=True) if i not in found}
        if missing:
            with translated(), self._pool.connection() as connection:
                stored = self._read(connection, list(missing))
                new = {i: v for i, v in missing.items() if i not in stored}
                if new:
                    self._mint(connection, kind, new)
                    stored |= self._read(connection, list(new))
            found |= stored
        return [self._remember(index, found[index]) for index in indexes]

    def find(self, kind: str, value: str) -> SubjectKeys | None:
        """The subject whom an identifier names, without minting one."""
        index = self._index(kind, value)
        keys = self._cached(index)
        if keys is None:
            with translated(), self._pool.connection() as connection:
                keys = self._read(connection, [index]).get(index)
        return self._remember(index, keys) if keys else None

    def keys_of(self, handle: SubjectHandle) -> SubjectKeys | None:
        """The keys that belong to a handle, while they exist."""
        with translated(), self._pool.connection() as connection:
            row = connection.execute(
                "SELECT handle, wrapped_keys, kek_version FROM vault.subjects WHERE handle = %s", (handle,)
            ).fetchone()
        return self._unwrap(*row) if row else None

    def _read(self, connection: Any, indexes: list[bytes]) -> dict[bytes, SubjectKeys]:
        rows = connection.execute(
            "SELECT identifier_index, handle, wrapped_keys, kek_version FROM vault.subjects"
            " WHERE identifier_index = ANY(%s)",
            (indexes,),
        )
        return {bytes(row[0]): self._unwrap(row[1], row[2], row[3]) for row in rows}

    def _mint(self, connection: Any, kind: str, new: dict[bytes, str]) -> None:
        """Insert in one order, so that concurrent mints wait for each other instead of deadlocking."""
        kek = self._keyring.current(_KEK)
        rows = []
        for index, value in sorted(new.items()):
            handle = uuid4()
            keys = secrets.token_bytes(2 * KEY_BYTES)
            rows.append(
                (
                    handle,
                    kind,
                    index,
                    _wrap(kek.secret, value.encode(), b"identifier\x00" + handle.bytes),
                    _wrap(kek.secret, keys, b"keys\x00" + handle.bytes),
                    kek.version,
                    clock.now(),
                )
            )
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO vault.subjects (handle, identifier_kind, identifier_index, sealed_identifier,"
                " wrapped_keys, kek_version, minted_at) VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (identifier_index) DO NOTHING",
                rows,
            )

    def _unwrap(self, handle: UUID, wrapped: bytes, kek_version: int) -> SubjectKeys:
        kek = self._keyring.get(_KEK, kek_version).secret
        keys = _unwrapped(kek, bytes(wrapped), b"keys\x00" + handle.bytes)
        return SubjectKeys(SubjectHandle(handle), keys[:KEY_BYTES], keys[KEY_BYTES:])

    def _index(self, kind: str, value: str) -> bytes:
        key = self._keyring.get(_INDEX_KEY, 1).secret  # a rolled index key would hide every subject
        return hmac.digest(key, f"{kind}\x00{value}".encode(), "sha256")

    def _cached(self, index: bytes) -> SubjectKeys | None:
        with self._guard:
            held = self._cache.get(index)
            if held is None or held[0] < time.monotonic():
                return None
            return held[1]

    def _remember(self, index: bytes, keys: SubjectKeys) -> SubjectKeys:
        with self._guard:
            held = self._cache.get(index)
            if held is None or held[0] < time.monotonic():
                self._cache[index] = (time.monotonic() + _CACHE_SECONDS, keys)
                self._cache.move_to_end(index)
            if len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        return keys


def _wrap(key: bytes, plain: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, b"lintas/vault/v1\x00" + context)


def _unwrapped(key: bytes, wrapped: bytes, context: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], b"lintas/vault/v1\x00" + context)
    except InvalidTag as error:
        raise SealBroken(
            "The keys of a subject do not unwrap.",
            remedy="Check that the vault database and the keyring belong to one installation.",
        ) from error
