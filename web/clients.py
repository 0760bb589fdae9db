"""Which registered systems may authenticate, and with which of their keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from participants.errors import UnknownKey
from participants.keys import PublicKeyRecord, key_by_kid
from participants.registry import System, find_agency, find_system
from web.errors import TokenRequestInvalid

AUTHENTICATION_USE = "auth"


def client_system(connection: psycopg.Connection[Any], system_id: str) -> System | None:
    """The system, if it and its agency take part now."""
    system = find_system(connection, system_id)
    if system is None or not system.is_active:
        return None
    agency = find_agency(connection, system.agency_id)
    return system if agency is not None and agency.status == "active" else None


def authentication_key(connection: psycopg.Connection[Any], kid: str, at: datetime) -> PublicKeyRecord:
    """The key of that id, if a system may authenticate with it at that moment.

    Raises:
        TokenRequestInvalid: When it may not; which of the reasons it was is not told.
    """
    try:
        key = key_by_kid(connection, kid)
    except UnknownKey:
        key = None
    if (
        key is None
        or not key.valid_at(at)
        or (key.owner_kind, key.use, key.algorithm) != ("system", AUTHENTICATION_USE, "ed25519")
    ):
        raise TokenRequestInvalid(
            "The kid names no valid authentication key of a system",
            remedy="Register the public key with the operator, for the use `auth`",
            oauth_error="invalid_client",
        )
    return key
