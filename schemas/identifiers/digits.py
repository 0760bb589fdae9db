"""Identifiers that are a fixed number of digits: one way of reading them, one way of refusing them."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from schemas.identifiers.identifier import Identifier, IdentifierCheck, digits_of, invalid, wrong_length


class DigitsIdentifier(Identifier):
    """An identifier written in the digits 0-9, grouped or not, of which leading zeros are a part.

    Invariant: ``value`` has one of ``lengths`` and no separators.
    """

    __slots__ = ()

    lengths: ClassVar[tuple[int, ...]]

    @classmethod
    def _check(cls, text: str) -> IdentifierCheck:
        digits = digits_of(text, cls.title)
        if isinstance(digits, IdentifierCheck):
            return digits
        if len(digits) not in cls.lengths:
            return cls._wrong_length(digits)
        return cls._check_digits(digits)

    @classmethod
    def _wrong_length(cls, digits: str) -> IdentifierCheck:
        first, *more = (str(length) for length in cls.lengths)
        last = more[-1] if more else ""
        adjacent = len(more) > 1 and int(last) - int(first) == len(more)
        expected = f"{first} to {last}" if adjacent else " or ".join((first, *more))
        return wrong_length(cls.title, expected, len(digits))

    @classmethod
    @abstractmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck: ...


def all_zeros(title: str) -> IdentifierCheck:
    """The verdict on a number of zeros only, which systems write where there is none."""
    return invalid("zeros", f"The {title} is all zeros.", "Leave it empty where there is none (step empty).")
