"""The number of a family card (Nomor Kartu Keluarga): PPKKCC DDMMYY SSSS."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from schemas.identifiers.identifier import Identifier, IdentifierCheck, digits_of, invalid, wrong_length
from schemas.identifiers.nik import WOMAN_DAY_OFFSET, check_registry_number, possible_dates, region_of
from schemas.identifiers.region_code import RegionCode


class FamilyCardNumber(Identifier):
    """Sixteen digits; the date is the day on which the card was issued, so it never carries plus 40."""

    __slots__ = ()

    kind: ClassVar[str] = "family-card"
    title: ClassVar[str] = "family card number"
    longest_value: ClassVar[int] = 16
    numeric_cells_lose_digits: ClassVar[bool] = True

    @classmethod
    def _check(cls, text: str) -> IdentifierCheck:
        digits = digits_of(text, cls.title)
        if isinstance(digits, IdentifierCheck):
            return digits
        if len(digits) != 16:
            return wrong_length(cls.title, "16", len(digits))
        day = int(digits[6:8])
        if day > WOMAN_DAY_OFFSET:
            return invalid(
                "date",
                "Digits 7-8 of the family card number are above 40: that is a woman's NIK, not a card.",
                "Check that the NIK and the card number are not swapped; correct it at the source.",
            )
        return check_registry_number(digits, cls.title, day)

    @property
    def region(self) -> RegionCode:
        """The district that issued the card."""
        return region_of(self.value)

    @property
    def issue_dates(self) -> tuple[date, ...]:
        """Every day of issue the number can stand for, the earlier century first."""
        return possible_dates(int(self.value[6:8]), int(self.value[8:10]), int(self.value[10:12]))
