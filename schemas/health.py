"""The health office: patients, membership of the national health insurance, immunizations.

Health data, and that somebody stands in a register of patients at all, is specific personal data (UU 27/2022,
Art. 4(2)); most immunized persons are children.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from schemas.civil import SEXES
from schemas.fields import Classification, Described
from schemas.identifiers import BpjsNumber, IhsNumber, Nik
from schemas.kinds import BooleanKind, CodeKind, DateKind, IntegerKind, MomentKind, TextKind

COVERAGE_STATUSES = ("active", "cancelled", "draft", "entered-in-error")
SEGMENTS = ("PBI", "PPU", "PBPU", "BP")
IMMUNIZATION_STATUSES = ("completed", "not-done", "entered-in-error")
IMMUNIZATION_REASONS = (
    "IM-Program", "IM-Rutin", "IM-Dasar", "IM-Lanjutan", "IM-Baduta", "IM-SD", "IM-WUS", "IM-Tambahan",
    "IM-Khusus", "IM-Pilihan",
)  # fmt: skip
_HEALTH = Classification.SPECIFIC
_UPDATED = Described("When the service last changed the record", Classification.PUBLIC)


class Patient(BaseModel):
    """A person in the master index of SATUSEHAT.

    A newborn without a NIK of its own carries the mother's, under a system of its own: it never stands in
    ``nik``, or the child's record would be taken for the mother's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    ihs_number: Annotated[IhsNumber, Described("Number of the patient", _HEALTH)]
    nik: Annotated[Nik | None, Described("NIK of the patient; empty for newborns", _HEALTH)] = None
    mother_nik: Annotated[
        Nik | None, Described("NIK of a newborn's mother; never the patient's own", _HEALTH)
    ] = None
    name: Annotated[str, TextKind(max_length=200), Described("Name as the health office has it", _HEALTH)]
    sex: Annotated[
        str | None, CodeKind(SEXES), Described("Sex (FHIR administrative gender)", _HEALTH, comparable=True)
    ] = None
    birth_date: Annotated[date | None, DateKind(), Described("Day of birth", _HEALTH, comparable=True)] = None
    is_deceased: Annotated[
        bool | None, BooleanKind(), Described("Whether the health office knows of a death", _HEALTH)
    ] = None
    is_active: Annotated[bool | None, BooleanKind(), Described("Whether the record is in use", _HEALTH)] = (
        None
    )
    updated_at: Annotated[datetime | None, MomentKind(), _UPDATED] = None


class Coverage(BaseModel):
    """Membership of the national health insurance (JKN)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    coverage_id: Annotated[str, TextKind(max_length=64), Described("Number of the record", _HEALTH)]
    bpjs_number: Annotated[BpjsNumber, Described("Number of the member's card", _HEALTH)]
    nik: Annotated[Nik | None, Described("NIK of the member; empty for newborns", _HEALTH)] = None
    ihs_number: Annotated[IhsNumber | None, Described("Number of the member as a patient", _HEALTH)] = None
    status: Annotated[str, CodeKind(COVERAGE_STATUSES), Described("Whether the membership holds", _HEALTH)]
    segment: Annotated[
        str | None,
        CodeKind(SEGMENTS),
        Described("Who pays: the state (PBI), an employer (PPU), the member (PBPU, BP)", _HEALTH),
    ] = None
    class_of_care: Annotated[
        int | None, IntegerKind(1, 3), Described("Class of ward to which the member is entitled", _HEALTH)
    ] = None
    period_start: Annotated[date | None, DateKind(), Described("Since when it holds", _HEALTH)] = None
    period_end: Annotated[
        date | None, DateKind(in_future=True), Described("Last day on which it holds", _HEALTH)
    ] = None
    updated_at: Annotated[datetime | None, MomentKind(), _UPDATED] = None


class Immunization(BaseModel):
    """A dose of a vaccine, given or not."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    immunization_id: Annotated[str, TextKind(max_length=64), Described("Number of the record", _HEALTH)]
    nik: Annotated[Nik | None, Described("NIK of the person; empty for newborns", _HEALTH)] = None
    ihs_number: Annotated[IhsNumber | None, Described("Number of the person as a patient", _HEALTH)] = None
    vaccine_code: Annotated[
        str, TextKind(max_length=40), Described("Code of the vaccine (KFA or CVX)", _HEALTH)
    ]
    vaccine_name: Annotated[
        str | None, TextKind(max_length=200), Described("Name of the vaccine", _HEALTH)
    ] = None
    status: Annotated[str, CodeKind(IMMUNIZATION_STATUSES), Described("Whether the dose was given", _HEALTH)]
    occurred_on: Annotated[date, DateKind(), Described("Day on which it was given", _HEALTH)]
    dose_number: Annotated[int | None, IntegerKind(1, 99), Described("Which dose of the series", _HEALTH)] = (
        None
    )
    reason: Annotated[
        str | None, CodeKind(IMMUNIZATION_REASONS), Described("Program of the dose (SATUSEHAT)", _HEALTH)
    ] = None
    lot_number: Annotated[str | None, TextKind(max_length=40), Described("Lot of the vaccine", _HEALTH)] = (
        None
    )
    updated_at: Annotated[datetime | None, MomentKind(), _UPDATED] = None
