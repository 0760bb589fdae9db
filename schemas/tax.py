"""The tax offices: taxpayers, their standing, and the tax on land and buildings."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from schemas.fields import Classification, Described
from schemas.identifiers import Nik, Nitku, Npwp, PropertyTaxNumber
from schemas.kinds import CodeKind, DateKind, DecimalKind, IntegerKind, RupiahKind, TextKind

TAXPAYER_KINDS = ("individual", "organisation")
TAXPAYER_STATUSES = ("active", "non_effective", "removed")
STANDINGS = ("valid", "not_valid")
REASONS = ("annual_return_missing", "vat_returns_missing", "taxpayer_not_found", "other")
PAYMENT_STANDINGS = ("paid", "unpaid")
_FINANCES = Classification.SPECIFIC
_FIRST_YEAR, _LAST_YEAR = 1983, 2200


class Taxpayer(BaseModel):
    """A taxpayer as the tax office has registered them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    npwp: Annotated[Npwp, Described("Number of the taxpayer, sixteen digits where it has them")]
    nik: Annotated[Nik | None, Described("NIK of an individual taxpayer; empty for organisations")] = None
    nitku: Annotated[Nitku | None, Described("Number of the taxpayer's place of activity")] = None
    name: Annotated[str, TextKind(max_length=200), Described("Name of the taxpayer")]
    kind: Annotated[str, CodeKind(TAXPAYER_KINDS), Described("Whether a person or an organisation")]
    status: Annotated[
        str, CodeKind(TAXPAYER_STATUSES), Described("Whether the registration is in force", _FINANCES)
    ]
    tax_office: Annotated[
        str | None, TextKind(max_length=20), Described("Code of the tax office (KPP)", Classification.PUBLIC)
    ] = None
    registered_on: Annotated[date | None, DateKind(), Described("Day of registration")] = None


class TaxStanding(BaseModel):
    """The confirmation of a taxpayer's standing for a year (Konfirmasi Status Wajib Pajak, KSWP).

    Financial data of a person is specific personal data (UU 27/2022, Art. 4(2)).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    npwp: Annotated[Npwp, Described("Number of the taxpayer, sixteen digits where it has them")]
    nik: Annotated[Nik | None, Described("NIK of an individual taxpayer; empty for organisations")] = None
    name: Annotated[str | None, TextKind(max_length=200), Described("Name of the taxpayer")] = None
    tax_year: Annotated[
        int, IntegerKind(_FIRST_YEAR, _LAST_YEAR), Described("Year for which the standing holds")
    ]
    standing: Annotated[
        str, CodeKind(STANDINGS), Described("Whether the obligations are met", Classification.SPECIFIC)
    ]
    reason: Annotated[
        str | None, CodeKind(REASONS), Described("Why the standing is not valid", Classification.SPECIFIC)
    ] = None
    issued_on: Annotated[date, DateKind(), Described("Day on which the tax office issued the confirmation")]


class PropertyTax(BaseModel):
    """The tax on a piece of land and its buildings for a year (PBB-P2).

    Financial data of a person is specific personal data (UU 27/2022, Art. 4(2)).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    property_tax_number: Annotated[PropertyTaxNumber, Described("Number of the property (NOP)")]
    tax_year: Annotated[int, IntegerKind(_FIRST_YEAR, _LAST_YEAR), Described("Year of the tax")]
    nik: Annotated[
        Nik | None, Described("NIK of the taxpayer; empty where the register has another number")
    ] = None
    taxpayer_name: Annotated[
        str | None, TextKind(max_length=200), Described("Name of the taxpayer as in the tax register")
    ] = None
    land_area_m2: Annotated[Decimal | None, DecimalKind(), Described("Area of the land", _FINANCES)] = None
    building_area_m2: Annotated[
        Decimal | None, DecimalKind(), Described("Area of the buildings", _FINANCES)
    ] = None
    land_value_idr: Annotated[
        int | None, RupiahKind(), Described("Assessed value of the land in rupiah (NJOP)", _FINANCES)
    ] = None
    building_value_idr: Annotated[
        int | None, RupiahKind(), Described("Assessed value of the buildings in rupiah (NJOP)", _FINANCES)
    ] = None
    tax_due_idr: Annotated[int, RupiahKind(), Described("Tax of the year in rupiah", _FINANCES)]
    paid_on: Annotated[date | None, DateKind(), Described("Day of payment", _FINANCES)] = None
    standing: Annotated[
        str, CodeKind(PAYMENT_STANDINGS), Described("Whether the tax of the year is paid", _FINANCES)
    ]
