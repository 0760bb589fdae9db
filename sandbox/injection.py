"""Errors as offices really make them, put into a population on purpose and written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from sandbox.datasets import DEATHS, LICENSES, PATIENTS, PERSONS, TABLE_OF, TAX
from sandbox.error_kinds import ERRORS, Spoilable
from sandbox.practice_person import DeathRow, PracticePerson

__all__ = ["DEATHS", "PERSONS", "TAX", "InjectedError", "inject"]

Tables = dict[str, pl.DataFrame]
_TWICE = (PERSONS, TAX)
"""Registers in which some people are entered twice under one number."""


@dataclass(frozen=True, slots=True)
class InjectedError:
    """One error of the ground truth.

    Attributes:
        dataset: The dataset the row belongs to.
        kind: What is wrong, as a slug.
        column: The column of the source that is wrong.
        row: Position of the row in the table of the population.
        key: The natural key as it now stands in the source (NIK, or npwp16 for tax).
        rejected: Whether a row-wise check can find it; a death of an unknown person needs the whole picture.
        by_design: Whether the row stands so in every population, and was not spoiled.
    """

    dataset: str
    kind: str
    column: str
    row: int
    key: str | None
    rejected: bool = True
    by_design: bool = False


def inject(
    rng: np.random.Generator, tables: Tables, residents: Sequence[PracticePerson], *, rate: float
) -> tuple[Tables, tuple[InjectedError, ...]]:
    """Spoil a share of the rows of each table; the rows of the practice people stay as they are."""
    errors = list(_errors_by_design(residents, tables))
    if rate <= 0:
        return tables, tuple(errors)
    spoiled = dict(tables)
    for dataset, spoilable in ERRORS.items():
        table = TABLE_OF[dataset]
        named = {error.row for error in errors if error.dataset == dataset}
        spoiler = _Spoiler(
            rng, rate, dataset, spoilable, _free_rows(tables[table], spoilable, residents, named)
        )
        spoiled[table], found = spoiler.spoil(tables[table])
        if dataset in _TWICE:
            spoiled[table], doubled = spoiler.double(spoiled[table], {error.row for error in found})
            found += doubled
        errors += found
    return spoiled, tuple(errors)


def _errors_by_design(residents: Sequence[PracticePerson], tables: Tables) -> Iterator[InjectedError]:
    """What is wrong about the practice people, and the licences whose owners died."""

    def of(dataset: str, column: str, niks: list[str]) -> Iterator[tuple[int, str]]:
        frame = tables[TABLE_OF[dataset]].with_row_index("row")
        yield from frame.filter(pl.col(column).is_in(niks)).select("row", ERRORS[dataset].key).iter_rows()

    absurd = [person.nik for person in residents if person.death is DeathRow.ABSURD_DATE]
    for row, key in of(DEATHS, "nik", absurd):
        yield InjectedError(DEATHS, "death-date-absurd", "tgl_mati", row, key, by_design=True)
    for row, key in of(PERSONS, "nik", [person.nik for person in residents if person.also_named]):
        yield InjectedError(PERSONS, "duplicate-key", "nik", row, key, by_design=True)
    for row, key in of(PERSONS, "nik", _bearers_of_two_numbers(residents)):
        yield InjectedError(PERSONS, "two-numbers", "nik", row, key, rejected=False, by_design=True)
    for row, key in of(PATIENTS, "nik", [person.nik for person in residents if person.health_birth_date]):
        yield InjectedError(
            PATIENTS, "birth-date-differs", "birth_date", row, key, rejected=False, by_design=True
        )
    owner = "no_identitas_penanggung_jwb"
    for row, key in of(LICENSES, owner, tables["deaths"]["nik"].to_list()):
        yield InjectedError(LICENSES, "owner-died", owner, row, key, rejected=False, by_design=True)


def _bearers_of_two_numbers(residents: Sequence[PracticePerson]) -> list[str]:
    """Practice people of one name, birth date and mother."""
    found: dict[tuple[object, ...], list[str]] = {}
    for person in residents:
        found.setdefault((person.name, person.birth_date, person.mother_nik), []).append(person.nik)
    return [nik for niks in found.values() if len(niks) > 1 for nik in niks]


def _free_rows(
    frame: pl.DataFrame, spoilable: Spoilable, residents: Sequence[PracticePerson], named: set[int]
) -> np.ndarray:
    """Rows that may be spoiled: of nobody that a test knows, and with nothing wrong about them yet."""
    person = frame[spoilable.person]
    free = np.flatnonzero((person.is_not_null() & ~person.is_in([each.nik for each in residents])).to_numpy())
    return np.setdiff1d(free, np.array(sorted(named), dtype=np.int64))


@dataclass(frozen=True, slots=True)
class _Spoiler:
    rng: np.random.Generator
    rate: float
    dataset: str
    spoilable: Spoilable
    free: np.ndarray

    def spoil(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[InjectedError]]:
        kinds = self.spoilable.kinds
        wanted = min(round(frame.height * self.rate) or 1, self.free.size)
        rows = self.rng.choice(self.free, wanted, replace=False).tolist()
        chosen = {kind: rows[place :: len(kinds)] for place, kind in enumerate(kinds)}
        for kind, places in chosen.items():
            column = frame[kind.column]
            values = pl.Series([kind.spoil(column[row]) for row in places], dtype=column.dtype)
            frame = frame.with_columns(column.scatter(places, values))
        keys = frame[self.spoilable.key]
        return frame, [
            InjectedError(self.dataset, kind.name, kind.column, row, keys[row], kind.rejected)
            for kind, places in chosen.items()
            for row in places
        ]

    def double(self, frame: pl.DataFrame, spoiled: set[int]) -> tuple[pl.DataFrame, list[InjectedError]]:
        """Enter some people twice under one number, as two clerks do; neither row can be believed."""
        key = self.spoilable.key
        free = np.setdiff1d(self.free, np.array(sorted(spoiled), dtype=np.int64))
        wanted = min(max(1, round(frame.height * self.rate / 10)), free.size)
        rows = self.rng.choice(free, wanted, replace=False).tolist()
        name = "nama_lgkp" if "nama_lgkp" in frame.columns else "nama_wp"
        copies = frame[rows].with_columns(pl.col(name) + " KEDUA")
        errors = [
            InjectedError(self.dataset, "duplicate-key", key, place, copies[key][copy])
            for copy, original in enumerate(rows)
            for place in (original, frame.height + copy)
        ]
        return pl.concat([frame, copies]), errors
