"""Errors as offices really make them, put into a population on purpose and written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from sandbox.datasets import DEATHS, PERSONS, TAX
from sandbox.practice_person import DeathRow, PracticePerson

Tables = dict[str, pl.DataFrame]
__all__ = ["DEATHS", "PERSONS", "TAX", "InjectedError", "inject"]

Spoil = Callable[[str | None], object]


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
    """

    dataset: str
    kind: str
    column: str
    row: int
    key: str | None
    rejected: bool = True


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    column: str
    spoil: Spoil
    rejected: bool = True


def _replace(value: object) -> Spoil:
    return lambda _: value


_PERSON_KINDS = (
    _Kind("nik-day-out-of-range", "nik", lambda nik: f"{nik[:6]}81{nik[8:]}" if nik else nik),
    _Kind("nik-serial-zero", "nik", lambda nik: f"{nik[:12]}0000" if nik else nik),
    _Kind("nik-too-short", "nik", lambda nik: nik[:15] if nik else nik),
    _Kind("nik-scientific", "nik", lambda nik: f"{nik[0]}.{nik[1:6]}E+15" if nik else nik),
    _Kind("nik-letter", "nik", lambda nik: f"{nik[:8]}O{nik[9:]}" if nik else nik),
    _Kind("nik-province-unknown", "nik", lambda nik: f"00{nik[2:]}" if nik else nik),
    _Kind("nik-missing", "nik", _replace(None)),
    _Kind("family-card-day-of-a-woman", "no_kk", lambda card: f"{card[:6]}41{card[8:]}" if card else card),
    _Kind("birth-date-absurd", "tgl_lhr", _replace(date(2926, 1, 1))),
    _Kind("birth-date-in-year-one", "tgl_lhr", _replace(date(1, 1, 1))),
    _Kind("name-missing", "nama_lgkp", _replace(None)),
    _Kind("name-empty", "nama_lgkp", _replace("")),
    _Kind("sex-outside-table", "jenis_klmin", _replace(3)),
    _Kind("marital-status-outside-table", "stat_kwn", _replace(9)),
    _Kind("relationship-outside-table", "stat_hbkel", _replace(99)),
)
_DEATH_KINDS = (
    _Kind("death-date-absurd", "tgl_mati", _replace(date(2926, 2, 3))),
    _Kind("death-date-missing", "tgl_mati", _replace(None)),
    _Kind("death-nik-invalid", "nik", lambda nik: f"{nik[:12]}0000" if nik else nik),
    _Kind("death-of-unknown-person", "nik", lambda nik: f"{nik[:12]}8888" if nik else nik, rejected=False),
)
_TAX_KINDS = (
    _Kind("status-outside-table", "status_kswp", _replace("???")),
    _Kind("year-not-a-number", "tahun_kswp", _replace("20Z6")),
    _Kind("issued-on-absurd", "tanggal_terbit", _replace("2026-02-31")),
    _Kind("npwp16-letter", "npwp16", lambda number: f"{number[:8]}O{number[9:]}" if number else number),
    _Kind("npwp16-as-number", "nomor_sebagai_angka", _replace(True)),
)


def inject(
    rng: np.random.Generator, tables: Tables, residents: Sequence[PracticePerson], *, rate: float
) -> tuple[Tables, tuple[InjectedError, ...]]:
    """Spoil a share of the rows of each table; the rows of the practice people stay as they are."""
    by_design = _errors_by_design(residents, tables["deaths"])
    if rate <= 0:
        return tables, by_design
    spoiler = _Spoiler(rng, rate, frozenset(person.nik for person in residents))
    persons, of_persons = spoiler.spoil(PERSONS, tables["persons"], "nik", _PERSON_KINDS)
    deaths, of_deaths = spoiler.spoil(DEATHS, tables["deaths"], "nik", _DEATH_KINDS)
    tax, of_tax = spoiler.spoil(TAX, tables["tax"], "npwp16", _TAX_KINDS)
    persons, doubled = spoiler.double(PERSONS, persons, "nik", {e.row for e in of_persons})
    tax, doubled_tax = spoiler.double(TAX, tax, "npwp16", {e.row for e in of_tax})
    errors = (*by_design, *of_persons, *doubled, *of_deaths, *of_tax, *doubled_tax)
    return {**tables, "persons": persons, "deaths": deaths, "tax": tax}, errors


def _errors_by_design(residents: Sequence[PracticePerson], deaths: pl.DataFrame) -> tuple[InjectedError, ...]:
    absurd = [person.nik for person in residents if person.death is DeathRow.ABSURD_DATE]
    rows = deaths.with_row_index("row").filter(pl.col("nik").is_in(absurd))
    return tuple(
        InjectedError(DEATHS, "death-date-absurd", "tgl_mati", row, nik)
        for row, nik in rows.select("row", "nik").iter_rows()
    )


@dataclass(frozen=True, slots=True)
class _Spoiler:
    rng: np.random.Generator
    rate: float
    protected: frozenset[str]

    def spoil(
        self, dataset: str, frame: pl.DataFrame, key: str, kinds: tuple[_Kind, ...]
    ) -> tuple[pl.DataFrame, list[InjectedError]]:
        free = self._ordinary_rows(frame, key)
        wanted = min(round(frame.height * self.rate) or 1, free.size)
        rows = self.rng.choice(free, wanted, replace=False).tolist()
        chosen = {kind: rows[place :: len(kinds)] for place, kind in enumerate(kinds)}
        for kind, places in chosen.items():
            column = frame[kind.column]
            values = pl.Series([kind.spoil(column[row]) for row in places], dtype=column.dtype)
            frame = frame.with_columns(column.scatter(places, values))
        keys = frame[key]
        return frame, [
            InjectedError(dataset, kind.name, kind.column, row, keys[row], kind.rejected)
            for kind, places in chosen.items()
            for row in places
        ]

    def double(
        self, dataset: str, frame: pl.DataFrame, key: str, spoiled: set[int]
    ) -> tuple[pl.DataFrame, list[InjectedError]]:
        """Enter some people twice under one number, as two clerks do; neither row can be believed."""
        free = np.setdiff1d(self._ordinary_rows(frame, key), np.array(sorted(spoiled), dtype=np.int64))
        wanted = min(max(1, round(frame.height * self.rate / 10)), free.size)
        rows = self.rng.choice(free, wanted, replace=False).tolist()
        name = "nama_lgkp" if "nama_lgkp" in frame.columns else "nama_wp"
        copies = frame[rows].with_columns(pl.col(name) + " KEDUA")
        errors = [
            InjectedError(dataset, "duplicate-key", key, place, copies[key][copy])
            for copy, original in enumerate(rows)
            for place in (original, frame.height + copy)
        ]
        return pl.concat([frame, copies]), errors

    def _ordinary_rows(self, frame: pl.DataFrame, key: str) -> np.ndarray:
        ordinary = frame[key].is_not_null() & ~frame[key].is_in(list(self.protected))
        return np.flatnonzero(ordinary.to_numpy())
