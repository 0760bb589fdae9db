"""The number of a patient in SATUSEHAT (Indonesia Health Services)."""

from __future__ import annotations

import re
from typing import ClassVar

from schemas.identifiers.identifier import Identifier, IdentifierCheck, accepted, invalid

_PATIENT = re.compile(r"P[0-9]{11}")
_PRACTITIONER = re.compile(r"N?[0-9]{8,14}")


class IhsNumber(Identifier):
    """``P`` and eleven digits; practitioners have numbers of their own."""

    __slots__ = ()

    kind: ClassVar[str] = "ihs"
    title: ClassVar[str] = "IHS number"
    longest_value: ClassVar[int] = 12
    visible_characters: ClassVar[int] = 1

    @classmethod
    def _check(cls, text: str) -> IdentifierCheck:
        if not text:
            return invalid("empty", "The IHS number is empty.", "Leave the field out where there is none.")
        normalised = text.upper() if text.isascii() else text
        if _PATIENT.fullmatch(normalised):
            return accepted(normalised)
        if _PRACTITIONER.fullmatch(normalised):
            return invalid(
                "practitioner",
                "This is a number of a practitioner or facility, not of a patient.",
                "Map the identifier with the system .../id/ihs-number of the patient.",
            )
        return invalid(
            "ihs-shape", "An IHS number is the letter P and eleven digits.", "Correct it at the source."
        )
