"""The one statement that asks the registers for the evidence about one applicant or several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from psycopg import sql

from foundation.errors import Location
from records.errors import NeedUnknown
from records.shapes import DatasetShape

if TYPE_CHECKING:
    from records.evidence import Need

__all__ = ["question"]

_MOST_RECORDS = 20


@lru_cache(maxsize=256)
def question(known: tuple[tuple[int, Need, DatasetShape], ...], relations: tuple[str, ...]) -> bytes:
    """The statement that asks for every known need of every person given, once for each shape of it.

    Parameters are `today`, `person` (a list of places), and for each relation lists of `identifier`,
    `subject`, `tag` and `target` (as `tag_self`). Two kinds of rows come back, with the same columns:
    where a need's dataset stands for a person, and, without the number of a need, a list of the records
    about a person for all of `known`.
    """
    columns = [
        ("person", "integer"),
        *((f"{name}_{each}", kind) for each in relations for name, kind in _GIVEN),
    ]
    return (
        sql.SQL(
            "WITH a ({names}) AS MATERIALIZED (SELECT * FROM unnest({arrays})) {standing} UNION ALL {told}"
        )
        .format(
            names=sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns),
            arrays=sql.SQL(", ").join(
                sql.Placeholder(name) + sql.SQL(f"::{kind}[]") for name, kind in columns
            ),
            standing=_standing(known),
            told=_told(known),
        )
        .as_bytes(None)
    )


_GIVEN = (("identifier", "text"), ("subject", "uuid"), ("tag", "bytea"), ("target", "text"))
"""What is told of each person, by relation."""


def _told_of(name: str, relation: str) -> sql.Identifier:
    return sql.Identifier("a", f"{name}_{relation}")


def _standing(known: Sequence[tuple[int, Need, DatasetShape]]) -> sql.Composed:
    """Where the datasets stand, each looked up once; `OFFSET 0` keeps the planner from reading all tags."""
    needs = [
        sql.SQL("({}::int, {}, {})").format(number, need.dataset_id, need.relation)
        for number, need, _ in known
    ]
    tags = [
        sql.SQL("WHEN {} THEN {}").format(relation, _told_of("tag", relation))
        for relation in dict.fromkeys(need.relation for _, need, _ in known)
    ]
    return sql.SQL(
        "SELECT a.person, w.number, d.contract_hash, d.agency, d.closed_world, d.freshness,"
        " s.source_time, s.contract_version,"
        " EXISTS (SELECT FROM quality.quarantine_tag q"
        " WHERE q.tag = {tag} AND q.dataset_id = w.dataset_id OFFSET 0),"
        " EXISTS (SELECT FROM quality.held_tag h"
        " WHERE h.tag = {tag} AND h.dataset_id = w.dataset_id OFFSET 0),"
        " NULL::jsonb, pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        " FROM (VALUES {needs}) AS w (number, dataset_id, relation)"
        " JOIN records.dataset d USING (dataset_id) LEFT JOIN records.dataset_state s USING (dataset_id)"
        " CROSS JOIN a"
    ).format(
        tag=sql.SQL("CASE w.relation {} END").format(sql.SQL(" ").join(tags)),
        needs=sql.SQL(", ").join(needs),
    )


def _told(known: Sequence[tuple[int, Need, DatasetShape]]) -> sql.Composed:
    """What the records say: a list with a place for each need."""
    return sql.SQL(
        "SELECT a.person, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, jsonb_build_array({}), NULL"
        " FROM a"
    ).format(sql.SQL(", ").join(_records(need, shape) for _, need, shape in known))


def _check_fields(need: Need, shape: DatasetShape) -> None:
    for name in (*need.fields, *need.latest_by, *([need.target_field] if need.target_field else [])):
        if shape.sql_type(name) is None:
            raise NeedUnknown(
                f"The dataset {need.dataset_id} has no field of that name",
                remedy="Correct the service's evidence or publish a contract that has the field",
                location=Location(field=name),
                need=need.name,
            )


def _records(need: Need, shape: DatasetShape) -> sql.Composable:
    """The subject's records that hold today, the latest first, but for those that a person has cut loose.

    `OFFSET 0` keeps the planner from walking the table in the order of the sort instead of by number.
    """
    _check_fields(need, shape)
    if shape.subject_column is None:
        return sql.SQL("NULL")
    latest = need.latest_by or shape.order_columns
    read = dict.fromkeys((*need.fields, *latest))
    order = [sql.SQL("{} DESC NULLS LAST").format(sql.Identifier("t", name)) for name in latest]
    target = sql.SQL("")
    if need.target_field is not None:
        target = sql.SQL(" AND n.{} = {}").format(
            sql.Identifier(need.target_field), _told_of("target", need.relation)
        )  # type: ignore[assignment]
    return sql.SQL(
        "(SELECT jsonb_agg(jsonb_build_array(r.record_id, jsonb_build_array({fields}),"
        " jsonb_build_array({latest}), {contradictions})) FROM (SELECT * FROM ("
        "SELECT {read} FROM {table} n WHERE n.{subject} = {identifier} AND n.dataset = {dataset}{target}"
        " AND (n.valid_to IS NULL OR n.valid_to > %(today)s) AND NOT EXISTS (SELECT FROM identity.severance c"
        " WHERE c.subject_id = {handle} AND c.record_id = n.record_id AND c.recorded_to IS NULL)"
        " OFFSET 0) t ORDER BY {order} LIMIT {limit}) r)"
    ).format(
        fields=sql.SQL(", ").join(sql.Identifier("r", name) for name in need.fields),
        latest=sql.SQL(", ").join(sql.Identifier("r", name) for name in latest),
        read=sql.SQL(", ").join(sql.Identifier("n", name) for name in ("record_id", *read)),
        contradictions=_contradictions(need, shape),
        table=shape.table,
        subject=sql.Identifier(shape.subject_column),
        identifier=_told_of("identifier", need.relation),
        handle=_told_of("subject", need.relation),
        target=target,
        dataset=sql.Literal(need.dataset_id),
        order=sql.SQL(", ").join([*order, sql.SQL("t.record_id")]),
        limit=sql.Literal(_MOST_RECORDS),
    )


def _contradictions(need: Need, shape: DatasetShape) -> sql.Composable:
    """Open conflicts about needed fields; not even asked for where no needed field can be in one."""
    fields = [name for name in need.fields if name in shape.comparable]
    if not fields:
        return sql.SQL("NULL")
    return sql.SQL(
        "(SELECT jsonb_agg(jsonb_build_array(c.field, c.dataset_id, c.other_dataset_id))"
        " FROM quality.conflict c WHERE c.closed_at IS NULL AND c.field = ANY({fields})"
        " AND (c.record_id = r.record_id OR c.other_record_id = r.record_id))"
    ).format(fields=sql.Literal(fields))
