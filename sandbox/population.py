"""The practice population: one city's people as its offices hold them, errors included.

The same seed gives the same people, to the byte. Errors are put in on purpose and written down
(`Population.errors`), so that a test can ask whether each was found; the people of `FIXED` are in every
population, untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from sandbox import registers
from sandbox.families import draw_families
from sandbox.fixed_people import FIXED, PracticePerson
from sandbox.injection import InjectedError, inject

DEFAULT_SEED = 20_260_815
DEFAULT_AS_OF = date(2026, 6, 30)
DEFAULT_ERROR_RATE = 0.005


@dataclass(frozen=True, slots=True)
class Population:
    """What the practice agencies hold.

    Attributes:
        persons: Rows of `biodata_wni`, the civil registry's table of persons.
        deaths: Rows of `kematian`, the civil registry's table of deaths.
        tax: Rows of the tax office's standing (KSWP), with `diubah` (when the row last changed) and
            `nomor_sebagai_angka` (whether the office sends the number as a JSON number, an error).
        errors: The ground truth: every error that was put in.
    """

    seed: int
    as_of: date
    persons: pl.DataFrame
    deaths: pl.DataFrame
    tax: pl.DataFrame
    errors: tuple[InjectedError, ...]

    @classmethod
    def generate(
        cls,
        people: int = 5_000,
        *,
        seed: int = DEFAULT_SEED,
        as_of: date = DEFAULT_AS_OF,
        error_rate: float = DEFAULT_ERROR_RATE,
        guests: Sequence[PracticePerson] = (),
    ) -> Population:
        """Make a population.

        Args:
            people: How many people live in the city, the fixed ones and guests included.
            seed: The same seed and size give the same people.
            as_of: The day on which the population is described.
            error_rate: Share of the rows of each table that get an error; 0 gives a clean population.
            guests: More practice people, put in as the fixed ones are.
        """
        residents = (*FIXED.all(), *guests)
        if people < len(residents):
            raise ValueError(f"a population has at least its {len(residents)} fixed people")
        rng = np.random.default_rng(seed)
        families = draw_families(rng, people - len(residents), as_of)
        everyone = registers.identify(rng, families)
        deaths = registers.deaths(rng, everyone, as_of)
        persons = registers.persons(rng, everyone, deaths, as_of)
        tax = registers.tax_standing(rng, persons, deaths, as_of)
        tables = registers.settle(residents, registers.Tables(persons, deaths, tax), as_of)
        tables, errors = inject(rng, tables, residents, rate=error_rate)
        return cls(
            seed=seed,
            as_of=as_of,
            persons=tables.persons,
            deaths=tables.deaths,
            tax=tables.tax,
            errors=errors,
        )
