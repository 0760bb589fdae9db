"""What should hold between the fields of one record.

A broken rule is a warning: the record is kept and flagged. A NIK, for one, keeps the date it was issued with
even after a court corrects the day of birth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRule:
    """A rule between fields, in the two languages that look at many rows at once.

    Attributes:
        name: Stable slug.
        fields: The fields it looks at; the rule is silent where one of them is empty or not mapped.
        description: What should hold.
        violated: True where the rule is broken, over a frame of canonical columns.
        violated_sql: The same as an SQL condition over a table of canonical columns.
    """

    name: str
    fields: tuple[str, ...]
    description: str
    violated: pl.Expr = field(compare=False, repr=False)
    violated_sql: str
    severity: str = "warning"


_NIK_DAY = pl.col("nik").str.slice(6, 2).cast(pl.Int32, strict=False)
_SQL_NIK_DAY = "substr(nik, 7, 2)::int"

PERSON_RULES = (
    RecordRule(
        name="nik-birth-date",
        fields=("nik", "birth_date"),
        description="The day of birth in the NIK is the registered day of birth.",
        violated=(
            ((_NIK_DAY - pl.when(_NIK_DAY > 40).then(40).otherwise(0)) != pl.col("birth_date").dt.day())
            | (pl.col("nik").str.slice(8, 4) != pl.col("birth_date").dt.strftime("%m%y"))
        ),
        violated_sql=(
            f"({_SQL_NIK_DAY} - CASE WHEN {_SQL_NIK_DAY} > 40 THEN 40 ELSE 0 END"
            " <> extract(day FROM birth_date) OR substr(nik, 9, 4) <> to_char(birth_date, 'MMYY'))"
        ),
    ),
    RecordRule(
        name="nik-sex",
        fields=("nik", "sex"),
        description="The sex in the NIK is the registered sex.",
        violated=(_NIK_DAY > 40) != (pl.col("sex") == "female"),
        violated_sql=f"(({_SQL_NIK_DAY} > 40) <> (sex = 'female'))",
    ),
    RecordRule(
        name="own-parent",
        fields=("nik", "mother_nik", "father_nik"),
        description="Nobody is their own parent, and the parents are two people.",
        violated=(
            (pl.col("nik") == pl.col("mother_nik"))
            | (pl.col("nik") == pl.col("father_nik"))
            | (pl.col("mother_nik") == pl.col("father_nik"))
        ),
        violated_sql="(nik = mother_nik OR nik = father_nik OR mother_nik = father_nik)",
    ),
)

DEATH_RULES = (
    RecordRule(
        name="recorded-before-death",
        fields=("death_date", "recorded_date"),
        description="A death is recorded on or after the day it happened.",
        violated=pl.col("recorded_date") < pl.col("death_date"),
        violated_sql="(recorded_date < death_date)",
    ),
)
