"""The practice people who are the same in every population: one for each way an application can end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class PracticePerson:
    """A made-up person with a known end to their application."""

    nik: str
    family_card_number: str
    name: str
    birth_date: date
    sex: str
    expected: str
    tax: TaxRow = TaxRow.VALID
    death: DeathRow = DeathRow.NONE
    regency: int = 76
    district: int = 2
    village: int = 1003


@dataclass(frozen=True, slots=True)
class FixedPeople:
    """Every practice person by the reason they exist."""

    verified: PracticePerson
    tax_not_valid: PracticePerson
    deceased: PracticePerson
    death_quarantined: PracticePerson
    minor: PracticePerson
    elsewhere: PracticePerson
    no_tax: PracticePerson
    denied: PracticePerson

    def all(self) -> tuple[PracticePerson, ...]:
        """All of them, in the order of their definition."""
        return tuple(getattr(self, each.name) for each in fields(self))


FIXED = FixedPeople(
    verified=PracticePerson(
        nik="3576025505909001",
        family_card_number="3576020102129001",
        name="SRI WAHYUNI LESTARI",
        birth_date=date(1990, 5, 15),
        sex="female",
        expected="verified",
    ),
    tax_not_valid=PracticePerson(
        nik="3576011708859002",
        family_card_number="3576011503119002",
        name="BAMBANG CAHYONO",
        birth_date=date(1985, 8, 17),
        sex="male",
        expected="refer",
        tax=TaxRow.NOT_VALID,
        district=1,
        village=1006,
    ),
    deceased=PracticePerson(
        nik="3576030203489003",
        family_card_number="3576032006059003",
        name="SUPARMAN HADI",
        birth_date=date(1948, 3, 2),
        sex="male",
        expected="refer",
        death=DeathRow.SOUND,
        district=3,
        village=1002,
    ),
    death_quarantined=PracticePerson(
        nik="3576022311519004",
        family_card_number="3576021001089004",
        name="MOCHAMAD YUSUF",
        birth_date=date(1951, 11, 23),
        sex="male",
        expected="refer",
        death=DeathRow.ABSURD_DATE,
    ),
    minor=PracticePerson(
        nik="3576015002149005",
        family_card_number="3576011203139005",
        name="DEWI ANGGRAENI",
        birth_date=date(2014, 2, 10),
        sex="female",
        expected="refer",
        tax=TaxRow.NONE,
        district=1,
        village=1003,
    ),
    elsewhere=PracticePerson(
        nik="3516010707799006",
        family_card_number="3516010101109006",
        name="AGUS SETIAWAN",
        birth_date=date(1979, 7, 7),
        sex="male",
        expected="refer",
        regency=16,
        district=1,
        village=2001,
    ),
    no_tax=PracticePerson(
        nik="3576037009929007",
        family_card_number="3576030408179007",
        name="RATNA PUSPITASARI",
        birth_date=date(1992, 9, 30),
        sex="female",
        expected="refer",
        tax=TaxRow.NONE,
        district=3,
        village=1001,
    ),
    denied=PracticePerson(
        nik="3576021212889008",
        family_card_number="3576022705149008",
        name="EKO PRASETYO",
        birth_date=date(1988, 12, 12),
        sex="male",
        expected="denied",
    ),
)
