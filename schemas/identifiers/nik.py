"""The number of a resident (Nomor Induk Kependudukan): PPKKCC DDMMYY SSSS."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal

from schemas.identifiers.identifier import IdentifierCheck
from schemas.identifiers.registry_number import CENTURIES, WOMAN_DAY_OFFSET, RegistryNumber, possible_dates


class Nik(RegistryNumber):
    """Sixteen digits without a check digit; a woman's day of birth is written plus 40.

    The region is that of first registration: it stays after a move and after a division of the region, so an
    unknown district is a warning. The number does not tell the century of birth.
    """

    __slots__ = ()

    kind: ClassVar[str] = "nik"
    title: ClassVar[str] = "NIK"

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        day = int(digits[6:8])
        return cls._check_registry(digits, day - WOMAN_DAY_OFFSET if day > WOMAN_DAY_OFFSET else day)

    @property
    def sex(self) -> Literal["male", "female"]:
        """The sex the number was issued for."""
        return "female" if int(self.value[6:8]) > WOMAN_DAY_OFFSET else "male"

    @property
    def birth_dates(self) -> tuple[date, ...]:
        """Every day of birth the number can stand for, the earlier century first."""
        day = int(self.value[6:8]) % WOMAN_DAY_OFFSET
        return possible_dates(day, int(self.value[8:10]), int(self.value[10:12]))

    def birth_date(self, century: int | None = None) -> date | None:
        """The day of birth in the given century (19 or 20); without one, only if a single day is possible.

        The century must come from another source: the number alone never tells it.
        """
        dates = [day for day in self.birth_dates if century is None or day.year // 100 == century]
        return dates[0] if len(dates) == 1 else None

    def agrees_with(self, birth_date: date) -> bool:
        """Whether the number could have been issued for that day of birth (a corrected date may differ)."""
        return birth_date in self.birth_dates or (
            birth_date.year // 100 not in CENTURIES
            and (birth_date.day, birth_date.month, birth_date.year % 100)
            == (int(self.value[6:8]) % WOMAN_DAY_OFFSET, int(self.value[8:10]), int(self.value[10:12]))
        )
