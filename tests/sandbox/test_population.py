from __future__ import annotations

import re
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import FIXED, Population, PracticePerson
from sandbox.columns import TABLES
from sandbox.datasets import DATASETS, PERSONS
from sandbox.tax_registers import npwp15

PEOPLE = 3_000
SHARED_NUMBERS = sum(bool(person.also_named) for person in FIXED.all())


@pytest.fixture(scope="module")
def population() -> Population:
    return Population.generate(PEOPLE, seed=7)


@pytest.fixture(scope="module")
def clean() -> Population:
    return Population.generate(PEOPLE, seed=7, error_rate=0)


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def test_the_same_seed_gives_the_same_people(population: Population) -> None:
    again = Population.generate(PEOPLE, seed=7)
    assert all(again.table(dataset).equals(population.table(dataset)) for dataset in DATASETS)
    assert again.moves.equals(population.moves)
    assert again.errors == population.errors


def test_another_seed_gives_other_people(population: Population) -> None:
    other = Population.generate(PEOPLE, seed=8)
    assert not other.persons["nik"].equals(population.persons["nik"])


@settings(max_examples=8, deadline=None)
@given(people=st.integers(40, 900), seed=st.integers(0, 2**32 - 1))
def test_any_size_has_exactly_that_many_people_and_no_number_twice(people: int, seed: int) -> None:
    clean = Population.generate(people, seed=seed, error_rate=0)
    assert clean.persons.height == people
    assert clean.persons["nik"].n_unique() == people - SHARED_NUMBERS
    assert clean.tax["npwp16"].n_unique() == clean.tax.height
    assert clean.deaths["no_akta"].n_unique() == clean.deaths.height


def test_a_clean_number_tells_birth_date_and_sex(clean: Population) -> None:
    nik = pl.col("nik")
    day = nik.str.slice(6, 2).cast(pl.Int32)
    told = clean.persons.select(
        shape=nik.str.contains(r"^[0-9]{16}$"),
        sex=(day > 40) == (pl.col("jenis_klmin") == 2),
        day=(day - 40 * (day > 40)) == pl.col("tgl_lhr").dt.day(),
        month_and_year=nik.str.slice(8, 4) == pl.col("tgl_lhr").dt.strftime("%m%y"),
        serial=nik.str.slice(12) != "0000",
    )
    assert told.select(pl.all().all()).row(0) == (True,) * 5


def test_children_live_with_parents_who_are_older_than_they(clean: Population) -> None:
    people = clean.persons
    pairs = people.join(people, left_on="nik_ibu", right_on="nik", suffix="_mother")
    assert pairs.height > PEOPLE / 10
    assert (pairs["tgl_lhr_mother"] < pairs["tgl_lhr"]).all()
    assert (pairs["no_kk"] == pairs["no_kk_mother"]).all()
    assert (pairs["jenis_klmin_mother"] == 2).all()


def test_every_death_is_of_a_person_and_comes_after_the_birth(clean: Population) -> None:
    told = clean.deaths.join(clean.persons, on="nik", how="left")
    assert told["tgl_lhr"].null_count() == 0
    assert (told["tgl_mati"] > told["tgl_lhr"]).all()


def test_only_adults_have_tax_rows_and_only_in_part(clean: Population) -> None:
    individuals = clean.tax.filter(~pl.col("npwp16").str.starts_with("0"))
    taxed = individuals.join(clean.persons.unique("nik"), left_on="npwp16", right_on="nik")
    assert taxed.height == individuals.height
    assert 0.2 < clean.tax.height / PEOPLE < 0.6
    assert taxed["tgl_lhr"].max() < date(2007, 1, 1)  # type: ignore[operator]


def test_the_tax_office_spells_some_names_its_own_way(clean: Population) -> None:
    both = clean.tax.join(clean.persons, left_on="npwp16", right_on="nik")
    assert 0.05 < (both["nama_wp"] != both["nama_lgkp"]).mean() < 0.4  # type: ignore[operator]


def test_old_tax_numbers_carry_their_check_digit() -> None:
    numbers = npwp15(np.arange(0, 500_000, 997))
    assert all(re.fullmatch(r"[0-9]{15}", number) and luhn(number[:9]) for number in numbers)


def test_a_firm_has_the_old_fifteen_digits_behind_a_zero(clean: Population) -> None:
    firms = clean.tax.filter(pl.col("npwp16").str.starts_with("0"))
    assert 0 < firms.height < clean.tax.height / 20
    assert (firms["npwp16"] == "0" + firms["npwp"]).all()
    assert all(luhn(number[:9]) for number in firms["npwp"])


def test_many_rows_share_the_night_of_the_migration(clean: Population) -> None:
    assert clean.persons["last_sync"].value_counts(sort=True)["count"][0] > PEOPLE / 5


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_injected_error_is_written_down_where_it_is(
    population: Population, clean: Population, dataset: str
) -> None:
    table, original = population.table(dataset), clean.table(dataset)
    spoiled = {
        error.row
        for error in population.errors
        if error.dataset == dataset and error.kind != "duplicate-key" and not error.by_design
    }
    assert {row for row in range(original.height) if table.row(row) != original.row(row)} == spoiled
    assert spoiled


def test_the_rate_of_errors_is_small_and_as_asked(population: Population) -> None:
    of_persons = [error for error in population.errors if error.dataset == PERSONS]
    assert 0.004 < len(of_persons) / PEOPLE < 0.008


def test_both_rows_of_a_duplicate_key_are_named(population: Population) -> None:
    doubled = [e for e in population.errors if e.kind == "duplicate-key" and e.dataset == PERSONS]
    rows = population.persons[[error.row for error in doubled]]
    assert rows["nik"].value_counts()["count"].unique().to_list() == [2]
    assert FIXED.shared_nik.nik in rows["nik"]


def test_fixed_people_are_in_every_population_untouched(population: Population) -> None:
    for person in FIXED.all():
        rows = population.persons.filter(pl.col("nik") == person.nik)
        assert rows["nama_lgkp"].to_list() == [person.name, *filter(None, [person.also_named])]
        assert rows["tgl_lhr"].unique().to_list() == [person.birth_date]
        tax = population.tax.filter(pl.col("npwp16") == person.nik)["status_kswp"].to_list()
        assert tax == ([person.tax.value] if person.tax.value else [])


def test_the_fixed_numbers_are_sound() -> None:
    for person in FIXED.all():
        day = person.birth_date.day + (40 if person.sex == "female" else 0)
        assert person.nik[6:12] == f"{day:02d}{person.birth_date:%m%y}"
        assert re.fullmatch(r"[0-9]{6}(0[1-9]|[12][0-9]|3[01])[0-9]{8}", person.family_card_number)


def test_a_guest_lives_in_the_city_like_a_fixed_person() -> None:
    guest = PracticePerson(
        nik="3576024107850099",
        family_card_number="3576020101200099",
        name="KENARI UJI PENANDA",
        birth_date=date(1985, 7, 1),
        sex="female",
        expected="verified",
    )
    population = Population.generate(500, guests=(guest,), error_rate=0.2)
    assert population.persons.filter(pl.col("nik") == guest.nik)["nama_lgkp"].to_list() == [guest.name]


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_have_the_columns_that_the_offices_give_them(population: Population, table: str) -> None:
    assert getattr(population, table).schema == pl.Schema(TABLES[table])
