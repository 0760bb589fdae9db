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

from sandbox import health_registers, licensing_registers, registers, tax_registers, vital_events
from sandbox.datasets import TABLE_OF
from sandbox.families import draw_families
from sandbox.fixed_people import FIXED
from sandbox.injection import InjectedError, inject
from sandbox.practice_person import PracticePerson
from sandbox.settlement import settle

DEFAULT_SEED = 20_260_815
DEFAULT_AS_OF = date(2026, 6, 30)
DEFAULT_ERROR_RATE = 0.005


@dataclass(frozen=True, slots=True)
class Population:
    """What the practice agencies hold; the columns of each table stand in `sandbox.columns`.

    Attributes:
        persons: Rows of `biodata_wni`, the civil registry's table of persons.
        families: Rows of `data_keluarga`, its family cards.
        births: Rows of `kelahiran`, a view of its feed of events, in the order of the feed.
        deaths: Rows of `kematian`, likewise.
        moves: Rows of `perpindahan`, likewise: who moved into the city.
        taxpayers: The tax office's taxpayers.
        tax: Their standing (KSWP), with `diubah` (when the row last changed) and `nomor_sebagai_angka`
            (whether the office sends the number as a JSON number, an error).
        property_tax: The property-tax rolls (PBB-P2) of two years.
        businesses: The licensing office's businesses (NIB), all text as in its CSV.
        licenses: Their licences, with dates as in its XLSX.
        patients: The health office's patients, one a FHIR resource, flat.
        coverage: Who is insured (JKN), likewise.
        immunizations: Vaccinations of children, likewise.
        errors: The ground truth: every error that was put in.
    """

    seed: int
    as_of: date
    persons: pl.DataFrame
    families: pl.DataFrame
    births: pl.DataFrame
    deaths: pl.DataFrame
    moves: pl.DataFrame
    taxpayers: pl.DataFrame
    tax: pl.DataFrame
    property_tax: pl.DataFrame
    businesses: pl.DataFrame
    licenses: pl.DataFrame
    patients: pl.DataFrame
    coverage: pl.DataFrame
    immunizations: pl.DataFrame
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
        settled = len(residents) + sum(bool(person.also_named) for person in residents)
        if people < settled:
            raise ValueError(f"a population has at least its {settled} fixed people")
        rng = np.random.default_rng(seed)
        everyone = registers.identify(rng, draw_families(rng, people - settled, as_of))
        tables = settle(residents, _written_down(rng, everyone, seed, as_of), as_of)
        tables = vital_events.numbered(tables)
        tables["families"] = registers.families(tables["persons"])
        tables, errors = inject(rng, tables, residents, rate=error_rate)
        return cls(seed=seed, as_of=as_of, **tables, errors=errors)

    def table(self, dataset: str) -> pl.DataFrame:
        """The rows of a dataset, such as `dukcapil-mojokerto/persons`."""
        frame: pl.DataFrame = getattr(self, TABLE_OF[dataset])
        return frame


def _written_down(
    rng: np.random.Generator, everyone: pl.DataFrame, seed: int, as_of: date
) -> dict[str, pl.DataFrame]:
    """What each office has about everyone; each draws from its own chance, so that none disturbs another."""
    civil, tax, licensing, health = (np.random.default_rng([seed, office]) for office in range(4))
    died = registers.deaths(rng, everyone, as_of)
    persons = registers.persons(rng, everyone, died, as_of)
    standing = tax_registers.tax_standing(rng, persons, died, as_of)
    businesses = licensing_registers.businesses(licensing, persons, standing, as_of)
    patients = health_registers.patients(health, persons, died, as_of)
    return {
        "persons": persons,
        "births": vital_events.births(civil, persons, as_of),
        "deaths": died,
        "moves": vital_events.moves(civil, persons, as_of),
        "taxpayers": tax_registers.taxpayers(tax, persons, standing, as_of),
        "tax": standing,
        "property_tax": tax_registers.property_tax(tax, persons, as_of),
        "businesses": businesses,
        "licenses": licensing_registers.licenses(licensing, businesses, as_of),
        "patients": patients,
        "coverage": health_registers.coverage(health, persons, patients, died, as_of),
        "immunizations": health_registers.immunizations(health, patients, as_of),
    }
