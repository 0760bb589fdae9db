"""Which numbers name people, families, taxpayers, businesses, patients, deeds and regions?

In: text as a source writes it. Out: immutable, normalised, masked identifiers, or an explanation of what is
wrong. Structure only: whether a number is registered, only its agency can say.
"""

from schemas.identifiers.bpjs_number import BpjsNumber
from schemas.identifiers.deed_number import DeedEvent, DeedNumber
from schemas.identifiers.driving_license_number import DrivingLicenseNumber
from schemas.identifiers.family_card_number import FamilyCardNumber
from schemas.identifiers.identifier import Identifier, IdentifierCheck, IdentifierStatus
from schemas.identifiers.ihs_number import IhsNumber
from schemas.identifiers.kbli import Kbli
from schemas.identifiers.nib import Nib
from schemas.identifiers.nik import Nik
from schemas.identifiers.nitku import Nitku
from schemas.identifiers.npwp import Npwp, NpwpForm
from schemas.identifiers.passport_number import PassportNumber
from schemas.identifiers.phone_number import PhoneNumber
from schemas.identifiers.property_tax_number import PropertyTaxNumber
from schemas.identifiers.region_code import RegionCode, RegionLevel
from schemas.identifiers.regions import RegionSystem

IDENTIFIERS: dict[str, type[Identifier]] = {
    identifier.kind: identifier
    for identifier in (
        Nik, FamilyCardNumber, DeedNumber, PassportNumber, DrivingLicenseNumber, PhoneNumber,
        Npwp, Nitku, PropertyTaxNumber, Nib, Kbli, BpjsNumber, IhsNumber, RegionCode,
    )
}  # fmt: skip

__all__ = [
    "IDENTIFIERS",
    "BpjsNumber",
    "DeedEvent",
    "DeedNumber",
    "DrivingLicenseNumber",
    "FamilyCardNumber",
    "Identifier",
    "IdentifierCheck",
    "IdentifierStatus",
    "IhsNumber",
    "Kbli",
    "Nib",
    "Nik",
    "Nitku",
    "Npwp",
    "NpwpForm",
    "PassportNumber",
    "PhoneNumber",
    "PropertyTaxNumber",
    "RegionCode",
    "RegionLevel",
    "RegionSystem",
]
