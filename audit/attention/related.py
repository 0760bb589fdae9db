"""Whose records an officer should not look up: their own and their relatives'.

Invariant: only a subject's index key is kept, which the vault alone can tie to a person. Neither the table
nor the entry names anybody but the officer, and when a person's keys are erased the row points at nobody.
"""

from __future__ import annotations

from typing import Any, Literal

import psycopg

from audit.attention.errors import RelationInvalid
from audit.entry import EntryDraft, EntryKind
from audit.log import append
from audit.subjects.subject_keys import SubjectKeys
from foundation import clock

__all__ = ["Relation", "forget", "note"]

Relation = Literal["self", "family"]

_NOTE = """
INSERT INTO audit.attention_related (agency, officer, index_key, relation, noted_by, noted_at)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_FORGET = "DELETE FROM audit.attention_related WHERE agency = %s AND officer = %s"


def note(
    connection: psycopg.Connection[Any],
    agency: str,
    officer: str,
    relation: Relation,
    person: SubjectKeys,
    *,
    by: str,
) -> None:
    """Note a person whom an officer should not look up, in the caller's transaction, with an entry.

    Args:
        connection: in the auditor's role.
        agency: agency of the officer.
        officer: pseudonym of the officer.
        relation: the officer's own record, or a relative's.
        person: keys from the vault.
        by: pseudonym of the auditor who notes it.

    Raises:
        RelationInvalid: When the relation is none.
    """
    if relation not in {"self", "family"}:
        raise RelationInvalid("The relation is none", remedy="Write self or family")
    values = (agency, officer, person.index_key(), relation, by, clock.now())
    connection.execute(_NOTE, values)
    _log(connection, agency, officer, by, outcome="noted", relation=relation)


def forget(connection: psycopg.Connection[Any], agency: str, officer: str, *, by: str) -> int:
    """Take back everything that was noted about an officer, with an entry; returns how many it was."""
    gone = connection.execute(_FORGET, (agency, officer)).rowcount
    if not gone:
        raise RelationInvalid("Nothing is noted about this officer", remedy="Check agency and pseudonym")
    _log(connection, agency, officer, by, outcome="taken-back", relation=None)
    return gone


def _log(
    connection: psycopg.Connection[Any],
    agency: str,
    officer: str,
    by: str,
    *,
    outcome: str,
    relation: str | None,
) -> None:
    append(
        connection,
        EntryDraft(
            kind=EntryKind.ATTENTION_RELATED,
            actor=by,
            consumer=agency,
            outcome=outcome,
            details={"officer": officer, "relation": relation},
        ),
    )
