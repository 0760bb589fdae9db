"""The number of a resident (Nomor Induk Kependudukan): PPKKCC DDMMYY SSSS."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal

from schemas.identifiers import regions
from schemas.identifiers.identifier import (
    Identifier,
    IdentifierCheck,
    accepted,
    digits_of,
    invalid,
    wrong_length,
)
from schemas.identifiers.region_code import RegionCode
from schemas.identifiers.regions import RegionSystem

WOMAN_DAY_OFFSET = 40
_CENTURIES = (19, 20)


class Nik(Identifier):
    """Sixteen digits without a check digit; a woman's day of birth is written plus 40.

    The region is that of first registration: it stays after a move and after a division of the region, so an
    unknown district is a warning. The number does not tell the century of birth.
    """

    __slots__ = ()

    kind: ClassVar[str] = "nik"
    title: ClassVar[str] = "NIK"
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
            day -= WOMAN_DAY_OFFSET
        return check_registry_number(digits, cls.title, day)

    @property
    def region(self) -> RegionCode:
        """The district where the person was first registered."""
        return region_of(self.value)

    @property
    def sex(self) -> Literal["male", "female"]:
        """The sex the number was issued for."""
        return "female" if int(self.value[6:8]) > WOMAN_DAY_OFFSET else "male"

    @property
    def serial(self) -> str:
        """The four digits that tell apart people of one district and day."""
        return self.value[12:]

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
            birth_date.year // 100 not in _CENTURIES
            and (birth_date.day, birth_date.month, birth_date.year % 100)
            == (int(self.value[6:8]) % WOMAN_DAY_OFFSET, int(self.value[8:10]), int(self.value[10:12]))
        )


def check_registry_number(digits: str, title: str, day: int) -> IdentifierCheck:
    """Check what a NIK and a family card number share: region, date, serial."""
    if digits[:2] not in regions.PROVINCE_CODES[RegionSystem.KEMENDAGRI]:
        return invalid(
            "unknown-province",
            f"The {title} begins with no province of Kemendagri.",
            "Check that the column holds this number and not another; correct it at the source.",
        )
    if digits[2:4] in {"00", "70"}:
        return invalid(
            "regency",
            f"Digits 3-4 of the {title} are neither a regency (01-69) nor a city (71-99).",
            "Correct it at the source.",
        )
    if not possible_dates(day, int(digits[8:10]), int(digits[10:12])):
        return invalid(
            "date",
            f"Digits 7-12 of the {title} are not a day of the calendar.",
            "Correct it at the source; the number itself is wrong.",
        )
    if digits[12:] == "0000":
        return invalid("serial", f"The serial of the {title} is 0000.", "Correct it at the source.")
    return accepted(digits, *_district_warning(digits, title))


def region_of(digits: str) -> RegionCode:
    """The region at the head of a registry number; only the regency where the district is written 00."""
    parts = (digits[:2], digits[2:4], digits[4:6])
    return RegionCode(".".join(parts if parts[2] != "00" else parts[:2]))


def possible_dates(day: int, month: int, year: int) -> tuple[date, ...]:
    """The days that a two-digit year can stand for."""
    return tuple(found for century in _CENTURIES if (found := _date(century * 100 + year, month, day)))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _district_warning(digits: str, title: str) -> tuple[str, ...]:
    if f"{digits[:2]}.{digits[2:4]}.{digits[4:6]}" in regions.known_regions():
        return ()
    if digits[:2] in regions.DIVIDED_IN_2022:
        return (
            f"The district in the {title} is not in force; it may predate the division of Papua in 2022.",
        )
    return (f"The district in the {title} is not in force; it is the place of first registration.",)
