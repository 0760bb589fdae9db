"""Rotating the key-encryption key: every subject's keys are wrapped anew, in batches; no entry changes.

Invariant: whenever it is stopped, every row opens, under the old version or the new; the next run goes on
where this one stopped. The same work moves keys from one provider to another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from audit.entry import EntryDraft, EntryKind
from audit.errors import KeyStillInUse
from audit.log import append
from audit.subjects.key_encryption import KekVersion, KeyEncryptionKeys, Secret, Wrapped
from audit.subjects.vault import identifier_context, keys_context
from foundation import clock
from foundation.database import DatabaseName, Role, translated

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["BATCH", "KeysInUse", "Rotation", "keys_in_use", "retire", "rotate"]

BATCH = 500
"""Subjects whose keys are wrapped anew in one transaction."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation that has ended.

    Attributes:
        kek: What wraps every subject's keys now.
        rewrapped: Subjects whose keys were wrapped anew, in all runs of this rotation.
        continued: Whether an earlier run had been cut short.
    """

    kek: KekVersion
    rewrapped: int
    continued: bool


@dataclass(frozen=True, slots=True)
class KeysInUse:
    """How many subjects' keys are wrapped by one version of a KEK."""

    kek: KekVersion
    subjects: int
    is_current: bool


def rotate(
    installation: Installation, *, actor: str, progress: Progress | None = None, batch: int = BATCH
) -> Rotation:
    """Make a new version of the KEK and wrap every subject's keys under it; or end a rotation cut short.

    Args:
        installation: Whose vault.
        actor: Pseudonym of the officer who has it done.
        progress: Called after each batch with (subjects done in this run, subjects still to do).
        batch: Subjects in one transaction.
    """
    keks = KeyEncryptionKeys.of(installation)
    try:
        with (
            translated(),
            installation.database.connect(Role.STEWARD, DatabaseName.VAULT, autocommit=True) as connection,
        ):
            rotation, kek, continued = _begin(connection, keks, actor)
            if keks.current.version < kek.version:
                _log(installation, EntryKind.KEY_ROLLED, actor, kek, {})
                keks.rotate_to(kek.version)
            told = progress or (lambda _done, _left: None)
            _rewrap_all(connection, keks, kek, rotation, progress=told, batch=batch)
            rewrapped = _rewrapped(connection, rotation)
            _log(
                installation, EntryKind.KEY_REWRAPPED, actor, kek,
                {"version": kek.version, "rewrapped": rewrapped},
            )  # fmt: skip
            connection.execute(
                "UPDATE vault.kek_rotation SET finished_at = %s WHERE rotation_id = %s",
                [clock.now(), rotation],
            )
            return Rotation(kek, rewrapped, continued)
    finally:
        keks.close()


def keys_in_use(installation: Installation) -> list[KeysInUse]:
    """By which versions of which KEK subjects' keys are wrapped."""
    keks = KeyEncryptionKeys.of(installation)
    try:
        current = keks.current
        with translated(), installation.database.connect(Role.STEWARD, DatabaseName.VAULT) as connection:
            rows = connection.execute(
                "SELECT kek_provider, kek_version, count(*) FROM vault.subjects GROUP BY 1, 2 ORDER BY 1, 2"
            ).fetchall()
    finally:
        keks.close()
    found = {KekVersion(provider, version): count for provider, version, count in rows}
    found.setdefault(current, 0)
    return [KeysInUse(kek, count, kek == current) for kek, count in found.items()]


def retire(installation: Installation, kek: KekVersion, *, actor: str) -> None:
    """Destroy an older version of the KEK, so that backups of the vault from its time open no more.

    Raises:
        KeyStillInUse: When it wraps now, or somebody's keys are still wrapped by it.
    """
    keks = KeyEncryptionKeys.of(installation)
    try:
        current = keks.current
        if kek.provider == current.provider and kek.version >= current.version:
            raise KeyStillInUse(
                f"Version {kek.version} wraps keys now", remedy="Rotate first: `lintas audit keys rotate`"
            )
        with translated(), installation.database.connect(Role.STEWARD, DatabaseName.VAULT) as connection:
            row = connection.execute(
                "SELECT vault.retire_kek(%s, %s, %s)", [kek.provider, kek.version, clock.now()]
            ).fetchone()
        still = row[0] if row else 0
        if still:
            raise KeyStillInUse(
                f"The keys of {still} subjects are still wrapped by version {kek.version}",
                remedy="Rotate first: `lintas audit keys rotate`",
            )
        _log(installation, EntryKind.KEY_RETIRED, actor, kek, {"version": kek.version})
        keks.destroy(kek)
    finally:
        keks.close()


def _begin(connection: Connection[Any], keks: KeyEncryptionKeys, actor: str) -> tuple[int, KekVersion, bool]:
    """The rotation that is open, or a new one: written down before the KEK is touched."""
    connection.execute("SELECT pg_advisory_lock(hashtextextended('lintas.vault.rotation', 0))")
    current = keks.current
    row = connection.execute(
        "SELECT rotation_id, provider, version FROM vault.kek_rotation WHERE finished_at IS NULL"
    ).fetchone()
    if row is not None and row[1] == current.provider:
        return row[0], KekVersion(row[1], row[2]), True
    with connection.transaction():
        if row is not None:  # the provider was changed meanwhile: what was left to do is done by this one
            connection.execute(
                "UPDATE vault.kek_rotation SET finished_at = %s WHERE rotation_id = %s", [clock.now(), row[0]]
            )
        target = KekVersion(current.provider, current.version + 1)
        made = connection.execute(
            "INSERT INTO vault.kek_rotation (provider, version, started_at, started_by)"
            " VALUES (%s, %s, %s, %s) RETURNING rotation_id",
            [target.provider, target.version, clock.now(), actor],
        ).fetchone()
    assert made is not None
    return made[0], target, False


_TO_DO = """
SELECT handle, sealed_identifier, wrapped_keys, kek_provider, kek_version FROM vault.subjects
 WHERE kek_provider <> %(provider)s OR kek_version < %(version)s
 ORDER BY handle LIMIT %(batch)s FOR UPDATE
"""
_REWRAP = """
UPDATE vault.subjects s
   SET sealed_identifier = n.name, wrapped_keys = n.keys, kek_provider = n.provider, kek_version = n.version
  FROM (SELECT unnest(%(handles)s::uuid[]) AS handle, unnest(%(names)s::bytea[]) AS name,
               unnest(%(keys)s::bytea[]) AS keys, unnest(%(providers)s::text[]) AS provider,
               unnest(%(versions)s::integer[]) AS version) n
 WHERE s.handle = n.handle
"""


def _rewrap_all(
    connection: Connection[Any],
    keks: KeyEncryptionKeys,
    kek: KekVersion,
    rotation: int,
    *,
    progress: Progress,
    batch: int,
) -> None:
    """Batch by batch, until none is left, not even one minted meanwhile under the version before."""
    given = {"provider": kek.provider, "version": kek.version, "batch": batch}
    left = _left(connection, given)
    done = 0
    while True:
        with connection.transaction():
            rows = connection.execute(_TO_DO, given).fetchall()
            if not rows:
                return
            connection.execute(_REWRAP, _rewrapped_rows(keks, rows))
            connection.execute(
                "UPDATE vault.kek_rotation SET rewrapped = rewrapped + %s WHERE rotation_id = %s",
                [len(rows), rotation],
            )
        done += len(rows)
        progress(done, max(left - done, 0))


def _rewrapped_rows(keks: KeyEncryptionKeys, rows: list[Any]) -> dict[str, list[Any]]:
    wrapped = []
    for handle, name, keys, provider, version in rows:
        kek = KekVersion(provider, version)
        wrapped.append(Wrapped(kek, bytes(name), identifier_context(handle)))
        wrapped.append(Wrapped(kek, bytes(keys), keys_context(handle)))
    opened = keks.unwrap(wrapped)
    again = keks.wrap([Secret(plain, each.context) for plain, each in zip(opened, wrapped, strict=True)])
    return {
        "handles": [row[0] for row in rows],
        "names": [each.blob for each in again[::2]],
        "keys": [each.blob for each in again[1::2]],
        "providers": [each.kek.provider for each in again[1::2]],
        "versions": [each.kek.version for each in again[1::2]],
    }


def _left(connection: Connection[Any], given: dict[str, Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM vault.subjects WHERE kek_provider <> %(provider)s OR kek_version < %(version)s",
        given,
    ).fetchone()
    return int(row[0]) if row else 0


def _rewrapped(connection: Connection[Any], rotation: int) -> int:
    row = connection.execute(
        "SELECT rewrapped FROM vault.kek_rotation WHERE rotation_id = %s", [rotation]
    ).fetchone()
    return int(row[0]) if row else 0


def _log(
    installation: Installation, kind: EntryKind, actor: str, kek: KekVersion, more: dict[str, int]
) -> None:
    details = {"owner_kind": "bus", "use": "key-encryption", "algorithm": kek.provider, **more}
    with installation.database.connect(Role.STEWARD) as connection:
        append(connection, EntryDraft(kind=kind, actor=actor, details=details))
