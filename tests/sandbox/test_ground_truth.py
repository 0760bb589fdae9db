"""The errors that were put in are the errors that the contracts find: no more, no fewer."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from connectors.rest import frame_of
from sandbox import FIXED, Population
from sandbox.datasets import BIRTHS, DATASETS, DEATHS, PATIENTS, PERSONS, TAX, TAX_OFFICE
from sandbox.tax_books import on_the_wire
from schemas.contract import Contract
from schemas.contracts import load_contracts
from schemas.mapping import Mapped, compile_mapping

CONTRACTS = Path(__file__).parents[2] / "schemas" / "contracts"
POPULATION = Population.generate(6_000, seed=3, error_rate=0.02)


def mapped(contract: Contract) -> Mapped:
    columns = list(contract.source_columns)
    frame = POPULATION.table(contract.id)
    if contract.id.startswith(TAX_OFFICE):
        records = on_the_wire(frame, omits_nulls=contract.id == TAX)
        frame = frame_of(records, columns, dataset=contract.id, omits_nulls=True)
    return compile_mapping(contract).apply(frame.select(columns), 0)


@pytest.fixture(scope="module", params=DATASETS)
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


@pytest.mark.parametrize(
    ("dataset", "column", "expected"),
    [
        (PERSONS, "nik", {person.nik for person in FIXED.all()}),
        (BIRTHS, "nik", {person.nik for person in FIXED.all() if person.has_birth_deed}),
        (DEATHS, "nik", {FIXED.deceased.nik, FIXED.dead_owner.nik}),
        (TAX, "npwp", {person.nik for person in FIXED.all() if person.tax.value}),
        (PATIENTS, "nik", {person.nik for person in FIXED.all() if not person.is_newborn_patient}),
    ],
)
def test_fixed_people_pass_except_by_design(dataset: str, column: str, expected: set[str]) -> None:
    contract = next(each for each in load_contracts(CONTRACTS) if each.id == dataset)
    accepted = set(mapped(contract).accepted.get_column(column).cast(pl.String))
    assert expected <= accepted
    if dataset == DEATHS:
        assert FIXED.death_quarantined.nik not in accepted
