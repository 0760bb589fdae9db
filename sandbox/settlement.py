"""Puts the practice people into every table, as each office would have written them down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from sandbox import columns
from sandbox.health_registers import SCHEDULE, bpjs_number, ihs_number
from sandbox.licensing_registers import HIGH, INDIVIDUAL, KTP, LICENSE, LOW, MICRO, SUPPORTING
from sandbox.practice_person import BusinessRow, CoverageRow, DeathRow, PracticePerson, TaxRow
from sandbox.regions import CITY, NEIGHBOUR_REGENCY, PROVINCE
from sandbox.tax_registers import KPP, npwp15

Row = dict[str, object]

#: Numbers of practice people start here, far beyond those of any population.
_FIRST_INDEX = 50_000_000
_TODDLER = timedelta(days=5 * 365)


def settle(
    residents: Sequence[PracticePerson], tables: dict[str, pl.DataFrame], as_of: date
) -> dict[str, pl.DataFrame]:
    """Append the rows of the practice people to every table; the families follow from the persons."""
    found: dict[str, list[Row]] = {name: [] for name in tables}
    for place, person in enumerate(residents):
        for name, row in _Resident(person, place, as_of).rows():
            found[name].append(row)
    return {
        name: pl.concat([frame, columns.rows(columns.TABLES[name], found[name])])
        for name, frame in tables.items()
    }


class _Resident:
    """What every office has about one practice person."""

    def __init__(self, person: PracticePerson, place: int, as_of: date) -> None:
        self._person = person
        self._place = place
        self._as_of = as_of
        self._stamp = datetime(as_of.year, 1, 15, 9, tzinfo=UTC)
        index = np.array([_FIRST_INDEX + place])
        self._npwp = npwp15(index)[0]
        self._ihs = ihs_number(index)[0]
        self._bpjs = bpjs_number(index)[0]

    def rows(self) -> Iterator[tuple[str, Row]]:
        """The rows, each with the name of its table."""
        yield from self._civil()
        yield from self._tax()
        yield from self._licensing()
        yield from self._health()

    def _civil(self) -> Iterator[tuple[str, Row]]:
        person = self._person
        yield "persons", self._registered(person.name)
        if person.also_named:
            yield "persons", self._registered(person.also_named)
        if person.has_birth_deed:
            yield "births", self._birth()
        if person.death is not DeathRow.NONE:
            yield "deaths", self._death()

    def _registered(self, name: str) -> Row:
        person = self._person
        return {
            "nik": person.nik,
            "no_kk": person.family_card_number,
            "nama_lgkp": name,
            "tmpt_lhr": "MOJOKERTO",
            "tgl_lhr": person.birth_date,
            "jenis_klmin": self._sex,
            "stat_kwn": person.marital,
            "stat_hbkel": person.role,
            "nik_ibu": person.mother_nik,
            "nik_ayah": person.father_nik,
            "alamat": "JL CONTOH 1",
            "no_rt": "001",
            "no_rw": "002",
            **self._district,
            "no_kab": NEIGHBOUR_REGENCY if person.regency == NEIGHBOUR_REGENCY else CITY,
            "no_kel": person.village,
            "last_sync": self._stamp,
        }

    def _birth(self) -> Row:
        person = self._person
        registered = person.birth_date + timedelta(days=9)
        return {
            "no_akta": f"{PROVINCE}{CITY}-LU-{registered:%d%m%Y}-{person.nik[-4:]}",
            "nik": person.nik,
            "nama_lgkp": person.name,
            "tgl_lhr": person.birth_date,
            "tmpt_lhr": "MOJOKERTO",
            "jenis_klmin": self._sex,
            "nik_ibu": person.mother_nik,
            "nik_ayah": person.father_nik,
            "tgl_daftar": registered,
            **self._district,
            "last_sync": datetime(registered.year, registered.month, registered.day, 4, tzinfo=UTC),
        }

    def _death(self) -> Row:
        stamp = self._stamp
        is_absurd = self._person.death is DeathRow.ABSURD_DATE
        return {
            "no_akta": f"{PROVINCE}{CITY}-KM-{stamp:%d%m%Y}-{self._person.nik[-4:]}",
            "nik": self._person.nik,
            "tgl_mati": date(2926, 3, 1) if is_absurd else stamp.date() - timedelta(days=40),
            "tgl_lapor": stamp.date() - timedelta(days=12),
            **self._district,
            "last_sync": stamp,
        }

    def _tax(self) -> Iterator[tuple[str, Row]]:
        person, stamp = self._person, self._stamp
        if person.tax is TaxRow.NONE:
            return
        yield (
            "tax",
            {
                "nama_wp": person.name,
                "npwp": self._npwp,
                "npwp16": person.nik,
                "tahun_kswp": str(stamp.year),
                "status_kswp": person.tax.value,
                "alasan": "02 Masa SPT Tahunan" if person.tax is TaxRow.NOT_VALID else None,
                "tanggal_terbit": f"{stamp:%Y-%m-%d}",
                "diubah": stamp,
                "nomor_sebagai_angka": False,
            },
        )
        yield (
            "taxpayers",
            {
                "npwp16": person.nik,
                "npwp": self._npwp,
                "nitku": f"{person.nik}000000",
                "nama_wp": person.name,
                "jenis_wp": "OP",
                "status_wp": "AKTIF",
                "kpp": KPP,
                "tanggal_daftar": "2015-03-02",
                "diubah": stamp,
            },
        )
        yield "property_tax", self._property()

    def _property(self) -> Row:
        return {
            "kdPropinsi": str(PROVINCE),
            "kdDati2": str(CITY),
            "kdKecamatan": f"{self._person.district * 10:03}",
            "kdKelurahan": "099",
            "kdBlok": "900",
            "noUrut": f"{self._place + 1:04}",
            "kdJnsOp": "0",
            "tahunPajak": str(self._as_of.year),
            "subjekPajakId": self._person.nik,
            "nmWp": self._person.name,
            "totalLuasBumi": 100.5,
            "totalLuasBng": 75.25,
            "njopBumi": 50_000_000,
            "njopBng": 75_000_000,
            "pbbTerutang": 115_000,
            "tanggalBayar": f"{self._as_of.year}-03-10",
            "statusBayar": "LUNAS",
            "diubah": self._stamp,
        }

    def _licensing(self) -> Iterator[tuple[str, Row]]:
        person = self._person
        if person.business is BusinessRow.NONE:
            return
        is_risky = person.business is BusinessRow.HIGH_RISK
        yield (
            "businesses",
            {
                "nib": person.nib,
                "jns_identitas_penanggung_jwb": KTP,
                "no_identitas_penanggung_jwb": person.nik,
                "nama_penanggung_jwb": person.name,
                "npwp_perseroan": person.nik if person.tax is not TaxRow.NONE else None,
                "nama_perseroan": f"WARUNG {person.name.split(' ')[0]}",
                "jenis_pelaku_usaha": INDIVIDUAL,
                "flag_umk": "Y",
                "skala_usaha": MICRO,
                "kbli": "10710" if is_risky else "56102",
                "skala_resiko": HIGH if is_risky else LOW,
                "perseroan_daerah_id": f"{PROVINCE}{CITY}{2:02}{1003:04}",
                "status_nib": "01",
                "tgl_terbit_nib": "2023-07-03",
            },
        )
        yield (
            "licenses",
            {
                "id_izin": f"I-20230705{_FIRST_INDEX + self._place:013}",
                "nib": person.nib,
                "no_identitas_penanggung_jwb": person.nik,
                "kd_izin": "029000000001",
                "jenis_izin": LICENSE if is_risky else SUPPORTING,
                "kbli": "10710" if is_risky else "56102",
                "kewenangan": "02",
                "kd_status": "50",
                "tgl_status": datetime(2023, 7, 5, 10, 30),  # noqa: DTZ001 - the office writes local time
                "tgl_terbit": date(2023, 7, 5),
                "tgl_berlaku_sd": date(2028, 7, 4),
            },
        )

    def _health(self) -> Iterator[tuple[str, Row]]:
        person = self._person
        known_by_mother = person.is_newborn_patient
        born = person.health_birth_date or person.birth_date
        yield (
            "patients",
            {
                "ihs_number": self._ihs,
                "nik": None if known_by_mother else person.nik,
                "nik_ibu": person.mother_nik if known_by_mother else None,
                "name": person.name,
                "gender": person.sex,
                "birth_date": born.isoformat(),
                "deceased": False,
                "active": True,
                "last_updated": self._stamp,
            },
        )
        if person.coverage is not CoverageRow.NONE:
            yield "coverage", self._coverage()
        if not known_by_mother and born > self._as_of - 2 * _TODDLER:
            yield from (("immunizations", row) for row in self._vaccinations(born))

    def _coverage(self) -> Row:
        is_active = self._person.coverage is CoverageRow.ACTIVE
        return {
            "id": f"jkn-{self._bpjs}",
            "subscriber_id": self._bpjs,
            "nik": self._person.nik,
            "ihs_number": self._ihs,
            "status": self._person.coverage.value,
            "segment": "PBPU",
            "class_of_care": "3",
            "period_start": "2019-01-01",
            "period_end": None if is_active else f"{self._as_of.year}-01-31",
            "last_updated": self._stamp,
        }

    def _vaccinations(self, born: date) -> Iterator[Row]:
        for code, name, weeks, dose in SCHEDULE:
            given = born + timedelta(weeks=weeks, days=3)
            if given >= self._as_of:
                continue
            yield {
                "id": f"imm-{self._ihs}-{code}-{dose}",
                "nik": self._person.nik,
                "ihs_number": self._ihs,
                "vaccine_code": code,
                "vaccine_name": name,
                "status": "completed",
                "occurred": f"{given}T09:15:00+07:00",
                "dose_number": dose,
                "reason": "IM-Dasar",
                "lot_number": "L10001",
                "last_updated": datetime(given.year, given.month, given.day, 12, tzinfo=UTC),
            }

    @property
    def _sex(self) -> int:
        return 2 if self._person.sex == "female" else 1

    @property
    def _district(self) -> Row:
        return {"no_prop": PROVINCE, "no_kab": CITY, "no_kec": self._person.district}
