"""Which errors offices make in which register: what is wrong, in which column, and what stands there then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from sandbox import datasets

Spoil = Callable[[str | None], object]
_FAR_FUTURE = "2926-03-01"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One way to spoil a cell.

    Attributes:
        name: What is wrong, as a slug.
        column: The column of the source in which it is.
        spoil: Gives what stands there, from what should.
        rejected: Whether a row-wise check can find it; the others need the whole picture.
    """

    name: str
    column: str
    spoil: Spoil
    rejected: bool = True


@dataclass(frozen=True, slots=True)
class Spoilable:
    """How the rows of a register are spoiled.

    Attributes:
        key: The column by which an error names its row.
        person: The column that names a practice person, whose rows stay as they are.
        kinds: The errors made in it.
    """

    key: str
    person: str
    kinds: tuple[ErrorKind, ...]


def _replace(value: object) -> Spoil:
    return lambda _: value


def _letter(number: str | None) -> str | None:
    return f"{number[:8]}O{number[9:]}" if number else number


def _without_the_last(number: str | None) -> str | None:
    return number[:-1] if number else number


def _nobodys(nik: str | None) -> str | None:
    """A number of the right shape that no population gives out."""
    return f"{nik[:12]}8888" if nik else nik


def _scientific(number: str | None) -> str | None:
    """What a spreadsheet makes of a long number; the digits are lost for good."""
    return f"{number[0]}.{number[1:6]}E+{len(number) - 1}" if number else number


def _serial_zero(nik: str | None) -> str | None:
    return f"{nik[:12]}0000" if nik else nik


def _day_of_a_woman(card: str | None) -> str | None:
    return f"{card[:6]}41{card[8:]}" if card else card


def _other_way_round(day: str | None) -> str | None:
    return "-".join(reversed(day.split("-"))) if day else day


def _year_before(day: str | None) -> str | None:
    return f"{int(day[:4]) - 1}{day[4:8]}01" if day else day


def _without_zeros(number: str | None) -> str | None:
    return number.lstrip("0") if number else number


_OF_A_WOMAN = ErrorKind("family-card-day-of-a-woman", "no_kk", _day_of_a_woman)

ERRORS: dict[str, Spoilable] = {
    datasets.PERSONS: Spoilable("nik", "nik", (
        ErrorKind("nik-day-out-of-range", "nik", lambda nik: f"{nik[:6]}81{nik[8:]}" if nik else nik),
        ErrorKind("nik-serial-zero", "nik", _serial_zero),
        ErrorKind("nik-too-short", "nik", _without_the_last),
        ErrorKind("nik-scientific", "nik", _scientific),
        ErrorKind("nik-letter", "nik", _letter),
        ErrorKind("nik-province-unknown", "nik", lambda nik: f"00{nik[2:]}" if nik else nik),
        ErrorKind("nik-missing", "nik", _replace(None)),
        _OF_A_WOMAN,
        ErrorKind("birth-date-absurd", "tgl_lhr", _replace(date(2926, 1, 1))),
        ErrorKind("birth-date-in-year-one", "tgl_lhr", _replace(date(1, 1, 1))),
        ErrorKind("name-missing", "nama_lgkp", _replace(None)),
        ErrorKind("name-empty", "nama_lgkp", _replace("")),
        ErrorKind("sex-outside-table", "jenis_klmin", _replace(3)),
        ErrorKind("marital-status-outside-table", "stat_kwn", _replace(9)),
        ErrorKind("relationship-outside-table", "stat_hbkel", _replace(99)),
    )),
    datasets.FAMILIES: Spoilable("no_kk", "nik_kepala", (
        _OF_A_WOMAN,
        ErrorKind("head-nik-too-short", "nik_kepala", _without_the_last),
        ErrorKind("head-missing", "nama_kep", _replace(None)),
        ErrorKind("family-without-members", "jumlah_anggota", _replace(0)),
        ErrorKind("issued-on-absurd", "tgl_terbit", _replace(date(2926, 1, 1))),
    )),
    datasets.BIRTHS: Spoilable("nik", "nik", (
        ErrorKind("birth-date-absurd", "tgl_lhr", _replace(date(2926, 2, 3))),
        ErrorKind("birth-nik-too-short", "nik", _without_the_last),
        ErrorKind("deed-of-unknown-kind", "no_akta", lambda deed: deed.replace("-L", "-X") if deed else deed),
        ErrorKind("mother-nik-letter", "nik_ibu", lambda nik: _letter(nik) or "IBU"),
    )),
    datasets.DEATHS: Spoilable("nik", "nik", (
        ErrorKind("death-date-absurd", "tgl_mati", _replace(date(2926, 2, 3))),
        ErrorKind("death-date-missing", "tgl_mati", _replace(None)),
        ErrorKind("death-nik-invalid", "nik", _serial_zero),
        ErrorKind("death-of-unknown-person", "nik", _nobodys, rejected=False),
    )),
    datasets.TAXPAYERS: Spoilable("npwp16", "npwp16", (
        ErrorKind("status-outside-table", "status_wp", _replace("???")),
        ErrorKind("kind-outside-table", "jenis_wp", _replace("LAIN")),
        ErrorKind("npwp16-letter", "npwp16", _letter),
        ErrorKind("registered-on-absurd", "tanggal_daftar", _replace("2026-02-31")),
    )),
    datasets.TAX: Spoilable("npwp16", "npwp16", (
        ErrorKind("status-outside-table", "status_kswp", _replace("???")),
        ErrorKind("year-not-a-number", "tahun_kswp", _replace("20Z6")),
        ErrorKind("issued-on-absurd", "tanggal_terbit", _replace("2026-02-31")),
        ErrorKind("npwp16-letter", "npwp16", _letter),
        ErrorKind("npwp16-as-number", "nomor_sebagai_angka", _replace(True)),
    )),
    datasets.PROPERTY_TAX: Spoilable("subjekPajakId", "subjekPajakId", (
        ErrorKind("year-not-a-number", "tahunPajak", _replace("20Z6")),
        ErrorKind("standing-outside-table", "statusBayar", _replace("SEBAGIAN")),
        ErrorKind("tax-below-zero", "pbbTerutang", _replace(-15_000)),
        ErrorKind("block-letter", "kdBlok", _replace("0O1")),
        ErrorKind("paid-on-absurd", "tanggalBayar", _replace(_FAR_FUTURE)),
    )),
    datasets.BUSINESSES: Spoilable("nib", "no_identitas_penanggung_jwb", (
        ErrorKind("nib-too-short", "nib", _without_the_last),
        ErrorKind("nib-scientific", "nib", _scientific),
        ErrorKind("owner-scientific", "no_identitas_penanggung_jwb", _scientific),
        ErrorKind("status-outside-table", "status_nib", _replace("99")),
        ErrorKind("issued-on-the-other-way-round", "tgl_terbit_nib", _other_way_round),
        ErrorKind("name-missing", "nama_perseroan", _replace(None)),
        ErrorKind("owner-unknown", "no_identitas_penanggung_jwb", _nobodys, rejected=False),
    )),
    datasets.LICENSES: Spoilable("id_izin", "no_identitas_penanggung_jwb", (
        ErrorKind("license-number-missing", "id_izin", _replace(None)),
        ErrorKind("nib-too-short", "nib", _without_the_last),
        ErrorKind("status-outside-table", "kd_status", _replace("99")),
        ErrorKind("kind-outside-table", "jenis_izin", _replace("Z9")),
        ErrorKind("issued-on-absurd", "tgl_terbit", _replace(date(2926, 3, 1))),
        ErrorKind("owner-unknown", "no_identitas_penanggung_jwb", _nobodys, rejected=False),
        ErrorKind("business-unknown", "nib", lambda nib: f"0{nib[1:]}" if nib else nib, rejected=False),
    )),
    datasets.PATIENTS: Spoilable("ihs_number", "nik", (
        ErrorKind("ihs-number-too-short", "ihs_number", _without_the_last),
        ErrorKind("birth-date-absurd", "birth_date", _replace(_FAR_FUTURE)),
        ErrorKind("gender-in-a-letter", "gender", lambda gender: "L" if gender == "male" else "P"),
        ErrorKind("birth-date-differs", "birth_date", _year_before, rejected=False),
    )),
    datasets.COVERAGE: Spoilable("id", "nik", (
        ErrorKind("card-number-without-zeros", "subscriber_id", _without_zeros),
        ErrorKind("class-not-a-number", "class_of_care", _replace("VIP")),
        ErrorKind("nik-too-short", "nik", _without_the_last),
        ErrorKind("coverage-of-unknown-person", "nik", _nobodys, rejected=False),
    )),
    datasets.IMMUNIZATIONS: Spoilable("id", "nik", (
        ErrorKind("occurred-absurd", "occurred", _replace(f"{_FAR_FUTURE}T09:15:00+07:00")),
        ErrorKind("reason-outside-table", "reason", _replace("IM-Lain")),
        ErrorKind("nik-too-short", "nik", _without_the_last),
    )),
}  # fmt: skip
