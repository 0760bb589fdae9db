from __future__ import annotations

import polars as pl
import pytest

from sandbox.agencies import PracticeAgencies
from tests.connectors.conformance import Conformance, Open
from tests.connectors.conftest import PATIENT_COLUMNS, PERSON_COLUMNS, TAX_COLUMNS, Opener


class TestSql(Conformance):
    @pytest.fixture
    def open(self, opener: Opener) -> Open:
        return opener.sql

    @pytest.fixture
    def expected(self, agencies: PracticeAgencies) -> pl.DataFrame:
        return agencies.population.persons.select(PERSON_COLUMNS)


class TestRest(Conformance):
    @pytest.fixture
    def open(self, opener: Opener) -> Open:
        return opener.rest

    @pytest.fixture
    def expected(self, agencies: PracticeAgencies) -> pl.DataFrame:
        """A number where text is due keeps saying that it was one."""
        return agencies.population.tax.with_columns(
            npwp16=pl.when("nomor_sebagai_angka").then("number:" + pl.col("npwp16")).otherwise("npwp16")
        ).select(TAX_COLUMNS)


class TestFhir(Conformance):
    @pytest.fixture
    def open(self, opener: Opener) -> Open:
        return opener.fhir

    @pytest.fixture
    def expected(self, agencies: PracticeAgencies) -> pl.DataFrame:
        """Moments come as the server writes them."""
        moment = pl.col("last_updated").dt.strftime("%Y-%m-%dT%H:%M:%S.%3f+00:00")
        return agencies.population.patients.with_columns(last_updated=moment).select(PATIENT_COLUMNS)
