"""The vault: identifier to handle and keys, minted once, committed before use.

Invariants: one identifier has one handle, however many processes ask at once. A handle is committed in
the vault before anything in the main database mentions it. Keys that were erased are used by no process
longer than `FRESH_SECONDS` after.
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

from audit.subjects.key_encryption import KekVersion, KeyEncryptionKeys, Secret, Wrapped
from audit.subjects.subject_keys import KEY_BYTES, SubjectHandle, SubjectKeys
from foundation import clock
from foundation.database import DatabaseName, Role, translated

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from foundation.installation import Installation
    from foundation.keyring import Keyring

__all__ = ["FRESH_SECONDS", "Vault", "identifier_context", "keys_context"]

FRESH_SECONDS = 1.0
"""How long a process may use keys from its cache without asking whether somebody was erased."""

_INDEX_KEY = "vault-index"
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
        self._keks = KeyEncryptionKeys.of(installation)
        self._pool: ConnectionPool[Any] = installation.database.pool(
            role,
            DatabaseName.VAULT,
            min_size=1,
            max_size=4,
            autocommit=True,
            plans_once=True,
        )
        self._cache: OrderedDict[bytes, tuple[float, SubjectKeys]] = OrderedDict()
        self._guard = threading.Lock()
        self._epoch = -1
        self._looked_at = float("-inf")

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
        _ = self._keks.current
        with translated(), self._pool.connection(timeout=seconds):
            pass

    def close(self) -> None:
        """Close the connections and forget every key."""
        self._cache.clear()
        self._pool.close()
        self._keks.close()

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
        epoch = self._fresh_epoch()
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
        return [self._remember(index, found[index], epoch) for index in indexes]

    def find(self, kind: str, value: str) -> SubjectKeys | None:
        """The subject whom an identifier names, without minting one."""
        index = self._index(kind, value)
        epoch = self._fresh_epoch()
        keys = self._cached(index)
        if keys is None:
            with translated(), self._pool.connection() as connection:
                keys = self._read(connection, [index]).get(index)
        return self._remember(index, keys, epoch) if keys else None

    def remembered(self, kind: str, value: str) -> SubjectKeys | None:
        """The subject whom an identifier names, if this process has met them lately."""
        index = self._index(kind, value)
        self._fresh_epoch()
        return self._cached(index)

    def keys_of(self, handle: SubjectHandle) -> SubjectKeys | None:
        """The keys that belong to a handle, while they exist; never from the cache."""
        with translated(), self._pool.connection() as connection:
            row = connection.execute(
                "SELECT handle, wrapped_keys, kek_provider, kek_version FROM vault.subjects"
                " WHERE handle = %s",
                (handle,),
            ).fetchone()
        return self._unwrap([row])[0] if row else None

    def identifier_of(self, handle: SubjectHandle) -> tuple[str, str] | None:
        """Kind and value of the identifier that a handle stands for; only stewards may ask."""
        with translated(), self._pool.connection() as connection:
            row = connection.execute(
                "SELECT identifier_kind, sealed_identifier, kek_provider, kek_version FROM vault.subjects"
                " WHERE handle = %s",
                (handle,),
            ).fetchone()
        if row is None:
            return None
        sealed = Wrapped(KekVersion(row[2], row[3]), bytes(row[1]), identifier_context(handle))
        return row[0], self._keks.unwrap([sealed])[0].decode()

    def forget(self, handle: SubjectHandle) -> bool:
        """Destroy a handle and its keys, for good; every process lets go of them within seconds.

        Only stewards may. The table is vacuumed, so that no dead version of the row waits on disk.

        Returns:
            Whether there was such a handle.
        """
        with translated(), self._pool.connection() as connection:
            row = connection.execute("SELECT vault.forget(%s)", (handle,)).fetchone()
            connection.execute("VACUUM vault.subjects")
        with self._guard:
            self._cache.clear()
        return bool(row and row[0])

    def _read(self, connection: Any, indexes: list[bytes]) -> dict[bytes, SubjectKeys]:
        rows = connection.execute(
            "SELECT identifier_index, handle, wrapped_keys, kek_provider, kek_version FROM vault.subjects"
            " WHERE identifier_index = ANY(%s)",
            (indexes,),
        ).fetchall()
        keys = self._unwrap([row[1:] for row in rows])
        return {bytes(row[0]): each for row, each in zip(rows, keys, strict=True)}

    def _mint(self, connection: Any, kind: str, new: dict[bytes, str]) -> None:
        """Insert in one order, so that concurrent mints wait for each other instead of deadlocking."""
        handles = [uuid4() for _ in new]
        secret: list[Secret] = []
        for handle, (_, value) in zip(handles, sorted(new.items()), strict=True):
            secret.append(Secret(value.encode(), identifier_context(handle)))
            secret.append(Secret(secrets.token_bytes(2 * KEY_BYTES), keys_context(handle)))
        wrapped = self._keks.wrap(secret)
        rows = [
            (handle, kind, index, name.blob, keys.blob, keys.kek.provider, keys.kek.version, clock.now())
            for handle, index, name, keys in zip(
                handles, sorted(new), wrapped[::2], wrapped[1::2], strict=True
            )
        ]
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO vault.subjects (handle, identifier_kind, identifier_index, sealed_identifier,"
                " wrapped_keys, kek_provider, kek_version, minted_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (identifier_index) DO NOTHING",
                rows,
            )

    def _unwrap(self, rows: Sequence[tuple[UUID, bytes, str, int]]) -> list[SubjectKeys]:
        """Keys from rows of handle, wrapped keys, provider and version."""
        wrapped = [
            Wrapped(KekVersion(provider, version), bytes(blob), keys_context(handle))
            for handle, blob, provider, version in rows
        ]
        return [
            SubjectKeys(SubjectHandle(row[0]), keys[:KEY_BYTES], keys[KEY_BYTES:])
            for row, keys in zip(rows, self._keks.unwrap(wrapped), strict=True)
        ]

    def _fresh_epoch(self) -> int:
        """Ask now and then whether somebody was erased since, and if so forget every key that is cached.

        The epoch returned was read before whatever the caller reads next, so `_remember` can tell keys
        that may have been erased meanwhile.
        """
        with self._guard:
            if time.monotonic() < self._looked_at + FRESH_SECONDS:
                return self._epoch
        looked_at = time.monotonic()
        with translated(), self._pool.connection() as connection:
            row = connection.execute("SELECT epoch FROM vault.erasure_epoch").fetchone()
        with self._guard:
            if row and row[0] != self._epoch:
                self._cache.clear()
                self._epoch = row[0]
            self._looked_at = max(self._looked_at, looked_at)
            return self._epoch

    def _index(self, kind: str, value: str) -> bytes:
        key = self._keyring.get(_INDEX_KEY, 1).secret  # a rolled index key would hide every subject
        return hmac.digest(key, f"{kind}\x00{value}".encode(), "sha256")

    def _cached(self, index: bytes) -> SubjectKeys | None:
        with self._guard:
            held = self._cache.get(index)
            if held is None or held[0] < time.monotonic():
                return None
            return held[1]

    def _remember(self, index: bytes, keys: SubjectKeys, epoch: int) -> SubjectKeys:
        with self._guard:
            if epoch != self._epoch:
                return keys
            held = self._cache.get(index)
            if held is None or held[0] < time.monotonic():
                self._cache[index] = (time.monotonic() + _CACHE_SECONDS, keys)
                self._cache.move_to_end(index)
            if len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        return keys


def identifier_context(handle: UUID) -> bytes:
    """What a sealed identifier is bound to."""
    return b"identifier\x00" + handle.bytes


def keys_context(handle: UUID) -> bytes:
    """What a subject's wrapped keys are bound to."""
    return b"keys\x00" + handle.bytes
