"""The tax office: standing of taxpayers."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from schemas.fields import Classification, Described
from schemas.identifiers import Nik, Npwp
from schemas.kinds import CodeKind, DateKind, IntegerKind, TextKind

STANDINGS = ("valid", "not_valid")
REASONS = ("annual_return_missing", "vat_returns_missing", "taxpayer_not_found", "other")


class TaxStanding(BaseModel):
    """The confirmation of a taxpayer's standing for a year (Konfirmasi Status Wajib Pajak, KSWP).

    Financial data of a person is specific personal data (UU 27/2022, Art. 4(2)).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    npwp: Annotated[Npwp, Described("Number of the taxpayer, sixteen digits where it has them")]
    nik: Annotated[Nik | None, Described("NIK of an individual taxpayer; empty for organisations")] = None
    name: Annotated[str | None, TextKind(max_length=200), Described("Name of the taxpayer")] = None
    tax_year: Annotated[int, IntegerKind(1983, 2200), Described("Year for which the standing holds")]
    standing: Annotated[
        str, CodeKind(STANDINGS), Described("Whether the obligations are met", Classification.SPECIFIC)
    ]
    reason: Annotated[
        str | None, CodeKind(REASONS), Described("Why the standing is not valid", Classification.SPECIFIC)
    ] = None
    issued_on: Annotated[date, DateKind(), Described("Day on which the tax office issued the confirmation")]
