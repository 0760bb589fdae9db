"""Households: who lives together, who is whose parent, who was born when.

Everything is drawn column by column, so that 200,000 people take a second or two, not minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from sandbox.regions import VILLAGES

HEAD, HUSBAND, WIFE, CHILD, PARENT = 1, 2, 3, 4, 7
SINGLE, MARRIED, DIVORCED, WIDOWED = 1, 2, 3, 4
_COUPLE, _LONE_PARENT, _ALONE, _THREE_GENERATIONS = range(4)
_DAYS_A_YEAR = 365.2425
_MEAN_HOUSEHOLD = 2.6  # a low guess, so that one drawing is enough


@dataclass(frozen=True, slots=True)
class _Households:
    kind: np.ndarray
    village: np.ndarray
    head_age: np.ndarray
    head_female: np.ndarray
    children: np.ndarray

    @property
    def count(self) -> int:
        return int(self.kind.size)


def draw_families(rng: np.random.Generator, people: int, as_of: date) -> pl.DataFrame:
    """Draw people in households.

    Returns:
        A frame of `people` rows with the columns household, role, female, born (days since 1970), marital,
        district, village, ordered by household, the head first.
    """
    homes = _draw_households(rng, max(8, int(people / _MEAN_HOUSEHOLD) + 8))
    today = (as_of - date(1970, 1, 1)).days
    everyone = pl.concat(
        [
            _heads(rng, homes, today),
            _spouses(rng, homes, today),
            _children(rng, homes, today),
            _parents(rng, homes, today),
        ]
    )
    rank = pl.col("role").replace_strict(
        {HEAD: 0, WIFE: 1, HUSBAND: 1, CHILD: 2, PARENT: 3}, return_dtype=pl.Int8
    )
    places = pl.DataFrame(
        {
            "household": np.arange(homes.count),
            "district": np.array([v.district for v in VILLAGES], dtype=np.int16)[homes.village],
            "village": np.array([v.code for v in VILLAGES], dtype=np.int32)[homes.village],
        }
    )
    return (
        everyone.sort("household", rank, "born", maintain_order=True)
        .head(people)
        .join(places, on="household", how="left", maintain_order="left")
    )


def _draw_households(rng: np.random.Generator, count: int) -> _Households:
    kind = rng.choice(4, count, p=[0.70, 0.09, 0.12, 0.09])
    sizes = rng.choice(6, count, p=[0.12, 0.26, 0.34, 0.18, 0.07, 0.03])
    return _Households(
        kind=kind,
        village=rng.integers(0, len(VILLAGES), count),
        head_age=np.where(kind == _ALONE, rng.integers(19, 80, count), rng.integers(24, 74, count)),
        head_female=np.where(kind == _LONE_PARENT, rng.random(count) < 0.85, rng.random(count) < 0.5)
        & (kind != _COUPLE)
        & (kind != _THREE_GENERATIONS),
        children=np.where(kind == _ALONE, 0, np.where(kind == _LONE_PARENT, np.maximum(sizes, 1), sizes)),
    )


def _born(rng: np.random.Generator, age: np.ndarray, today: int) -> np.ndarray:
    return (today - age * _DAYS_A_YEAR - rng.integers(0, 365, age.size)).astype(np.int32)


def _frame(
    household: np.ndarray, role: int, female: np.ndarray, born: np.ndarray, marital: np.ndarray
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "household": household,
            "role": np.full(household.size, role, dtype=np.int16),
            "female": female,
            "born": born.astype(np.int32),
            "marital": marital.astype(np.int16),
        }
    )


def _heads(rng: np.random.Generator, homes: _Households, today: int) -> pl.DataFrame:
    alone = np.where(homes.head_age > 55, WIDOWED, np.where(homes.head_age > 35, DIVORCED, SINGLE))
    lone = np.where(rng.random(homes.count) < 0.6, WIDOWED, DIVORCED)
    marital = np.where(homes.kind == _ALONE, alone, np.where(homes.kind == _LONE_PARENT, lone, MARRIED))
    return _frame(np.arange(homes.count), HEAD, homes.head_female, _born(rng, homes.head_age, today), marital)


def _spouses(rng: np.random.Generator, homes: _Households, today: int) -> pl.DataFrame:
    household = np.flatnonzero((homes.kind == _COUPLE) | (homes.kind == _THREE_GENERATIONS))
    age = np.maximum(19, homes.head_age[household] - rng.integers(-3, 9, household.size))
    return _frame(
        household,
        WIFE,
        np.ones(household.size, bool),
        _born(rng, age, today),
        np.full(household.size, MARRIED),
    )


def _children(rng: np.random.Generator, homes: _Households, today: int) -> pl.DataFrame:
    household = np.repeat(np.arange(homes.count), homes.children)
    age = homes.head_age[household] - rng.integers(21, 40, household.size)
    at_home = (age >= 0) & (age <= 27)
    household, age = household[at_home], age[at_home]
    born = np.minimum(_born(rng, age, today), today - 1)
    return _frame(household, CHILD, rng.random(household.size) < 0.487, born, np.full(household.size, SINGLE))


def _parents(rng: np.random.Generator, homes: _Households, today: int) -> pl.DataFrame:
    household = np.flatnonzero(homes.kind == _THREE_GENERATIONS)
    age = np.minimum(96, homes.head_age[household] + rng.integers(19, 34, household.size))
    return _frame(
        household,
        PARENT,
        rng.random(household.size) < 0.7,
        _born(rng, age, today),
        np.full(household.size, WIDOWED),
    )
