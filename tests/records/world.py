"""A small world for syncs: agencies with agreements in force, published contracts, sources made of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import orjson
import polars as pl
import psycopg
from psycopg.rows import dict_row

from audit.subjects.vault import Vault
from connectors.source import Operation, Page, PageToken, Slice, Window
from consent.agreement import AgreementRevision, AgreementTerms, end_agreement, publish_revision, sign_by_both
from foundation import clock
from foundation.database import Role
from foundation.installation import Installation
from foundation.keyring import Keyring
from participants.keys import add_key
from participants.registry import Agency, System, register_agency, register_system
from records.sync import SyncContext, SyncReport, run_sync
from records.tables import publish_contracts
from schemas.contract import Contract
from schemas.contracts import load_contracts

PERSONS, DEATHS, TAX = "dukcapil-mojokerto/persons", "dukcapil-mojokerto/deaths", "kpp-mojokerto/tax-standing"
FAMILIES, BIRTHS = "dukcapil-mojokerto/families", "dukcapil-mojokerto/births"
BUSINESSES, LICENSES = "dpmptsp-mojokerto/businesses", "dpmptsp-mojokerto/licenses"
PATIENTS, COVERAGE = "dinkes-mojokerto/patients", "dinkes-mojokerto/coverage"
IMMUNIZATIONS = "dinkes-mojokerto/immunizations"
OPERATOR = "diskominfo-mojokerto"


def nik_of(number: int, *, day: int = 1) -> str:
    """A valid NIK born on that day of January 1990."""
    return f"357602{day:02d}0190{number:04d}"


def person(number: int, **changes: Any) -> dict[str, Any]:
    """A row of the civil registry."""
    row = {
        "nik": nik_of(number), "no_kk": f"35760201012{number:05d}"[:16], "nama_lgkp": "BUDI SANTOSO",
        "tmpt_lhr": "MOJOKERTO", "tgl_lhr": date(1990, 1, 1), "jenis_klmin": 1, "stat_kwn": 1,
        "stat_hbkel": 1, "no_prop": 35, "no_kab": 76, "no_kec": 2, "no_kel": 1001,
        "alamat": "JL. MAJAPAHIT 1", "no_rt": "001",
        "no_rw": "002", "nik_ibu": None, "nik_ayah": None,
    }  # fmt: skip
    return row | changes


def death(number: int, **changes: Any) -> dict[str, Any]:
    """A death deed."""
    row = {
        "nik": nik_of(number), "tgl_mati": date(2024, 5, 1), "tgl_lapor": date(2024, 5, 3),
        "no_akta": f"3576-KM-03052024-{number:04d}", "nomor": number, "no_prop": 35, "no_kab": 76,
        "no_kec": 2,
    }  # fmt: skip
    return row | changes


def family(number: int, head: int, **changes: Any) -> dict[str, Any]:
    """A family card."""
    row = {
        "no_kk": card_of(number), "nik_kepala": nik_of(head), "nama_kep": "BUDI SANTOSO",
        "alamat": "JL. MAJAPAHIT 1", "no_rt": "001", "no_rw": "002", "no_prop": 35, "no_kab": 76, "no_kec": 2,
        "no_kel": 1001, "jumlah_anggota": 3, "tgl_terbit": date(2020, 1, 2),
    }  # fmt: skip
    return row | changes


def birth(number: int, **changes: Any) -> dict[str, Any]:
    """A birth deed of the person of that number."""
    row = {
        "no_akta": f"3576-LU-03052024-{number:04d}", "nomor": number, "nik": nik_of(number),
        "nama_lgkp": "BUDI SANTOSO", "tgl_lhr": date(1990, 1, 1), "tmpt_lhr": "MOJOKERTO", "jenis_klmin": 1,
        "nik_ibu": None, "nik_ayah": None, "tgl_daftar": date(2024, 5, 3), "no_prop": 35, "no_kab": 76,
        "no_kec": 2,
    }  # fmt: skip
    return row | changes


def business(number: int, owner: int, **changes: Any) -> dict[str, Any]:
    """A business of a person."""
    row = {
        "nib": nib_of(number), "no_identitas_penanggung_jwb": nik_of(owner),
        "jns_identitas_penanggung_jwb": "01", "nama_penanggung_jwb": "BUDI SANTOSO", "npwp_perseroan": None,
        "nama_perseroan": "WARUNG BUDI", "jenis_pelaku_usaha": "02", "flag_umk": "Y", "skala_usaha": "01",
        "kbli": "56102", "skala_resiko": "R", "perseroan_daerah_id": "3576021001", "status_nib": "01",
        "tgl_terbit_nib": "2023-02-01",
    }  # fmt: skip
    return row | changes


def license_of(number: int, owner: int, **changes: Any) -> dict[str, Any]:
    """A license of the business of the same number."""
    row = {
        "id_izin": f"I-{number:06d}", "nib": nib_of(number), "no_identitas_penanggung_jwb": nik_of(owner),
        "kd_izin": "029000000006", "jenis_izin": "01", "kbli": "56102", "kewenangan": "02", "kd_status": "50",
        "tgl_status": "2023-02-01 10:00:00", "tgl_terbit": "2023-02-01", "tgl_berlaku_sd": None,
    }  # fmt: skip
    return row | changes


def patient(number: int, **changes: Any) -> dict[str, Any]:
    """A patient."""
    row = {
        "ihs_number": ihs_of(number), "nik": nik_of(number), "nik_ibu": None, "name": "BUDI SANTOSO",
        "gender": "male", "birth_date": "1990-01-01", "deceased": False, "active": True,
        "last_updated": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return row | changes


def nib_of(number: int) -> str:
    """A NIB."""
    return f"91202{number:08d}"


def card_of(number: int) -> str:
    """A family card number."""
    return f"357602010120{number:04d}"


def ihs_of(number: int) -> str:
    """A SATUSEHAT patient number."""
    return f"P{number:011d}"


def tax(number: int, **changes: Any) -> dict[str, Any]:
    """A confirmation of a taxpayer's standing."""
    row = {
        "npwp16": nik_of(number), "nama_wp": "BUDI SANTOSO", "tahun_kswp": "2026", "status_kswp": "VALID",
        "alasan": None, "tanggal_terbit": "2026-01-15",
    }  # fmt: skip
    return row | changes


_SCHEMAS: dict[str, dict[str, Any]] = {
    PERSONS: {
        "nik": pl.String, "no_kk": pl.String, "nama_lgkp": pl.String, "tmpt_lhr": pl.String,
        "tgl_lhr": pl.Date, "jenis_klmin": pl.Int16, "stat_kwn": pl.Int16, "stat_hbkel": pl.Int16,
        "no_prop": pl.Int16,
        "no_kab": pl.Int16, "no_kec": pl.Int16, "no_kel": pl.Int32, "alamat": pl.String, "no_rt": pl.String,
        "no_rw": pl.String, "nik_ibu": pl.String, "nik_ayah": pl.String,
    },
    DEATHS: {
        "nik": pl.String, "tgl_mati": pl.Date, "tgl_lapor": pl.Date, "no_akta": pl.String, "nomor": pl.Int64,
        "no_prop": pl.Int16, "no_kab": pl.Int16, "no_kec": pl.Int16,
    },
    TAX: dict.fromkeys(
        ["npwp16", "nama_wp", "tahun_kswp", "status_kswp", "alasan", "tanggal_terbit"], pl.String
    ),
    FAMILIES: {
        "no_kk": pl.String, "nik_kepala": pl.String, "nama_kep": pl.String, "alamat": pl.String,
        "no_rt": pl.String, "no_rw": pl.String, "no_prop": pl.Int16, "no_kab": pl.Int16, "no_kec": pl.Int16,
        "no_kel": pl.Int32, "jumlah_anggota": pl.Int16, "tgl_terbit": pl.Date,
    },
    BIRTHS: {
        "no_akta": pl.String, "nomor": pl.Int64, "nik": pl.String, "nama_lgkp": pl.String, "tgl_lhr": pl.Date,
        "tmpt_lhr": pl.String, "jenis_klmin": pl.Int16, "nik_ibu": pl.String, "nik_ayah": pl.String,
        "tgl_daftar": pl.Date, "no_prop": pl.Int16, "no_kab": pl.Int16, "no_kec": pl.Int16,
    },
    BUSINESSES: dict.fromkeys(business(1, 1), pl.String),
    LICENSES: dict.fromkeys(license_of(1, 1), pl.String),
    PATIENTS: dict.fromkeys(patient(1), pl.String) | {"deceased": pl.Boolean, "active": pl.Boolean},
}  # fmt: skip


class FrameSource:
    """A source that hands out rows in pages, and fails where it is told to."""

    def __init__(self, dataset: str, rows: Sequence[Mapping[str, Any]], *, page_rows: int = 100) -> None:
        self.frame = pl.DataFrame([dict(row) for row in rows], schema=_SCHEMAS[dataset], orient="row")
        self.page_rows = page_rows
        self.operation = Operation.SNAPSHOT
        self.before_page: Callable[[int], None] = lambda number: None
        self.token_of: Callable[[int], str] = str
        self.asked: list[str] = []

    def check(self) -> list[Any]:
        return []

    def discover(self) -> list[Any]:
        return []

    def slices(self, window: Window) -> Sequence[Slice]:
        self.asked.append("slices")
        return [Slice("all", "all rows", self.operation, window)]

    def read(self, slice: Slice, after: PageToken | None = None) -> Iterator[Page]:
        number = 0 if after is None else int(after.value.split(":")[0]) + 1
        pages = max(1, -(-self.frame.height // self.page_rows))
        while number < pages:
            self.before_page(number)
            self.asked.append(f"page {number}")
            first = number * self.page_rows
            last = number == pages - 1
            yield Page(
                self.frame[first : first + self.page_rows], self.operation, first, number,
                None if last else PageToken(self.token_of(number)), last,
            )  # fmt: skip
            number += 1

    def close(self) -> None:
        self.asked.append("close")


@dataclass
class World:
    """An installation in which syncs may run."""

    installation: Installation
    contracts: dict[str, Contract]
    sources: dict[str, FrameSource] = field(default_factory=dict)

    @property
    def context(self) -> SyncContext:
        return SyncContext(self.installation, source_of=lambda _, contract: self.sources[contract.id])

    def give(self, dataset: str, rows: Sequence[Mapping[str, Any]], *, page_rows: int = 100) -> FrameSource:
        self.sources[dataset] = FrameSource(dataset, rows, page_rows=page_rows)
        return self.sources[dataset]

    def sync(
        self, dataset: str, rows: Sequence[Mapping[str, Any]] | None = None, **options: Any
    ) -> SyncReport:
        if rows is not None:
            self.give(dataset, rows, **options)
        return run_sync(self.context, self.contracts[dataset])

    def rows(self, query: str, parameters: Any = None) -> list[dict[str, Any]]:
        with (
            psycopg.connect(self.admin_conninfo, row_factory=dict_row) as connection,
            connection.cursor() as cursor,
        ):
            return cursor.execute(query, parameters).fetchall()

    def execute(self, query: str, parameters: Any = None) -> None:
        with psycopg.connect(self.admin_conninfo) as connection:
            connection.execute(query, parameters)

    @property
    def admin_conninfo(self) -> str:
        database = self.installation.database
        return database._admin_conninfo(database.settings.database_name)

    def value(self, query: str, parameters: Any = None) -> Any:
        return next(iter(self.rows(query, parameters)[0].values()))

    def entries(self, prefix: str = "sync.") -> list[dict[str, Any]]:
        found = self.rows("SELECT entry FROM audit.outbox ORDER BY id")
        read = [orjson.loads(bytes(row["entry"])) for row in found]
        return [each for each in read if each["kind"].startswith(prefix)]

    def kinds(self, prefix: str = "sync.") -> list[str]:
        return [each["kind"] for each in self.entries(prefix)]

    def api(self) -> psycopg.Connection[Any]:
        return self.installation.database.connect(Role.API, autocommit=True)

    def vault(self) -> Vault:
        return Vault(self.installation)

    def end_agreement(self, provider: str) -> None:
        with self.installation.database.connect(Role.STEWARD) as connection:
            end_agreement(connection, f"collect-{provider}", reason="test", ended_by=provider)


def introduce(installation: Installation) -> World:
    """Register agencies, sign agreements, publish contracts."""
    contracts = {contract.id: contract for contract in load_contracts()}
    providers = sorted({contract.agency for contract in contracts.values()})
    since = clock.now() - timedelta(days=1)
    with installation.database.connect(Role.STEWARD) as connection:
        pairs = {}
        for agency in [*providers, OPERATOR]:
            register_agency(connection, Agency(agency, agency))
            pairs[agency] = Keyring.open(installation.home / "agencies" / agency, b"test").ensure("agreement")
            add_key(
                connection, owner_kind="agency", owner_id=agency, use="agreement",
                public_jwk=pairs[agency].public_jwk, vouched_by="test", valid_from=since,
            )  # fmt: skip
        register_system(connection, System("lintas", OPERATOR, "Lintas", "bus"))
        for provider in providers:
            terms = _terms(provider, contracts.values(), since)
            publish_revision(
                connection, sign_by_both(AgreementRevision(terms=terms), pairs[provider], pairs[OPERATOR])
            )
    publish_contracts(installation, contracts.values())
    return World(installation, contracts)


def _terms(provider: str, contracts: Any, since: datetime) -> AgreementTerms:
    return AgreementTerms.model_validate(
        {
            "agreement_id": f"collect-{provider}",
            "title": "test",
            "paper_reference": "PKS/1",
            "provider": provider,
            "consumer": OPERATOR,
            "controller": provider,
            "processor": OPERATOR,
            "purposes": ["registry-sync"],
            "legal_basis": "public-task",
            "legal_instrument": "Perpres 39/2019",
            "datasets": {each.id: tuple(each.fields) for each in contracts if each.agency == provider},
            "verbs": ["collect"],
            "modes": ["read"],
            "retention_days": 365,
            "valid_from": since,
            "valid_until": since + timedelta(days=365),
        }
    )
