"""The service catalogue: every service file checked whole, every error told at once, or nothing loads.

A service loads only if each criterion names its legal instrument (or says `illustrative: true`), refers only
to evidence and claims that exist, and compares only what can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from consent.exchange import Fields
from foundation.canonical import sha256_hex
from foundation.errors import Location
from records.evidence import SELF, Need
from schemas.marked_yaml import MarkedDocument, YamlProblem, read_marked_yaml
from verification.criteria import CLAIM, Expression, compile_expression
from verification.errors import ServiceInvalid, ServiceProblem, ServiceUnknown
from verification.expression import TODAY
from verification.relations_in_services import TARGET_KIND, check_criteria, check_relations
from verification.service import Criterion, EvidenceType, PublicService
from verification.types import BOOL, DATE, IDENTIFIER, INT, STRING, Kind, Scope, ValueType, type_of_column

if TYPE_CHECKING:
    from schemas.record_types import RecordType

BUILT_IN = Path(__file__).parent / "services"
_CLAIM_TYPES = {
    "int": INT, "string": STRING, "bool": BOOL, "date": DATE, "nik": IDENTIFIER, "nib": IDENTIFIER,
}  # fmt: skip
OTHER_PERSON = "guardian_of"
"""The one relation that leads to another person, about whom is decided separately."""


@dataclass(frozen=True)
class CompiledCriterion:
    """A criterion with its checked expression."""

    definition: Criterion
    expression: Expression

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The names of the evidence, and of the relations, that this criterion looks at, in order."""
        return tuple(sorted({record for record, _ in self.expression.references if record != CLAIM}))

    @cached_property
    def description(self) -> dict[str, Any]:
        """What every answer says of it, whatever its outcome."""
        definition, instrument = self.definition, self.definition.legalInstrument
        return {
            "criterion": definition.identifier,
            "title": {"id": definition.title.id, "en": definition.title.en},
            "relation": definition.relation,
            "legal_instrument": {
                "title": instrument.title,
                "article": instrument.article,
                "illustrative": instrument.illustrative,
            },
        }


@dataclass(frozen=True)
class Service:
    """A service that loaded: its description and its criteria, ready to run."""

    definition: PublicService
    criteria: tuple[CompiledCriterion, ...]
    scope: Scope
    digest: str
    needs: tuple[Need, ...]

    @cached_property
    def fields(self) -> Fields:
        """The fields that the service looks at, by dataset: what consent and agreements must cover."""
        return _merged([*_evidence_fields(self.definition), *_grounds(self.definition)])

    @cached_property
    def fields_about_applicant(self) -> Fields:
        """Those that are about the applicant, their business, or whether a relation holds."""
        own = _evidence_fields(self.definition, lambda relation: relation != OTHER_PERSON)
        return _merged([*own, *_grounds(self.definition)])

    @cached_property
    def fields_about_other(self) -> Fields:
        """Those that are about the child for whom the applicant speaks; empty in most services."""
        return _merged(_evidence_fields(self.definition, lambda relation: relation == OTHER_PERSON))

    @property
    def identifier(self) -> str:
        """The service's name in requests."""
        return self.definition.identifier


def _evidence_fields(
    definition: PublicService, wanted: Callable[[str], bool] = lambda _: True
) -> list[tuple[str, list[str]]]:
    return [
        (each.dataset, [*each.fields, *each.latestBy])
        for each in definition.evidence.values()
        if wanted(each.relation)
    ]


def _grounds(definition: PublicService) -> list[tuple[str, list[str]]]:
    return [(each.dataset, each.fields) for terms in definition.relations.values() for each in terms.restsOn]


def _merged(named: Iterable[tuple[str, Iterable[str]]]) -> Fields:
    found: dict[str, frozenset[str]] = {}
    for dataset, fields in named:
        found[dataset] = found.get(dataset, frozenset()) | frozenset(fields)
    return found


@dataclass(frozen=True)
class Catalogue:
    """Every service of this installation."""

    services: Mapping[str, Service]

    def service(self, identifier: str) -> Service:
        """Find a service by name.

        Raises:
            ServiceUnknown: When there is none.
        """
        found = self.services.get(identifier)
        if found is None:
            raise ServiceUnknown(
                "The catalogue has no such service",
                remedy="Ask for one of the services listed at /v1/services",
            )
        return found


def load_catalogue(directory: Path | None, datasets: Mapping[str, RecordType]) -> Catalogue:
    """Load all service files of a directory against the datasets that contracts describe.

    Args:
        directory: Where the `*.yaml` files are; None means those that come with the bus.
        datasets: The record type behind each dataset id.

    Raises:
        ServiceInvalid: With every problem of every file.
    """
    problems: list[ServiceProblem] = []
    services: dict[str, Service] = {}
    for path in sorted((directory or BUILT_IN).glob("*.yaml")):
        service = _load(path, datasets, problems)
        if service is None:
            continue
        if service.identifier in services:
            what = f"the service {service.identifier!r} is described in another file too"
            problems.append(ServiceProblem(Location(file=path.name), what, "Keep one of the two."))
        services[service.identifier] = service
    if problems:
        raise ServiceInvalid(problems)
    return Catalogue(services)


def _load(path: Path, datasets: Mapping[str, RecordType], problems: list[ServiceProblem]) -> Service | None:
    content = path.read_bytes()
    try:
        document = read_marked_yaml(content)
    except YamlProblem as problem:
        field = ".".join(str(part) for part in problem.path) or None
        where = Location(path.name, problem.line, field=field)
        problems.append(ServiceProblem(where, problem.message.rstrip("."), problem.remedy))
        return None
    check = _Check(path.name, document, problems)
    try:
        definition = PublicService.model_validate(document.data)
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False):
            check.add(found["loc"], _sentence(found["msg"]), "Correct the file; see docs/how-to.")
        return None
    return _compile(definition, datasets, check, sha256_hex(content))


@dataclass(frozen=True)
class _Check:
    file: str
    document: MarkedDocument
    problems: list[ServiceProblem]

    def add(self, path: tuple[str | int, ...], what: str, remedy: str) -> None:
        where = Location(
            file=self.file,
            line=self.document.line(path),
            field=".".join(str(part) for part in path) or None,
        )
        self.problems.append(ServiceProblem(where, what, remedy))


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")


def _compile(
    definition: PublicService, datasets: Mapping[str, RecordType], check: _Check, digest: str
) -> Service | None:
    before = len(check.problems)
    targets = check_relations(definition, datasets, check.add)
    scope = Scope(
        {
            **_evidence_scope(definition, datasets, check),
            **{name: {} for name in definition.relations},
            CLAIM: _claim_scope(definition),
        },
        TODAY,
    )
    criteria = []
    seen: set[str] = set()
    for position, criterion in enumerate(definition.holdsRequirement):
        path = ("holdsRequirement", position)
        if criterion.identifier in seen:
            check.add((*path, "identifier"), "another criterion has this identifier", "Choose another.")
        seen.add(criterion.identifier)
        compiled = compile_expression(criterion.expression, scope)
        if isinstance(compiled, tuple):
            for finding in compiled:
                what = f"at character {finding.column + 1}: {finding.what}"
                check.add((*path, "expression"), what, finding.remedy)
        else:
            criteria.append(CompiledCriterion(criterion, compiled))
    _check_everything_is_used(definition, criteria, check)
    if len(check.problems) > before:
        return None
    needs = tuple(_need(name, each, targets[name]) for name, each in definition.evidence.items())
    return Service(definition, tuple(criteria), scope, digest, needs)


def _need(name: str, evidence: EvidenceType, target_field: str | None) -> Need:
    age = evidence.maximumAge
    return Need(
        name,
        evidence.dataset,
        tuple(evidence.fields),
        relation=evidence.relation,
        target_field=target_field,
        latest_by=tuple(evidence.latestBy),
        maximum_age=timedelta(hours=age.hours) if age else None,
    )


def _check_everything_is_used(
    definition: PublicService, criteria: list[CompiledCriterion], check: _Check
) -> None:
    """No field may be asked for that no criterion uses: what is not needed is not disclosed."""
    if len(criteria) != len(definition.holdsRequirement):
        return
    by_criterion = [criterion.expression.references for criterion in criteria]
    check_criteria(definition, by_criterion, check.add)
    used = frozenset().union(*by_criterion)
    for name, evidence in definition.evidence.items():
        whole = (name, None) in used
        for field in evidence.fields:
            if (name, field) not in used and not whole and field not in evidence.latestBy:
                what = f"no criterion uses the field {field!r}"
                check.add(
                    ("evidence", name, "fields"), what, "Remove it: no more is disclosed than is needed."
                )


def _evidence_scope(
    definition: PublicService, datasets: Mapping[str, RecordType], check: _Check
) -> dict[str, dict[str, ValueType]]:
    records: dict[str, dict[str, ValueType]] = {}
    for name, evidence in definition.evidence.items():
        records[name] = {}
        record_type = datasets.get(evidence.dataset)
        if name in {CLAIM, SELF, *TODAY, *TARGET_KIND}:
            check.add(("evidence", name), f"{name!r} is a reserved name", "Choose another.")
        elif record_type is None:
            known = ", ".join(sorted(datasets)) or "none"
            what = f"no contract describes the dataset {evidence.dataset!r}"
            check.add(("evidence", name, "dataset"), what, f"Known datasets: {known}.")
        else:
            records[name] = _field_types(name, evidence.fields, record_type, check)
    return records


def _field_types(
    name: str, wanted: list[str], record_type: RecordType, check: _Check
) -> dict[str, ValueType]:
    types: dict[str, ValueType] = {}
    for position, field in enumerate(wanted):
        column = record_type.column(field)
        if column is None:
            what = f"{record_type.name} has no field {field!r}"
            known = ", ".join(record_type.column_names)
            check.add(("evidence", name, "fields", position), what, f"It has: {known}.")
        else:
            types[field] = type_of_column(column)
    return types


def _claim_scope(definition: PublicService) -> dict[str, ValueType]:
    return {
        name: ValueType(Kind.STRING, codes=frozenset(claim.codes))
        if claim.codes
        else _CLAIM_TYPES[claim.type]
        for name, claim in definition.claims.items()
    }
