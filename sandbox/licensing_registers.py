"""What the licensing office writes down: businesses by NIB, and their licences, in the codes of OSS.

The codes are those of the public interface description of OSS-RBA; every value is made up.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from sandbox import names
from sandbox.columns import BUSINESS_COLUMNS, LICENSE_COLUMNS, shaped
from sandbox.regions import CITY, PROVINCE

KTP, PASSPORT = "01", "02"
COMPANY, INDIVIDUAL, REPRESENTATIVE, FOREIGN = "01", "02", "03", "04"
MICRO, SMALL, MEDIUM, LARGE = "01", "02", "03", "04"
LOW, MEDIUM_LOW, MEDIUM_HIGH, HIGH = "R", "MR", "MT", "T"
STANDARD_CERTIFICATE, LICENSE, SUPPORTING = "04", "02", "K03"
APPROVED = ("50", "57")
_ISSUED_FOR_NOW = "52"
_STATUSES = {
    "50": 0.78, "57": 0.06, "52": 0.03, "20": 0.05, "10": 0.02, "60": 0.01, "70": 0.01, "90": 0.03,
    "93": 0.01,
}  # fmt: skip
_KBLI = (
    "56101", "56102", "56103", "56303", "10710", "14111", "14120", "15201", "47111", "47112", "96112",
    "95220", "01111",
)  # fmt: skip


def businesses(
    rng: np.random.Generator, people: pl.DataFrame, standing: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """Write the businesses: one in eleven adults runs one, nearly all of them micro and low in risk.

    Owners who have died since are still owners here: nobody told the licensing office.
    """
    adult = pl.col("tgl_lhr") <= pl.lit(as_of - timedelta(days=19 * 365))
    owners = people.filter(adult & pl.Series(rng.random(people.height) < 0.09))
    count = owners.height
    firms = standing.filter(pl.col("npwp16").str.starts_with("0"))
    kind = _drawn(rng, count, {INDIVIDUAL: 0.92, COMPANY: 0.075, REPRESENTATIVE: 0.003, FOREIGN: 0.002})
    scale = _drawn(rng, count, {MICRO: 0.9, SMALL: 0.08, MEDIUM: 0.015, LARGE: 0.005})
    firm = firms[rng.integers(0, firms.height, count).tolist()]
    issued = (as_of - date(1970, 1, 1)).days - rng.integers(3, 2_700, count)
    foreigner = pl.Series(kind.is_in([REPRESENTATIVE, FOREIGN]) & pl.Series(rng.random(count) < 0.5))
    trade_name = pl.concat_str(
        pl.Series(_hopeful(rng, count), dtype=pl.String),
        pl.col("nama_lgkp").str.extract(r"(\S+)$"),
        separator=" ",
    )
    is_individual = kind == INDIVIDUAL
    return owners.with_columns(
        nib=nib(np.arange(count)),
        jns_identitas_penanggung_jwb=pl.when(foreigner).then(pl.lit(PASSPORT)).otherwise(pl.lit(KTP)),
        no_identitas_penanggung_jwb=pl.when(foreigner)
        .then(pl.format("X{}", pl.int_range(count) + 1_000_000))
        .otherwise("nik"),
        nama_penanggung_jwb=names.respell(rng, owners["nama_lgkp"], owners["jenis_klmin"] == 2),
        npwp_perseroan=pl.when(is_individual)
        .then("nik")
        .when(pl.Series(rng.random(count) < 0.5))
        .then(firm["npwp"])
        .otherwise(firm["npwp16"]),
        nama_perseroan=pl.when(is_individual).then(trade_name).otherwise(firm["nama_wp"]),
        jenis_pelaku_usaha=kind,
        flag_umk=pl.Series(scale.is_in([MICRO, SMALL])).replace_strict(
            {True: "Y", False: "N"}, return_dtype=pl.String
        ),
        skala_usaha=scale,
        kbli=pl.Series(np.array(_KBLI, dtype=object)[rng.integers(0, len(_KBLI), count)], dtype=pl.String),
        skala_resiko=_drawn(rng, count, {LOW: 0.62, MEDIUM_LOW: 0.22, MEDIUM_HIGH: 0.12, HIGH: 0.04}),
        perseroan_daerah_id=pl.format(
            "{}{}{}",
            pl.lit(f"{PROVINCE}{CITY}"),
            pl.col("no_kec").cast(pl.String).str.zfill(2),
            pl.col("no_kel").cast(pl.String).str.zfill(4),
        ),
        status_nib=_drawn(
            rng, count, {"01": 0.86, "02": 0.02, "03": 0.03, "04": 0.06, "05": 0.015, "06": 0.015}
        ),
        tgl_terbit_nib=pl.Series(issued).cast(pl.Int32).cast(pl.Date).dt.strftime("%Y-%m-%d"),
    ).pipe(shaped, BUSINESS_COLUMNS)


def licenses(rng: np.random.Generator, firms: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Write the licences: what the risk asks for, and for some a supporting permit on top."""
    firms = firms.filter(pl.col("jns_identitas_penanggung_jwb") == KTP)
    needed = firms.filter(pl.col("skala_resiko") != LOW).with_columns(
        jenis_izin=pl.when(pl.col("skala_resiko") == HIGH)
        .then(pl.lit(LICENSE))
        .otherwise(pl.lit(STANDARD_CERTIFICATE))
    )
    extra = firms.filter(pl.Series(rng.random(firms.height) < 0.3)).with_columns(
        jenis_izin=pl.lit(SUPPORTING)
    )
    asked = pl.concat([needed, extra])
    count = asked.height
    status = _drawn(rng, count, _STATUSES)
    today = (as_of - date(1970, 1, 1)).days
    first = asked["tgl_terbit_nib"].str.to_date("%Y-%m-%d").cast(pl.Int32).to_numpy()
    issued = np.minimum(first + rng.integers(1, 90, count), today - 1)
    is_issued = pl.Series(status.is_in([*APPROVED, _ISSUED_FOR_NOW]))
    moment = (
        pl.Series(issued.astype(np.int64) * 86_400 + rng.integers(8 * 3600, 16 * 3600, count)) * 1_000_000
    )
    day = pl.Series(issued).cast(pl.Int32).cast(pl.Date)
    lasts = pl.col("jenis_izin").replace_strict(
        {LICENSE: 5 * 365, SUPPORTING: 4 * 365}, default=None, return_dtype=pl.Int32
    )
    return asked.with_columns(
        id_izin=pl.format(
            "I-{}{}", day.dt.strftime("%Y%m%d"), (pl.int_range(count) + 1).cast(pl.String).str.zfill(13)
        ),
        kd_izin=pl.format("0{}000000001", pl.col("kbli").str.slice(0, 2)),
        kewenangan=_drawn(rng, count, {"02": 0.93, "01": 0.05, "00": 0.02}),
        kd_status=status,
        tgl_status=moment.cast(pl.Datetime("us")),
        tgl_terbit=pl.when(is_issued).then(day),
        tgl_berlaku_sd=pl.when(is_issued).then(day.cast(pl.Int32) + lasts).cast(pl.Date),
    ).pipe(shaped, LICENSE_COLUMNS)


def nib(index: np.ndarray) -> pl.Series:
    """Numbers of businesses, one an index, that tell nothing."""
    number = (index.astype(np.int64) * 7_654_321_987 + 120_000_000_019) % 8_999_999_999_983
    return pl.Series("nib", number + 1_000_000_000_000).cast(pl.String)


def _hopeful(rng: np.random.Generator, count: int) -> np.ndarray:
    words = np.array(
        ["WARUNG", "TOKO", "DEPOT", "KONVEKSI", "BENGKEL", "SALON", "SEPATU", "KUE"], dtype=object
    )
    return words[rng.integers(0, words.size, count)]


def _drawn(rng: np.random.Generator, count: int, shares: dict[str, float]) -> pl.Series:
    return pl.Series(
        rng.choice(np.array(list(shares), dtype=object), count, p=list(shares.values())), dtype=pl.String
    )
