from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.cells import series
from schemas.identifiers import Nik

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.lists(st.one_of(st.none(), st.text())))
def test_text_stays_text(values: list[str | None]) -> None:
    column = series("c", values)
    assert column.dtype == pl.String
    assert column.to_list() == values


@given(st.lists(JSON, max_size=8))
def test_any_json_becomes_a_column_of_one_type_and_no_null_appears_or_goes(values: list[Any]) -> None:
    column = series("c", values)
    assert len(column) == len(values)
    assert [value is None for value in column] == [value is None for value in values]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1))
def test_whole_numbers_stay_whole(values: list[int | None]) -> None:
    assert series("c", values).to_list() == values


@pytest.mark.parametrize(
    "odd", [3576021505900001, 3.576021505900001e15, True, ["3576021505900001"], {"a": 1}, date(2026, 1, 1)]
)
def test_a_cell_of_another_type_says_so_and_is_no_identifier(odd: object) -> None:
    column = series("nik", ["3576021505900001", odd])
    assert column.dtype == pl.String
    assert column[0] == "3576021505900001"
    assert ":" in column[1]
    assert Nik.check(column[1]).status == "invalid"


def test_numbers_too_large_for_a_column_keep_every_digit() -> None:
    assert series("c", [1, 2**70]).to_list() == ["number:1", f"number:{2**70}"]
    assert series("c", [1.5, 2**60 + 1]).to_list() == ["number:1.5", f"number:{2**60 + 1}"]


def test_a_column_of_nulls_is_text() -> None:
    assert series("c", [None, None]).dtype == pl.String
