"""What a service file says about relations, checked: each leads somewhere and is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from records.evidence import SELF
from verification.criteria import CLAIM
from verification.expression import Reference
from verification.service import PublicService

if TYPE_CHECKING:
    from schemas.record_types import RecordType

TARGET_KIND: Mapping[str, str] = {"guardian_of": "nik", "owner_of": "nib"}
"""Which kind of number each relation leads to."""

Path = tuple[str | int, ...]
Report = Callable[[Path, str, str], None]


def check_relations(
    definition: PublicService, datasets: Mapping[str, RecordType], report: Report
) -> Mapping[str, str | None]:
    """Check relations and the evidence about those they lead to.

    Returns:
        For each evidence the field that must carry the number of the relation's target, where one must.
    """
    for name, terms in definition.relations.items():
        place: Path = ("relations", name)
        claim = definition.claims.get(terms.claim)
        if claim is None or claim.type != TARGET_KIND[name]:
            what = f"the claim {terms.claim!r} is not a claim of type {TARGET_KIND[name]}"
            report((*place, "claim"), what, f"Declare it under claims with type: {TARGET_KIND[name]}.")
        for position, ground in enumerate(terms.restsOn):
            for what, remedy in _missing(ground.dataset, ground.fields, datasets):
                report((*place, "restsOn", position), what, remedy)
    return {name: _target_field(definition, datasets, name, report) for name in definition.evidence}


def _target_field(
    definition: PublicService, datasets: Mapping[str, RecordType], name: str, report: Report
) -> str | None:
    evidence = definition.evidence[name]
    place: Path = ("evidence", name)
    if evidence.relation != SELF and evidence.relation not in definition.relations:
        what = f"the service declares no relation {evidence.relation!r}"
        report((*place, "relation"), what, "Declare it under relations, with the claim that names it.")
    record_type = datasets.get(evidence.dataset)
    if record_type is None:
        return None
    for what, remedy in _missing(evidence.dataset, evidence.latestBy, datasets):
        report((*place, "latestBy"), what, remedy)
    if record_type.subject_identifier is None:
        report((*place, "dataset"), "its records are about nobody", "Name a dataset about persons.")
    if evidence.relation != "owner_of":
        return None
    carrying = [each.name for each in record_type.columns if each.identifier_kind == "nib"]
    if len(carrying) != 1:
        what = f"{record_type.name} does not say which business a record is about"
        report((*place, "relation"), what, "Use relation: self, or a dataset whose records carry one NIB.")
        return None
    return carrying[0]


def _missing(
    dataset: str, fields: Sequence[str], datasets: Mapping[str, RecordType]
) -> Iterator[tuple[str, str]]:
    record_type = datasets.get(dataset)
    if record_type is None:
        known = ", ".join(sorted(datasets))
        yield f"no contract describes the dataset {dataset!r}", f"Known datasets: {known}."
        return
    has = ", ".join(record_type.column_names)
    for field in fields:
        if record_type.column(field) is None:
            yield f"{record_type.name} has no field {field!r}", f"It has: {has}."


def check_criteria(definition: PublicService, used: Sequence[frozenset[Reference]], report: Report) -> None:
    """Check that each criterion states the relation of what it looks at, and that each relation is used."""
    seen: set[str] = set()
    for position, (criterion, references) in enumerate(zip(definition.holdsRequirement, used, strict=True)):
        related = {_relation_of(definition, record) for record, _ in references} - {SELF}
        seen |= related
        place: Path = ("holdsRequirement", position, "relation")
        stated = {criterion.relation} - {SELF}
        if related != stated:
            shown = ", ".join(sorted(related)) or SELF
            what = f"it says {criterion.relation!r}, but looks at what is about {shown}"
            report(
                place,
                what,
                "State the one relation of what it looks at; split it if there are two.",
            )
    for name in definition.relations:
        if name not in seen:
            report(("relations", name), "no criterion looks at it", "Remove it: nothing is asked in vain.")


def _relation_of(definition: PublicService, record: str) -> str:
    if record == CLAIM:
        return SELF
    if record in definition.relations:
        return record
    return definition.evidence[record].relation
