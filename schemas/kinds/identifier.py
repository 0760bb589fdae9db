"""Identifiers as values of fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from schemas.identifiers import (
    BpjsNumber,
    DeedNumber,
    DrivingLicenseNumber,
    FamilyCardNumber,
    Identifier,
    IhsNumber,
    Kbli,
    Nib,
    Nik,
    Nitku,
    Npwp,
    PassportNumber,
    PhoneNumber,
    PropertyTaxNumber,
    RegionCode,
    RegionSystem,
)
from schemas.identifiers.regions import PROVINCE_CODES
from schemas.kinds.cell import CellInvalid, FastCell
from schemas.kinds.kind import Kind

_ANY_PROVINCE = frozenset().union(*PROVINCE_CODES.values())
_PROVINCE = "(?:" + "|".join(sorted(PROVINCE_CODES[RegionSystem.KEMENDAGRI])) + ")"
_REGENCY = "(?:0[1-9]|[1-6][0-9]|7[1-9]|[89][0-9])"
_SERIAL = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
# A 29th of February exists only in some years: it is left to the judge.
_SAFE_DAY = "(?:(?:0[1-9]|1[0-9]|2[0-8])(?:0[1-9]|1[0-2])|(?:29|30)(?:0[13-9]|1[0-2])|31(?:0[13578]|1[02]))"
_SAFE_WOMAN_DAY = (
    "(?:(?:4[1-9]|5[0-9]|6[0-8])(?:0[1-9]|1[0-2])|(?:69|70)(?:0[13-9]|1[0-2])|71(?:0[13578]|1[02]))"
)
_CARD = f"{_PROVINCE}{_REGENCY}[0-9]{{2}}{_SAFE_DAY}[0-9]{{2}}{_SERIAL}"
_NIK = f"{_PROVINCE}{_REGENCY}[0-9]{{2}}(?:{_SAFE_DAY}|{_SAFE_WOMAN_DAY})[0-9]{{2}}{_SERIAL}"
_REGION = rf"{_PROVINCE}(?:\.{_REGENCY}(?:\.(?:0[1-9]|[1-9][0-9])(?:\.{_SERIAL})?)?)?"
_BARE_VILLAGE = f"{_PROVINCE}{_REGENCY}(?:0[1-9]|[1-9][0-9]){_SERIAL}"
_DEED = rf"{_PROVINCE}{_REGENCY}-(?:LT|LU|LD|KW|CR|KM)-{_SAFE_DAY}(?:19|20)[0-9]{{2}}-{_SERIAL}"
_PROPERTY = f"(?:{'|'.join(sorted(_ANY_PROVINCE))}){_REGENCY}[0-9]{{14}}"


@dataclass(frozen=True, slots=True)
class IdentifierKind(Kind):
    """A field that holds an identifier, kept as its normalised text."""

    identifier: type[Identifier]

    sql_type: ClassVar[str] = "text"
    dtype: ClassVar[pl.DataType] = pl.String()

    @property
    def title(self) -> str:
        """What the identifier is called."""
        return self.identifier.title

    def judge(self, cell: Any) -> str:
        """Accept what the identifier accepts; a district that is not in force is accepted."""
        check = self.identifier.check(cell)
        if check.normalised is None:
            raise CellInvalid(check.rule, check.messages[0], check.remedy)
        return check.normalised

    def fast(self, cell: FastCell) -> FastCell:
        """Accept text that is already normalised, or nearly so, and beyond doubt."""
        certain = _CERTAIN.get(self.identifier)
        if cell.dtype != pl.String() or certain is None:
            return cell.leave_to_judge(self.dtype)
        normalised = _NORMALISED.get(self.identifier)
        return cell.become(normalised(cell.value) if normalised else cell.value, when=certain(cell.value))


def _matches(pattern: str) -> Callable[[pl.Expr], pl.Expr]:
    whole = f"^{pattern}$"
    return lambda text: text.str.contains(whole)


def _not_zeros(pattern: str) -> Callable[[pl.Expr], pl.Expr]:
    matches = _matches(pattern)
    return lambda text: matches(text) & ~text.str.contains("^0*$")


def _npwp(text: pl.Expr) -> pl.Expr:
    fifteen = text.str.contains("^[0-9]{15}$") & _luhn(text.str.slice(0, 9).cast(pl.Int64, strict=False))
    return fifteen | _npwp_of_sixteen(text)


def _npwp_of_sixteen(text: pl.Expr) -> pl.Expr:
    organisation = text.str.contains("^0[0-9]{15}$") & _luhn(
        text.str.slice(1, 9).cast(pl.Int64, strict=False)
    )
    return organisation | text.str.contains(f"^{_NIK}$")


def _nitku(text: pl.Expr) -> pl.Expr:
    return text.str.contains("^[0-9]{22}$") & _npwp_of_sixteen(text.str.slice(0, 16))


def _region(text: pl.Expr) -> pl.Expr:
    return text.str.contains(f"^(?:{_REGION}|{_BARE_VILLAGE})$")


def _dotted(text: pl.Expr) -> pl.Expr:
    parts = [text.str.slice(0, 2), text.str.slice(2, 2), text.str.slice(4, 2), text.str.slice(6)]
    bare = text.str.contains("^[0-9]{10}$")
    return pl.when(bare).then(pl.concat_str(parts, separator=".")).otherwise(text)


def _international(text: pl.Expr) -> pl.Expr:
    digits = text.str.replace_all(r"[ .\-]", "")
    return pl.lit("+62") + digits.str.strip_prefix("+").str.replace("^(?:62|0)", "")


def _luhn(nine: pl.Expr) -> pl.Expr:
    total = pl.lit(0, dtype=pl.Int64)
    for position in range(9):
        digit = (nine // 10**position) % 10
        doubled = digit * 2
        total = total + (doubled - pl.when(doubled > 9).then(9).otherwise(0) if position % 2 else digit)
    return (nine > 0) & (total % 10 == 0)


_CERTAIN: dict[type[Identifier], Callable[[pl.Expr], pl.Expr]] = {
    Nik: _matches(_NIK),
    FamilyCardNumber: _matches(_CARD),
    DeedNumber: _matches(_DEED),
    PassportNumber: _matches("[A-Z]{1,2}[0-9]{6,8}"),
    DrivingLicenseNumber: _not_zeros("(?:[0-9]{2}(?:0[1-9]|1[0-2])[0-9]{8}|[0-9]{14})"),
    PhoneNumber: _matches(r"(?:0|62|\+62)8[1-9][0-9]{1,2}[ .\-]?[0-9]{3,4}[ .\-]?[0-9]{3,4}"),
    Npwp: _npwp,
    Nitku: _nitku,
    PropertyTaxNumber: _matches(_PROPERTY),
    Nib: _not_zeros("[0-9]{13}"),
    Kbli: _not_zeros("[0-9]{5}"),
    BpjsNumber: _not_zeros("[0-9]{13}"),
    IhsNumber: _matches("P[0-9]{11}"),
    RegionCode: _region,
}
_NORMALISED: dict[type[Identifier], Callable[[pl.Expr], pl.Expr]] = {
    RegionCode: _dotted,
    PhoneNumber: _international,
}
