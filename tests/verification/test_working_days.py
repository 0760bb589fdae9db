"""Deadlines count the days on which offices are open."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from verification.working_days import LOCAL, deadline, is_working_day, today, working_days_between

moments = st.integers(0, 3 * 365 * 24).map(
    lambda hours: dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=hours)
)


def test_weekends_and_independence_day_do_not_count() -> None:
    friday = dt.datetime(2026, 8, 14, 3, tzinfo=dt.UTC)
    assert not is_working_day(dt.date(2026, 8, 17))
    assert deadline(friday, 1).astimezone(LOCAL) == dt.datetime(2026, 8, 19, tzinfo=LOCAL)


def test_the_day_is_mojokertos_day() -> None:
    assert today(dt.datetime(2026, 1, 1, 18, tzinfo=dt.UTC)) == dt.date(2026, 1, 2)


@given(moments, st.integers(1, 30))
def test_a_deadline_ends_a_working_day_and_leaves_that_many(start: dt.datetime, days: int) -> None:
    end = deadline(start, days)
    last = end - dt.timedelta(seconds=1)
    assert is_working_day(today(last))
    assert working_days_between(start, last) == days


@given(moments, st.integers(0, 20), st.integers(0, 20))
def test_more_days_never_end_earlier(start: dt.datetime, one: int, other: int) -> None:
    assert (deadline(start, one) <= deadline(start, other)) or one > other
