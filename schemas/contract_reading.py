"""Reads one contract file into a :class:`Contract`, noting every problem instead of stopping at the first."""

from __future__ import annotations

import difflib
import re
from datetime import timedelta
from pathlib import Path as FilePath
from typing import Any

from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject
from pydantic import TypeAdapter, ValidationError

from foundation.canonical import sha256_of
from schemas.contract import Contract, ErrorBudget, FieldMapping, ServerBinding, Validity
from schemas.contract_terms import SECONDS, ContractTerms, Cron, ServerTerms, as_mapping
from schemas.declared_types import declare
from schemas.errors import UnknownRecordType
from schemas.mapping_reading import MappingReader, read_source_key
from schemas.marked_yaml import MarkedDocument, Path, YamlProblem, read_marked_yaml
from schemas.odcs import read_standard
from schemas.problems import Problems
from schemas.quality import QualityRule
from schemas.quality_reading import DATASET_ID, read_rule
from schemas.record_types import RecordType, record_type

SUFFIX = ".odcs.yaml"
API_VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0")
STATUSES = ("proposed", "draft", "active", "deprecated", "retired")
_SEMVER = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")
_ORDERED = frozenset({"bigint", "date", "timestamptz"})
_CRON: TypeAdapter[str] = TypeAdapter(Cron)


def read_contract(path: FilePath, problems: Problems) -> Contract | None:
    """Read one file; None when problems were found in it."""
    try:
        document = read_marked_yaml(path.read_bytes())
    except OSError as error:
        problems.add(
            (), "unreadable", f"The file cannot be read ({type(error).__name__}).", "Check its permissions."
        )
        return None
    except YamlProblem as problem:
        problems.add(problem.path, problem.rule, problem.message, problem.remedy, line=problem.line)
        return None
    problems.know(document)
    standard = read_standard(document, problems)
    if standard is None:
        return None
    contract = _Reader(standard, document, path, problems).read()
    return None if problems.found else contract


class _Reader:
    def __init__(
        self, standard: OpenDataContractStandard, document: MarkedDocument, path: FilePath, problems: Problems
    ) -> None:
        self.standard = standard
        self.document = document
        self.path = path
        self.problems = problems

    def read(self) -> Contract | None:
        agency, dataset = self._identity()
        major = self._header()
        terms = self._terms(ContractTerms, self.standard.customProperties, ("customProperties",))
        server = self._server()
        schedule, freshness = self._service_levels()
        schema = self._schema()
        if terms is None or schema is None or server is None:
            return None
        found = self._record_type(schema, major, terms)
        mapping = MappingReader(found, self.problems).read(schema)
        source_key = read_source_key(schema, found, mapping, self.problems)
        self._check_terms(terms, found, mapping)
        if self.problems.found:
            return None
        return Contract(
            id=f"{agency}/{dataset}",
            agency=agency,
            dataset=dataset,
            version=self.standard.version or "",
            record_type=found,
            mapping=mapping,
            server=server,
            quality=self._quality(schema, found),
            schedule=schedule,
            freshness=freshness,
            snapshot=terms.snapshot,
            cursor=terms.cursor,
            latest_by=terms.latestBy,
            closed_world=found.closed_world if terms.closedWorld is None else terms.closedWorld,
            mode=terms.mode,
            source_key=source_key,
            validity=Validity(terms.validFrom, terms.validTo),
            max_close_ratio=terms.maxCloseRatio,
            error_budget=ErrorBudget(terms.errorBudgetPage, terms.errorBudgetBatch),
            purpose=terms.purpose,
            hash=sha256_of(self.document.data),
            timezone=terms.timezone,
            name=self.standard.name or "",
            description=(self.standard.description.purpose or "") if self.standard.description else "",
            limitations=(self.standard.description.limitations or "") if self.standard.description else "",
            status=self.standard.status or "active",
            path=self.path,
        )

    def _problem(self, key: str, rule: str, message: str, remedy: str) -> None:
        self.problems.add((key,), rule, message, remedy)

    def _identity(self) -> tuple[str, str]:
        identity = self.standard.id or ""
        agency, _, dataset = identity.partition("/")
        if not DATASET_ID.fullmatch(identity):
            self._problem(
                "id", "id", "The id of a contract is the dataset's: <agency>/<dataset>.",
                "Write it in lower case with hyphens, such as dukcapil-mojokerto/persons.",
            )  # fmt: skip
        elif (self.path.parent.name, self.path.name) != (agency, dataset + SUFFIX):
            self._problem(
                "id", "id", "The id does not fit the place of the file.",
                f"Keep the contract as {agency}/{dataset}{SUFFIX}, or correct the id.",
            )  # fmt: skip
        return agency, dataset

    def _header(self) -> int:
        if self.standard.kind != "DataContract":
            self._problem("kind", "kind", "The file is not a data contract.", "Write kind: DataContract.")
        if self.standard.apiVersion not in API_VERSIONS:
            self._problem(
                "apiVersion", "api-version", "This version of the standard is not understood here.",
                f"Write apiVersion as one of: {', '.join(API_VERSIONS)}.",
            )  # fmt: skip
        if self.standard.status not in STATUSES:
            self._problem(
                "status", "status", "The status is not known.", f"Choose one of: {', '.join(STATUSES)}."
            )
        match = _SEMVER.fullmatch(self.standard.version or "")
        if match is None:
            self._problem(
                "version",
                "version",
                "The version is not a semantic version.",
                'Write it as "1.0.0", in quotes.',
            )
            return 1
        return max(1, int(match[1]))

    def _terms(self, model: type[Any], properties: list[Any] | None, path: Path) -> Any:
        names = [each.property for each in properties or []]
        for name in sorted({str(name) for name in names if names.count(name) > 1}):
            self.problems.add(path, "duplicate-key", f"The property {name} stands there twice.", "Keep one.")
        try:
            return model.model_validate(as_mapping(properties))
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False, include_context=False):
                name = str(each["loc"][0]) if each["loc"] else ""
                place = (*path, names.index(name)) if name in names else path
                close = difflib.get_close_matches(name, model.model_fields, n=1)
                hint = f"Did you mean {close[0]}? " if each["type"] == "extra_forbidden" and close else ""
                self.problems.add(
                    place, "custom-property", f"The custom property {name} is wrong: {each['msg']}.",
                    f"{hint}Known here are: {', '.join(model.model_fields)}.",
                )  # fmt: skip
            return None

    def _server(self) -> ServerBinding | None:
        servers = self.standard.servers or []
        if len(servers) != 1:
            self._problem(
                "servers",
                "servers",
                f"The contract names {len(servers)} servers.",
                "Name exactly one system.",
            )
            return None
        path: Path = ("servers", 0, "customProperties")
        terms: ServerTerms | None = self._terms(ServerTerms, servers[0].customProperties, path)
        if terms is None:
            return None
        config = dict(terms.connector)
        kind = config.pop("kind", None)
        place = next(
            position
            for position, each in enumerate(servers[0].customProperties or [])
            if each.property == "connector"
        )
        if not isinstance(kind, str):
            self.problems.add(
                path, "connector", "The connector has no kind.", "Write kind: sql, rest, files or fhir."
            )
            return None
        return ServerBinding(kind, terms.system, config, self._lines_below((*path, place, "value")))

    def _lines_below(self, path: Path) -> dict[str, int]:
        depth = len(path)
        return {
            ".".join(map(str, each[depth:])): line
            for each, line in self.document.lines.items()
            if each[:depth] == path
        }

    def _service_levels(self) -> tuple[str, timedelta]:
        levels = {
            each.property: (position, each) for position, each in enumerate(self.standard.slaProperties or [])
        }
        schedule, freshness = "", timedelta()
        if "frequency" in levels:
            position, level = levels["frequency"]
            try:
                schedule = _CRON.validate_python(level.schedule or "")
            except ValidationError:
                self.problems.add(
                    ("slaProperties", position), "schedule",
                    "The schedule is not a cron expression of five parts.",
                    'Write scheduler: cron and schedule: "15 1 * * *".',
                )  # fmt: skip
        else:
            self._problem(
                "slaProperties", "schedule", "The contract has no schedule.", "Add the property frequency."
            )
        if "latency" in levels:
            position, level = levels["latency"]
            freshness = self._duration(level.value, level.unit, ("slaProperties", position))
        else:
            self._problem(
                "slaProperties", "freshness", "The contract does not say how old its data may be.",
                "Add the property latency with a value and a unit.",
            )  # fmt: skip
        return schedule, freshness

    def _duration(self, value: Any, unit: str | None, path: Path) -> timedelta:
        seconds = SECONDS.get(unit or "")
        if (
            seconds is None
            or isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value < 10**6
        ):
            self.problems.add(
                path,
                "duration",
                "The value and unit are not a length of time.",
                "Write value: 36 and unit: h.",
            )
            return timedelta()
        return timedelta(seconds=value * seconds)

    def _schema(self) -> SchemaObject | None:
        schemas = self.standard.schema_ or []
        if len(schemas) != 1 or not schemas[0].name or not schemas[0].properties:
            self._problem(
                "schema", "schema", "The contract does not describe exactly one record type with properties.",
                "Keep one entry with a name and properties under schema.",
            )  # fmt: skip
            return None
        return schemas[0]

    def _record_type(self, schema: SchemaObject, major: int, terms: ContractTerms) -> RecordType:
        try:
            return record_type(schema.name or "")
        except UnknownRecordType:
            return declare(schema, major, terms.subjectIdentifier, ("schema", 0), self.problems)

    def _check_terms(
        self, terms: ContractTerms, found: RecordType, mapping: tuple[FieldMapping, ...]
    ) -> None:
        mapped = {each.field: each for each in mapping}
        for name in (terms.validFrom, terms.validTo):
            if name is not None and (
                name not in mapped or mapped[name].column.sql_type not in {"date", "timestamptz"}
            ):
                self._problem(
                    "customProperties", "validity", f"The validity names '{name}', which is no mapped date.",
                    "Name a mapped field of type date or timestamp.",
                )  # fmt: skip
        if terms.latestBy is not None and (
            terms.latestBy not in mapped or mapped[terms.latestBy].column.sql_type not in _ORDERED
        ):
            self._problem(
                "customProperties", "latest-by",
                f"The versions are ordered by '{terms.latestBy}', which is no mapped number or moment.",
                "Name a mapped field of type integer, date or timestamp.",
            )  # fmt: skip
        if found.model is not None and terms.subjectIdentifier not in {None, found.subject_identifier}:
            self._problem(
                "customProperties", "subject", f"The subject of {found.name} is {found.subject_identifier}.",
                "Remove the custom property subjectIdentifier.",
            )  # fmt: skip

    def _quality(self, schema: SchemaObject, found: RecordType) -> tuple[QualityRule, ...]:
        rules = []
        for position, quality in enumerate(schema.quality or []):
            rules.append(read_rule(quality, ("schema", 0, "quality", position), None, found, self.problems))
        for at, declared in enumerate(schema.properties or []):
            for position, quality in enumerate(declared.quality or []):
                path = ("schema", 0, "properties", at, "quality", position)
                rules.append(read_rule(quality, path, declared.name, found, self.problems))
        kept = tuple(rule for rule in rules if rule is not None)
        names = [rule.name for rule in kept]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._problem(
                "schema", "quality", f"Two quality rules are called {name}.", "Give each its own name."
            )
        return kept
