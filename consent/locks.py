"""Advisory locks that let a withdrawal overtake every exchange that has not yet committed.

Exchanges hold them shared until their transaction ends; whoever changes an agreement or a consent
takes the same lock exclusively. A shared taker locks all its keys in ascending order in one
statement, an exclusive taker locks one key and takes it first, so no cycle can form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from psycopg import Connection

__all__ = ["agreement_key", "consent_key", "lock_exclusive", "lock_shared", "try_lock_exclusive"]


def agreement_key(agreement_id: str) -> int:
    """The 64-bit lock key of an agreement."""
    return _key(f"lintas.consent.agreement:{agreement_id}")


def consent_key(subject: UUID, consumer: str, purpose: str) -> int:
    """The 64-bit lock key of a consent; it exists before the first revision does."""
    return _key(f"lintas.consent.consent:{subject}:{consumer}:{purpose}")


def lock_shared(connection: Connection[Any], keys: Iterable[int]) -> None:
    """Take every key shared, in ascending order, until the transaction ends."""
    connection.execute(
        "SELECT pg_advisory_xact_lock_shared(key) FROM unnest(%s::bigint[]) AS key", [sorted(set(keys))]
    )


def lock_exclusive(connection: Connection[Any], key: int) -> None:
    """Take one key exclusively until the transaction ends; waits for exchanges already committing."""
    connection.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [key])


def try_lock_exclusive(connection: Connection[Any], key: int) -> bool:
    """Take one key exclusively if nobody holds it; never waits."""
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s::bigint)", [key]).fetchone()
    return bool(row and row[0])


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
