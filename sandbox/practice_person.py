"""A practice person: made up, in every population, and known to each office in a way that is written down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sandbox.families import HEAD, SINGLE

AID, POLICE_CERTIFICATE, CHILD_CARD = "bantuan-usaha-mikro", "skck", "kia"


class TaxRow(StrEnum):
    """What the tax office holds about a practice person."""

    VALID = "VALID"
    NOT_VALID = "TIDAK VALID"
    NONE = ""


class DeathRow(StrEnum):
    """What the register of deaths holds about a practice person."""

    NONE = "none"
    SOUND = "sound"
    ABSURD_DATE = "absurd-date"


class BusinessRow(StrEnum):
    """Which business the licensing office knows under a practice person's NIK."""

    MICRO = "micro"
    """A micro-business of low risk: the NIB is all it needs. It has a supporting permit besides."""
    HIGH_RISK = "high-risk"
    """A micro-business that may only run with a licence; it has one."""
    NONE = ""


class CoverageRow(StrEnum):
    """What the health insurance knows about a practice person."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    NONE = ""


@dataclass(frozen=True, slots=True)
class PracticePerson:
    """A made-up person with a known end to their application; what is not said is in good order.

    Attributes:
        expected: How the application ends: `verified`, `refer`, `not_possible`, `denied`.
        outcome: Outcome of the criterion that decides it, when it is not verified.
        service: The service they apply for.
        role: Relationship to the head of the family, in SIAK's code.
        has_birth_deed: Whether the birth stands in the register of births.
        health_birth_date: The birth date that the health office has instead.
        is_newborn_patient: The health office knows a child by the mother's NIK only.
        also_named: Another person whom the registry has under the same NIK.
    """

    nik: str
    family_card_number: str
    name: str
    birth_date: date
    sex: str
    expected: str
    outcome: str = ""
    service: str = AID
    tax: TaxRow = TaxRow.VALID
    death: DeathRow = DeathRow.NONE
    business: BusinessRow = BusinessRow.MICRO
    coverage: CoverageRow = CoverageRow.ACTIVE
    regency: int = 76
    district: int = 2
    village: int = 1003
    role: int = HEAD
    marital: int = SINGLE
    mother_nik: str | None = None
    father_nik: str | None = None
    has_birth_deed: bool = False
    health_birth_date: date | None = None
    is_newborn_patient: bool = False
    also_named: str = ""

    @property
    def nib(self) -> str:
        """Number of their business."""
        return f"9120{self.nik[7:]}"
