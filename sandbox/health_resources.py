"""The health office's rows as FHIR R4 resources, in the shape of SATUSEHAT's profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Row = Mapping[str, Any]
Resource = dict[str, Any]

_KEMKES = "https://fhir.kemkes.go.id"
IHS_SYSTEM = f"{_KEMKES}/id/ihs-number"
NIK_SYSTEM = f"{_KEMKES}/id/nik"
MOTHER_SYSTEM = f"{_KEMKES}/id/nik-ibu"
JKN_SYSTEM = f"{_KEMKES}/id/jkn"
_PROFILES = f"{_KEMKES}/r4/StructureDefinition"
_CITIZENSHIP = {"url": f"{_PROFILES}/citizenshipStatus", "valueCode": "WNI"}
_CVX = "http://hl7.org/fhir/sid/cvx"
_PAYOR = [{"display": "BPJS Kesehatan"}]
_CLASS_TYPE = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/coverage-class", "code": "class"}]
}


def patient(row: Row) -> Resource:
    """A patient; a newborn without a NIK carries the mother's, under a system of its own."""
    numbers = ((IHS_SYSTEM, row["ihs_number"]), (NIK_SYSTEM, row["nik"]), (MOTHER_SYSTEM, row["nik_ibu"]))
    return _whole(
        {
            "resourceType": "Patient",
            "id": row["ihs_number"],
            "meta": _meta("Patient", row),
            "extension": [_CITIZENSHIP],
            "identifier": [
                {"use": "official", "system": system, "value": value} for system, value in numbers if value
            ],
            "active": row["active"],
            "name": [{"use": "official", "text": row["name"]}] if row["name"] else None,
            "gender": row["gender"],
            "birthDate": row["birth_date"],
            "deceasedBoolean": row["deceased"],
        }
    )


def coverage(row: Row) -> Resource:
    """A membership of the national health insurance."""
    segment = {"coding": [{"system": f"{_KEMKES}/CodeSystem/jkn-segment", "code": row["segment"]}]}
    return _whole(
        {
            "resourceType": "Coverage",
            "id": row["id"],
            "meta": _meta("Coverage", row),
            "identifier": [{"system": JKN_SYSTEM, "value": row["subscriber_id"]}],
            "status": row["status"],
            "type": segment if row["segment"] else None,
            "subscriberId": row["subscriber_id"],
            "beneficiary": _person(row),
            "period": _whole({"start": row["period_start"], "end": row["period_end"]}) or None,
            "payor": _PAYOR,
            "class": [{"type": _CLASS_TYPE, "value": row["class_of_care"]}] if row["class_of_care"] else None,
        }
    )


def immunization(row: Row) -> Resource:
    """A dose of a vaccine."""
    reason = {"coding": [{"system": f"{_KEMKES}/CodeSystem/immunization-reason", "code": row["reason"]}]}
    vaccine = {"system": _CVX, "code": row["vaccine_code"], "display": row["vaccine_name"]}
    return _whole(
        {
            "resourceType": "Immunization",
            "id": row["id"],
            "meta": _meta("Immunization", row),
            "status": row["status"],
            "vaccineCode": {"coding": [_whole(vaccine)]},
            "patient": _person(row),
            "occurrenceDateTime": row["occurred"],
            "primarySource": True,
            "lotNumber": row["lot_number"],
            "reasonCode": [reason] if row["reason"] else None,
            "protocolApplied": [{"doseNumberPositiveInt": row["dose_number"]}]
            if row["dose_number"]
            else None,
        }
    )


#: How the rows of each type of resource are written.
WRITERS: dict[str, Callable[[Row], Resource]] = {
    "Patient": patient,
    "Coverage": coverage,
    "Immunization": immunization,
}


def _person(row: Row) -> Resource:
    """A reference to a patient: by resource where there is one, by NIK where it is known."""
    reference, nik = row["ihs_number"], row["nik"]
    return _whole(
        {
            "reference": f"Patient/{reference}" if reference else None,
            "identifier": {"use": "official", "system": NIK_SYSTEM, "value": nik} if nik else None,
            "display": None if reference or nik else "tidak dikenal",
        }
    )


def _meta(kind: str, row: Row) -> Resource:
    moment: datetime = row["last_updated"]
    return {
        "versionId": "1",
        "lastUpdated": moment.isoformat(timespec="milliseconds"),
        "profile": [f"{_PROFILES}/{kind}"],
    }


def _whole(elements: Resource) -> Resource:
    """FHIR has no nulls: what is not known is left out."""
    return {name: value for name, value in elements.items() if value is not None}
