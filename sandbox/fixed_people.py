"""The practice people who are the same in every population: one for each way an application can end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date

from sandbox.families import CHILD, MARRIED, WIFE
from sandbox.practice_person import (
    CHILD_CARD,
    POLICE_CERTIFICATE,
    BusinessRow,
    CoverageRow,
    DeathRow,
    PracticePerson,
    TaxRow,
)

__all__ = [
    "FIXED",
    "BusinessRow",
    "CoverageRow",
    "DeathRow",
    "FixedPeople",
    "PracticePerson",
    "TaxRow",
]

_FAMILY = "3576020107179010"
_MOTHER, _FATHER = "3576025403899011", "3576022309869010"


@dataclass(frozen=True, slots=True)
class FixedPeople:
    """Every practice person by the reason they exist.

    `verified` to `denied` apply for the aid as people of the first path did. `overdue` runs a business that
    may only run with a licence: while the licensing office's list is overdue, nobody can say whether it may.
    `birth_dates_differ` has one birth date at the registry and another at the health office. `dies_later` is
    alive and verified until `RegistryMutations.new_death`. `dead_owner` died, and the licences do not know.
    `father`, `guardian` (the mother), `child`, `unrecorded_child` and `newborn` are one family. `jkn_active`
    and `jkn_inactive` ask for a police certificate. `shared_nik` is a number that two people bear; `two_niks`
    and `two_niks_again` are one person.
    """

    verified: PracticePerson
    tax_not_valid: PracticePerson
    deceased: PracticePerson
    death_quarantined: PracticePerson
    minor: PracticePerson
    elsewhere: PracticePerson
    no_tax: PracticePerson
    denied: PracticePerson
    overdue: PracticePerson
    birth_dates_differ: PracticePerson
    dies_later: PracticePerson
    dead_owner: PracticePerson
    father: PracticePerson
    guardian: PracticePerson
    child: PracticePerson
    unrecorded_child: PracticePerson
    newborn: PracticePerson
    jkn_active: PracticePerson
    jkn_inactive: PracticePerson
    shared_nik: PracticePerson
    two_niks: PracticePerson
    two_niks_again: PracticePerson

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
        outcome="not_met",
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
        outcome="not_met",
        death=DeathRow.SOUND,
        coverage=CoverageRow.CANCELLED,
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
        outcome="unknown",
        death=DeathRow.ABSURD_DATE,
    ),
    minor=PracticePerson(
        nik="3576015002149005",
        family_card_number="3576011203139005",
        name="DEWI ANGGRAENI",
        birth_date=date(2014, 2, 10),
        sex="female",
        expected="refer",
        outcome="not_met",
        tax=TaxRow.NONE,
        business=BusinessRow.NONE,
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
        outcome="not_met",
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
        outcome="unknown",
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
    overdue=PracticePerson(
        nik="3576014904839009",
        family_card_number="3576011402099009",
        name="LILIK HANDAYANI",
        birth_date=date(1983, 4, 9),
        sex="female",
        expected="not_possible",
        outcome="stale",
        business=BusinessRow.HIGH_RISK,
        district=1,
        village=1005,
    ),
    birth_dates_differ=PracticePerson(
        nik="3576020704879020",
        family_card_number="3576021906119020",
        name="HERU SUSANTO",
        birth_date=date(1987, 4, 7),
        sex="male",
        expected="refer",
        outcome="conflict",
        health_birth_date=date(1987, 7, 4),
    ),
    dies_later=PracticePerson(
        nik="3576032110719021",
        family_card_number="3576030311069021",
        name="SUGENG WIDODO",
        birth_date=date(1971, 10, 21),
        sex="male",
        expected="verified",
        district=3,
        village=1004,
    ),
    dead_owner=PracticePerson(
        nik="3576026806639022",
        family_card_number="3576020205079022",
        name="ENDANG SUHARTINI",
        birth_date=date(1963, 6, 28),
        sex="female",
        expected="refer",
        outcome="not_met",
        death=DeathRow.SOUND,
        business=BusinessRow.HIGH_RISK,
        coverage=CoverageRow.CANCELLED,
        village=1008,
    ),
    father=PracticePerson(
        nik=_FATHER,
        family_card_number=_FAMILY,
        name="ARIF KURNIAWAN",
        birth_date=date(1986, 9, 23),
        sex="male",
        expected="verified",
        marital=MARRIED,
    ),
    guardian=PracticePerson(
        nik=_MOTHER,
        family_card_number=_FAMILY,
        name="FITRI RAHMAWATI",
        birth_date=date(1989, 3, 14),
        sex="female",
        expected="verified",
        service=CHILD_CARD,
        tax=TaxRow.NONE,
        business=BusinessRow.NONE,
        role=WIFE,
        marital=MARRIED,
    ),
    child=PracticePerson(
        nik="3576025808199012",
        family_card_number=_FAMILY,
        name="ANISA PUTRI KURNIAWAN",
        birth_date=date(2019, 8, 18),
        sex="female",
        expected="verified",
        service=CHILD_CARD,
        tax=TaxRow.NONE,
        business=BusinessRow.NONE,
        role=CHILD,
        mother_nik=_MOTHER,
        father_nik=_FATHER,
        has_birth_deed=True,
    ),
    unrecorded_child=PracticePerson(
        nik="3576020511219013",
        family_card_number=_FAMILY,
        name="DIMAS ADI KURNIAWAN",
        birth_date=date(2021, 11, 5),
        sex="male",
        expected="refer",
        outcome="unknown",
        service=CHILD_CARD,
        tax=TaxRow.NONE,
        business=BusinessRow.NONE,
        role=CHILD,
        mother_nik=_MOTHER,
        father_nik=_FATHER,
    ),
    newborn=PracticePerson(
        nik="3576025405269014",
        family_card_number=_FAMILY,
        name="NUR AISYAH KURNIAWAN",
        birth_date=date(2026, 5, 14),
        sex="female",
        expected="verified",
        service=CHILD_CARD,
        tax=TaxRow.NONE,
        business=BusinessRow.NONE,
        coverage=CoverageRow.NONE,
        role=CHILD,
        mother_nik=_MOTHER,
        father_nik=_FATHER,
        has_birth_deed=True,
        is_newborn_patient=True,
    ),
    jkn_active=PracticePerson(
        nik="3576031906989015",
        family_card_number="3576032208199015",
        name="BAYU PAMUNGKAS",
        birth_date=date(1998, 6, 19),
        sex="male",
        expected="verified",
        service=POLICE_CERTIFICATE,
        tax=TaxRow.NONE,
        business=BusinessRow.NONE,
        district=3,
        village=1003,
    ),
    jkn_inactive=PracticePerson(
        nik="3576014212969016",
        family_card_number="3576011007189016",
        name="YULI ASTUTIK",
        birth_date=date(1996, 12, 2),
        sex="female",
        expected="refer",
        outcome="not_met",
        service=POLICE_CERTIFICATE,
        tax=TaxRow.NONE,
        business=BusinessRow.NONE,
        coverage=CoverageRow.CANCELLED,
        district=1,
        village=1004,
    ),
    shared_nik=PracticePerson(
        nik="3576021501809017",
        family_card_number="3576020803109017",
        name="ANDI NUGROHO",
        birth_date=date(1980, 1, 15),
        sex="male",
        expected="refer",
        outcome="unknown",
        also_named="ANDI SAPUTRA",
    ),
    two_niks=PracticePerson(
        nik="3576016502779018",
        family_card_number="3576012304099018",
        name="WIWIK INDRIYANI",
        birth_date=date(1977, 2, 25),
        sex="female",
        expected="refer",
        outcome="conflict",
        mother_nik="3576015509559900",
        district=1,
        village=1007,
    ),
    two_niks_again=PracticePerson(
        nik="3578016502779019",
        family_card_number="3576011311189019",
        name="WIWIK INDRIYANI",
        birth_date=date(1977, 2, 25),
        sex="female",
        expected="refer",
        outcome="conflict",
        tax=TaxRow.NONE,
        business=BusinessRow.NONE,
        mother_nik="3576015509559900",
        district=1,
        village=1007,
    ),
)
