"""Which numbers name people, families, taxpayers and regions?

In: text as a source writes it. Out: immutable, normalised, masked identifiers, or an explanation of what is
wrong. Structure only: whether a number is registered, only its agency can say.
"""

from schemas.identifiers.family_card_number import FamilyCardNumber
from schemas.identifiers.identifier import Identifier, IdentifierCheck, IdentifierStatus
from schemas.identifiers.nik import Nik
from schemas.identifiers.npwp import Npwp, NpwpForm
from schemas.identifiers.region_code import RegionCode, RegionLevel
from schemas.identifiers.regions import RegionSystem

IDENTIFIERS: dict[str, type[Identifier]] = {
    identifier.kind: identifier for identifier in (Nik, FamilyCardNumber, Npwp, RegionCode)
}

__all__ = [
    "IDENTIFIERS",
    "FamilyCardNumber",
    "Identifier",
    "IdentifierCheck",
    "IdentifierStatus",
    "Nik",
    "Npwp",
    "NpwpForm",
    "RegionCode",
    "RegionLevel",
    "RegionSystem",
]
