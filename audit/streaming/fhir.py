"""FHIR R4 AuditEvents for exchanges of health data, after IHE BALP (Basic Audit Log Patterns).

An exchange that gave something follows `IHE.BasicAudit.PrivacyDisclosure.Source`; a refused one follows what
FHIR says of denied access, and every other entry is a plain AuditEvent. The patient is named by the entry's
own tag, which only the holder of the person's tag key can match. Ids are the entries', and each event is
written with PUT, so that one which comes twice is still one.
"""

from __future__ import annotations

from typing import Any

from audit.streaming.logged import LoggedEntry, Origin

__all__ = ["DISCLOSURE_PROFILE", "audit_events", "bundle"]

DISCLOSURE_PROFILE = (
    "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source"
)

_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_REST = {"system": f"{_TERMINOLOGY}/audit-event-type", "code": "rest", "display": "Restful Operation"}
_READ = {"system": "http://hl7.org/fhir/restful-interaction", "code": "read", "display": "read"}
_EXPORT = {"system": _DCM, "code": "110106", "display": "Export"}
_DISCLOSE = {
    "system": f"{_TERMINOLOGY}/iso-21089-lifecycle",
    "code": "disclose",
    "display": "Disclose Record Lifecycle Event",
}
_SOURCE = {"system": _DCM, "code": "110153", "display": "Source Role ID"}
_RECIPIENT = {"system": _DCM, "code": "110152", "display": "Destination Role ID"}
_CUSTODIAN = {
    "system": "http://snomed.info/sct",
    "code": "159541003",
    "display": "Record keeping/library clerk",
}
_USER = {
    "system": f"{_TERMINOLOGY}/v3-ParticipationType",
    "code": "IRCP",
    "display": "information recipient",
}
_DISCLOSURES = frozenset({"exchange.answered", "exchange.read", "exchange.pushed", "lookup.completed"})
_SUCCESS, _MINOR_FAILURE = "0", "4"
_MACHINE, _URI = "1", "5"


def bundle(events: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch in which each event is put under its own id."""
    return {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"resource": event, "request": {"method": "PUT", "url": f"AuditEvent/{event['id']}"}}
            for event in events
        ],
    }


def audit_events(entry: LoggedEntry, origin: Origin) -> list[dict[str, Any]]:
    """One entry as AuditEvents: one for each person whom it concerns, for an event names one patient."""
    tags = [str(tag) for tag in entry.data.get("subjects", [])]
    return [_audit_event(entry, origin, tag, number) for number, tag in enumerate(tags or [None])]


def _audit_event(entry: LoggedEntry, origin: Origin, tag: str | None, number: int) -> dict[str, Any]:
    is_disclosure = entry.kind in _DISCLOSURES and not entry.has_failed and tag is not None
    observer = {"identifier": {"system": "urn:lintas:log", "value": origin.log}, "display": "Lintas"}
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": f"{entry.entry_id}-{number + 1}" if number else entry.entry_id,
        "type": _EXPORT if is_disclosure else _REST,
        "subtype": [*([_DISCLOSE] if is_disclosure else []), _READ, _kind(entry)],
        "action": "R",
        "recorded": entry.time,
        "outcome": _MINOR_FAILURE if entry.has_failed else _SUCCESS,
        "outcomeDesc": entry.text("outcome"),
        "purposeOfEvent": _purpose(entry),
        "agent": _agents(entry, origin, observer),
        "source": {
            "site": origin.host,
            "observer": observer,
            "type": [{"system": f"{_TERMINOLOGY}/security-source-type", "code": "4"}],
        },
        "entity": _entities(entry, tag),
    }
    if is_disclosure:
        event["meta"] = {"profile": [DISCLOSURE_PROFILE]}
    return {name: value for name, value in event.items() if value}


def _agents(entry: LoggedEntry, origin: Origin, observer: dict[str, Any]) -> list[dict[str, Any]]:
    consumer, system, officer = entry.text("consumer"), entry.text("system"), entry.text("actor")
    agents = [
        {
            "type": {"coding": [_SOURCE]},
            "who": observer,
            "requestor": False,
            "network": {"address": origin.url, "type": _URI},
        },
        {
            "type": {"coding": [_RECIPIENT]},
            "who": _who("system", system or consumer or "lintas"),
            "requestor": officer is None,
            "network": {"address": system or consumer or origin.host, "type": _MACHINE},
        },
    ]
    if officer is not None:
        agents.append({"type": {"coding": [_USER]}, "who": _who("officer", officer), "requestor": True})
    custodians = [provider] if (provider := entry.text("provider")) else _owners(entry)
    agents += [
        {"type": {"coding": [_CUSTODIAN]}, "who": _who("agency", each), "requestor": False}
        for each in custodians[:1]
    ]
    return agents


def _owners(entry: LoggedEntry) -> list[str]:
    return sorted({str(dataset).partition("/")[0] for dataset in entry.data.get("datasets", [])})


def _entities(entry: LoggedEntry, tag: str | None) -> list[dict[str, Any]]:
    """The patient by their tag in this entry, then datasets with the names of the fields concerned."""
    patients = [
        {
            "what": {"type": "Patient", "identifier": {"system": "urn:lintas:subject-tag", "value": tag}},
            "type": {"system": f"{_TERMINOLOGY}/audit-entity-type", "code": "1", "display": "Person"},
            "role": {"system": f"{_TERMINOLOGY}/object-role", "code": "1", "display": "Patient"},
        }
        for _ in range(tag is not None)
    ]
    data = [
        {
            "what": {"identifier": {"system": "urn:lintas:dataset", "value": dataset}},
            "type": {"system": f"{_TERMINOLOGY}/audit-entity-type", "code": "2", "display": "System Object"},
            "role": {"system": f"{_TERMINOLOGY}/object-role", "code": "4", "display": "Domain Resource"},
            "detail": _details(entry, str(dataset)),
        }
        for dataset in entry.data.get("datasets") or ["lintas/log"]
    ]
    return [*patients, *data]


def _details(entry: LoggedEntry, dataset: str) -> list[dict[str, str]]:
    prefix = f"{dataset}:"
    told = {
        "log-index": str(entry.index),
        "decision": entry.text("decision"),
        "legal-basis": entry.text("legal_basis"),
        "trace": entry.text("trace"),
    }
    details = [{"type": name, "valueString": value} for name, value in told.items() if value]
    fields = [str(each) for each in entry.data.get("fields", [])]
    return details + [
        {"type": "field", "valueString": each.removeprefix(prefix)}
        for each in fields
        if each.startswith(prefix)
    ]


def _purpose(entry: LoggedEntry) -> list[dict[str, Any]]:
    purpose = entry.text("purpose")
    return [{"coding": [{"system": "urn:lintas:purpose", "code": purpose}]}] if purpose else []


def _kind(entry: LoggedEntry) -> dict[str, str]:
    return {"system": "urn:lintas:entry-kind", "code": entry.kind}


def _who(kind: str, name: str) -> dict[str, Any]:
    return {"identifier": {"system": f"urn:lintas:{kind}", "value": name}, "display": name}
