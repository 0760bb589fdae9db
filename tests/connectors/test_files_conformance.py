from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from sandbox import drops as writing
from sandbox.licensing_office import LicensingOffice
from tests.connectors.conformance import Conformance, Open
from tests.connectors.drops import COLUMNS, LocalDrops, RemoteDrops, licenses

ROWS = 1_234
LOCAL_STEPS = {"authorise", "list", "schema", "read-one"}
REMOTE_STEPS = LOCAL_STEPS | {"resolve", "connect", "host-key", "authenticate"}


@pytest.fixture(scope="module")
def office(session_directory: Path) -> Iterator[LicensingOffice]:
    office = LicensingOffice(session_directory / "conforming-office")
    office.businesses = office.licenses = licenses(ROWS)
    office.start()
    office.drop()
    yield office
    office.stop()


@pytest.fixture
def remote(office: LicensingOffice, tmp_path: Path) -> Iterator[RemoteDrops]:
    remote = RemoteDrops(office, tmp_path)
    yield remote
    for source in remote.opened:
        source.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalDrops]:
    with LocalDrops(tmp_path) as local:
        yield local


class _Files(Conformance):
    @pytest.fixture
    def expected(self) -> pl.DataFrame:
        return licenses(ROWS)


class TestCsvOverSftp(_Files):
    steps: ClassVar[set[str]] = REMOTE_STEPS

    @pytest.fixture
    def open(self, remote: RemoteDrops) -> Open:
        return lambda *, columns=COLUMNS, **changes: remote.open(columns=columns, **changes)


class TestWorkbookOverSftp(_Files):
    steps: ClassVar[set[str]] = REMOTE_STEPS

    @pytest.fixture
    def open(self, remote: RemoteDrops) -> Open:
        shape = {"pattern": "izin_*.xlsx", "format": "xlsx", "sheet": "izin"}
        return lambda *, columns=COLUMNS, **changes: remote.open(columns=columns, **{**shape, **changes})


class _LocalFiles(_Files):
    steps: ClassVar[set[str]] = LOCAL_STEPS
    name: ClassVar[str]

    @pytest.fixture
    def open(self, local: LocalDrops) -> Open:
        local.put(self.name, self.content())
        return lambda *, columns=COLUMNS, **changes: local.open(self.name, columns=columns, **changes)

    def content(self) -> bytes:
        raise NotImplementedError


class TestPackedJsonLines(_LocalFiles):
    name = "izin.jsonl.gz"

    def content(self) -> bytes:
        return gzip.compress(licenses(ROWS).write_ndjson().encode())


class TestParquet(_LocalFiles):
    name = "izin.parquet"

    def content(self) -> bytes:
        buffer = io.BytesIO()
        licenses(ROWS).write_parquet(buffer, row_group_size=500)
        return buffer.getvalue()


class TestPackedWorkbook(_LocalFiles):
    name = "izin.xlsx.gz"

    def content(self) -> bytes:
        return gzip.compress(writing.workbook(licenses(ROWS)))
