"""The number of a member of the national health insurance (JKN, BPJS Kesehatan)."""

from __future__ import annotations

from typing import ClassVar

from schemas.identifiers.digits import DigitsIdentifier, all_zeros
from schemas.identifiers.identifier import IdentifierCheck, accepted, invalid


class BpjsNumber(DigitsIdentifier):
    """Thirteen digits with leading zeros; the eleven of BPJS Ketenagakerjaan (KPJ) are another number."""

    __slots__ = ()

    kind: ClassVar[str] = "bpjs"
    title: ClassVar[str] = "BPJS number"
    longest_value: ClassVar[int] = 13
    lengths: ClassVar[tuple[int, ...]] = (13,)

    @classmethod
    def _wrong_length(cls, digits: str) -> IdentifierCheck:
        found = super()._wrong_length(digits)
        if len(digits) != 11:
            return found
        return invalid(
            found.rule,
            "The BPJS number has 11 digits instead of 13: that is the number of BPJS Ketenagakerjaan.",
            "Map the column with the number of the health insurance card (noKartu).",
        )

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        return accepted(digits) if digits.strip("0") else all_zeros(cls.title)
