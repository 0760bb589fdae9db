"""The taxpayer's number (Nomor Pokok Wajib Pajak), in its old 15-digit and its present 16-digit form."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from schemas.errors import IdentifierInvalid
from schemas.identifiers import regions
from schemas.identifiers.digits import DigitsIdentifier, all_zeros
from schemas.identifiers.identifier import IdentifierCheck, accepted, invalid
from schemas.identifiers.nik import Nik
from schemas.identifiers.regions import RegionSystem


class NpwpForm(StrEnum):
    """Which of its forms a taxpayer's number has."""

    FIFTEEN = "fifteen"
    """The old form: nine digits with a Luhn check digit, tax office, branch."""
    ORGANISATION = "organisation"
    """``0`` and the old fifteen digits."""
    NIK = "nik"
    """A resident individual's number is the NIK (PMK 112/2022)."""
    UNVERIFIED = "unverified"
    """Sixteen digits of a series whose structure nobody has published."""


class Npwp(DigitsIdentifier):
    """A taxpayer's number, which keeps its form: only an organisation's 15 digits convert."""

    __slots__ = ()

    kind: ClassVar[str] = "npwp"
    title: ClassVar[str] = "NPWP"
    longest_value: ClassVar[int] = 16
    lengths: ClassVar[tuple[int, ...]] = (15, 16)
    numeric_cells_lose_digits: ClassVar[bool] = True

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        if len(digits) == 15:
            return _check_fifteen(digits, digits)
        if digits[0] == "0":
            return _check_fifteen(digits[1:], digits)
        return _check_sixteen(digits)

    @property
    def form(self) -> NpwpForm:
        """Which form the number has."""
        if len(self.value) == 15:
            return NpwpForm.FIFTEEN
        if self.value[0] == "0":
            return NpwpForm.ORGANISATION
        known = self.value[:2] in regions.PROVINCE_CODES[RegionSystem.KEMENDAGRI]
        return NpwpForm.NIK if known else NpwpForm.UNVERIFIED

    @property
    def nik(self) -> Nik | None:
        """The NIK that an individual's number is, or None."""
        return Nik(self.value) if self.form is NpwpForm.NIK else None

    def organisation_sixteen(self) -> Npwp:
        """The sixteen-digit form of an organisation's number; the caller vouches that it is one.

        Raises:
            IdentifierInvalid: The number is an individual's or of an unverified series.
        """
        if self.form is NpwpForm.FIFTEEN:
            return Npwp("0" + self.value)
        if self.form is NpwpForm.ORGANISATION:
            return self
        raise IdentifierInvalid(self.kind, _not_an_organisation())

    def fifteen(self) -> Npwp:
        """The old fifteen-digit form.

        Raises:
            IdentifierInvalid: The number never had one that can be computed.
        """
        if self.form is NpwpForm.ORGANISATION:
            return Npwp(self.value[1:])
        if self.form is NpwpForm.FIFTEEN:
            return self
        raise IdentifierInvalid(self.kind, _not_an_organisation())

    @property
    def punctuated(self) -> str:
        """The number as it is printed: ``01.234.567.8-901.234`` for the old form, bare digits otherwise."""
        v = self.value
        if self.form is not NpwpForm.FIFTEEN:
            return v
        return f"{v[:2]}.{v[2:5]}.{v[5:8]}.{v[8]}-{v[9:12]}.{v[12:]}"


def luhn_holds(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of those before it."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if position % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def _check_fifteen(fifteen: str, normalised: str) -> IdentifierCheck:
    if not fifteen.strip("0"):
        return all_zeros(Npwp.title)
    if not luhn_holds(fifteen[:9]):
        return invalid(
            "check-digit",
            "The check digit of the NPWP (digit 9 of the old form) does not fit.",
            "Correct the mistyped digit at the source.",
        )
    return accepted(normalised)


def _check_sixteen(digits: str) -> IdentifierCheck:
    if digits[:2] not in regions.PROVINCE_CODES[RegionSystem.KEMENDAGRI]:
        return accepted(
            digits, "The NPWP belongs to a series without a published structure; it cannot be checked."
        )
    as_nik = Nik.check(digits)
    if as_nik.normalised is None:
        return invalid(
            as_nik.rule,
            "The NPWP has the form of an individual's NIK but is none: " + as_nik.messages[0],
            as_nik.remedy,
        )
    return accepted(digits, *as_nik.messages)


def _not_an_organisation() -> IdentifierCheck:
    return invalid(
        "form",
        "Only an organisation's NPWP has both a fifteen- and a sixteen-digit form.",
        "Ask the tax office for the other number; it cannot be computed.",
    )
