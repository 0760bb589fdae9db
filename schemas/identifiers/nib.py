"""The number of a business (Nomor Induk Berusaha), given by OSS."""

from __future__ import annotations

from typing import ClassVar

from schemas.identifiers.digits import DigitsIdentifier, all_zeros
from schemas.identifiers.identifier import IdentifierCheck, accepted


class Nib(DigitsIdentifier):
    """Thirteen digits, drawn at random; no check digit is published, and leading zeros are part of it."""

    __slots__ = ()

    kind: ClassVar[str] = "nib"
    title: ClassVar[str] = "NIB"
    longest_value: ClassVar[int] = 13
    lengths: ClassVar[tuple[int, ...]] = (13,)

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        return accepted(digits) if digits.strip("0") else all_zeros(cls.title)
