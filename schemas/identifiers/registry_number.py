"""What a NIK and a family card number share: sixteen digits PPKKCC DDMMYY SSSS."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from schemas.identifiers import regions
from schemas.identifiers.digits import DigitsIdentifier
from schemas.identifiers.identifier import IdentifierCheck, accepted, invalid
from schemas.identifiers.region_code import RegionCode
from schemas.identifiers.regions import RegionSystem

WOMAN_DAY_OFFSET = 40
CENTURIES = (19, 20)


class RegistryNumber(DigitsIdentifier):
    """A number that the civil registry issued: where, on or after which day, and a serial.

    The region is that of issue: it stays after a move and after a division of the region, so an unknown
    district is a warning. Two digits do not tell the century.
    """

    __slots__ = ()

    longest_value: ClassVar[int] = 16
    lengths: ClassVar[tuple[int, ...]] = (16,)
    numeric_cells_lose_digits: ClassVar[bool] = True

    @property
    def region(self) -> RegionCode:
        """The district that issued the number; only the regency where the district is written 00."""
        parts = (self.value[:2], self.value[2:4], self.value[4:6])
        return RegionCode(".".join(parts if parts[2] != "00" else parts[:2]))

    @property
    def serial(self) -> str:
        """The four digits that tell apart numbers of one district and day."""
        return self.value[12:]

    @classmethod
    def _check_registry(cls, digits: str, day: int) -> IdentifierCheck:
        """Check region, date and serial; ``day`` is the day of the month that digits 7-8 stand for."""
        if digits[:2] not in regions.PROVINCE_CODES[RegionSystem.KEMENDAGRI]:
            return invalid(
                "unknown-province",
                f"The {cls.title} begins with no province of Kemendagri.",
                "Check that the column holds this number and not another; correct it at the source.",
            )
        if digits[2:4] in {"00", "70"}:
            return invalid(
                "regency",
                f"Digits 3-4 of the {cls.title} are neither a regency (01-69) nor a city (71-99).",
                "Correct it at the source.",
            )
        if not possible_dates(day, int(digits[8:10]), int(digits[10:12])):
            return invalid(
                "date",
                f"Digits 7-12 of the {cls.title} are not a day of the calendar.",
                "Correct it at the source; the number itself is wrong.",
            )
        if digits[12:] == "0000":
            return invalid("serial", f"The serial of the {cls.title} is 0000.", "Correct it at the source.")
        return accepted(digits, *_district_warning(digits, cls.title))


def possible_dates(day: int, month: int, year: int) -> tuple[date, ...]:
    """The days that a two-digit year can stand for, the earlier century first."""
    return tuple(found for century in CENTURIES if (found := _date(century * 100 + year, month, day)))


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
