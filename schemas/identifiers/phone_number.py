"""A telephone number, kept in the international form (ITU-T E.164)."""

from __future__ import annotations

import re
from typing import ClassVar

from schemas.identifiers.identifier import Identifier, IdentifierCheck, accepted, invalid

_WRITTEN = re.compile(r"\+?[0-9(][0-9 .\-()/]*")
_MOBILE = re.compile(r"8[1-9][0-9]{7,10}")
_LANDLINE = re.compile(r"[2-79][0-9]{6,10}")
_FOREIGN = re.compile(r"[1-9][0-9]{6,14}")
_COUNTRY = "62"


class PhoneNumber(Identifier):
    """A number beginning with ``+``; an Indonesian one may be written 08…, 8…, 628… or +628….

    Numbers without their area code or country cannot be told apart and are refused.
    """

    __slots__ = ()

    kind: ClassVar[str] = "phone"
    title: ClassVar[str] = "phone number"
    longest_value: ClassVar[int] = 16
    visible_characters: ClassVar[int] = 5

    @classmethod
    def _check(cls, text: str) -> IdentifierCheck:
        if not _WRITTEN.fullmatch(text):
            return invalid(
                "phone-shape",
                "A phone number holds digits, grouped by spaces, dots, hyphens, slashes or brackets.",
                "Keep one number in the column; move further ones elsewhere.",
            )
        digits = re.sub(r"[^0-9]", "", text)
        if text.startswith("+") and not digits.startswith(_COUNTRY):
            return accepted(f"+{digits}") if _FOREIGN.fullmatch(digits) else _unlike_a_number()
        national, named = _national(digits, international=text.startswith("+"))
        if _MOBILE.fullmatch(national):
            return accepted(f"+{_COUNTRY}{national}")
        if named and _LANDLINE.fullmatch(national):
            return accepted(f"+{_COUNTRY}{national}", "The number is a landline: it cannot take messages.")
        return _unlike_a_number()

    @property
    def is_mobile(self) -> bool:
        """Whether it is an Indonesian mobile number."""
        return _MOBILE.fullmatch(self.value.removeprefix(f"+{_COUNTRY}")) is not None and self.value[
            1:
        ].startswith(_COUNTRY)


def _national(digits: str, *, international: bool) -> tuple[str, bool]:
    """The number behind the country's code or the leading zero, and whether one of them was there."""
    for prefix in (_COUNTRY, "0"):
        if digits.startswith(prefix) and (prefix == _COUNTRY or not international):
            rest = digits.removeprefix(prefix)
            return (rest.removeprefix("0") if prefix == _COUNTRY else rest), True
    return digits, False


def _unlike_a_number() -> IdentifierCheck:
    return invalid(
        "phone-shape",
        "This is neither a mobile number (08…, 10 to 13 digits) nor a number with its area or country code.",
        "Complete it at the source, best as +62….",
    )
