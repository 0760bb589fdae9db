"""The officer whom a request names: somebody of the agency that asks, or nobody's word at all."""

from __future__ import annotations

from typing import Any

import psycopg

from foundation.errors import Location
from participants.registry import Officer, find_officer
from verification.errors import OfficerUnknown


def named_officer(connection: psycopg.Connection[Any], agency: str, pseudonym: str) -> Officer:
    """The officer of an agency who bears the pseudonym; entries rest on it.

    Raises:
        OfficerUnknown: When the agency has none of that pseudonym; that another one has looks the same.
    """
    found = find_officer(connection, agency, pseudonym)
    if found is None:
        raise OfficerUnknown(
            "The named officer is not registered for the agency that asks",
            remedy="Name a registered officer by pseudonym; the operator registers officers",
            location=Location(field="officer", rule="registered-officer"),
        )
    return found
