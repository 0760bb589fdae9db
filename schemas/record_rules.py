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

_PERSON_RULES = (
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

_DEATH_RULES = (
    RecordRule(
        name="recorded-before-death",
        fields=("death_date", "recorded_date"),
        description="A death is recorded on or after the day it happened.",
        violated=pl.col("recorded_date") < pl.col("death_date"),
        violated_sql="(recorded_date < death_date)",
    ),
)

_BIRTH_RULES = (
    *_PERSON_RULES,
    RecordRule(
        name="registered-before-birth",
        fields=("birth_date", "registered_on"),
        description="A birth is registered on or after the day it happened.",
        violated=pl.col("registered_on") < pl.col("birth_date"),
        violated_sql="(registered_on < birth_date)",
    ),
)

_TAXPAYER_RULES = (
    RecordRule(
        name="nitku-of-taxpayer",
        fields=("npwp", "nitku"),
        description="The number of the place of activity begins with the taxpayer's.",
        violated=(pl.col("npwp").str.len_chars() == 16)
        & (pl.col("nitku").str.slice(0, 16) != pl.col("npwp")),
        violated_sql="(length(npwp) = 16 AND left(nitku, 16) <> npwp)",
    ),
    RecordRule(
        name="organisation-without-nik",
        fields=("nik", "kind"),
        description="An organisation has no NIK.",
        violated=pl.col("nik").is_not_null() & (pl.col("kind") == "organisation"),
        violated_sql="(nik IS NOT NULL AND kind = 'organisation')",
    ),
)

_PROPERTY_TAX_RULES = (
    RecordRule(
        name="unpaid-with-day",
        fields=("standing", "paid_on"),
        description="A tax with a day of payment is paid.",
        violated=pl.col("paid_on").is_not_null() & (pl.col("standing") == "unpaid"),
        violated_sql="(paid_on IS NOT NULL AND standing = 'unpaid')",
    ),
)

_BUSINESS_RULES = (
    RecordRule(
        name="scale-and-flag",
        fields=("is_micro_or_small", "scale"),
        description="The flag for micro and small businesses fits the scale.",
        violated=pl.col("is_micro_or_small") != pl.col("scale").is_in(["micro", "small"]),
        violated_sql="(is_micro_or_small <> (scale IN ('micro', 'small')))",
    ),
)

_LICENSE_RULES = (
    RecordRule(
        name="valid-before-issued",
        fields=("issued_on", "valid_until"),
        description="A license is valid until a day after it was issued.",
        violated=pl.col("valid_until") < pl.col("issued_on"),
        violated_sql="(valid_until < issued_on)",
    ),
)

_PATIENT_RULES = (
    *(rule for rule in _PERSON_RULES if rule.name != "own-parent"),
    RecordRule(
        name="mothers-number",
        fields=("nik", "mother_nik"),
        description="A newborn's record carries the mother's NIK beside the child's, never as the child's.",
        violated=pl.col("nik") == pl.col("mother_nik"),
        violated_sql="(nik = mother_nik)",
    ),
)

_COVERAGE_RULES = (
    RecordRule(
        name="period-order",
        fields=("period_start", "period_end"),
        description="A membership ends on or after the day it begins.",
        violated=pl.col("period_end") < pl.col("period_start"),
        violated_sql="(period_end < period_start)",
    ),
)

RULES: dict[str, tuple[RecordRule, ...]] = {
    "Person": _PERSON_RULES,
    "Birth": _BIRTH_RULES,
    "Death": _DEATH_RULES,
    "Taxpayer": _TAXPAYER_RULES,
    "PropertyTax": _PROPERTY_TAX_RULES,
    "Business": _BUSINESS_RULES,
    "License": _LICENSE_RULES,
    "Patient": _PATIENT_RULES,
    "Coverage": _COVERAGE_RULES,
}
"""The rules of each record type, by its name."""
