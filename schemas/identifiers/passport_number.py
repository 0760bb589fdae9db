"""The number of an Indonesian passport."""

from __future__ import annotations

import re
from typing import ClassVar

from schemas.identifiers.identifier import Identifier, IdentifierCheck, accepted, invalid

_SHAPE = re.compile(r"[A-Z]{1,2}[0-9]{6,8}")


class PassportNumber(Identifier):
    """One or two letters and six to eight digits, most often ``X1234567``; kept in capitals."""

    __slots__ = ()

    kind: ClassVar[str] = "passport"
    title: ClassVar[str] = "passport number"
    longest_value: ClassVar[int] = 10
    visible_characters: ClassVar[int] = 1

    @classmethod
    def _check(cls, text: str) -> IdentifierCheck:
        if not text:
            return invalid("empty", "The passport number is empty.", "Leave it empty where there is none.")
        normalised = text.replace(" ", "").upper() if text.isascii() else text
        if _SHAPE.fullmatch(normalised):
            return accepted(normalised)
        return invalid(
            "passport-shape",
            "A passport number is one or two letters and six to eight digits.",
            "Check that the column holds passports only; correct it at the source.",
        )
