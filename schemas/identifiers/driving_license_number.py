"""The number of a driving license (Surat Izin Mengemudi)."""

from __future__ import annotations

from typing import ClassVar

from schemas.identifiers.digits import DigitsIdentifier, all_zeros
from schemas.identifiers.identifier import IdentifierCheck, accepted, invalid
from schemas.identifiers.nik import Nik


class DrivingLicenseNumber(DigitsIdentifier):
    """Twelve digits on older cards (year and month of birth first), up to sixteen on newer ones.

    A number of sixteen may be the holder's NIK. Only the form with twelve digits has a published structure.
    """

    __slots__ = ()

    kind: ClassVar[str] = "driving-license"
    title: ClassVar[str] = "driving license number"
    longest_value: ClassVar[int] = 16
    lengths: ClassVar[tuple[int, ...]] = (12, 13, 14, 15, 16)
    numeric_cells_lose_digits: ClassVar[bool] = True

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        if not digits.strip("0"):
            return all_zeros(cls.title)
        if len(digits) == 12:
            if not 1 <= int(digits[2:4]) <= 12:
                return invalid(
                    "date",
                    "Digits 3-4 of the driving license number are not a month of birth.",
                    "Correct it at the source.",
                )
            return accepted(digits)
        if len(digits) == 14 or (len(digits) == 16 and Nik.check(digits).normalised):
            return accepted(digits)
        return accepted(digits, "The form of the driving license number has no published structure.")

    @property
    def nik(self) -> Nik | None:
        """The holder's NIK where the number is one, or None."""
        return Nik(self.value) if Nik.check(self.value).normalised else None
