"""Who carries a number: persons in the registers, with what else decides whether they may be confirmed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql

from records.attempts import ATTEMPT_WINDOW, FAILURES, Tally
from records.linking import BATCHES
from records.shapes import DatasetShape, all_shapes

__all__ = ["Carriers", "Named", "carriers"]


@dataclass(frozen=True, slots=True)
class Named:
    """A number that somebody names, its tag, and the consumer for whom."""

    number: str = field(repr=False)
    tag: bytes = field(repr=False)
    consumer: str


@dataclass(slots=True)
class Carriers:
    """The persons who carry a number, and the failures of the consumer who names it.

    `batches` tells which batches were published last; it was read with the persons.
    """

    tally: Tally
    batches: bytes
    people: list[Mapping[str, Any]] = field(default_factory=list, repr=False)


def carriers(
    connection: psycopg.Connection[Any], named: Sequence[Named], now: datetime
) -> Callable[[], list[Carriers]]:
    """Ask who carries several numbers; whoever was erased is not known any more.

    Returns:
        What gives the carriers in the order of the numbers; calling it waits for the statement.
    """
    given = {
        "places": list(range(len(named))),
        "identifiers": [each.number for each in named],
        "tags": [each.tag for each in named],
        "consumers": [each.consumer for each in named],
        "since": now - ATTEMPT_WINDOW,
        "today": now.date(),
    }
    rows = connection.execute(_question(all_shapes(connection)), given)

    def told() -> list[Carriers]:
        found: dict[int, Carriers] = {}
        for place, failures, over_all, batches, is_erased, name, birth_date, card in rows.fetchall():
            carrying = found.setdefault(place, Carriers(Tally((failures, over_all)), batches or b""))
            if name is not None and not is_erased:
                person = {"name": name, "birth_date": birth_date, "family_card_number": card}
                carrying.people.append(person)
        return [found[place] for place in range(len(named))]

    return told


@lru_cache(maxsize=16)
def _question(shapes: tuple[DatasetShape, ...]) -> bytes:
    tables = {shape.table_name: shape for shape in shapes if shape.record_type == "Person"}
    found = sql.SQL(" UNION ALL ").join(map(_people, tables.values())) if tables else sql.SQL(_NOBODY)
    query = sql.SQL(
        "WITH a AS MATERIALIZED (SELECT * FROM unnest(%(places)s::int[], %(identifiers)s::text[],"
        " %(tags)s::bytea[], %(consumers)s::text[]) AS a (place, identifier, tag, consumer))"
        " SELECT a.place, {failures}, {batches},"
        " EXISTS (SELECT FROM audit.suppression s WHERE s.tag = a.tag),"
        " p.name, p.birth_date, p.family_card_number"
        " FROM a LEFT JOIN LATERAL (SELECT * FROM ({found}) f OFFSET 0) p ON true"
    )
    return query.format(failures=sql.SQL(FAILURES), batches=sql.SQL(BATCHES), found=found).as_bytes(None)


_NOBODY = "SELECT NULL::text AS name, NULL::date AS birth_date, NULL::text AS family_card_number WHERE false"


def _people(shape: DatasetShape) -> sql.Composed:
    return sql.SQL(
        "SELECT name, birth_date, family_card_number FROM {} WHERE {} = a.identifier"
        " AND (valid_to IS NULL OR valid_to > %(today)s)"
    ).format(shape.table, sql.Identifier(shape.subject_column or ""))
