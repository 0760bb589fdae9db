"""Carrying out an approved erasure, in steps each of which may be the last before a crash.

```
1  main   suppression tag, entry `erasure.started`, state `erasing`      one transaction
2  main   every room that keeps the person forgets them                  each its own; again is nothing
3  vault  handle and wrapped keys destroyed, caches told                 one transaction
4  main   index rows removed, entry `subject.erased`, state `erased`     one transaction
```

A crash leaves the state before or after one of them, and the next run goes on there. Once 1 has committed
nothing about the person is answered or taken in; once 3 has, nothing that is left can be tested against
a person: what is sealed has no key, tags and index keys are random numbers, and the handle stands for
nobody. Leaves of the log, receipts and tiles are not touched by any of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import Connection

from audit.entry import EntryDraft, EntryKind
from audit.erasure.requests import ErasureRequest, ErasureState, find_request, lock_subject, require_erasable
from audit.erasure.suppression import suppress
from audit.errors import ErasureRefused
from audit.log import append
from audit.subjects.subject_keys import SubjectHandle
from audit.subjects.vault import Vault
from foundation import clock
from foundation.database import Role, translated
from foundation.errors import IntegrityBroken

if TYPE_CHECKING:
    from datetime import timedelta

    from foundation.installation import Installation

__all__ = ["Erased", "Forgetter", "Forgotten", "carry_out"]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The person whom a room must forget; kept in memory only."""

    request_id: UUID
    handle: SubjectHandle
    kind: str
    value: str = field(repr=False)
    tag: bytes = field(repr=False)


Forgetter = Callable[["Installation", Forgotten], int]
"""Makes one room forget a person; commits by itself, may be called again, returns how many versions of
records it removed. What crosses rooms is passed in."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased; whom, nothing tells any more."""

    request: ErasureRequest
    records: int
    index_rows: int


def carry_out(
    installation: Installation,
    request_id: UUID,
    *,
    officer: str,
    tag_of: Callable[[str], bytes],
    forgetters: Sequence[Forgetter] = (),
    retention: timedelta,
) -> Erased:
    """Erase the person of an approved request, or go on where an earlier run stopped.

    Args:
        installation: Whose log, records and vault.
        request_id: The request.
        officer: Pseudonym of the officer who has it done.
        tag_of: Makes the suppression tag of an identifier.
        forgetters: The rooms that must forget the person.
        retention: How long exchanges must be kept.

    Raises:
        ErasureRefused: When it is not approved, or a hold or a young exchange stands against it.
    """
    with Vault(installation, Role.STEWARD) as vault:
        begun = _begin(installation, vault, request_id, officer=officer, tag_of=tag_of, retention=retention)
        assert begun.subject is not None
        person = _person(vault, begun, tag_of)
        if person is not None:
            for forget in forgetters:
                _count(installation, request_id, forget(installation, person))
            vault.forget(begun.subject)
    return _end(installation, begun, officer)


def _begin(
    installation: Installation,
    vault: Vault,
    request_id: UUID,
    *,
    officer: str,
    tag_of: Callable[[str], bytes],
    retention: timedelta,
) -> ErasureRequest:
    """Step 1; nothing when an earlier run has done it."""
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        handle = find_request(connection, request_id).subject
        if handle is not None:
            connection.rollback()
            lock_subject(connection, handle)
        found = find_request(connection, request_id)
        if found.state is ErasureState.ERASING:
            return found
        if found.state is not ErasureState.APPROVED or found.subject is None:
            raise ErasureRefused(
                f"The request is {found.state}, not approved",
                remedy="A second officer approves it: `lintas audit erase approve`",
            )
        keys, person = vault.keys_of(found.subject), _person(vault, found, tag_of)
        if keys is None or person is None:
            raise IntegrityBroken(
                "The person to be erased is not in the vault",
                remedy="Check that the vault database belongs to this installation",
            )
        suppress(connection, person.tag)  # waits for whoever is answering, whose exchange counts below
        require_erasable(connection, keys, retention)
        connection.execute(
            "UPDATE audit.erasure SET state = 'erasing', index_key = %s WHERE request_id = %s",
            [keys.index_key(), request_id],
        )
        _log(connection, EntryKind.ERASURE_STARTED, officer, found.details)
        return replace(found, state=ErasureState.ERASING)


def _person(vault: Vault, request: ErasureRequest, tag_of: Callable[[str], bytes]) -> Forgotten | None:
    """Who it is, while the vault still knows."""
    assert request.subject is not None
    known = vault.identifier_of(request.subject)
    if known is None:
        return None
    return Forgotten(request.request_id, request.subject, known[0], known[1], tag_of(known[1]))


def _count(installation: Installation, request_id: UUID, removed: int) -> None:
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        connection.execute(
            "UPDATE audit.erasure SET records = records + %s WHERE request_id = %s", [removed, request_id]
        )


def _end(installation: Installation, begun: ErasureRequest, officer: str) -> Erased:
    """Step 4."""
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        found = find_request(connection, begun.request_id)
        records = found.records
        if found.state is ErasureState.ERASED:  # another run was quicker
            return Erased(found, records, 0)
        row = connection.execute("SELECT audit.forget_index(%s)", [begun.request_id]).fetchone()
        index_rows = int(row[0]) if row else 0
        connection.execute("UPDATE audit.legal_hold SET subject = NULL WHERE subject = %s", [begun.subject])
        connection.execute(
            "UPDATE audit.erasure SET state = 'erased', subject = NULL, index_key = NULL, ended_at = %s"
            " WHERE request_id = %s",
            [clock.now(), begun.request_id],
        )
        _log(connection, EntryKind.SUBJECT_ERASED, officer, {**begun.details, "records": records})
        return Erased(find_request(connection, begun.request_id), records, index_rows)


def _log(connection: Connection[Any], kind: EntryKind, officer: str, details: dict[str, Any]) -> None:
    append(connection, EntryDraft(kind=kind, actor=officer, details=details))
