"""Who was erased, as keyed tags: so that the next sync does not bring the person back.

A tag is made by the room that reads records, under a key of this installation, and handed in. Beside it
stands nothing: no moment, no request, no dataset. Without the key it is a random number; with the key
it says only that somebody of this number was erased, and leads to no entry of the log.
"""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg

__all__ = ["is_suppressed", "lock_key", "not_erased", "suppress"]


def lock_key(tag: bytes) -> int:
    """Key of the advisory lock that who mints a handle shares, and who erases takes alone."""
    return int.from_bytes(hashlib.sha256(b"lintas/suppression/v1\x00" + tag).digest()[:8], signed=True)


def suppress(connection: psycopg.Connection[Any], tag: bytes) -> None:
    """Note a tag, once nobody is in the middle of answering about the person; doing so again is nothing."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key(tag)])
    connection.execute("INSERT INTO audit.suppression (tag) VALUES (%s) ON CONFLICT DO NOTHING", [tag])


def is_suppressed(connection: psycopg.Connection[Any], tag: bytes) -> bool:
    """Whether the person with this tag was erased, or is being erased."""
    found = connection.execute("SELECT 1 FROM audit.suppression WHERE tag = %s", [tag]).fetchone()
    return found is not None


def not_erased(connection: psycopg.Connection[Any], tag: bytes) -> bool:
    """Whether the person is not erased, nor will be before the transaction ends: who erases waits for it."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [lock_key(tag)])
    return not is_suppressed(connection, tag)
