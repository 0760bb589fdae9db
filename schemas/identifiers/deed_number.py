"""The number of a deed of the civil registry (nomor akta)."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import ClassVar

from schemas.identifiers import regions
from schemas.identifiers.identifier import Identifier, IdentifierCheck, accepted, invalid
from schemas.identifiers.region_code import RegionCode
from schemas.identifiers.regions import RegionSystem

_SHAPE = re.compile(r"([0-9]{4})-([A-Z]{2})-([0-9]{2})([0-9]{2})([0-9]{4})-([0-9]{4,6})")
_DEED_CODE = "LT|LU|LD|KW|CR|KM"


class DeedEvent(StrEnum):
    """What a deed records."""

    BIRTH = "birth"
    MARRIAGE = "marriage"
    DIVORCE = "divorce"
    DEATH = "death"


_EVENTS = {
    "LT": DeedEvent.BIRTH, "LU": DeedEvent.BIRTH, "LD": DeedEvent.BIRTH, "KW": DeedEvent.MARRIAGE,
    "CR": DeedEvent.DIVORCE, "KM": DeedEvent.DEATH,
}  # fmt: skip


class DeedNumber(Identifier):
    """``PPKK-LU-DDMMYYYY-SSSS``: the registry that issued it, the kind of deed, the day, and a serial."""

    __slots__ = ()

    kind: ClassVar[str] = "deed"
    title: ClassVar[str] = "deed number"
    longest_value: ClassVar[int] = 23
    visible_characters: ClassVar[int] = 7

    @classmethod
    def _check(cls, text: str) -> IdentifierCheck:
        normalised = text.upper() if text.isascii() else text
        match = _SHAPE.fullmatch(normalised)
        if match is None or match[2] not in _EVENTS:
            return invalid(
                "deed-shape",
                f"A deed number reads PPKK-({_DEED_CODE})-DDMMYYYY-serial.",
                "Correct it at the source, or leave it empty for a deed of the old numbering.",
            )
        region, _, day, month, year, serial = match.groups()
        if region[:2] not in regions.PROVINCE_CODES[RegionSystem.KEMENDAGRI] or region[2:] in {"00", "70"}:
            return invalid(
                "unknown-province", "The deed number begins with no registry.", "Correct it at the source."
            )
        try:
            date(int(year), int(month), int(day))
        except ValueError:
            return invalid(
                "date", "The deed number names no day of the calendar.", "Correct it at the source."
            )
        if not serial.strip("0"):
            return invalid("serial", "The serial of the deed number is zero.", "Correct it at the source.")
        return accepted(normalised)

    @property
    def event(self) -> DeedEvent:
        """What the deed records."""
        return _EVENTS[self.value[5:7]]

    @property
    def region(self) -> RegionCode:
        """The regency or city whose registry issued it."""
        return RegionCode(f"{self.value[:2]}.{self.value[2:4]}")

    @property
    def issued_on(self) -> date:
        """The day that the number names."""
        day, month, year = (int(self.value[at:to]) for at, to in ((8, 10), (10, 12), (12, 16)))
        return date(year, month, day)
