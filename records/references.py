"""Rules between datasets: what one register says should fit what another one knows.

A contract asks for references by the metric ``danglingReferences``; some hold for every register of a type. A
register that was never published can prove nothing: the rule is skipped, and said to be skipped. A broken
reference of severity `warning` is published and flagged: a death whose person the bus does not know is a true
death all the same, and to hold it back would leave somebody verified who is dead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from foundation.errors import Location
from records.errors import QualityRuleUnknown
from schemas.quality import Metric, QualityRule

if TYPE_CHECKING:
    from schemas.contract import Contract

__all__ = ["Reference", "ResolvedReference", "references_of", "resolve"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A field that should name an open record of another dataset, or, if `forbidden`, should name none.

    Attributes:
        rule: Name of the rule.
        field: The field.
        target_field: The field of the other records that carries the same identifier.
        target_dataset: The other dataset; else every dataset of `target_type` counts.
        target_type: The record type of the other datasets.
        description: What should hold.
        forbidden: Whether a record found is what breaks the rule.
        own_agency: Whether only datasets of the same agency count.
        when: Only rows are looked at whose field has one of the values, for every field named.
        line: Where it stands in the contract, if it does.
    """

    rule: str
    field: str
    target_field: str
    target_dataset: str | None = None
    target_type: str | None = None
    description: str = ""
    forbidden: bool = False
    own_agency: bool = False
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ResolvedReference:
    """A reference with the condition that breaks it, over a row `s`; or why it cannot be checked."""

    reference: Reference
    condition: str = ""
    skipped: str = ""


_BY_TYPE = {
    "Death": (
        Reference(
            rule="person-known",
            field="nik",
            target_field="nik",
            target_type="Person",
            description="The deceased is a person that the same registry knows.",
            own_agency=True,
        ),
    ),
    "Business": (
        Reference(
            rule="owner-alive",
            field="owner_nik",
            target_field="nik",
            target_type="Death",
            description="The owner of a business is not recorded as dead.",
            forbidden=True,
        ),
    ),
    "License": (
        Reference(
            rule="owner-alive",
            field="owner_nik",
            target_field="nik",
            target_type="Death",
            description="The owner of a license is not recorded as dead.",
            forbidden=True,
        ),
    ),
}
"""What should hold whatever the contract says; a rule of the contract of the same name takes its place."""


def references_of(contract: Contract) -> tuple[Reference, ...]:
    """The references of the contract's record type that no rule of the contract replaces."""
    named = {rule.name for rule in contract.quality}
    mapped = set(contract.fields)
    own = _BY_TYPE.get(contract.record_type.name, ())
    return tuple(each for each in own if each.rule not in named and each.field in mapped)


def asked_by(contract: Contract) -> tuple[Reference, ...]:
    """The references that the contract's quality rules ask for."""
    return tuple(_of_rule(rule) for rule in contract.quality if rule.metric is Metric.DANGLING_REFERENCES)


def resolve(
    connection: psycopg.Connection[Any], contract: Contract, references: Sequence[Reference]
) -> Iterator[ResolvedReference]:
    """Find the tables that the references lead to, as they are published now.

    Raises:
        QualityRuleUnknown: When the other dataset has no field of that name.
    """
    if not references:
        return
    targets = [
        _Target(*row)
        for row in connection.execute(
            "SELECT d.dataset_id, d.agency, d.record_type, d.table_name, d.columns, s.dataset_id IS NOT NULL"
            " FROM records.dataset d LEFT JOIN records.dataset_state s USING (dataset_id)"
            " WHERE d.mode = 'copy' ORDER BY 1"
        )
    ]
    for reference in references:
        wanted = [each for each in targets if each.meant_by(reference, contract.agency)]
        for target in wanted:
            _require_field(reference, target)
        published = [each for each in wanted if each.published]
        if published:
            yield ResolvedReference(reference, _condition(reference, published))
        else:
            what = reference.target_dataset or f"a dataset of type {reference.target_type}"
            yield ResolvedReference(reference, skipped=f"Not checked: {what} was never published.")


@dataclass(frozen=True, slots=True)
class _Target:
    dataset: str
    agency: str
    record_type: str
    table: str
    columns: list[tuple[str, str]]
    published: bool

    def meant_by(self, reference: Reference, agency: str) -> bool:
        if reference.target_dataset is not None:
            return self.dataset == reference.target_dataset
        near = not reference.own_agency or self.agency == agency
        return near and self.record_type == reference.target_type


def _condition(reference: Reference, targets: Sequence[_Target]) -> str:
    """SQL that is true of a row `s` that breaks the reference; as a condition of WHERE it becomes a join.

    In any other place the planner would look through the other register once a row.
    """
    others = sql.SQL(" UNION ALL ").join(
        sql.SQL(
            "SELECT {target} AS named FROM {table} WHERE dataset = {dataset}"
            " AND (valid_to IS NULL OR valid_to > current_date)"
        ).format(
            table=sql.Identifier("records", each.table),
            dataset=sql.Literal(each.dataset),
            target=sql.Identifier(reference.target_field),
        )
        for each in targets
    )
    found = sql.SQL("EXISTS (SELECT FROM ({}) p WHERE p.named = s.{})").format(
        others, sql.Identifier(reference.field)
    )
    scope = [
        sql.SQL(" AND s.{} = ANY(ARRAY[{}])").format(
            sql.Identifier(name), sql.SQL(", ").join(map(sql.Literal, values))
        )
        for name, values in reference.when
    ]
    negated = sql.SQL("" if reference.forbidden else "NOT ")
    return (
        sql.SQL("s.{field} IS NOT NULL{scope} AND {negated}{found}")
        .format(
            field=sql.Identifier(reference.field), scope=sql.SQL("").join(scope), negated=negated, found=found
        )
        .as_string(None)
    )


def _require_field(reference: Reference, target: _Target) -> None:
    if reference.target_field not in {name for name, _ in target.columns}:
        raise QualityRuleUnknown(
            f"The quality rule {reference.rule} looks for a field that {target.dataset} does not have",
            remedy="Name a field of the other dataset's record type",
            location=Location(line=reference.line, field=reference.target_field, rule=reference.rule),
        )


def _of_rule(rule: QualityRule) -> Reference:
    named = rule.reference
    assert named is not None
    return Reference(
        rule=rule.name,
        field=rule.fields[0],
        target_field=named.field,
        target_dataset=named.dataset,
        description=rule.description,
        when=named.when,
        line=rule.line,
    )
