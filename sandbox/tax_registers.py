"""What the tax office writes down: taxpayers, their standing (KSWP), and the city's property tax (PBB-P2).

PBB-P2 is really kept by the city's revenue office; the practice tax office keeps it too.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from sandbox import names
from sandbox.columns import PROPERTY_TAX_COLUMNS, TAX_COLUMNS, TAXPAYER_COLUMNS, shaped
from sandbox.families import HEAD
from sandbox.fixed_people import TaxRow
from sandbox.regions import CITY, PROVINCE, VILLAGES

#: Number of the tax office (KPP) itself, and as the last six digits of an old number: office and head office.
KPP = "602"
_TAX_OFFICE = f"{KPP}000"
_INDIVIDUALS_A_FIRM = 40
_FREE_OF_TAX = 10_000_000
"""NJOPTKP: so much of a property's value is not taxed (UU 1/2022, Art. 40)."""


def tax_standing(
    rng: np.random.Generator, people: pl.DataFrame, died: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """Write the tax office's rows: a part of the living adults, under names spelled its own way."""
    adult = pl.col("tgl_lhr") <= pl.lit(as_of - timedelta(days=20 * 365))
    known = people.filter(
        adult & ~pl.col("nik").is_in(died["nik"].implode()) & pl.Series(rng.random(people.height) < 0.55)
    )
    firms = _organisations(rng, max(1, known.height // _INDIVIDUALS_A_FIRM))
    individuals = pl.DataFrame(
        {
            "nama_wp": names.respell(rng, known["nama_lgkp"], known["jenis_klmin"] == 2),
            "npwp": npwp15(np.arange(known.height)),
            "npwp16": known["nik"],
        }
    )
    taxpayers = pl.concat([individuals, firms])
    count = taxpayers.height
    valid = rng.random(count) < 0.86
    reason = pl.Series(np.where(rng.random(count) < 0.2, "03 Masa PPN 3 Bulanan", "02 Masa SPT Tahunan"))
    issued = (date(as_of.year, 1, 5) - date(1970, 1, 1)).days + rng.integers(0, 170, count)
    stamp = issued.astype(np.int64) * 86_400_000_000 + rng.integers(7 * 3600, 17 * 3600, count) * 1_000_000
    return taxpayers.with_columns(
        tahun_kswp=pl.lit(str(as_of.year)),
        status_kswp=pl.Series(np.where(valid, TaxRow.VALID.value, TaxRow.NOT_VALID.value)),
        alasan=reason.set(pl.Series(valid), None),
        tanggal_terbit=pl.Series(issued).cast(pl.Int32).cast(pl.Date).dt.strftime("%Y-%m-%d"),
        diubah=pl.Series(stamp).cast(pl.Datetime("us", "UTC")),
        nomor_sebagai_angka=pl.lit(value=False),
    ).pipe(shaped, TAX_COLUMNS)


def taxpayers(
    rng: np.random.Generator, people: pl.DataFrame, standing: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """Write the register of taxpayers: everybody with a standing, and adults who never asked for one."""
    adult = pl.col("tgl_lhr") <= pl.lit(as_of - timedelta(days=20 * 365))
    silent = people.filter(
        adult
        & ~pl.col("nik").is_in(standing["npwp16"].implode())
        & pl.Series(rng.random(people.height) < 0.06)
    )
    silent = silent.select(
        nama_wp=names.respell(rng, silent["nama_lgkp"], silent["jenis_klmin"] == 2),
        npwp=npwp15(standing.height + np.arange(silent.height)),
        npwp16="nik",
    )
    known = pl.concat([standing.select("nama_wp", "npwp", "npwp16"), silent])
    count = known.height
    registered = (as_of - date(1970, 1, 1)).days - rng.integers(30, 9_000, count)
    status = rng.choice(np.array(["AKTIF", "NE", "HAPUS"], dtype=object), count, p=[0.9, 0.08, 0.02])
    return known.with_columns(
        nitku=pl.col("npwp16") + "000000",
        jenis_wp=pl.when(pl.col("npwp16").str.starts_with("0")).then(pl.lit("BADAN")).otherwise(pl.lit("OP")),
        status_wp=pl.Series(status, dtype=pl.String),
        kpp=pl.lit(KPP),
        tanggal_daftar=_iso_day(registered),
        diubah=_moments(rng, registered),
    ).pipe(shaped, TAXPAYER_COLUMNS)


def property_tax(rng: np.random.Generator, people: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Write the property-tax rolls of two years: who owns what, what is due, what was paid.

    Most objects name their taxpayer by NIK; some still carry the number of an old card file.
    """
    heads = people.filter(pl.col("stat_hbkel") == HEAD)
    owners = heads.filter(pl.Series(rng.random(heads.height) < 0.45))
    objects = _objects(rng, owners)
    years = [
        _roll(rng, objects, year, paid=share) for year, share in ((as_of.year - 1, 0.86), (as_of.year, 0.55))
    ]
    return pl.concat(years).pipe(shaped, PROPERTY_TAX_COLUMNS)


def _objects(rng: np.random.Generator, owners: pl.DataFrame) -> pl.DataFrame:
    count = owners.height
    places = {village.code + village.district * 10_000: place for place, village in enumerate(VILLAGES)}
    village = (pl.col("no_kec").cast(pl.Int32) * 10_000 + pl.col("no_kel")).replace_strict(
        places, default=0, return_dtype=pl.Int64
    )
    land = np.round(rng.lognormal(4.6, 0.5, count), 1)
    building = np.round(np.where(rng.random(count) < 0.08, 0.0, land * rng.uniform(0.3, 0.95, count)), 1)
    number = pl.int_range(count) + 1
    legacy = pl.format("WP-LAMA-{}", number.cast(pl.String).str.zfill(6))
    return owners.with_columns(
        kdPropinsi=pl.lit(str(PROVINCE)),
        kdDati2=pl.lit(str(CITY)),
        kdKecamatan=(pl.col("no_kec").cast(pl.Int32) * 10).cast(pl.String).str.zfill(3),
        kdKelurahan=(village + 1).cast(pl.String).str.zfill(3),
        kdBlok=(number // 9_000 + 1).cast(pl.String).str.zfill(3),
        noUrut=(number % 9_000 + 1).cast(pl.String).str.zfill(4),
        kdJnsOp=pl.lit("0"),
        subjekPajakId=pl.when(pl.Series(rng.random(count) < 0.06)).then(legacy).otherwise("nik"),
        nmWp=names.respell(rng, owners["nama_lgkp"], owners["jenis_klmin"] == 2),
        totalLuasBumi=pl.Series(land, dtype=pl.Float64),
        totalLuasBng=pl.Series(building, dtype=pl.Float64),
        njopBumi=pl.Series(land * rng.integers(200, 2_500, count) * 1_000).cast(pl.Int64),
        njopBng=pl.Series(building * rng.integers(600, 2_200, count) * 1_000).cast(pl.Int64),
    )


def _roll(rng: np.random.Generator, objects: pl.DataFrame, year: int, *, paid: float) -> pl.DataFrame:
    count = objects.height
    is_paid = pl.Series(rng.random(count) < paid)
    opened = (date(year, 2, 1) - date(1970, 1, 1)).days
    paid_on = opened + rng.integers(1, 140, count)
    value = pl.col("njopBumi") + pl.col("njopBng")
    return objects.with_columns(
        tahunPajak=pl.lit(str(year)),
        pbbTerutang=((value - _FREE_OF_TAX).clip(lower_bound=0) // 1_000).clip(lower_bound=15_000),
        tanggalBayar=pl.when(is_paid).then(_iso_day(paid_on)),
        statusBayar=pl.when(is_paid).then(pl.lit("LUNAS")).otherwise(pl.lit("BELUM LUNAS")),
        diubah=pl.when(is_paid).then(_moments(rng, paid_on)).otherwise(_moments(rng, np.full(count, opened))),
    )


def _iso_day(days: np.ndarray) -> pl.Series:
    return pl.Series(days).cast(pl.Int32).cast(pl.Date).dt.strftime("%Y-%m-%d")


def _moments(rng: np.random.Generator, days: np.ndarray) -> pl.Series:
    """A moment of each day's office hours."""
    stamp = days.astype(np.int64) * 86_400_000_000 + rng.integers(7 * 3600, 17 * 3600, days.size) * 1_000_000
    return pl.Series(stamp).cast(pl.Datetime("us", "UTC"))


def npwp15(index: np.ndarray) -> pl.Series:
    """Old tax numbers of individuals, one per index, with a correct check digit (Luhn over nine digits)."""
    return _with_check_digit(30_000_000 + (index.astype(np.int64) * 7_654_321 + 1_234_567) % 60_000_000)


def _organisations(rng: np.random.Generator, count: int) -> pl.DataFrame:
    """Firms: their sixteen digits are `0` and the old fifteen, never a NIK."""
    number = _with_check_digit(1_000_000 + (np.arange(count) * 7_654_321) % 28_000_000)
    return pl.DataFrame(
        {"nama_wp": names.organisations(rng, count), "npwp": number, "npwp16": "0" + number},
    )


def _with_check_digit(base: np.ndarray) -> pl.Series:
    digits = np.stack([base // 10**power % 10 for power in range(7, -1, -1)])
    doubled = digits[1::2] * 2
    total = digits[0::2].sum(axis=0) + (doubled - 9 * (doubled > 9)).sum(axis=0)
    check = (10 - total % 10) % 10
    return pl.Series("npwp", base * 10 + check).cast(pl.String).str.zfill(9) + _TAX_OFFICE
