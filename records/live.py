"""What a source says when it is asked live, read by the contract's own mapping and judged like a record.

Nothing of it is landed or kept.
Invariant: only rows that carry the number that was asked for are looked at; a reply with any other row is no
reply at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from records.content import source_key
from records.errors import StrangersShown
from records.evidence import EASTERNMOST, About, Contradiction, Evidence, EvidenceStatus, Need
from records.shapes import DatasetShape
from schemas.contract import Contract
from schemas.mapping import CompiledMapping, compile_mapping

__all__ = ["live_evidence", "lookup_key", "narrowed", "severed_keys"]

Row = Mapping[str, Any]


def lookup_key(contract: Contract, columns: Sequence[str], need: Need, about: About) -> dict[str, str] | None:
    """What to ask a source for, in its own columns; None when it is not asked by person."""
    known = {contract.subject_field: about.subject.nik.value}
    if need.target_field is not None and about.target is not None:
        known[need.target_field] = about.target
    key = {}
    for column in columns:
        fields = [each.field for each in contract.mapping if each.value_columns == (column,)]
        value = next((known[field] for field in fields if field in known), None)
        if value is None:
            return None
        key[column] = value
    return key if contract.subject_field is not None else None


def narrowed(contract: Contract, needs: Iterable[Need], order: Sequence[str] = ()) -> Contract:
    """The contract as far as some needs are judged by it: a source is asked for nothing else.

    Beside what was decided these are the fields by which its answer is judged: whom a record is about, which
    record it is, whether it holds, and which is the latest.
    """
    wanted = {contract.subject_field, contract.validity.to_field, contract.latest_by, *contract.source_key}
    for need in needs:
        wanted |= {*need.fields, need.target_field, *(need.latest_by or order)}
    return contract.narrowed({name for name in wanted if name is not None})


def severed_keys(connection: psycopg.Connection[Any], shape: DatasetShape, about: About) -> frozenset[str]:
    """The rows that a person has cut loose from the subject, by their key at the source."""
    query = sql.SQL(
        "SELECT t.source_key FROM identity.severance c JOIN {} t USING (record_id)"
        " WHERE c.subject_id = %s AND c.recorded_to IS NULL AND t.dataset = %s"
    ).format(shape.table)
    rows = connection.execute(query, (about.subject.keys.handle, shape.dataset_id))
    return frozenset(row[0] for row in rows)


def live_evidence(
    contract: Contract,
    need: Need,
    about: About,
    frame: pl.DataFrame,
    *,
    now: datetime,
    order: Sequence[str] = (),
    severed: frozenset[str] = frozenset(),
    contradictions: tuple[Contradiction, ...] = (),
) -> Evidence:
    """Turn a source's reply into evidence.

    Args:
        contract: The dataset's contract, whose mapping reads the reply.
        need: What is needed.
        about: Whom it is about.
        frame: The reply in the source's own columns.
        now: When it came.
        order: What tells a subject's records apart, where the need does not say.
        severed: Keys of rows that a person has cut loose from the subject.
        contradictions: Open conflicts with other registers; a live reply does not settle them.

    Raises:
        StrangersShown: When a row does not carry the number that was asked for.
        ColumnsChanged: When the source no longer has the contract's columns.
    """
    mapped = _mapping(contract).apply(frame)
    rows = mapped.accepted.to_dicts()
    subject = contract.subject_field or ""
    if any(row[subject] != about.subject.nik.value for row in rows):
        raise StrangersShown(
            f"The source of {contract.id} answered with a record of somebody else",
            remedy="Tell the agency at once: its look-up shows other people's data",
            dataset=contract.id,
        )
    said = _said(contract, [row for row in rows if _fits(row, contract, need, about, now)], severed)
    latest = need.latest_by or tuple(order)
    answering = _answering(said or [], latest)
    status = _status(answering, need, contract)
    if mapped.rejected or said is None:
        status = EvidenceStatus.UNKNOWN
    elif contradictions and status is EvidenceStatus.PRESENT:
        status = EvidenceStatus.CONFLICT
    told = {each.field for each in contradictions}
    values = {name: answering[0][name] for name in need.fields if name not in told} if answering else {}
    return Evidence(
        need=need,
        status=status,
        values=values if status in (EvidenceStatus.PRESENT, EvidenceStatus.CONFLICT) else {},
        provider=contract.agency,
        dataset=contract.id,
        as_of=now,
        fresh_until=now + min(contract.freshness, need.maximum_age or contract.freshness),
        contract_version=contract.version,
        live=True,
        contradictions=contradictions if status is EvidenceStatus.CONFLICT else (),
    )


_MAPPINGS: dict[tuple[str, tuple[str, ...]], CompiledMapping] = {}


def _mapping(contract: Contract) -> CompiledMapping:
    """The compiled mapping, kept by the contract's hash and fields for as long as the process lives."""
    known = (contract.hash, contract.fields)
    if known not in _MAPPINGS:
        _MAPPINGS[known] = compile_mapping(contract)
    return _MAPPINGS[known]


def _fits(row: Row, contract: Contract, need: Need, about: About, now: datetime) -> bool:
    """Whether a row is about the thing asked for, and holds today."""
    if need.target_field is not None and row[need.target_field] != about.target:
        return False
    ends = row.get(contract.validity.to_field or "")
    return ends is None or ends > now.astimezone(EASTERNMOST).date()


def _said(contract: Contract, rows: list[Row], severed: frozenset[str]) -> list[Row] | None:
    """The latest word on each record; None when one key comes twice where it may not."""
    by_key: dict[str, Row] = {}
    latest = contract.latest_by
    for row in rows:
        key = source_key([row[name] for name in contract.source_key])
        if key in severed:
            continue
        if key in by_key and latest is None:
            return None
        if key not in by_key or (latest is not None and row[latest] > by_key[key][latest]):
            by_key[key] = row
    return list(by_key.values())


def _answering(rows: list[Row], latest: Sequence[str]) -> list[Row]:
    """The rows about the latest year, or whatever else tells a subject's records apart; null comes last."""

    def rank(row: Row) -> tuple[Any, ...]:
        return tuple(
            (row[name] is not None, row[name]) if row[name] is not None else (False,) for name in latest
        )

    ordered = sorted(rows, key=rank, reverse=True)
    return [row for row in ordered if rank(row) == rank(ordered[0])]


def _status(answering: list[Row], need: Need, contract: Contract) -> EvidenceStatus:
    told = {tuple(row[name] for name in need.fields) for row in answering}
    if len(told) > 1:
        return EvidenceStatus.CONFLICT
    if told:
        return EvidenceStatus.PRESENT
    return EvidenceStatus.ABSENT if contract.closed_world else EvidenceStatus.UNKNOWN
