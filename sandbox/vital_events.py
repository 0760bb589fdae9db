"""Births, deaths and moves: the civil registry's append-only feed, numbered as it was written."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from sandbox.columns import BIRTH_COLUMNS, MOVE_COLUMNS, shaped
from sandbox.families import CHILD
from sandbox.regions import CITY, ORIGINS, PROVINCE

_FEED = ("births", "deaths", "moves")
_CHILDHOOD = timedelta(days=18 * 365)
_REPORTED_LATE = 60
"""Days after which a birth is registered late (UU 24/2013, Art. 27), with a deed of the kind LT."""


def births(rng: np.random.Generator, people: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Write the births of the city's children; for one in fourteen there is no deed."""
    children = people.filter(
        (pl.col("stat_hbkel") == CHILD) & (pl.col("tgl_lhr") > pl.lit(as_of - _CHILDHOOD))
    )
    recorded = children.filter(pl.Series(rng.random(children.height) < 0.93))
    count = recorded.height
    late = rng.random(count) < 0.1
    delay = np.where(
        late, rng.integers(_REPORTED_LATE + 1, 900, count), rng.integers(2, _REPORTED_LATE, count)
    )
    today = (as_of - date(1970, 1, 1)).days
    day = np.minimum(recorded["tgl_lhr"].cast(pl.Int32).to_numpy() + delay, today - 1)
    return (
        recorded.with_columns(
            nomor=pl.lit(None),
            tgl_daftar=pl.Series(day).cast(pl.Int32).cast(pl.Date),
            last_sync=_at_the_counter(rng, day),
            kind=pl.Series(np.where(late, "LT", "LU")),
        )
        .with_columns(no_akta=_deeds("kind", "tgl_daftar"))
        .pipe(shaped, BIRTH_COLUMNS)
    )


def moves(rng: np.random.Generator, people: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Write who moved into the city in the last two years, and from where."""
    moved = people.filter((pl.col("stat_hbkel") != CHILD) & pl.Series(rng.random(people.height) < 0.015))
    count = moved.height
    day = (as_of - date(1970, 1, 1)).days - rng.integers(1, 700, count)
    origin = np.array([int(code) for code, _ in ORIGINS])[rng.integers(0, len(ORIGINS), count)]
    return (
        moved.with_columns(
            nomor=pl.lit(None),
            tgl_pindah=pl.Series(day).cast(pl.Int32).cast(pl.Date),
            asal_prop=pl.Series(origin // 10_000),
            asal_kab=pl.Series(origin // 100 % 100),
            asal_kec=pl.Series(origin % 100),
            last_sync=_at_the_counter(rng, day),
        )
        .with_columns(
            no_pindah=pl.format(
                "SKPWNI/{}/{}/{}",
                pl.lit(f"{PROVINCE}{CITY}"),
                pl.col("tgl_pindah").dt.strftime("%d%m%Y"),
                _serial(pl.int_range(pl.len()).over("tgl_pindah") + 1),
            )
        )
        .pipe(shaped, MOVE_COLUMNS)
    )


def numbered(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Number the events of the feed from 1 in the order in which they were written, and order them so."""
    found = {name: tables[name].sort("last_sync", maintain_order=True) for name in _FEED}
    places = pl.concat(
        [
            frame.select("last_sync", kind=pl.lit(kind), row=pl.int_range(pl.len()))
            for kind, frame in enumerate(found.values())
        ]
    ).sort("last_sync", "kind", "row")
    places = places.with_columns(nomor=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    return {
        **tables,
        **{
            name: frame.with_columns(places.filter(pl.col("kind") == kind).sort("row")["nomor"])
            for kind, (name, frame) in enumerate(found.items())
        },
    }


def _deeds(kind: str, day: str) -> pl.Expr:
    return pl.format(
        "{}-{}-{}-{}",
        pl.lit(f"{PROVINCE}{CITY}"),
        kind,
        pl.col(day).dt.strftime("%d%m%Y"),
        _serial(pl.int_range(pl.len()).over(kind, day) + 1),
    )


def _serial(number: pl.Expr) -> pl.Expr:
    return number.cast(pl.String).str.zfill(4)


def _at_the_counter(rng: np.random.Generator, day: np.ndarray) -> pl.Series:
    stamp = day.astype(np.int64) * 86_400_000_000 + rng.integers(8 * 3600, 15 * 3600, day.size) * 1_000_000
    return pl.Series(stamp).cast(pl.Datetime("us", "UTC"))
