"""The code of a line of business (Klasifikasi Baku Lapangan Usaha Indonesia)."""

from __future__ import annotations

from typing import ClassVar

from schemas.identifiers.digits import DigitsIdentifier, all_zeros
from schemas.identifiers.identifier import IdentifierCheck, accepted, invalid

# The divisions of ISIC, which KBLI keeps in all its editions.
_DIVISIONS = frozenset(range(1, 100)) - {4, 34, 40, 44, 48, 54, 57, 67, 76, 83, 89}


class Kbli(DigitsIdentifier):
    """Five digits. Agriculture and mining begin with 0, which a numeric column loses.

    Four digits are refused, not repaired: they may be a code without its zero (01111 as 1111) or a class one
    level up (5610), and a wrong guess turns a restaurant into a coal mine. Where the source does send
    numbers, its contract says so (step ``pad: 5``).
    """

    __slots__ = ()

    kind: ClassVar[str] = "kbli"
    title: ClassVar[str] = "KBLI"
    longest_value: ClassVar[int] = 5
    visible_characters: ClassVar[int] = 5  # a line of business is not a person
    lengths: ClassVar[tuple[int, ...]] = (5,)

    @classmethod
    def _wrong_length(cls, digits: str) -> IdentifierCheck:
        found = super()._wrong_length(digits)
        if len(digits) != 4:
            return found
        return invalid(
            found.rule,
            "The KBLI has 4 digits instead of 5: its leading zero is lost, or it is a class above the code.",
            "If the source sends codes as numbers, say so in the contract (step pad: 5); else complete them.",
        )

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        if not digits.strip("0"):
            return all_zeros(cls.title)
        if int(digits[:2]) not in _DIVISIONS:
            return accepted(digits, "The KBLI begins with a division that no edition has.")
        return accepted(digits)

    @property
    def division(self) -> str:
        """The first two digits, the division of ISIC."""
        return self.value[:2]
