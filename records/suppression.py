"""Erased persons in the records: forgetting them, and not taking them in again.

Invariant: once an erasure has begun, no publish brings a record of the person and no answer is given about
them. What is about others and only names the person (a child's record names its mother) stays theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from foundation.database import Role, translated
from records.batches import Batch
from records.shapes import read_shapes
from records.tags import TagKey

if TYPE_CHECKING:
    from audit.erasure.erasing import Forgotten
    from foundation.installation import Installation

__all__ = ["drop_suppressed", "forget_person", "suppression_tag"]


def suppression_tag(installation: Installation, identifier: str) -> bytes:
    """The tag under which an erased person is recognised; `audit` is given it."""
    return TagKey.of(installation.keyring).subject(identifier)


def forget_person(installation: Installation, person: Forgotten) -> int:
    """Remove every version of every record of a person, and what hangs on them; dataset by dataset.

    Returns:
        How many versions of records were removed.
    """
    removed = 0
    with translated(), installation.database.connect(Role.STEWARD) as connection:
        datasets = [shape.dataset_id for shape in read_shapes(connection)]
        connection.commit()
        for dataset in sorted(datasets):
            row = connection.execute(
                "SELECT records.forget_person(%s, %s, %s)", [person.request_id, dataset, person.value]
            ).fetchone()
            removed += int(row[0]) if row else 0
            connection.commit()
        connection.execute(
            "SELECT identity.forget_person(%s, %s, %s)", [person.request_id, person.handle, person.tag]
        )
    return removed


def drop_suppressed(connection: psycopg.Connection[Any], batch: Batch, tags: TagKey) -> dict[str, int]:
    """Take the rows of erased persons out of a batch that is about to be published.

    Call it in the publishing transaction, under the dataset's lock. Costs nothing while nobody was erased.

    Returns:
        The figure for the entry, when there were such rows.
    """
    anybody = connection.execute("SELECT EXISTS (SELECT FROM audit.suppression)").fetchone()
    subject = batch.staging.table.subject_column
    if subject is None or anybody is None or not anybody[0]:
        return {}
    connection.execute("SELECT quality.forget_suppressed(%s)", [batch.batch_id])
    # A row that is known already is nobody's who was erased; so an unchanged snapshot computes no tags.
    query = sql.SQL(
        "WITH new AS MATERIALIZED (SELECT s.ctid AS place, s.{subject} AS subject FROM {staging} s"
        " WHERE NOT EXISTS (SELECT FROM {current} t WHERE t.dataset = %(dataset)s"
        " AND t.source_key = s.source_key AND t.valid_from = s.valid_from"
        " AND t.content_hash = s.content_hash))"
        " DELETE FROM {staging} s USING new, audit.suppression x"
        " WHERE s.ctid = new.place AND x.tag = {tag}"
    ).format(
        subject=sql.Identifier(subject),
        staging=batch.staging.identifier,
        current=batch.staging.table.current,
        tag=sql.SQL(tags.sql_subject.format("new.subject")),
    )
    given = {**tags.parameters, "dataset": batch.dataset_id}
    dropped = connection.execute(query, given).rowcount
    return {"suppressed": dropped} if dropped else {}
