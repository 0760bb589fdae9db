"""Names as Indonesians bear them, and as two offices write the same name differently.

The spellings follow well-known habits: pre-1972 letters (OE, DJ, TJ), abbreviations of Muhammad and Abdul,
doubled letters, titles that one register keeps and another drops. A name alone must never link two records.
"""

from __future__ import annotations

import numpy as np
import polars as pl

MALE_FIRST = (
    "MUHAMMAD", "AHMAD", "ABDUL", "BAMBANG", "AGUS", "EKO", "JOKO", "SLAMET", "WAHYU", "SUHARTO", "SUPARMAN",
    "BUDI", "DEDI", "HADI", "HENDRA", "IMAM", "IRFAN", "KHOIRUL", "LUKMAN", "MULYADI", "NANANG", "PUTRA",
    "RAHMAT", "RUDI", "SUGENG", "SUTRISNO", "TEGUH", "TRI", "UMAR", "WAWAN", "YUSUF", "YOHANES", "I MADE",
    "CAHYONO", "FAJAR", "GUNAWAN", "RIZKI", "BAYU", "DIMAS", "ARIF", "ANDI", "EDY", "HERU", "NUR",
)  # fmt: skip
FEMALE_FIRST = (
    "SITI", "SRI", "NUR", "DEWI", "ENDANG", "RATNA", "WAHYU", "AISYAH", "ANI", "ASIH", "DIAN", "DWI", "EKA",
    "ERNA", "FITRI", "INDAH", "IKA", "KARTINI", "LESTARI", "LILIK", "MARIA", "MARYAM", "NI LUH", "NINGSIH",
    "PUJI", "RINA", "RINI", "RUKMINI", "SULASTRI", "SUMIATI", "SUPRAPTI", "TITIK", "TRI", "UMI", "UTAMI",
    "WATI", "WIWIK", "YANTI", "YULI", "ZUBAIDAH", "MEGA", "PUTRI", "RAHAYU", "ANISA",
)  # fmt: skip
MALE_SECOND = (
    "SETIAWAN", "PRASETYO", "CAHYONO", "SANTOSO", "WIBOWO", "HIDAYAT", "KURNIAWAN", "SAPUTRA", "NUGROHO",
    "SUSANTO", "FAUZI", "ROHMAN", "SYAIFUL", "MAULANA", "YULIANTO", "HARTONO", "WIDODO", "SUBAGYO", "PURNOMO",
    "FIRMANSYAH", "RAMADHAN", "HUSEIN", "HASAN", "ARIFIN", "SUBEKTI", "WINARNO", "PAMUNGKAS", "SUPRIYADI",
    "MUSTOFA", "ZAINUDIN", "ANWAR", "BASUKI",
)  # fmt: skip
FEMALE_SECOND = (
    "AMINAH", "LESTARI", "WAHYUNI", "RAHAYU", "NINGSIH", "PUSPITASARI", "ANGGRAENI", "HANDAYANI", "SUSANTI",
    "FATIMAH", "KHOLIFAH", "MUNAWAROH", "ROHMAH", "SETYOWATI", "SUHARTINI", "WIDYASTUTI", "YULIANTI",
    "MAHARANI", "NURJANAH", "ZULAIKHAH", "PERTIWI", "KUSUMAWATI", "INDRIYANI", "SARI", "UTAMI", "ASTUTIK",
    "MULYANI", "RAHMAWATI", "SAFITRI", "AGUSTINA", "PRATIWI", "HASANAH",
)  # fmt: skip
THIRD = (
    "WIJAYA", "SURYA", "PUTRA", "KUSUMA", "ADI", "JAYA", "UTAMA", "PRATAMA", "LESTARI", "MULIA", "SEJATI",
    "BUANA", "PERDANA", "WARDANA", "DEWANTARA", "SASONGKO",
)  # fmt: skip

#: How a first name of the civil registry may stand in another office's books.
FIRST_NAME_SPELLINGS = {
    "MUHAMMAD": "MOCH", "AHMAD": "ACHMAD", "ABDUL": "ABD", "SITI": "ST", "NUR": "NOER", "JOKO": "DJOKO",
    "YUSUF": "JOESOEF", "WAHYU": "WAHJOE", "SUHARTO": "SOEHARTO", "CAHYONO": "TJAHJONO", "AISYAH": "AISAH",
    "SRI": "SERI", "BUDI": "BOEDI", "SUPARMAN": "SOEPARMAN", "SLAMET": "SELAMET", "UMAR": "OEMAR",
}  # fmt: skip
MALE_TITLES = ("H. ", "DRS. ", "IR. ")
FEMALE_TITLES = ("HJ. ", "DRA. ", "NY. ")
FORMS = ("CV", "PT", "UD", "KOPERASI")
HOPES = ("SUMBER", "BERKAH", "MAJU", "SINAR", "KARYA", "RUKUN", "BAROKAH", "MITRA", "TIRTA", "ARTHA")
DEGREES = (", S.E.", ", S.PD", ", S.H.", ", S.KOM")


def compose(rng: np.random.Generator, *, female: np.ndarray, old: np.ndarray) -> pl.Series:
    """Give each person a name of one to three words; older people more often bear a single one.

    Args:
        rng: The seeded source of chance.
        female: Whether each person is a woman.
        old: Whether each person was born before names of two words became the rule.
    """
    count = female.size
    first = np.where(female, _pick(rng, FEMALE_FIRST, count), _pick(rng, MALE_FIRST, count))
    second = np.where(female, _pick(rng, FEMALE_SECOND, count), _pick(rng, MALE_SECOND, count))
    chance = rng.random(count)
    words = np.where(old & (chance < 0.25), 1, np.where(chance > 0.8, 3, 2))
    frame = pl.DataFrame(
        {"first": first, "second": second, "third": _pick(rng, THIRD, count), "words": words}
    )
    return frame.select(
        pl.when(pl.col("words") == 1)
        .then(pl.col("second"))
        .when(pl.col("words") == 2)
        .then(pl.concat_str("first", "second", separator=" "))
        .otherwise(pl.concat_str("first", "second", "third", separator=" "))
        .alias("name")
    )["name"]


def respell(rng: np.random.Generator, names: pl.Series, female: pl.Series) -> pl.Series:
    """Write names as another office has them: some old-fashioned, abbreviated, with a title or a degree."""
    count = len(names)
    frame = pl.DataFrame(
        {
            "name": names,
            "chance": rng.random(count),
            "title": np.where(
                female.to_numpy(), _pick(rng, FEMALE_TITLES, count), _pick(rng, MALE_TITLES, count)
            ),
            "degree": _pick(rng, DEGREES, count),
        },
        schema_overrides={"title": pl.String, "degree": pl.String},
    )
    head = pl.col("name").str.extract(r"^(\S+)", 1)
    tail = pl.col("name").str.replace(r"^\S+", "")
    return frame.select(
        pl.when(pl.col("chance") < 0.12)
        .then(pl.concat_str(head.replace(FIRST_NAME_SPELLINGS), tail))
        .when(pl.col("chance") < 0.16)
        .then(pl.col("name").str.replace("U", "OE"))
        .when(pl.col("chance") < 0.19)
        .then(pl.concat_str("title", "name"))
        .when(pl.col("chance") < 0.21)
        .then(pl.concat_str("name", "degree"))
        .otherwise(pl.col("name"))
        .alias("name")
    )["name"]


def organisations(rng: np.random.Generator, count: int) -> pl.Series:
    """Name firms as they are named: their form, then two hopeful words."""
    form, first, second = (_pick(rng, words, count) for words in (FORMS, HOPES, THIRD))
    frame = pl.DataFrame({"form": form, "first": first, "second": second})
    return frame.select(pl.concat_str("form", "first", "second", separator=" ").alias("name"))["name"]


def _pick(rng: np.random.Generator, words: tuple[str, ...], count: int) -> np.ndarray:
    return np.array(words, dtype=object)[rng.integers(0, len(words), count)]
