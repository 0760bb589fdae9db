"""The statements that ask the registers about one relation of one applicant or several.

Parameters are `today`, `datasets`, and lists, one place for each applicant: `person` (the place), `target`,
`identifier` and `subject` (of the applicant), `tag` and `target_tag`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from psycopg import sql

from records.shapes import DatasetShape

__all__ = ["GUARDIAN_OF", "OWNER_OF", "STATES", "question"]

GUARDIAN_OF = "guardian_of"
OWNER_OF = "owner_of"

_ASKED = """
WITH a AS MATERIALIZED (
     SELECT * FROM unnest(%(person)s::int[], %(target)s::text[], %(identifier)s::text[], %(subject)s::uuid[],
                          %(tag)s::bytea[], %(target_tag)s::bytea[])
                   AS a (person, target, identifier, subject, tag, target_tag))
"""


@dataclass(frozen=True, slots=True)
class _Part:
    """Which records of a type are looked at, in what role, and which of their fields."""

    role: str
    record_type: str
    condition: str
    fields: tuple[str, ...]
    own: bool = False


_HEAD = ("family_card_number", "head_nik")
_OWNER = ("owner_nik",)
_MINE = "t.owner_nik = a.identifier AND t.nib = a.target"
_PARENTS = ("birth_date", "mother_nik", "father_nik")
_CARD = ("family_card_number", "relationship_to_head")
_PARTS = {
    GUARDIAN_OF: (
        _Part("child", "Person", "t.nik = a.target", (*_PARENTS, *_CARD)),
        _Part("guardian", "Person", "t.nik = a.identifier", _CARD, own=True),
        _Part("birth", "Birth", "t.nik = a.target", _PARENTS),
        _Part("family", "Family", "t.head_nik = a.identifier", _HEAD, own=True),
        # who else heads the child's card: read by the card's number, which is the family's key at its source
        _Part(
            "family",
            "Family",
            "t.source_key = ANY(ARRAY(SELECT p.family_card_number FROM {persons} p WHERE p.nik = a.target))"
            " AND t.head_nik <> a.identifier",
            _HEAD,
        ),
    ),
    OWNER_OF: (
        _Part("business", "Business", _MINE, _OWNER, own=True),
        _Part(
            "business",
            "Business",
            "t.source_key = a.target AND t.nib = a.target AND t.owner_nik IS DISTINCT FROM a.identifier",
            _OWNER,
        ),
        _Part("license", "License", _MINE, _OWNER, own=True),
    ),
}
_DISPUTED = (
    "EXISTS (SELECT FROM quality.conflict c WHERE c.closed_at IS NULL AND c.field = 'birth_date'"
    " AND (c.record_id = t.record_id OR c.other_record_id = t.record_id))"
)
_CUT = (
    " AND NOT EXISTS (SELECT FROM identity.severance c WHERE c.subject_id = a.subject"
    " AND c.record_id = t.record_id AND c.recorded_to IS NULL)"
)


@lru_cache(maxsize=16)
def question(kind: str, shapes: tuple[DatasetShape, ...]) -> bytes | None:
    """What the records say; None where no dataset could say anything."""
    persons = next((each.table for each in shapes if each.record_type == "Person"), None)
    wanted = [part for part in _PARTS[kind] if persons is not None or "{persons}" not in part.condition]
    parts = [
        _selected(part, shape, persons or shape.table)
        for part in wanted
        for shape in shapes
        if shape.record_type == part.record_type
    ]
    return (sql.SQL(_ASKED) + sql.SQL(" UNION ALL ").join(parts)).as_bytes(None) if parts else None


def _selected(part: _Part, shape: DatasetShape, persons: sql.Identifier) -> sql.Composed:
    return sql.SQL(
        "SELECT a.person, {role}, t.record_id, t.dataset, jsonb_build_object({fields}), {disputed}"  # noqa: S608
        " FROM a CROSS JOIN {table} t WHERE t.dataset = {dataset} AND "
        + part.condition
        + " AND (t.valid_to IS NULL OR t.valid_to > %(today)s)"
        + (_CUT if part.own else "")
    ).format(
        role=sql.Literal(part.role),
        fields=sql.SQL(", ").join(
            sql.SQL("{}, {}").format(sql.Literal(name), sql.Identifier("t", name)) for name in part.fields
        ),
        disputed=sql.SQL(_DISPUTED if "birth_date" in part.fields else "false"),
        table=shape.table,
        dataset=sql.Literal(shape.dataset_id),
        persons=persons,
    )


STATES = f"""
{_ASKED}
SELECT a.person, d.dataset_id, s.source_time, s.source_time + d.freshness,
       EXISTS (SELECT FROM quality.quarantine_tag q
                WHERE q.tag IN (a.tag, a.target_tag) AND q.dataset_id = d.dataset_id),
       EXISTS (SELECT FROM quality.held_tag h
                WHERE h.tag IN (a.tag, a.target_tag) AND h.dataset_id = d.dataset_id),
       d.closed_world
  FROM a CROSS JOIN (records.dataset d LEFT JOIN records.dataset_state s USING (dataset_id))
 WHERE d.dataset_id = ANY(%(datasets)s)
"""  # noqa: S608
"""Where the datasets stand that could prove the relation."""
