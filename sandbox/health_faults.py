"""What a FHIR server can do wrong that no other service does, and how its replies look then."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from sandbox.faults import FaultBoard
from sandbox.health_resources import NIK_SYSTEM, Resource

_ELSEWHERE = "https://elsewhere.invalid/fhir-r4/v1/Patient?_page=1"
_STRANGE = "https://example.invalid/StructureDefinition/strange"


class FhirFault(StrEnum):
    """What the health office can do wrong, beside `FaultKind`."""

    LINK_TO_ITSELF = "link-to-itself"
    """A page names itself as the next one."""
    LOOP = "loop"
    """A page leads back to the first."""
    NEW_LINK_SAME_PAGE = "new-link-same-page"
    """Every link is another, and every page the first."""
    FOREIGN_LINK = "foreign-link"
    """The link to the next page leads to another server."""
    OUTCOME = "outcome"
    """An OperationOutcome with an error, in a 200."""
    PASSING_OUTCOME = "passing-outcome"
    """An OperationOutcome that says to try again, in a 200."""
    WARNING = "warning"
    """An OperationOutcome with a warning among the entries."""
    GRAVE_ENTRY = "grave-entry"
    """An OperationOutcome with an error among the entries."""
    UNKNOWN_EXTENSION = "unknown-extension"
    """Extensions and elements that nobody knows."""
    MODIFIER_EXTENSION = "modifier-extension"
    """An extension that turns the meaning of a resource around."""
    R5_RESOURCE = "r5-resource"
    """Resources with elements of FHIR R5."""
    R5_SERVER = "r5-server"
    """A CapabilityStatement of FHIR R5."""
    DELETED = "deleted"
    """An entry of a deleted resource."""
    NO_RESOURCE = "no-resource"
    """An entry without a resource, and without a word why."""
    INCLUDED = "included"
    """Resources of another type that the server adds."""
    OTHER_TYPE = "other-type"
    """A resource of another type among the matches."""
    CONTAINED = "contained"
    """The persons stand within the resources."""
    PARTIAL = "partial"
    """Resources that are marked as incomplete."""
    TWO_NIKS = "two-niks"
    """A person with two NIKs in one resource."""
    OVERFULL = "overfull"
    """A page holds more than was asked for."""


Entry = dict[str, Any]


def distort(bundle: Resource, faults: FaultBoard, page: int, first: str) -> Resource:
    """Let the faults that are switched on strike a page; `first` is the address of the first page."""
    for kind, change in _CHANGES.items():
        if faults.strikes(kind, page):
            bundle = change(bundle, first)
    return bundle


def outcome(severity: str, code: str, text: str = "") -> Resource:
    """An OperationOutcome; real servers like to quote what they were asked."""
    issue = {"severity": severity, "code": code}
    return {"resourceType": "OperationOutcome", "issue": [{**issue, "diagnostics": text} if text else issue]}


def _linked(link: str) -> Callable[[Resource, str], Resource]:
    def change(bundle: Resource, _: str) -> Resource:
        others = [each for each in bundle["link"] if each["relation"] != "next"]
        return {**bundle, "link": [*others, {"relation": "next", "url": link}]}

    return change


def _to_itself(bundle: Resource, _: str) -> Resource:
    own = next(each["url"] for each in bundle["link"] if each["relation"] == "self")
    return _linked(own)(bundle, own)


def _each(change: Callable[[Resource], Resource]) -> Callable[[Resource, str], Resource]:
    def changed(bundle: Resource, _: str) -> Resource:
        entries = [{**entry, "resource": change(entry["resource"])} for entry in bundle["entry"]]
        return {**bundle, "entry": entries}

    return changed


def _more(entry: Entry) -> Callable[[Resource, str], Resource]:
    return lambda bundle, _: {**bundle, "entry": [*bundle["entry"], entry]}


def _strange(resource: Resource) -> Resource:
    extension = [{"url": _STRANGE, "extension": [{"url": "a", "valueInteger64": "1"}]}]
    return {
        **resource,
        "extension": [*resource.get("extension", []), *extension],
        "_status": {"extension": extension},
        "somethingNew": {"value": [1, 2, {"deep": None}]},
    }


def _negated(resource: Resource) -> Resource:
    return {**resource, "modifierExtension": [{"url": f"{_STRANGE}-not", "valueBoolean": True}]}


def _as_r5(resource: Resource) -> Resource:
    newer: dict[str, Resource] = {
        "Coverage": {"kind": "insurance", "insurer": {"display": "BPJS Kesehatan"}},
        "Immunization": {"administeredProduct": {"concept": {"text": "BCG"}}},
    }
    added = newer.get(resource["resourceType"], {"versionAlgorithmString": "semver"})
    return {**resource, **added}


def _partial(resource: Resource) -> Resource:
    tag = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    return {**resource, "meta": {**resource["meta"], "tag": [tag]}}


def _two_niks(resource: Resource) -> Resource:
    second = {"use": "official", "system": NIK_SYSTEM, "value": "3576010101900001"}
    return {**resource, "identifier": [*resource.get("identifier", []), second]}


def _containing(resource: Resource) -> Resource:
    element = "patient" if "patient" in resource else "beneficiary"
    person = resource.get(element, {})
    held = {"resourceType": "Patient", "id": "person", "identifier": [person.get("identifier", {})]}
    return {**resource, "contained": [held], element: {"reference": "#person"}}


_CHANGES: dict[FhirFault, Callable[[Resource, str], Resource]] = {
    FhirFault.LINK_TO_ITSELF: _to_itself,
    FhirFault.LOOP: lambda bundle, first: _linked(first)(bundle, first),
    FhirFault.FOREIGN_LINK: _linked(_ELSEWHERE),
    FhirFault.WARNING: _more({"resource": outcome("warning", "processing"), "search": {"mode": "outcome"}}),
    FhirFault.GRAVE_ENTRY: _more({"resource": outcome("error", "processing"), "search": {"mode": "outcome"}}),
    FhirFault.UNKNOWN_EXTENSION: _each(_strange),
    FhirFault.MODIFIER_EXTENSION: _each(_negated),
    FhirFault.R5_RESOURCE: _each(_as_r5),
    FhirFault.DELETED: _more({"request": {"method": "DELETE", "url": "Patient/gone"}}),
    FhirFault.NO_RESOURCE: _more({"fullUrl": "urn:uuid:5f0a7b0e-0000-4000-8000-000000000000"}),
    FhirFault.INCLUDED: _more(
        {"resource": {"resourceType": "Organization", "id": "o1"}, "search": {"mode": "include"}}
    ),
    FhirFault.OTHER_TYPE: _more(
        {"resource": {"resourceType": "Organization", "id": "o1"}, "search": {"mode": "match"}}
    ),
    FhirFault.CONTAINED: _each(_containing),
    FhirFault.PARTIAL: _each(_partial),
    FhirFault.TWO_NIKS: _each(_two_niks),
    FhirFault.OVERFULL: lambda bundle, _: {**bundle, "entry": bundle["entry"] * 2},
}
