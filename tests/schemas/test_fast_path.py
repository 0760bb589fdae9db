"""What the fast path accepts, the judge accepts with the identical value, whatever the cell."""
# ruff: noqa: E501, DTZ001 - tables of vectors read best unwrapped; sources do send moments without a zone

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.contract import FieldMapping
from schemas.fast_path import FastPath
from schemas.fields import Classification
from schemas.identifiers import FamilyCardNumber, Nik, Npwp, RegionCode
from schemas.judge import RowJudge
from schemas.kinds import (
    BooleanKind,
    CodeKind,
    DateKind,
    DecimalKind,
    IdentifierKind,
    IntegerKind,
    MomentKind,
    TextKind,
)
from schemas.record_types import Column
from schemas.source_rows import rows_of
from schemas.transforms import (
    Codes,
    Concat,
    Constant,
    Date,
    Empty,
    KeepForm,
    Pad,
    Part,
    Split,
    Strip,
    Timestamp,
)

HOSTILE_TEXTS = [
    "", " ", "\t\n", "-", "0", "00", "-0", "+1", "1", "2", " 1 ", "1\n", "\n1", "007", "1_000", "1,000", "1.0",
    "1e3", "٣", "１２", "१२३", "642729600", "9" * 18, "9" * 19, "9" * 30, "-" + "9" * 18, "0.1", "0.123456",
    "0.1234567", "00.1", ".5", "5.", "NaN", "inf", "-inf", "1990-05-15", "1990-5-15", "1990-05-15 ",
    "1990-05-15T00:00:00", "0000-00-00", "00-00-0000", "0001-01-01", "9999-12-31", "10000-01-01", "1849-12-31",
    "1850-01-01", "2023-02-29", "2024-02-29", "1900-02-29", "15-05-1990", "31-02-1990", "15/05/1990", "15-05-90",
    "15‐05‐1990", "٠١-٠١-١٩٩٠", "3576021505900001", "3576.0215.0590.0001", "3576025505900003",
    "3576028105900001", "3576022902000001", "3576022902010001", "3576021505900000", "357602150590001",
    "3.57602150590000E+15", "٣٥٧٦٠٢١٥٠٥٩٠٠٠٠١", "3576021505900001\x00", "3576021505900001\n",
    "021832415000000", "02.183.241.5-000.000", "0021832415000000", "1000000012345678", "01.234.567.8-901.234",
    "0000000000000000", "000000000000000", "35", "35.76", "35.76.02", "35.76.02.1001", "35.70", "35.00",
    "35.76.00", "35.76.02.0000", "357602", "3576020", "91", "97", "99", "male", "Male", "MALE", "true", "True",
    "false", "NULL", "\x00", "A\x00B", "A\u202eB", "\u200bA", "\ufeffA", "A\u00a0", "\u00a0", "é", "e\u0301",
    "ÉLOÏSE", "O’NEIL", "ÿÀÖØö", "×÷", "o\u0308", "\u0308o", "ﬁ", "Å", "Å", "ﷺ", "محمد", "A" * 10_000, "😀", "A\tB", "A\r", "\u2028", "\x7f", "\x85", "%", "1|2", "a|b|c", "|", "ß", "İ",
    "2024-07-01T10:00:00Z", "2024-07-01 10:00:00", "2024-07-01T10:00:00+07:00", "2024-07-01T25:00:00Z",
]  # fmt: skip

texts = st.one_of(
    st.sampled_from(HOSTILE_TEXTS),
    st.text(max_size=20),
    st.text(alphabet="0123456789.- ", max_size=20),
    st.dates(date(1, 1, 1), date(9999, 12, 31)).map(lambda day: day.isoformat()),
    st.builds(
        lambda province, rest, day, month, year, serial: (
            f"{province}{rest:04}{day:02}{month:02}{year:02}{serial:04}"
        ),
        st.sampled_from([11, 35, 64, 65, 91, 93, 97, 10]),
        st.integers(0, 9999),
        st.integers(0, 99),
        st.integers(0, 13),
        st.integers(0, 99),
        st.integers(0, 9999),
    ),
    st.integers(0, 10**15 - 1).map(lambda number: f"{number:015}"),
    st.integers(0, 10**15 - 1).map(lambda number: f"0{number:015}"),
)

CELLS = {
    pl.String(): texts,
    pl.Int64(): st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-2, 3000), st.just(3576021505900001)),
    pl.UInt64(): st.integers(0, 2**64 - 1),
    pl.Int16(): st.integers(-(2**15), 2**15 - 1),
    pl.Float64(): st.one_of(st.floats(), st.integers(-2, 3000).map(float), st.just(3576021505900001.0)),
    pl.Boolean(): st.booleans(),
    pl.Date(): st.dates(date(1, 1, 1), date(9999, 12, 31)),
    pl.Datetime("us"): st.one_of(
        st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 30)),
        st.dates(date(2, 1, 1), date(9998, 1, 1)).map(lambda day: datetime(day.year, day.month, day.day)),
    ),
    pl.Datetime("us", "UTC"): st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 30), timezones=st.just(UTC)),
    pl.Decimal(38, 6): st.decimals(-(10**9), 10**9, places=6),
    pl.Null(): st.none(),
}

KINDS = {
    "nik": IdentifierKind(Nik),
    "family_card_number": IdentifierKind(FamilyCardNumber),
    "npwp": IdentifierKind(Npwp),
    "region_code": IdentifierKind(RegionCode),
    "text": TextKind(max_length=50),
    "short_text": TextKind(max_length=3, min_length=2),
    "code": CodeKind(("male", "female", "1")),
    "boolean": BooleanKind(),
    "integer": IntegerKind(),
    "tax_year": IntegerKind(1983, 2200),
    "decimal": DecimalKind(),
    "date": DateKind(),
    "any_date": DateKind(date(1, 1, 1), in_future=True),
    "moment": MomentKind(),
}

STEPS = {
    "none": (),
    "strip": (Strip(),),
    "strip_odd": (Strip(characters="0- "),),
    "empty": (Empty(values=["-", "0", "00-00-0000"]),),
    "codes": (Codes(codes={"1": "male", "2": "female", "": "female", "Male": "male"}),),
    "codes_spaced": (Codes(codes={"1": " male ", "2": ""}),),
    "pad": (Pad(length=3),),
    "pad_space": (Pad(length=4, fill=" "),),
    "pad_long": (Pad(length=16),),
    "split": (Split(on="|", take=1),),
    "split_space": (Split(on=" ", take=0), Strip()),
    "date": (Date(format="dd-MM-yyyy"),),
    "date_iso": (Date(format="yyyy-MM-dd"),),
    "date_dotted": (Empty(values=["00-00-0000"]), Date(format="dd/MM/yyyy")),
    "keep_form": (KeepForm(form="nik"),),
    "timestamp": (Timestamp(timezone="Asia/Jakarta"),),
    "chain": (Strip(), Empty(values=["-"]), Split(on="-", take=0), Pad(length=2)),
}


def field(kind, steps=(), beginning="c", *, required=False):
    column = Column("f", kind, not required, Classification.GENERAL, "")
    return FieldMapping("f", column, beginning, tuple(steps), required)


@st.composite
def pages(draw):
    dtype = draw(st.sampled_from(list(CELLS)))
    cells = draw(st.lists(st.one_of(st.none(), CELLS[dtype]), min_size=1, max_size=12))
    return pl.DataFrame({"c": pl.Series(cells, dtype=dtype)})


def assert_judge_agrees(mapping, frame):
    verdict = FastPath([mapping]).apply(frame)
    certain = verdict.certain
    values = verdict.values.select(pl.when(certain).then(pl.col("f")))
    judge = RowJudge([mapping])
    for row, value, sure in zip(rows_of(frame), values["f"].to_list(), certain.to_list(), strict=True):
        record, errors = judge.judge(row)
        if sure:
            assert not errors
            assert record["f"] == value
            assert type(record["f"]) is type(value)
        if not errors:
            again = pl.Series([record["f"]], dtype=mapping.column.polars_dtype, strict=True)
            assert again.to_list() == [record["f"]]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=120, deadline=None)
@given(frame=pages(), required=st.booleans())
@example(frame=pl.DataFrame({"c": HOSTILE_TEXTS}), required=True)
def test_what_the_fast_path_accepts_the_judge_accepts_with_the_identical_value(kind, frame, required):
    assert_judge_agrees(field(KINDS[kind], required=required), frame)


@pytest.mark.parametrize("steps", STEPS)
@settings(max_examples=60, deadline=None)
@given(frame=pages(), kind=st.sampled_from(list(KINDS)))
@example(frame=pl.DataFrame({"c": HOSTILE_TEXTS}), kind="text")
@example(frame=pl.DataFrame({"c": HOSTILE_TEXTS}), kind="any_date")
def test_every_step_gives_the_judge_and_the_fast_path_the_same_cell(steps, frame, kind):
    assert_judge_agrees(field(KINDS[kind], STEPS[steps]), frame)


@settings(max_examples=80, deadline=None)
@given(
    frame=st.builds(
        lambda left, right: pl.DataFrame({"a": left["c"].head(1), "b": right["c"].head(1)}), pages(), pages()
    ),
    kind=st.sampled_from(["text", "region_code", "nik"]),
    separator=st.sampled_from(["", ".", " "]),
)
def test_concatenation_gives_the_judge_and_the_fast_path_the_same_cell(frame, kind, separator):
    parts = Concat(columns=[Part(column="a", pad=2), Part(column="b")], separator=separator)
    assert_judge_agrees(field(KINDS[kind], (), parts), frame)


@pytest.mark.parametrize("value", ["male", " male ", "", "35.76", 7, True, "3576021505900001"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_is_judged_like_any_cell(kind, value):
    assert_judge_agrees(field(KINDS[kind], (), Constant(value=value)), pl.DataFrame({"c": ["x", None]}))


@pytest.mark.parametrize("kind", ["nik", "family_card_number", "npwp"])
@pytest.mark.parametrize("dtype", [pl.Int64(), pl.Float64(), pl.UInt64(), pl.Decimal(38, 6)])
@pytest.mark.parametrize("steps", ["none", "strip", "pad_long", "empty", "split_space", "keep_form"])
def test_a_numeric_cell_for_a_long_identifier_is_always_quarantined(kind, dtype, steps):
    mapping = field(KINDS[kind], STEPS[steps])
    number = Decimal(3576021505900001) if dtype.is_decimal() else 3576021505900001
    frame = pl.DataFrame({"c": pl.Series([number, 1], dtype=dtype, strict=False)})
    certain = FastPath([mapping]).apply(frame).certain
    assert not certain.any()
    for row in rows_of(frame):
        _, errors = RowJudge([mapping]).judge(row)
        assert [error.rule for error in errors] == ["numeric-cell"]


def test_a_numeric_part_of_a_concatenated_identifier_is_quarantined_too():
    mapping = field(KINDS["nik"], (), Concat(columns=[Part(column="a"), Part(column="b")]))
    frame = pl.DataFrame({"a": [35760215], "b": ["05900001"]})
    certain = FastPath([mapping]).apply(frame).certain
    assert not certain.any()
    assert RowJudge([mapping]).judge(next(rows_of(frame)))[1][0].rule == "numeric-cell"


@settings(max_examples=60, deadline=None)
@given(days=st.lists(st.integers(-2_000_000, 4_000_000), min_size=1, max_size=8))
def test_dates_that_python_cannot_hold_are_rejected_and_never_crash(days):
    frame = pl.DataFrame({"c": pl.Series(days, dtype=pl.Int32).cast(pl.Date)})
    assert_judge_agrees(field(DateKind(date(1, 1, 1), in_future=True)), frame)
    for row, day in zip(rows_of(frame), days, strict=True):
        if not -719_162 <= day <= 2_932_896:
            assert RowJudge([field(DateKind())]).judge(row)[1][0].rule == "out-of-range"


def test_the_fast_path_takes_ordinary_rows():
    ordinary = {
        "nik": "3576025505900003", "family_card_number": "3576020102120005", "npwp": "0021832415000000",
        "region_code": "35.76.02.1001", "text": "SITI CONTOH", "code": "male", "boolean": "true",
        "integer": "42", "tax_year": "2024", "decimal": "12.50", "date": "1990-05-15",
    }  # fmt: skip
    for kind, text in ordinary.items():
        certain = FastPath([field(KINDS[kind])]).apply(pl.DataFrame({"c": [text]})).certain
        assert certain.all(), kind


def test_tomorrow_in_the_easternmost_zone_is_the_latest_date(monkeypatch):
    from foundation import clock

    with clock.fixed(datetime(2026, 3, 1, 14, 59, tzinfo=UTC)):
        mapping = field(DateKind())
        frame = pl.DataFrame({"c": [date(2026, 3, 1), date(2026, 3, 2)]})
        assert FastPath([mapping]).apply(frame).certain.to_list() == [True, False]
    with clock.fixed(datetime(2026, 3, 1, 15, 0, tzinfo=UTC)):
        assert FastPath([mapping]).apply(frame).certain.to_list() == [True, True]
        assert (
            RowJudge([mapping]).judge({"c": date(2026, 3, 2) + timedelta(days=1)})[1][0].rule == "in-future"
        )
