"""The licensing office: businesses and the licenses they hold, as OSS knows them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from schemas.fields import Classification, Described
from schemas.identifiers import Kbli, Nib, Nik, Npwp, RegionCode
from schemas.kinds import BooleanKind, CodeKind, DateKind, MomentKind, TextKind

BUSINESS_KINDS = ("company", "individual", "representative_office", "foreign_company")
SCALES = ("micro", "small", "medium", "large")
RISKS = ("low", "medium_low", "medium_high", "high")
BUSINESS_STATUSES = ("active", "inactive", "ready_to_start", "ready_to_operate", "frozen", "revoked")
LICENSE_KINDS = (
    "basic_license", "license", "standard_certificate", "standard_requirement", "supporting_license",
)  # fmt: skip
AUTHORITIES = ("national", "province", "city")
LICENSE_STATUSES = (
    "in_process", "approved", "issued_temporarily", "warned", "suspended", "fined", "refused",
)  # fmt: skip
_OPEN = Classification.PUBLIC


class Business(BaseModel):
    """A business with a NIB, one record each.

    The owner is the person in charge where that is a resident; a holder of a foreign passport has no NIK.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    nib: Annotated[Nib, Described("Number of the business", _OPEN)]
    owner_nik: Annotated[
        Nik | None, Described("NIK of the person in charge; empty for a holder of a passport")
    ] = None
    owner_name: Annotated[str | None, TextKind(max_length=200), Described("Name of the person in charge")] = (
        None
    )
    npwp: Annotated[Npwp | None, Described("Number of the business as a taxpayer")] = None
    name: Annotated[str, TextKind(max_length=300), Described("Name of the business", _OPEN)]
    kind: Annotated[str, CodeKind(BUSINESS_KINDS), Described("What kind of business it is", _OPEN)]
    is_micro_or_small: Annotated[
        bool | None, BooleanKind(), Described("Whether it counts as micro or small (UMK)", _OPEN)
    ] = None
    scale: Annotated[str | None, CodeKind(SCALES), Described("Scale of its largest project", _OPEN)] = None
    kbli: Annotated[Kbli | None, Described("Line of business of its main project", _OPEN)] = None
    risk: Annotated[str | None, CodeKind(RISKS), Described("Risk of its main project (PP 5/2021)", _OPEN)] = (
        None
    )
    region_code: Annotated[RegionCode | None, Described("Where its seat is, Kemendagri code", _OPEN)] = None
    status: Annotated[str, CodeKind(BUSINESS_STATUSES), Described("Status of the NIB", _OPEN)]
    issued_on: Annotated[date, DateKind(), Described("Day on which the NIB was issued", _OPEN)]


class License(BaseModel):
    """A license or certificate that a business holds or has asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    license_id: Annotated[
        str, TextKind(max_length=50), Described("Number of the license in OSS (id_izin)", _OPEN)
    ]
    nib: Annotated[Nib, Described("Number of the business", _OPEN)]
    owner_nik: Annotated[
        Nik | None, Described("NIK of the person in charge; empty for a holder of a passport")
    ] = None
    license_code: Annotated[
        str | None, TextKind(max_length=20), Described("Code of the kind of license (kd_izin)", _OPEN)
    ] = None
    kind: Annotated[str, CodeKind(LICENSE_KINDS), Described("What kind of license it is", _OPEN)]
    kbli: Annotated[Kbli | None, Described("Line of business it is for", _OPEN)] = None
    authority: Annotated[
        str | None, CodeKind(AUTHORITIES), Described("Which level of government issues it", _OPEN)
    ] = None
    status: Annotated[str, CodeKind(LICENSE_STATUSES), Described("How far it has come", _OPEN)]
    status_at: Annotated[datetime | None, MomentKind(), Described("Since when the status holds", _OPEN)] = (
        None
    )
    issued_on: Annotated[date | None, DateKind(), Described("Day on which it was issued", _OPEN)] = None
    valid_until: Annotated[
        date | None,
        DateKind(in_future=True),
        Described("Last day of validity; empty where it has none", _OPEN),
    ] = None
