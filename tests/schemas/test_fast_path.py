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
from schemas.identifiers import IDENTIFIERS
from schemas.judge import RowJudge
from schemas.kinds import (
    BooleanKind,
    CodeKind,
    DateKind,
    DecimalKind,
    IdentifierKind,
    IntegerKind,
    MomentKind,
    RupiahKind,
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
    OnlyWhen,
    Pad,
    Part,
    Split,
    Strip,
    Timestamp,
)

NEARLY_IDENTIFIERS = [
    "3576-LU-15052012-0003", "3576-KM-29022021-0001", "3576-km-01022020-000100", "3570-LU-15052012-0003",
    "3576-LU-15051812-0003", "3576-AB-15052012-0003", "X1234567", "xy12345678", "X 123 4567", "X12345",
    "900535760001", "901335760001", "90053576000123", "000000000000", "9005357600012345", "0812-3456-7890",
    "6281234567890", "+62 812 3456 7890", "+62 0812 3456 7890", "81234567890", "(0321) 321654", "0321321654", "+6281-23",
    "0812 3456 7890 1", "+1 202 555 0123", "08123456789012", "080123456789", "6208123456789", "0021832415000000000003",
    "3576021505900001000000", "9301011505900001000001", "357602000100100010", "35.76.020.001.001-0001.0",
    "350002000100100010", "977602000100100010", "9120000000019", "0000000000000", "0000000000017", "56101", "01111",
    "1111", "00000", "04111", "P02478375538", "p02478375538", "P0247837553", "10009880728", "3576021001", "3576020000",
    "3570021001", "3576001001", "35.76.2", "021832415000000", "000000000000000",
]  # fmt: skip
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
    "2024-07-01T10:00:00.123456+07:00", "2024-07-01T10:00:00.1Z", "2024-07-01T10:00:00.1234567Z", "2024-07-01T24:00:00Z",
    "2024-07-01T10:00:60Z", "2024-02-30T10:00:00Z", "2024-07-01T10:00:00+24:00", "2024-07-01T10:00:00-13:59", "2024-07-01t10:00:00Z",
    "0001-01-01T00:00:00+13:00", "9999-12-31T23:59:59-13:00", "2024-07-01T10:00Z", "2024-07-02 09:00:0", "1969-12-31 23:59:59",
    "2024-07-01T10:00:00Z", "2024-07-01 10:00:00", "2024-07-01T10:00:00+07:00", "2024-07-01T25:00:00Z",
]  # fmt: skip

texts = st.one_of(
    st.sampled_from(HOSTILE_TEXTS),
    st.sampled_from(NEARLY_IDENTIFIERS),
    st.builds(
        lambda text, at, character: text[: at % len(text)] + character + text[at % len(text) + 1 :],
        st.sampled_from(NEARLY_IDENTIFIERS),
        st.integers(0, 25),
        st.sampled_from("0123456789PX-+ ٣e"),
    ),
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
    pl.Float64(): st.one_of(
        st.floats(),
        st.decimals(-(10**9), 10**9, places=6).map(float),
        st.decimals(0, 10**4, places=2).map(float),
        st.sampled_from([0.1 + 0.2, 1e-6, 1e-7, -0.0, 1e15, 999999999.9999999, 123456789.123456, 2.0**53]),
        st.integers(-2, 3000).map(float),
        st.just(3576021505900001.0),
    ),
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
    **{kind.replace("-", "_"): IdentifierKind(identifier) for kind, identifier in IDENTIFIERS.items()},
    "text": TextKind(max_length=50),
    "short_text": TextKind(max_length=3, min_length=2),
    "code": CodeKind(("male", "female", "1")),
    "boolean": BooleanKind(),
    "integer": IntegerKind(),
    "tax_year": IntegerKind(1983, 2200),
    "rupiah": RupiahKind(),
    "decimal": DecimalKind(),
    "date": DateKind(),
    "any_date": DateKind(date(1, 1, 1), in_future=True),
    "moment": MomentKind(),
}

LONG_IDENTIFIERS = [
    name
    for name, kind in KINDS.items()
    if isinstance(kind, IdentifierKind)
    and kind.identifier.longest_value > 15
    and name not in {"deed", "phone"}
]
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
@settings(max_examples=50, deadline=None)
@given(frame=pages(), required=st.booleans())
@example(frame=pl.DataFrame({"c": HOSTILE_TEXTS + NEARLY_IDENTIFIERS}), required=True)
def test_what_the_fast_path_accepts_the_judge_accepts_with_the_identical_value(kind, frame, required):
    assert_judge_agrees(field(KINDS[kind], required=required), frame)


@pytest.mark.parametrize("steps", STEPS)
@settings(max_examples=40, deadline=None)
@given(frame=pages(), kind=st.sampled_from(list(KINDS)))
@example(frame=pl.DataFrame({"c": HOSTILE_TEXTS}), kind="text")
@example(frame=pl.DataFrame({"c": HOSTILE_TEXTS}), kind="any_date")
def test_every_step_gives_the_judge_and_the_fast_path_the_same_cell(steps, frame, kind):
    assert_judge_agrees(field(KINDS[kind], STEPS[steps]), frame)


@settings(max_examples=50, deadline=None)
@given(
    frame=st.builds(
        lambda left, right: pl.DataFrame({"a": left["c"].head(1), "b": right["c"].head(1)}), pages(), pages()
    ),
    kind=st.sampled_from(["text", "region", "nik", "property_tax"]),
    separator=st.sampled_from(["", ".", " "]),
)
def test_concatenation_gives_the_judge_and_the_fast_path_the_same_cell(frame, kind, separator):
    parts = Concat(columns=[Part(column="a", pad=2), Part(column="b")], separator=separator)
    assert_judge_agrees(field(KINDS[kind], (), parts), frame)


@settings(max_examples=50, deadline=None)
@given(
    frame=st.builds(
        lambda left, right: pl.DataFrame({"a": left["c"].head(1), "b": right["c"].head(1)}), pages(), pages()
    ),
    kind=st.sampled_from(["text", "nik", "passport", "integer", "date"]),
    steps=st.sampled_from(["none", "empty", "pad", "keep_form"]),
)
@example(frame=pl.DataFrame({"a": ["3576025505900003", None], "b": [" 01", "01"]}), kind="nik", steps="none")
@example(frame=pl.DataFrame({"a": ["3576025505900003"], "b": [1]}), kind="nik", steps="none")
@example(frame=pl.DataFrame({"a": ["X1234567"], "b": ["02"]}), kind="nik", steps="none")
def test_a_column_taken_only_sometimes_is_the_same_cell_for_the_judge_and_the_fast_path(frame, kind, steps):
    taken = OnlyWhen(column="a", when="b", is_one_of=["01", "1"])
    assert_judge_agrees(field(KINDS[kind], STEPS[steps], taken), frame)


@pytest.mark.parametrize("value", ["male", " male ", "", "35.76", 7, True, "3576021505900001"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_is_judged_like_any_cell(kind, value):
    assert_judge_agrees(field(KINDS[kind], (), Constant(value=value)), pl.DataFrame({"c": ["x", None]}))


@pytest.mark.parametrize("kind", LONG_IDENTIFIERS)
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


def test_every_number_longer_than_a_spreadsheet_keeps_refuses_numeric_cells():
    assert set(LONG_IDENTIFIERS) == {
        "nik", "family_card", "npwp", "nitku", "property_tax", "driving_license",
    }  # fmt: skip
    for name in LONG_IDENTIFIERS:
        assert KINDS[name].identifier.numeric_cells_lose_digits


@pytest.mark.parametrize("name", ["nib", "bpjs", "kbli", "ihs", "passport", "deed", "phone", "region"])
def test_a_numeric_cell_is_no_identifier_unless_the_contract_says_how_it_lost_its_zeros(name):
    for cell in (9120000000019, 17.0, 1111):
        (error,) = RowJudge([field(KINDS[name])]).judge({"c": cell})[1]
        assert error.rule == "text-expected"
    assert RowJudge([field(KINDS["kbli"], (Pad(length=5),))]).judge({"c": 1111.0}) == ({"f": "01111"}, ())
    assert FastPath([field(KINDS["kbli"], (Pad(length=5),))]).apply(pl.DataFrame({"c": [1111]})).certain.all()


def test_what_only_decides_about_a_number_may_be_numeric():
    taken = field(KINDS["nik"], (), OnlyWhen(column="a", when="b", is_one_of=["1"]))
    frame = pl.DataFrame({"a": ["3576025505900003", "X1234567"], "b": [1, 2]})
    verdict = FastPath([taken]).apply(frame)
    assert verdict.certain.to_list() == [True, True]
    assert verdict.values["f"].to_list() == ["3576025505900003", None]
    damaged = {"a": 3576025505900003, "b": "1"}
    assert RowJudge([taken]).judge(damaged)[1][0].rule == "numeric-cell"


def test_a_numeric_part_of_a_concatenated_identifier_is_quarantined_too():
    mapping = field(KINDS["nik"], (), Concat(columns=[Part(column="a"), Part(column="b")]))
    frame = pl.DataFrame({"a": [35760215], "b": ["05900001"]})
    certain = FastPath([mapping]).apply(frame).certain
    assert not certain.any()
    assert RowJudge([mapping]).judge(next(rows_of(frame)))[1][0].rule == "numeric-cell"


@settings(max_examples=40, deadline=None)
@given(days=st.lists(st.integers(-2_000_000, 4_000_000), min_size=1, max_size=8))
def test_dates_that_python_cannot_hold_are_rejected_and_never_crash(days):
    frame = pl.DataFrame({"c": pl.Series(days, dtype=pl.Int32).cast(pl.Date)})
    assert_judge_agrees(field(DateKind(date(1, 1, 1), in_future=True)), frame)
    for row, day in zip(rows_of(frame), days, strict=True):
        if not -719_162 <= day <= 2_932_896:
            assert RowJudge([field(DateKind())]).judge(row)[1][0].rule == "out-of-range"


def test_the_fast_path_takes_ordinary_rows():
    ordinary = {
        "nik": "3576025505900003", "family_card": "3576020102120005", "npwp": "021832415000000",
        "region": "3576021001", "deed": "3576-LU-15052012-0003", "passport": "X1234567", "rupiah": "50000000",
        "driving_license": "900535760001", "phone": "0812-3456-7890", "nitku": "0021832415000000000003",
        "property_tax": "357602000100100010", "nib": "9120000000019", "kbli": "01111", "bpjs": "0000000000017",
        "ihs": "P02478375538", "moment": "2024-07-01T10:00:00.123+07:00", "text": "SITI CONTOH", "code": "male", "boolean": "true",
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


def test_the_fast_path_takes_what_files_and_services_send_for_moments_and_areas():
    frame = pl.DataFrame({"c": ["2024-07-02 09:00:00", "2024-07-02T09:00:00"]})
    moment = field(MomentKind(), (Timestamp(timezone="Asia/Jakarta"),))
    verdict = FastPath([moment]).apply(frame)
    assert verdict.certain.all()
    assert verdict.values["f"].to_list() == [datetime(2024, 7, 2, 2, tzinfo=UTC)] * 2
    areas = FastPath([field(DecimalKind())]).apply(pl.DataFrame({"c": [100.5, 180.3, 0.1 + 0.2, None]}))
    assert areas.certain.to_list() == [True, True, False, True]
    assert areas.values["f"].to_list()[:2] == [Decimal("100.500000"), Decimal("180.300000")]
