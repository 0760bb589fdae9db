"""Writes the reference pages of this room from the code itself, so that they cannot fall behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel

from schemas.contract import Contract, FieldMapping
from schemas.contract_terms import ContractTerms, FieldTerms, ServerTerms
from schemas.contracts import load_contracts
from schemas.identifiers import IDENTIFIERS, Identifier
from schemas.kinds import DateKind, IntegerKind, Kind, TextKind
from schemas.quality import Dimension, Metric, QualityRule, Severity
from schemas.record_types import Column, RecordType, record_types
from schemas.transform_reading import STEPS

EXAMPLES: Mapping[str, Sequence[str]] = {
    "nik": ("3576021505900001", "3576.0215.0590.0001", "3576028105900001", "3.57602150590000E+15"),
    "family-card": ("3576020102120005", "3576024102120005"),
    "deed": ("3576-LU-15052012-0003", "3576-KM-01022020-0001", "3576-LU-31022012-0003"),
    "passport": ("X1234567", "x 1234567", "12345678"),
    "driving-license": ("900535760001", "90053576000123", "901335760001"),
    "phone": ("0812-3456-7890", "6281234567890", "81234567890", "(0321) 321654", "321654"),
    "npwp": ("02.183.241.5-000.000", "0021832415000000", "1000000012345678", "01.234.567.8-901.234"),
    "nitku": ("0021832415000000000000", "0021832415000000000003", "0021832415000000003"),
    "property-tax": ("357602000100100010", "35.76.020.001.001-0001.0", "57602000100100010"),
    "nib": ("9120000000019", "912000000001"),
    "kbli": ("56101", "01111", "1111"),
    "bpjs": ("0000000000017", "17", "12345678901"),
    "ihs": ("P02478375538", "P0247837553", "10009880728"),
    "region": ("35.76.02", "3576021001", "35.76.55", "35.70"),
}
"""Made-up numbers; none is anybody's."""

_NOTE = "<!-- Written by schemas.documentation; change the code, then run `make docs`. -->"


def markdown() -> dict[str, str]:
    """The pages by their path below the root of the repository."""
    return {path: page() for path, page in _PAGES.items()}


def identifiers_markdown() -> str:
    """The reference of identifiers."""
    parts = [
        "# Identifiers",
        _NOTE,
        "Identifiers are types, not strings. `X.parse(text)` returns one or raises `IdentifierInvalid`;"
        " `X.check(text)` returns a status (`valid`, `warning`, `invalid`), the normalised text and what is"
        " wrong. `str`, `repr` and logs show a masked form; `.value` is the whole number. Structure is all"
        " that is checked: only the agency knows whether a number is registered.",
    ]
    for identifier in IDENTIFIERS.values():
        parts += [f"## {identifier.__name__}", _doc(identifier), _table(_example_rows(identifier))]
    return _page(parts)


def record_types_markdown() -> str:
    """The reference of record types."""
    parts = [
        "# Record types",
        _NOTE,
        "What the bus exchanges. Classification follows UU 27/2022, Art. 4: `public` (not personal),"
        " `general`, `specific`. A contract may also declare a record type of its own"
        " ([how to](../how-to/write-a-contract.md#a-record-type-of-your-own)).",
    ]
    for each in record_types():
        parts += _record_type(each)
    return _page(parts)


def contracts_markdown() -> str:
    """The reference of contract files and of the contracts that come with the bus."""
    parts = [
        "# Contracts",
        _NOTE,
        "A contract is one file of the Open Data Contract Standard (v3), kept as"
        " `<agency>/<dataset>.odcs.yaml`. These are the parts that the standard leaves to its users."
        " [How to write one](../how-to/write-a-contract.md).",
        "## Custom properties of the contract",
        _table(_term_rows(ContractTerms)),
        "## Custom properties of the server",
        _table(_term_rows(ServerTerms)),
        "## Custom properties of a property",
        _table(_term_rows(FieldTerms)),
        "## Steps of transformLogic",
        _table(_step_rows()),
        "## Quality rules",
        f"Metrics: {_codes(Metric)}. Severities: {_codes(Severity)} (an error holds the whole batch, a"
        f" warning publishes and flags). Dimensions: {_codes(Dimension)}. Rules of type `sql` are refused: a"
        " contract carries no code. `danglingReferences` is a metric of our own, written as `type: custom`"
        " with `engine: lintas`: it counts values that name no open record of another dataset.",
        "## Contracts that come with the bus",
    ]
    for contract in load_contracts():
        parts += _contract(contract)
    return _page(parts)


_PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/identifiers.md": identifiers_markdown,
    "docs/reference/record-types.md": record_types_markdown,
    "docs/reference/contracts.md": contracts_markdown,
}


def _example_rows(identifier: type[Identifier]) -> list[list[str]]:
    rows = [["text", "status", "normalised", "why"]]
    for text in EXAMPLES[identifier.kind]:
        check = identifier.check(text)
        normalised = f"`{check.normalised}`" if check.normalised else ""
        rows.append([f"`{text}`", str(check.status), normalised, " ".join(check.messages)])
    return rows


def _record_type(each: RecordType) -> list[str]:
    world = "no" if each.closed_world else "unknown"
    facts = [
        ["table", f"`{each.qualified_table_name}`"],
        ["told apart by", ", ".join(f"`{name}`" for name in each.natural_key)],
        ["about whom", f"`{each.subject_identifier}`" if each.subject_identifier else "nobody"],
        ["absence means", f"{world}, unless the contract says otherwise"],
    ]
    columns = [["field", "holds", "empty", "classification", "meaning"]]
    columns += [
        [f"`{c.name}`", _holds(c), "yes" if c.nullable else "no", str(c.classification), _meaning(c)]
        for c in each.columns
    ]
    parts = [f"## {each.name}", each.description, _table([["", ""], *facts]), _table(columns)]
    if each.rules:
        rules = [[f"`{rule.name}`", rule.severity, rule.description] for rule in each.rules]
        parts += [
            "Rules between fields (a broken one is flagged, never rejected):",
            _table([["rule", "severity", "what should hold"], *rules]),
        ]
    return parts


def _meaning(column: Column) -> str:
    return f"{column.description}. Registers must agree on it" if column.comparable else column.description


def _holds(column: Column) -> str:
    if column.codes:
        return "one of " + ", ".join(f"`{code}`" for code in column.codes)
    return f"{column.kind.title} (`{column.sql_type}`){_bounds(column.kind)}"


def _bounds(kind: Kind) -> str:
    if isinstance(kind, TextKind):
        return f", at most {kind.max_length} characters"
    if isinstance(kind, IntegerKind):
        return f", {kind.minimum} to {kind.maximum}"
    if isinstance(kind, DateKind):
        return f", from {kind.earliest.isoformat()}" + ("" if kind.in_future else " to today")
    return ""


def _term_rows(model: type[BaseModel]) -> list[list[str]]:
    schema = model.model_json_schema()
    rows = [["property", "value", "without it", "meaning"]]
    for name, described in schema["properties"].items():
        default = described.get("default")
        without = "required" if name in schema.get("required", []) else f"`{_plain(default)}`"
        rows.append([f"`{name}`", _value(described, schema), without, described.get("description", "")])
    return rows


def _value(described: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "$ref" in described:
        described = schema["$defs"][described["$ref"].rpartition("/")[2]]
    options = described.get("anyOf", [described])
    kinds = []
    for option in options:
        if "enum" in option:
            kinds.append(" or ".join(f"`{value}`" for value in option["enum"]))
        elif option.get("type") != "null":
            kinds.append(_kind_words(option))
    return " or ".join(kinds)


def _kind_words(option: Mapping[str, Any]) -> str:
    words = {"string": "text", "boolean": "true or false", "number": "number", "object": "mapping"}
    found = words.get(option.get("type", ""), "value")
    if {"minimum", "maximum"} <= option.keys():
        found += f" from {option['minimum']:g} to {option['maximum']:g}"
    return found


def _step_rows() -> list[list[str]]:
    rows = [["step", "arguments", "what it does"]]
    for name, model in STEPS.items():
        arguments = [field for field in model.model_fields if field != "step"]
        rows.append([f"`{name}`", ", ".join(f"`{field}`" for field in arguments), _doc(model)])
    return rows


def _contract(contract: Contract) -> list[str]:
    world = "no" if contract.closed_world else "unknown"
    facts = [
        ["records", f"[{contract.record_type.name}](record-types.md#{contract.record_type.name.lower()})"],
        ["version", contract.version],
        ["from", f"`{contract.server.system_id}` by `{contract.server.kind}`"],
        ["read", f"`{contract.schedule}` ({contract.timezone}), {contract.snapshot} snapshot"],
        ["stale after", f"{contract.freshness.total_seconds() / 3600:g} hours"],
        ["absence means", world],
        ["mode", f"`{contract.mode}`"],
    ]
    mapping = [["field", "from", "steps"], *(_mapping_row(each) for each in contract.mapping)]
    parts = [f"### {contract.id}", contract.description, contract.limitations, _table([["", ""], *facts])]
    parts.append(_table(mapping))
    if contract.quality:
        rules = [[f"`{rule.name}`", _measured(rule), str(rule.severity)] for rule in contract.quality]
        parts.append(_table([["rule", "what is measured", "severity"], *rules]))
    return parts


def _mapping_row(mapping: FieldMapping) -> list[str]:
    columns = " + ".join(f"`{column}`" for column in mapping.source_columns)
    steps = [] if isinstance(mapping.beginning, str) else [mapping.beginning.step]
    return [f"`{mapping.field}`", columns, ", ".join([*steps, *(step.step for step in mapping.steps)])]


def _measured(rule: QualityRule) -> str:
    fields = ", ".join(f"`{name}`" for name in rule.fields)
    if rule.reference is None:
        return f"{rule.metric} {fields}".strip()
    scope = "; ".join(f"{name} {' or '.join(values)}" for name, values in rule.reference.when)
    return f"{rule.metric} {fields} in {rule.reference.dataset}" + (f" (where {scope})" if scope else "")


def _plain(value: Any) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _codes(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _doc(thing: type[Any]) -> str:
    return " ".join(cleandoc(thing.__doc__ or "").split("\n\n")[0].replace("``", "`").split())


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def _page(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
