"""From families to rows: what the civil registry and the tax office write down about people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from sandbox import names
from sandbox.families import CHILD, HEAD, HUSBAND, MARRIED, PARENT, WIDOWED, WIFE
from sandbox.fixed_people import DeathRow, PracticePerson, TaxRow
from sandbox.regions import CITY, NEIGHBOUR_REGENCY, ORIGINS, PROVINCE, STREETS

PERSON_COLUMNS: dict[str, pl.DataType] = {
    "nik": pl.String(),
    "no_kk": pl.String(),
    "nama_lgkp": pl.String(),
    "tmpt_lhr": pl.String(),
    "tgl_lhr": pl.Date(),
    "jenis_klmin": pl.Int16(),
    "stat_kwn": pl.Int16(),
    "stat_hbkel": pl.Int16(),
    "nik_ibu": pl.String(),
    "nik_ayah": pl.String(),
    "alamat": pl.String(),
    "no_rt": pl.String(),
    "no_rw": pl.String(),
    "no_prop": pl.Int16(),
    "no_kab": pl.Int16(),
    "no_kec": pl.Int16(),
    "no_kel": pl.Int32(),
    "last_sync": pl.Datetime("us", "UTC"),
}
DEATH_COLUMNS: dict[str, pl.DataType] = {
    "no_akta": pl.String(),
    "nik": pl.String(),
    "tgl_mati": pl.Date(),
    "tgl_lapor": pl.Date(),
    "no_prop": pl.Int16(),
    "no_kab": pl.Int16(),
    "no_kec": pl.Int16(),
    "last_sync": pl.Datetime("us", "UTC"),
}
TAX_COLUMNS: dict[str, pl.DataType] = {
    "nama_wp": pl.String(),
    "npwp": pl.String(),
    "npwp16": pl.String(),
    "tahun_kswp": pl.String(),
    "status_kswp": pl.String(),
    "alasan": pl.String(),
    "tanggal_terbit": pl.String(),
    "diubah": pl.Datetime("us", "UTC"),
    "nomor_sebagai_angka": pl.Boolean(),
}
#: Many rows share this moment: the night the registry moved to its present database.
MIGRATION = datetime(2025, 1, 1, tzinfo=UTC)
_TAX_OFFICE = "602000"
_INDIVIDUALS_A_FIRM = 40


@dataclass(frozen=True, slots=True)
class Tables:
    """The three tables that leave the practice agencies."""

    persons: pl.DataFrame
    deaths: pl.DataFrame
    tax: pl.DataFrame


def identify(rng: np.random.Generator, families: pl.DataFrame) -> pl.DataFrame:
    """Give families their numbers, names and birthplaces: nik, no_kk, name, birthplace are added."""
    count = families.height
    first_seen = _districts_of_first_registration(rng, families)
    born = pl.col("born").cast(pl.Date)
    old = families["born"].to_numpy() < -3650
    day = pl.format(
        "{}{}", _two(born.dt.day() + pl.when("female").then(40).otherwise(0)), born.dt.strftime("%m%y")
    )
    return (
        families.with_columns(
            names.compose(rng, female=families["female"].to_numpy(), old=old),
            *first_seen.get_columns(),
            pl.Series("issued", rng.integers(11_000, 20_300, count)).cast(pl.Int32),
        )
        .with_columns(
            pl.concat_str("origin", day).alias("nik_head"),
            pl.concat_str(
                pl.format("{}{}", pl.lit(f"{PROVINCE}{CITY}"), _two(pl.col("district"))),
                pl.col("issued").first().over("household").cast(pl.Date).dt.strftime("%d%m%y"),
            ).alias("card_head"),
        )
        .with_columns(
            pl.concat_str("nik_head", _serial(pl.int_range(pl.len()).over("nik_head") + 1)).alias("nik"),
            pl.concat_str(
                "card_head", _serial(pl.col("household").rank("dense").over("card_head").cast(pl.Int64))
            ).alias("no_kk"),
        )
        .drop("nik_head", "card_head", "issued", "origin")
    )


def deaths(rng: np.random.Generator, everyone: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Draw who has died in the last two years, the old above all, and register it some days later."""
    today = (as_of - date(1970, 1, 1)).days
    age = (today - everyone["born"].to_numpy()) / 365.2425
    risk = np.where(age > 75, 0.09, np.where(age > 60, 0.03, np.where(age > 1, 0.003, 0.0)))
    dead = everyone.filter(pl.Series(rng.random(everyone.height) < risk))
    died = today - rng.integers(5, 700, dead.height)
    reported = np.minimum(died + rng.integers(1, 31, dead.height), today - 1)
    stamp = (
        reported.astype(np.int64) * 86_400_000_000
        + rng.integers(8 * 3600, 15 * 3600, dead.height) * 1_000_000
    )
    return (
        dead.select(
            "nik",
            pl.Series("tgl_mati", died).cast(pl.Int32).cast(pl.Date),
            pl.Series("tgl_lapor", reported).cast(pl.Int32).cast(pl.Date),
            pl.lit(PROVINCE).alias("no_prop"),
            pl.lit(CITY).alias("no_kab"),
            pl.col("district").alias("no_kec"),
            pl.Series("last_sync", stamp).cast(pl.Datetime("us", "UTC")),
        )
        .with_columns(
            pl.format(
                "{}-KM-{}-{}",
                pl.lit(f"{PROVINCE}{CITY}"),
                pl.col("tgl_lapor").dt.strftime("%d%m%Y"),
                _serial(pl.int_range(pl.len()).over("tgl_lapor") + 1),
            ).alias("no_akta")
        )
        .select(pl.col(name).cast(kind) for name, kind in DEATH_COLUMNS.items())
    )


def persons(
    rng: np.random.Generator, everyone: pl.DataFrame, died: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """Write the registry's rows: parents by number, widowed spouses, addresses, moment of the last change."""
    count = everyone.height
    homes = _home_addresses(rng, everyone)
    relatives = _relatives(everyone)
    changed = rng.integers(
        int(MIGRATION.timestamp()),
        int(datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC).timestamp()),
        count,
    )
    stamp = np.where(rng.random(count) < 0.3, int(MIGRATION.timestamp()), changed) * 1_000_000
    bereaved = pl.col("partner").is_in(died["nik"].implode()) & (pl.col("marital") == MARRIED)
    return (
        everyone.join(homes, on="household", how="left", maintain_order="left")
        .join(relatives, on="household", how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("role") == HEAD)
            .then("wife")
            .when(pl.col("role") == WIFE)
            .then("head")
            .alias("partner"),
            pl.Series("last_sync", stamp).cast(pl.Datetime("us", "UTC")),
        )
        .select(
            nik="nik",
            no_kk="no_kk",
            nama_lgkp="name",
            tmpt_lhr="birthplace",
            tgl_lhr=pl.col("born").cast(pl.Date),
            jenis_klmin=pl.when("female").then(2).otherwise(1),
            stat_kwn=pl.when(bereaved).then(WIDOWED).otherwise("marital"),
            stat_hbkel="role",
            nik_ibu=pl.when(pl.col("role") == CHILD)
            .then("mother")
            .when(pl.col("role") == HEAD)
            .then("grandmother"),
            nik_ayah=pl.when(pl.col("role") == CHILD)
            .then("father")
            .when(pl.col("role") == HEAD)
            .then("grandfather"),
            alamat="address",
            no_rt="rt",
            no_rw="rw",
            no_prop=pl.lit(PROVINCE),
            no_kab=pl.lit(CITY),
            no_kec="district",
            no_kel="village",
            last_sync="last_sync",
        )
        .select(pl.col(name).cast(kind) for name, kind in PERSON_COLUMNS.items())
    )


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
    ).select(pl.col(name).cast(kind) for name, kind in TAX_COLUMNS.items())


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


def settle(residents: Sequence[PracticePerson], tables: Tables, as_of: date) -> Tables:
    """Put the practice people into the tables, a household each."""
    stamp = datetime(as_of.year, 1, 15, 9, tzinfo=UTC)
    deceased = [person for person in residents if person.death is not DeathRow.NONE]
    taxed = [person for person in residents if person.tax is not TaxRow.NONE]
    return Tables(
        persons=pl.concat(
            [tables.persons, _rows(PERSON_COLUMNS, [_person_row(p, stamp) for p in residents])]
        ),
        deaths=pl.concat([tables.deaths, _rows(DEATH_COLUMNS, [_death_row(p, stamp) for p in deceased])]),
        tax=pl.concat(
            [
                tables.tax,
                _rows(TAX_COLUMNS, [_tax_row(p, place, stamp) for place, p in enumerate(taxed)]),
            ]
        ),
    )


def _rows(columns: dict[str, pl.DataType], rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=columns, orient="row")


def _person_row(person: PracticePerson, stamp: datetime) -> tuple[object, ...]:
    return (
        person.nik, person.family_card_number, person.name, "MOJOKERTO", person.birth_date,
        2 if person.sex == "female" else 1, 1, HEAD, None, None, "JL CONTOH 1", "001", "002",
        PROVINCE, NEIGHBOUR_REGENCY if person.regency == NEIGHBOUR_REGENCY else CITY,
        person.district, person.village, stamp,
    )  # fmt: skip


def _death_row(person: PracticePerson, stamp: datetime) -> tuple[object, ...]:
    died = date(2926, 3, 1) if person.death is DeathRow.ABSURD_DATE else stamp.date() - timedelta(days=40)
    return (
        f"{PROVINCE}{CITY}-KM-{stamp:%d%m%Y}-{person.nik[-4:]}", person.nik, died,
        stamp.date() - timedelta(days=12), PROVINCE, CITY, person.district, stamp,
    )  # fmt: skip


def _tax_row(person: PracticePerson, place: int, stamp: datetime) -> tuple[object, ...]:
    number = npwp15(np.array([50_000_000 + place]))[0]
    reason = "02 Masa SPT Tahunan" if person.tax is TaxRow.NOT_VALID else None
    return (
        person.name, number, person.nik, str(stamp.year), person.tax.value, reason,
        f"{stamp:%Y-%m-%d}", stamp, False,
    )  # fmt: skip


def _districts_of_first_registration(rng: np.random.Generator, families: pl.DataFrame) -> pl.DataFrame:
    """Where each NIK was first given: mostly the home district, for newcomers another city's."""
    count = families.height
    origin = np.array([code for code, _ in ORIGINS], dtype=object)
    town = np.array([name for _, name in ORIGINS], dtype=object)
    drawn = rng.integers(0, len(ORIGINS), count)
    newcomer = (rng.random(count) < 0.18) & (families["role"].to_numpy() != CHILD)
    home = np.array([f"{PROVINCE}{CITY}{district:02d}" for district in range(10)], dtype=object)
    district = families["district"].to_numpy()
    moved = np.where(rng.random(count) < 0.12, rng.integers(1, 4, count), district)
    return pl.DataFrame(
        {
            "origin": np.where(newcomer, origin[drawn], home[moved]),
            "birthplace": np.where(newcomer, town[drawn], "MOJOKERTO"),
        }
    )


def _home_addresses(rng: np.random.Generator, everyone: pl.DataFrame) -> pl.DataFrame:
    homes = everyone.select("household").unique(maintain_order=True)
    count = homes.height
    return homes.with_columns(
        pl.Series(
            "street", np.array(STREETS, dtype=object)[rng.integers(0, len(STREETS), count)], dtype=pl.String
        ),
        pl.Series("house", rng.integers(1, 190, count)),
        pl.Series("rt", rng.integers(1, 9, count)).cast(pl.String).str.zfill(3),
        pl.Series("rw", rng.integers(1, 12, count)).cast(pl.String).str.zfill(3),
    ).select("household", "rt", "rw", address=pl.format("{} NO {}", "street", "house"))


def _relatives(everyone: pl.DataFrame) -> pl.DataFrame:
    """The numbers of each household's head, wife, mother, father and of the head's parent who lives there."""
    head, wife = pl.col("role") == HEAD, pl.col("role").is_in([WIFE, HUSBAND])
    elder = pl.col("role") == PARENT
    nik, female = pl.col("nik"), pl.col("female")
    return everyone.group_by("household", maintain_order=True).agg(
        head=nik.filter(head).first(),
        wife=nik.filter(wife).first(),
        mother=nik.filter((head | wife) & female).first(),
        father=nik.filter((head | wife) & ~female).first(),
        grandmother=nik.filter(elder & female).first(),
        grandfather=nik.filter(elder & ~female).first(),
    )


def _two(number: pl.Expr) -> pl.Expr:
    return number.cast(pl.String).str.zfill(2)


def _serial(number: pl.Expr) -> pl.Expr:
    return number.cast(pl.String).str.zfill(4)
