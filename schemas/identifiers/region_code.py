"""The code of a province, regency, district or village, and who gave it."""

from __future__ import annotations

import re
from datetime import date
from enum import IntEnum
from typing import Any, ClassVar, Self

from schemas.errors import IdentifierInvalid
from schemas.identifiers import regions
from schemas.identifiers.identifier import Identifier, IdentifierCheck, accepted, invalid, usable_text
from schemas.identifiers.regions import RegionSystem

_DOTTED = re.compile(r"[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{4})?)?)?")
_BARE = re.compile(r"[0-9]+")
_REGENCY = re.compile(r"0[1-9]|[1-6][0-9]|7[1-9]|[89][0-9]")
_BPS_LENGTHS = {2: 1, 4: 2, 7: 3, 10: 4}
_KEMENDAGRI_LENGTHS = (2, 4, 6, 10)


class RegionLevel(IntEnum):
    """How deep a region lies."""

    PROVINCE = 1
    REGENCY = 2
    DISTRICT = 3
    VILLAGE = 4


class RegionCode(Identifier):
    """A region code of Kemendagri, kept dotted (``35.76.02``), or of BPS, kept bare (``3576020``).

    The two systems share digits, not meaning: ``91`` is Papua for Kemendagri and Papua Barat for BPS. A code
    therefore always carries its system, and the notation shows it.
    """

    __slots__ = ("_system",)

    kind: ClassVar[str] = "region"
    title: ClassVar[str] = "region code"
    longest_value: ClassVar[int] = 13
    visible_characters: ClassVar[int] = 13  # a region is not a person

    _system: RegionSystem

    def __init__(self, text: str, system: RegionSystem = RegionSystem.KEMENDAGRI) -> None:
        check = type(self).check(text, system)
        if check.normalised is None:
            raise IdentifierInvalid(self.kind, check)
        object.__setattr__(self, "_value", check.normalised)
        object.__setattr__(self, "_system", RegionSystem(system))

    @classmethod
    def parse(cls, text: str, system: RegionSystem = RegionSystem.KEMENDAGRI) -> Self:
        """Return the region code written in ``text``, dotted or bare.

        Raises:
            IdentifierInvalid: The text is not a code of that system.
        """
        return cls(text, system)

    @classmethod
    def check(cls, text: object, system: RegionSystem = RegionSystem.KEMENDAGRI) -> IdentifierCheck:
        """Say whether ``text`` is a code of that system; an unknown district is only a warning."""
        system = RegionSystem(system)
        found = usable_text(text, cls.title)
        if isinstance(found, IdentifierCheck):
            return found
        return _check_bps(found) if system is RegionSystem.BPS else cls._check(found)

    @classmethod
    def _check(cls, text: str) -> IdentifierCheck:
        return _check_kemendagri(text)

    @property
    def system(self) -> RegionSystem:
        """Who gave the code."""
        return self._system

    @property
    def level(self) -> RegionLevel:
        """How deep the region lies."""
        if self._system is RegionSystem.BPS:
            return RegionLevel(_BPS_LENGTHS[len(self._value)])
        return RegionLevel(self._value.count(".") + 1)

    @property
    def province(self) -> RegionCode:
        """The province in which the region lies."""
        return RegionCode(self._value[:2], self._system)

    @property
    def parent(self) -> RegionCode | None:
        """The region one level up, or None for a province."""
        if self.level is RegionLevel.PROVINCE:
            return None
        if self._system is RegionSystem.KEMENDAGRI:
            return RegionCode(self._value.rpartition(".")[0], self._system)
        shorter = max(length for length in _BPS_LENGTHS if length < len(self._value))
        return RegionCode(self._value[:shorter], self._system)

    @property
    def name(self) -> str | None:
        """The official name, or None when the code is not (or no longer) in force or not held here."""
        if self.level is RegionLevel.PROVINCE:
            entry = regions.province(self._system, self._value)
            return entry.name if entry else None
        return regions.region_name(self._value) if self._system is RegionSystem.KEMENDAGRI else None

    def in_force(self, on: date) -> bool:
        """Whether the code's province had this meaning on that day."""
        return regions.province(self._system, self._value[:2], on) is not None

    def to(self, system: RegionSystem) -> RegionCode | None:
        """The same region as the other system writes it, or None where no crosswalk is known."""
        system = RegionSystem(system)
        if system is self._system:
            return self
        if self.level is RegionLevel.PROVINCE:
            code = regions.province_code_elsewhere(self._system, self._value, system)
        elif self._system is RegionSystem.KEMENDAGRI:
            code = regions.SAME_REGENCY.get(self._value)
        else:
            code = next((k for k, b in regions.SAME_REGENCY.items() if b == self._value), None)
        return RegionCode(code, system) if code else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegionCode) and (other._value, other._system) == (self._value, self._system)

    def __hash__(self) -> int:
        return hash((self.kind, self._system, self._value))

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), (self._value, self._system)


def _check_kemendagri(text: str) -> IdentifierCheck:
    if not _DOTTED.fullmatch(text):
        if not (_BARE.fullmatch(text) and len(text) in _KEMENDAGRI_LENGTHS):
            return _malformed("Kemendagri", "PP, PP.KK, PP.KK.CC or PP.KK.CC.LLLL")
        text = ".".join(filter(None, (text[:2], text[2:4], text[4:6], text[6:])))
    parts = text.split(".")
    if parts[0] not in regions.PROVINCE_CODES[RegionSystem.KEMENDAGRI]:
        return _unknown_province("Kemendagri")
    if not _possible_below_province(parts):
        return _malformed("Kemendagri", "regency 01-69 or city 71-99, then district and village from 1 up")
    if len(parts) > 1 and ".".join(parts[:3]) not in regions.known_regions():
        return accepted(text, "The code is not in force; it may stem from before a division of its region.")
    return accepted(text)


def _possible_below_province(parts: list[str]) -> bool:
    if len(parts) > 1 and not _REGENCY.fullmatch(parts[1]):
        return False
    return all(part.strip("0") for part in parts[2:])


def _check_bps(text: str) -> IdentifierCheck:
    if not (_BARE.fullmatch(text) and len(text) in _BPS_LENGTHS):
        return _malformed("BPS", "2, 4, 7 or 10 digits without dots")
    if text[:2] not in regions.PROVINCE_CODES[RegionSystem.BPS]:
        return _unknown_province("BPS")
    return accepted(text)


def _malformed(system: str, shape: str) -> IdentifierCheck:
    return invalid(
        "region-shape", f"This is not shaped like a {system} region code.", f"A {system} code reads {shape}."
    )


def _unknown_province(system: str) -> IdentifierCheck:
    return invalid(
        "unknown-province",
        f"The code begins with no province of {system}.",
        f"Check that the codes are {system}'s: the two systems number Papua differently.",
    )
