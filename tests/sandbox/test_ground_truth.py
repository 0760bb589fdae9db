"""The errors that were put in are the errors that the contracts find: no more, no fewer."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from connectors.rest import frame_of
from sandbox import FIXED, Population
from sandbox.injection import DEATHS, PERSONS, TAX
from sandbox.tax_books import on_the_wire
from schemas.contract import Contract
from schemas.contracts import load_contracts
from schemas.mapping import Mapped, compile_mapping

CONTRACTS = Path(__file__).parents[2] / "schemas" / "contracts"
POPULATION = Population.generate(6_000, seed=3, error_rate=0.02)


def mapped(contract: Contract) -> Mapped:
    columns = list(contract.source_columns)
    frames = {PERSONS: POPULATION.persons, DEATHS: POPULATION.deaths}
    if contract.id == TAX:
        frame = frame_of(on_the_wire(POPULATION.tax), columns, dataset=TAX, omits_nulls=True)
    else:
        frame = frames[contract.id].select(columns)
    return compile_mapping(contract).apply(frame, 0)


@pytest.fixture(scope="module", params=[PERSONS, DEATHS, TAX])
def contract(request: pytest.FixtureRequest) -> Contract:
    return next(each for each in load_contracts(CONTRACTS) if each.id == request.param)


def test_every_error_of_a_row_is_found_and_nothing_else_is(contract: Contract) -> None:
    found = {rejection.position for rejection in mapped(contract).rejected}
    injected = {
        error.row: error.kind
        for error in POPULATION.errors
        if error.dataset == contract.id and error.rejected and error.kind != "duplicate-key"
    }
    assert {kind for row, kind in injected.items() if row not in found} == set()
    assert found <= set(injected)
    assert injected


def test_fixed_people_pass_except_by_design(contract: Contract) -> None:
    column = "npwp" if contract.id == TAX else "nik"
    accepted = set(mapped(contract).accepted.get_column(column).cast(pl.String))
    expected = {
        PERSONS: {person.nik for person in FIXED.all()},
        DEATHS: {FIXED.deceased.nik},
        TAX: {person.nik for person in FIXED.all() if person.tax.value},
    }[contract.id]
    assert expected <= accepted
    if contract.id == DEATHS:
        assert FIXED.death_quarantined.nik not in accepted
