"""Erased persons in the records: forgetting them, and not taking them in again.

Invariant: once an erasure has begun, no publish brings a record of the person and no answer is given about
them; once it has ended, no batch that is held or was left behind has a row of theirs in staging. What is
about others and only names the person (a child's record names its mother) stays theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from foundation.database import Role, translated
from records import ledger
from records.batches import Batch
from records.shapes import read_shapes
from records.tags import TagKey

if TYPE_CHECKING:
    from audit.erasure.erasing import Forgotten
    from foundation.installation import Installation

__all__ = ["drop_suppressed", "forget_person", "suppression_tag", "withdraw_suppressed"]


def suppression_tag(installation: Installation, identifier: str) -> bytes:
    """The tag under which an erased person is recognised; `audit` is given it."""
    return TagKey.of(installation.keyring).subject(identifier)


def forget_person(installation: Installation, person: Forgotten) -> int:
    """Remove every version of every record of a person, and what hangs on them; dataset by dataset.

    Returns:
        How many versions of records were removed.
    """
    removed = 0
    _forget_staged(installation, person)
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


_STAGED = """
SELECT b.batch_id, b.dataset_id, b.slices FROM records.batch b
 WHERE to_regclass('staging.b_' || replace(b.batch_id::text, '-', '')) IS NOT NULL
"""
_WITHDRAWN = " RETURNING s._slice, s._page, hash_record_extended(s, 0)"


def _forget_staged(installation: Installation, person: Forgotten) -> None:
    """Take the person's rows out of every batch that waits or was left behind, and out of its ledger."""
    with translated(), installation.database.connect(Role.INGEST) as connection:
        subjects = {each.dataset_id: each.subject_column for each in read_shapes(connection)}
        waiting = connection.execute(_STAGED).fetchall()
        connection.commit()
        for batch_id, dataset, slices in waiting:
            if (subject := subjects.get(dataset)) is None:
                continue
            # Whoever lands, publishes or ends the batch holds this row, too.
            connection.execute("SELECT FROM records.batch WHERE batch_id = %s FOR UPDATE", [batch_id])
            staging = sql.Identifier("staging", f"b_{batch_id.hex}")
            there = connection.execute("SELECT to_regclass(%s)", [staging.as_string(connection)]).fetchone()
            if there is not None and there[0] is not None:
                query = sql.SQL("DELETE FROM {} s WHERE s.{} = %s").format(staging, sql.Identifier(subject))
                rows = connection.execute(query + sql.SQL(_WITHDRAWN), [person.value]).fetchall()
                names = [str(each["slice_id"]) for each in slices or ()]
                ledger.withdraw(connection, batch_id, ((names[row[0]], row[1], row[2]) for row in rows))
            connection.commit()


def withdraw_suppressed(connection: psycopg.Connection[Any], batch: Batch, tags: TagKey) -> None:
    """Take the rows of erased persons out of a batch that is about to be held, and out of its ledger.

    Call it in the transaction that holds the batch.
    """
    anybody = connection.execute("SELECT EXISTS (SELECT FROM audit.suppression)").fetchone()
    subject = batch.staging.table.subject_column
    if subject is None or anybody is None or not anybody[0]:
        return
    query = sql.SQL("DELETE FROM {staging} s USING audit.suppression x WHERE x.tag = {tag}").format(
        staging=batch.staging.identifier,
        tag=sql.SQL(tags.sql_subject.format(sql.Identifier("s", subject).as_string(connection))),
    )
    rows = connection.execute(query + sql.SQL(_WITHDRAWN), tags.parameters).fetchall()
    names = [each.slice_id for each in batch.slices]
    ledger.withdraw(connection, batch.batch_id, ((names[row[0]], row[1], row[2]) for row in rows))


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
