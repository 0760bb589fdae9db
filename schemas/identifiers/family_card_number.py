"""The number of a family card (Nomor Kartu Keluarga): PPKKCC DDMMYY SSSS."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from schemas.identifiers.identifier import IdentifierCheck, invalid
from schemas.identifiers.registry_number import WOMAN_DAY_OFFSET, RegistryNumber, possible_dates


class FamilyCardNumber(RegistryNumber):
    """Sixteen digits; the date is the day on which the card was issued, so it never carries plus 40."""

    __slots__ = ()

    kind: ClassVar[str] = "family-card"
    title: ClassVar[str] = "family card number"

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        day = int(digits[6:8])
        if day > WOMAN_DAY_OFFSET:
            return invalid(
                "date",
                "Digits 7-8 of the family card number are above 40: that is a woman's NIK, not a card.",
                "Check that the NIK and the card number are not swapped; correct it at the source.",
            )
        return cls._check_registry(digits, day)

    @property
    def issue_dates(self) -> tuple[date, ...]:
        """Every day of issue the number can stand for, the earlier century first."""
        return possible_dates(int(self.value[6:8]), int(self.value[8:10]), int(self.value[10:12]))
