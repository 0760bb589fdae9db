"""The number of a property under land and building tax (Nomor Objek Pajak, NOP)."""

from __future__ import annotations

from typing import ClassVar

from schemas.identifiers.digits import DigitsIdentifier
from schemas.identifiers.identifier import IdentifierCheck, accepted, invalid
from schemas.identifiers.regions import PROVINCE_CODES

_KNOWN_PROVINCES = frozenset().union(*PROVINCE_CODES.values())


class PropertyTaxNumber(DigitsIdentifier):
    """Eighteen digits as SISMIOP writes them.

    Province 2, regency 2, district 3, village 3, block 3, serial 4, kind 1.
    The district has three digits, as BPS counted them when the register was made: it is never Kemendagri's
    code of the district, and joining on it would join strangers.
    """

    __slots__ = ()

    kind: ClassVar[str] = "property-tax"
    title: ClassVar[str] = "NOP"
    longest_value: ClassVar[int] = 18
    lengths: ClassVar[tuple[int, ...]] = (18,)
    numeric_cells_lose_digits: ClassVar[bool] = True

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        if digits[:2] not in _KNOWN_PROVINCES:
            return invalid(
                "unknown-province",
                "The NOP begins with no province.",
                "Check for a lost leading digit and that the right columns are joined.",
            )
        if digits[2:4] == "00":
            return invalid("regency", "Digits 3-4 of the NOP name no regency.", "Correct it at the source.")
        return accepted(digits)

    @property
    def province(self) -> str:
        """Code of the province."""
        return self.value[:2]

    @property
    def regency(self) -> str:
        """Code of the regency or city (Dati II) in the province."""
        return self.value[2:4]

    @property
    def district(self) -> str:
        """Three digits of SISMIOP; not Kemendagri's district."""
        return self.value[4:7]

    @property
    def village(self) -> str:
        """Three digits of SISMIOP."""
        return self.value[7:10]

    @property
    def block(self) -> str:
        """The block in the village."""
        return self.value[10:13]

    @property
    def serial(self) -> str:
        """The object in the block."""
        return self.value[13:17]

    @property
    def object_kind(self) -> str:
        """The kind of object, 0 for ordinary ones."""
        return self.value[17]

    @property
    def punctuated(self) -> str:
        """The number as it is printed: ``35.76.020.001.001-0001.0``."""
        v = self.value
        return f"{v[:2]}.{v[2:4]}.{v[4:7]}.{v[7:10]}.{v[10:13]}-{v[13:17]}.{v[17]}"
