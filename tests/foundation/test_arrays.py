"""A list reads back as it was written, whatever stands in it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.arrays import as_array
from foundation.database import Role
from foundation.installation import Installation

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
FIRST, LAST = dt.datetime.fromisoformat("1900-01-01"), dt.datetime.fromisoformat("2100-01-01")
MOMENT = st.datetimes(FIRST, LAST, timezones=st.just(dt.UTC))
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.one_of(
        TEXT, st.sampled_from(["NULL", "null", "annulled", "", *'"\\{}, \n\v', "\\x41", "\u00a0"])
    ),
    "bytea": st.binary(),
    "uuid": st.uuids(),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "timestamptz": MOMENT,
    "date": st.dates(dt.date(1, 1, 1)),
    "boolean": st.booleans(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_reads_back_as_it_was_written(kind: str, installation: Installation) -> None:
    pool = installation.database.pool(Role.API, autocommit=True)
    with pool, pool.connection() as connection:

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.one_of(st.none(), KINDS[kind])))
        def reads_back(values: list[Any]) -> None:
            (found,) = connection.execute(f"SELECT %s::{kind}[]", [values]).fetchone()
            assert found == values

        reads_back()


def test_what_it_does_not_know_is_left_to_psycopg() -> None:
    naive = dt.datetime.fromisoformat("2026-01-01T00:00:00")
    for values in ([1.5], [[1]], ["a", object()], ["a", 1], [True, 1], [naive]):
        assert as_array(values) is None
