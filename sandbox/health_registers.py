"""What the health office writes down: patients, JKN coverage and immunizations, a row a FHIR resource."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from sandbox import names
from sandbox.columns import COVERAGE_COLUMNS, IMMUNIZATION_COLUMNS, PATIENT_COLUMNS, shaped

#: Vaccines of early childhood by CVX code, the age in weeks at which they are due, and the dose.
SCHEDULE = (
    ("08", "Hepatitis B (HB-0)", 0, 1),
    ("19", "BCG", 4, 1),
    ("02", "Polio oral (OPV)", 4, 1),
    ("102", "DPT-HB-Hib", 9, 1),
    ("102", "DPT-HB-Hib", 13, 2),
    ("102", "DPT-HB-Hib", 17, 3),
    ("10", "Polio suntik (IPV)", 17, 1),
    ("04", "Campak-Rubella (MR)", 39, 1),
    ("04", "Campak-Rubella (MR)", 78, 2),
)
_TODDLER = timedelta(days=5 * 365)
_NEWBORN = timedelta(days=120)
_CHILD_IN_THE_FAMILY = 4


def patients(rng: np.random.Generator, people: pl.DataFrame, died: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Write the patients: four in five people, spelled as the health office spells them.

    A newborn has no NIK there yet, only the mother's; of those who died, the health office knows some.
    """
    seen = people.filter(pl.Series(rng.random(people.height) < 0.8))
    count = seen.height
    newborn = (
        (pl.col("stat_hbkel") == _CHILD_IN_THE_FAMILY)
        & (pl.col("tgl_lhr") > pl.lit(as_of - _NEWBORN))
        & pl.col("nik_ibu").is_not_null()
    )
    dead = pl.col("nik").is_in(died["nik"].implode())
    return seen.with_columns(
        ihs_number=ihs_number(np.arange(count)),
        person=pl.col("nik"),
        nik_ibu=pl.when(newborn).then("nik_ibu"),
        nik=pl.when(~newborn).then("nik"),
        name=names.respell(rng, seen["nama_lgkp"], seen["jenis_klmin"] == 2),
        gender=pl.when(pl.col("jenis_klmin") == 2).then(pl.lit("female")).otherwise(pl.lit("male")),
        birth_date=pl.col("tgl_lhr").dt.strftime("%Y-%m-%d"),
        deceased=dead & pl.Series(rng.random(count) < 0.6),
        active=pl.Series(rng.random(count) < 0.985),
        last_updated=_updated(rng, count, as_of),
    ).pipe(shaped, PATIENT_COLUMNS)


def coverage(
    rng: np.random.Generator, people: pl.DataFrame, seen: pl.DataFrame, died: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """Write who is insured (JKN): a household shares its segment and class; one in twenty is none."""
    households = people.select("no_kk").unique(maintain_order=True)
    homes = households.height
    shared = households.with_columns(
        segment=_drawn(rng, homes, {"PBI": 0.45, "PPU": 0.28, "PBPU": 0.2, "BP": 0.07}),
        drawn_class=_drawn(rng, homes, {"1": 0.3, "2": 0.3, "3": 0.4}),
        lapsed=pl.Series(rng.random(homes) < 0.1),
    )
    members = people.filter(pl.Series(rng.random(people.height) < 0.95)).join(
        shared, on="no_kk", how="left", maintain_order="left"
    )
    count = members.height
    known = seen.filter(pl.col("nik").is_not_null()).select("nik", "ihs_number")
    dead = pl.col("nik").is_in(died["nik"].implode()) & pl.Series(rng.random(count) < 0.7)
    begun = (as_of - date(1970, 1, 1)).days - rng.integers(200, 4_000, count)
    ended = (as_of - date(1970, 1, 1)).days - rng.integers(5, 190, count)
    cancelled = (pl.col("lapsed") & (pl.col("segment") != "PBI")) | dead
    draft = pl.Series(rng.random(count) < 0.01)
    return (
        members.join(known, on="nik", how="left", maintain_order="left")
        .with_columns(
            subscriber_id=bpjs_number(np.arange(count)),
            status=pl.when(cancelled)
            .then(pl.lit("cancelled"))
            .when(draft)
            .then(pl.lit("draft"))
            .otherwise(pl.lit("active")),
            class_of_care=pl.when(pl.col("segment") == "PBI").then(pl.lit("3")).otherwise("drawn_class"),
            period_start=_iso_day(begun),
            last_updated=_updated(rng, count, as_of),
            ended=_iso_day(ended),
        )
        .with_columns(
            id=pl.format("jkn-{}", "subscriber_id"),
            period_end=pl.when(pl.col("status") == "cancelled").then("ended"),
        )
        .pipe(shaped, COVERAGE_COLUMNS)
    )


def immunizations(rng: np.random.Generator, seen: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Write the vaccinations of the last five years' children; one in fifty was not done."""
    born = pl.col("birth_date").str.to_date("%Y-%m-%d")
    children = seen.filter(pl.col("nik").is_not_null() & (born > pl.lit(as_of - _TODDLER)))
    doses = pl.DataFrame(
        SCHEDULE, schema=["vaccine_code", "vaccine_name", "weeks", "dose_number"], orient="row"
    )
    due = children.with_columns(born=born).join(doses, how="cross", maintain_order="left")
    late = pl.Series(rng.integers(0, 40, due.height))
    due = due.with_columns(day=pl.col("born").cast(pl.Int32) + pl.col("weeks") * 7 + late).filter(
        pl.col("day") < (as_of - date(1970, 1, 1)).days
    )
    due = due.filter(pl.Series(rng.random(due.height) < 0.9))
    count = due.height
    hour = pl.Series(rng.integers(8, 12, count)).cast(pl.String).str.zfill(2)
    return due.with_columns(
        id=pl.format("imm-{}-{}-{}", "ihs_number", "vaccine_code", "dose_number"),
        status=_drawn(rng, count, {"completed": 0.978, "not-done": 0.02, "entered-in-error": 0.002}),
        occurred=pl.format("{}T{}:15:00+07:00", pl.col("day").cast(pl.Int32).cast(pl.Date), hour),
        reason=_drawn(rng, count, {"IM-Dasar": 0.7, "IM-Program": 0.2, "IM-Tambahan": 0.1}),
        lot_number=pl.format("L{}", pl.Series(rng.integers(10_000, 99_999, count))),
        last_updated=((pl.col("day") + 1).cast(pl.Int64) * 86_400_000_000).cast(pl.Datetime("us", "UTC")),
    ).pipe(shaped, IMMUNIZATION_COLUMNS)


def ihs_number(index: np.ndarray) -> pl.Series:
    """Numbers of patients, one an index: `P` and eleven digits."""
    number = (index.astype(np.int64) * 7_654_321 + 2_478_375_539) % 99_999_999_977
    return "P" + pl.Series("ihs_number", number).cast(pl.String).str.zfill(11)


def bpjs_number(index: np.ndarray) -> pl.Series:
    """Numbers of insured people, one an index: thirteen digits with leading zeros."""
    number = (index.astype(np.int64) * 7_654_321 + 1_234_567_890) % 2_999_999_929
    return pl.Series("subscriber_id", number).cast(pl.String).str.zfill(13)


def _updated(rng: np.random.Generator, count: int, as_of: date) -> pl.Series:
    day = (as_of - date(1970, 1, 1)).days - rng.integers(1, 500, count)
    stamp = day.astype(np.int64) * 86_400_000_000 + rng.integers(0, 86_400, count) * 1_000_000
    return pl.Series(stamp).cast(pl.Datetime("us", "UTC"))


def _iso_day(days: np.ndarray) -> pl.Series:
    return pl.Series(days).cast(pl.Int32).cast(pl.Date).dt.strftime("%Y-%m-%d")


def _drawn(rng: np.random.Generator, count: int, shares: dict[str, float]) -> pl.Series:
    return pl.Series(
        rng.choice(np.array(list(shares), dtype=object), count, p=list(shares.values())), dtype=pl.String
    )
