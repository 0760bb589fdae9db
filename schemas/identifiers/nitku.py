"""The number of a taxpayer's place of activity (Nomor Identitas Tempat Kegiatan Usaha)."""

from __future__ import annotations

from typing import ClassVar

from schemas.identifiers.digits import DigitsIdentifier
from schemas.identifiers.identifier import IdentifierCheck, accepted, invalid
from schemas.identifiers.npwp import Npwp


class Nitku(DigitsIdentifier):
    """Twenty-two digits: the taxpayer's sixteen (NPWP), then six for the place; 000000 is the seat."""

    __slots__ = ()

    kind: ClassVar[str] = "nitku"
    title: ClassVar[str] = "NITKU"
    longest_value: ClassVar[int] = 22
    lengths: ClassVar[tuple[int, ...]] = (22,)
    numeric_cells_lose_digits: ClassVar[bool] = True

    @classmethod
    def _check_digits(cls, digits: str) -> IdentifierCheck:
        head = Npwp.check(digits[:16])
        if head.normalised is None:
            return invalid(
                head.rule, "The first sixteen digits of the NITKU: " + head.messages[0], head.remedy
            )
        return accepted(digits, *head.messages)

    @property
    def npwp(self) -> Npwp:
        """The taxpayer whose place it is."""
        return Npwp(self.value[:16])

    @property
    def place(self) -> str:
        """The six digits that number the place of activity."""
        return self.value[16:]

    @property
    def is_seat(self) -> bool:
        """Whether it is the taxpayer's seat."""
        return self.place == "000000"
