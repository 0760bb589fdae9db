"""Criteria are typed at load, three-valued at run, and otherwise mean what CEL means."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verification.practice import ABSENT, KNOWN, NOT_KNOWN, SCOPE, TODAY, Supplied, present
from verification.criteria import _FUNCTIONS as FUNCTIONS
from verification.criteria import Expression, Outcome, compile_expression


def compiled(source: str) -> Expression:
    found = compile_expression(source, SCOPE)
    assert isinstance(found, Expression), found
    return found


def outcome(source: str, supplied: dict[str, Supplied] | None = None) -> Outcome:
    return compiled(source).judge(KNOWN if supplied is None else supplied, TODAY).outcome


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('1 + "x"', "must be int"),
        ('1 == "1"', "unlike things"),
        ("1 == 1", "refers to no evidence"),
        ("person", "not bool"),
        ("person.nope == 1", "no field"),
        ("persons.sex == 'male'", "nothing called"),
        ('person.sex == "man"', "code list"),
        ('person.sex in ["male", "man"]', "code list"),
        ('"invalid" == tax.standing', "code list"),
        ('person.sex in ["male", 1]', "one type"),
        ("claim.amount in 5", "must be a list"),
        ("claim.amount <= 5.0", "whole"),
        ("claim.amount <= 99999999999999999999", "whole"),
        ("claim.amount == null", "expected a name"),
        ("claim.amount < 10 < 20", "chained"),
        ('person.region_code < "z"', "no order"),
        ("person.birth_date == 1990", "unlike things"),
        ("person == death", "unlike things"),
        ("age(person.birth_date) >= 18", "takes 2"),
        ("age(claim.amount, today) >= 18", "must be date"),
        ("recorded(person.sex)", "must be record"),
        ("boom(person.sex)", "no function"),
        ('person.sex.matches("x")', "no function"),
        ("tax.flag && claim.amount", "must be bool"),
        ("!claim.amount", "must be bool"),
        ("tax.flag ? true : false", "cannot contain"),
        ('person.sex == "a\\"', "cannot contain"),
        ("tax.flag &&", "expected a value"),
        ("tax.flag tax.flag", "did not expect"),
        ("(" * 200 + "tax.flag" + ")" * 200, "nested"),
        ("tax.flag && " * 200 + "tax.flag", "at most"),
        ("claim.amount.x == 1", "has no field"),
        ("", "expected a value"),
    ],
)
def test_what_cannot_be_compared_or_found_does_not_load(source: str, says: str) -> None:
    findings = compile_expression(source, SCOPE)
    assert isinstance(findings, tuple)
    assert any(says in finding.what for finding in findings), findings
    assert all(finding.remedy for finding in findings)


def test_every_wrong_part_is_named_with_its_place() -> None:
    findings = compile_expression('person.nope == 1 && tax.standing == "x" && claim.amount == "1"', SCOPE)
    assert isinstance(findings, tuple)
    assert [finding.column for finding in findings] == [7, 33, 56]


@pytest.mark.parametrize("status", NOT_KNOWN)
@pytest.mark.parametrize("source", ["recorded(death)", "!recorded(death)", "death.death_date < today"])
def test_a_death_that_is_not_surely_known_is_never_met_and_never_not_met(source: str, status: str) -> None:
    found = outcome(source, {**KNOWN, "death": Supplied(status)})
    assert found not in (Outcome.MET, Outcome.NOT_MET)


def test_only_a_known_absence_means_no() -> None:
    assert outcome("!recorded(death)", {**KNOWN, "death": ABSENT}) is Outcome.MET
    assert outcome("!recorded(death)", {**KNOWN, "death": present(death_date=None)}) is Outcome.NOT_MET
    assert outcome("!recorded(death)", {k: v for k, v in KNOWN.items() if k != "death"}) is Outcome.UNKNOWN


def test_null_missing_and_wrongly_typed_values_are_unknown() -> None:
    for values in ({}, {"tax_year": None}, {"tax_year": "2025"}, {"tax_year": True}, {"tax_year": 2025.0}):
        assert outcome("tax.tax_year >= 2025", {**KNOWN, "tax": present(**values)}) is Outcome.UNKNOWN


def test_what_cel_cannot_compute_is_unknown() -> None:
    huge = {**KNOWN, "claim": present(amount=2**62)}
    assert outcome("claim.amount * 4 > 1", huge) is Outcome.UNKNOWN
    unborn = {**KNOWN, "person": present(birth_date=TODAY + dt.timedelta(days=1))}
    assert outcome("age(person.birth_date, today) >= 18", unborn) is Outcome.UNKNOWN
    assert outcome("claim.amount > 1", {**KNOWN, "claim": present(amount=2**70)}) is Outcome.UNKNOWN


def test_a_settled_side_needs_no_other() -> None:
    stale_tax = {**KNOWN, "tax": Supplied("stale")}
    assert outcome('person.sex == "male" && tax.tax_year > 1', stale_tax) is Outcome.NOT_MET
    assert outcome('person.sex == "female" || tax.tax_year > 1', stale_tax) is Outcome.MET
    assert outcome('person.sex == "female" && tax.tax_year > 1', stale_tax) is Outcome.STALE


def test_the_gravest_gap_names_the_outcome() -> None:
    supplied = {**KNOWN, "tax": Supplied("stale"), "death": Supplied("conflict")}
    assert outcome("tax.flag && recorded(death)", supplied) is Outcome.CONFLICT
    supplied = {**KNOWN, "tax": Supplied("source_down"), "death": Supplied("quarantined")}
    assert outcome("tax.flag && recorded(death)", supplied) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        (dt.date(2008, 6, 15), dt.date(2026, 6, 15), 18),
        (dt.date(2008, 6, 16), dt.date(2026, 6, 15), 17),
        (dt.date(2008, 2, 29), dt.date(2026, 2, 28), 17),
        (dt.date(2008, 2, 29), dt.date(2026, 3, 1), 18),
    ],
)
def test_age_counts_completed_years(born: dt.date, on: dt.date, years: int) -> None:
    expression = compiled(f"age(person.birth_date, today) == {years}")
    supplied = {**KNOWN, "person": present(birth_date=born)}
    assert expression.judge(supplied, on).outcome is Outcome.MET


integers = st.recursive(
    st.one_of(st.integers(0, 10).map(str), st.sampled_from(["claim.amount", "tax.tax_year"])),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(
        lambda p: f"({p[0]} {p[1]} {p[2]})"
    ),
    max_leaves=3,
)
atoms = st.one_of(
    st.tuples(integers, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), integers).map(" ".join),
    st.sampled_from(
        [
            "recorded(death)",
            "recorded(tax)",
            "tax.flag",
            'person.sex == "male"',
            'person.sex in ["male", "female"]',
            'person.region_code.startsWith("35.76")',
            "age(person.birth_date, today) >= 18",
            "death.death_date < today",
            "today.getFullYear() - 1 <= tax.tax_year",
        ]
    ),
)
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        inner.map(lambda text: f"!({text})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda p: f"{p[0]} {p[1]} {p[2]}"),
    ),
    max_leaves=6,
).filter(lambda text: any(name in text for name in ("claim.", "tax", "person.", "death")))

known = st.builds(
    lambda born, region, sex, death, standing, year, flag, amount: {
        "person": present(birth_date=born, region_code=region, sex=sex),
        "death": death,
        "tax": present(standing=standing, tax_year=year, flag=flag),
        "claim": present(amount=amount),
    },
    st.dates(dt.date(1900, 1, 1), TODAY),
    st.sampled_from(["35.76.01", "35.16.02", ""]),
    st.sampled_from(["male", "female"]),
    st.one_of(
        st.just(ABSENT),
        st.dates(dt.date(1950, 1, 1), dt.date(2027, 1, 1)).map(lambda day: present(death_date=day)),
    ),
    st.sampled_from(["valid", "not_valid"]),
    st.integers(0, 3000),
    st.booleans(),
    st.integers(-(10**9), 10**9),
)


def _as_cel(supplied: dict[str, Supplied]) -> dict[str, object]:
    def midnight(value: object) -> object:
        return (
            dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
            if isinstance(value, dt.date)
            else value
        )

    records: dict[str, object] = {
        name: None
        if record.status == "absent"
        else {key: midnight(value) for key, value in record.values.items()}
        for name, record in supplied.items()
    }
    return {**records, "today": midnight(TODAY)}


@given(source=expressions, supplied=known)
def test_with_everything_known_a_criterion_means_what_cel_means(
    source: str, supplied: dict[str, Supplied]
) -> None:
    found = outcome(source, supplied)
    try:
        expected = cel.compile(source).execute(cel.Context(_as_cel(supplied), FUNCTIONS))
    except Exception:
        return  # CEL itself has no value for it
    if found in (Outcome.MET, Outcome.NOT_MET):
        assert (found is Outcome.MET) is expected
    else:
        assert "death.death_date" in source  # a field of a record known not to exist


@given(
    source=expressions,
    supplied=known,
    hidden=st.dictionaries(st.sampled_from(list(KNOWN)), st.sampled_from(NOT_KNOWN), min_size=1),
)
def test_more_knowledge_never_overturns_what_was_settled(
    source: str, supplied: dict[str, Supplied], hidden: dict[str, str]
) -> None:
    before = outcome(source, {**supplied, **{name: Supplied(status) for name, status in hidden.items()}})
    after = outcome(source, supplied)
    if before in (Outcome.MET, Outcome.NOT_MET):
        assert after is before


@given(source=atoms, supplied=known, status=st.sampled_from(NOT_KNOWN))
def test_an_atom_with_a_gap_is_never_met_and_never_not_met(
    source: str, supplied: dict[str, Supplied], status: str
) -> None:
    found = compile_expression(source, SCOPE)
    if not isinstance(found, Expression):
        return
    for record, _ in found.references:
        judged = found.judge({**supplied, record: replace(supplied[record], status=status)}, TODAY)
        assert judged.outcome not in (Outcome.MET, Outcome.NOT_MET)
        assert judged.gaps


@given(st.text(max_size=200))
def test_reading_any_text_ends_in_findings_or_a_criterion(text: str) -> None:
    found = compile_expression(text, SCOPE)
    assert isinstance(found, Expression) or found
