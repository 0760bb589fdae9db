"""Deadlines in working days: weekends and Indonesia's public holidays do not count."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("Asia/Jakarta")
"""Mojokerto keeps Western Indonesian Time."""


def today(moment: dt.datetime) -> dt.date:
    """The date in Mojokerto at a moment."""
    return moment.astimezone(LOCAL).date()


def is_working_day(day: dt.date) -> bool:
    """Whether offices are open."""
    return day.weekday() < 5 and day not in _holidays(day.year)


def deadline(start: dt.datetime, working_days: int) -> dt.datetime:
    """The end of the last of so many working days after the day of `start`."""
    if working_days < 0:
        raise ValueError("a deadline lies ahead")
    day = today(start)
    left = working_days
    while left > 0 or not is_working_day(day):
        day += dt.timedelta(days=1)
        left -= is_working_day(day) and left > 0
    midnight = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), LOCAL)
    return midnight.astimezone(dt.UTC)


def working_days_between(start: dt.datetime, end: dt.datetime) -> int:
    """How many working days begin after `start` and not after `end`."""
    first, last = today(start), today(end)
    days = (first + dt.timedelta(days=step) for step in range(1, (last - first).days + 1))
    return sum(is_working_day(day) for day in days)


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[dt.date]:
    return frozenset(_country(year))


def _country(year: int) -> Any:
    import holidays

    return holidays.country_holidays("ID", years=year)
