"""From families to rows: what the civil registry writes down about people."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from sandbox import names
from sandbox.columns import DEATH_COLUMNS, FAMILY_COLUMNS, PERSON_COLUMNS, shaped
from sandbox.families import CHILD, HEAD, HUSBAND, MARRIED, PARENT, WIDOWED, WIFE
from sandbox.regions import CITY, ORIGINS, PROVINCE, STREETS

#: Many rows share this moment: the night the registry moved to its present database.
MIGRATION = datetime(2025, 1, 1, tzinfo=UTC)
_FEWEST_DEATHS = 14
"""So many that one bad row of a small city's register is no large part of it."""


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
    dies = rng.random(everyone.height) < risk
    fewest = min(_FEWEST_DEATHS, everyone.height // 6)
    if dies.sum() < fewest:  # a small city: its oldest people
        dies[np.argsort(everyone["born"].to_numpy())[:fewest]] = True
    dead = everyone.filter(pl.Series(dies))
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
        .with_columns(nomor=pl.lit(None))
        .pipe(shaped, DEATH_COLUMNS)
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
        .pipe(shaped, PERSON_COLUMNS)
    )


def families(people: pl.DataFrame) -> pl.DataFrame:
    """Write the family cards: one a household, under its head; issued on the day that its number tells."""
    head = pl.col("stat_hbkel") == HEAD
    home = ("alamat", "no_rt", "no_rw", "no_prop", "no_kab", "no_kec", "no_kel")
    return (
        people.group_by("no_kk", maintain_order=True)
        .agg(
            pl.col("nik").filter(head).first().alias("nik_kepala"),
            pl.col("nama_lgkp").filter(head).first().alias("nama_kep"),
            *(pl.col(name).first() for name in home),
            pl.len().alias("jumlah_anggota"),
            pl.col("last_sync").max(),
        )
        .with_columns(tgl_terbit=pl.col("no_kk").str.slice(6, 6).str.to_date("%d%m%y"))
        .pipe(shaped, FAMILY_COLUMNS)
    )


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
