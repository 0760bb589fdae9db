from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from connectors import Lookup, Source
from connectors.registry import open_lookup, open_source
from foundation.errors import FixInstallation
from sandbox.agencies import PracticeAgencies, start

PEOPLE = 3_000
PERSON_COLUMNS = ("nik", "no_kk", "nama_lgkp", "tgl_lhr", "jenis_klmin", "no_kec", "last_sync")
TAX_COLUMNS = ("nama_wp", "npwp16", "tahun_kswp", "status_kswp", "alasan", "tanggal_terbit")


@dataclass(frozen=True)
class Binding:
    kind: str
    system_id: str
    config: dict[str, object]


@dataclass(frozen=True)
class Registered:
    system_id: str
    endpoint_url: str | None
    ca_certificate_pem: str | None


@dataclass
class HandedOver:
    """Secrets as an agency handed them over, some of them wrong on purpose."""

    values: dict[str, str]

    def resolve(self, reference: str) -> SecretStr:
        name = reference.removeprefix("file:")
        if name not in self.values:
            raise FixInstallation("no such secret")
        return SecretStr(self.values[name])


SQL = {
    "table": "biodata_wni",
    "key": ["nik"],
    "changed_at": "last_sync",
    "username": "lintas_reader",
    "password": "file:siak-password",
    "negotiation": "direct",
}
REST = {
    "path": "/v1/kswp",
    "total_at": "total",
    "changed_since_parameter": "changed_since",
    "omits_nulls": True,
    "client_id": "file:kswp-client-id",
    "client_secret": "file:kswp-client-secret",
    "lookup_path": "/v1/kswp/search",
    "lookup_key": ["npwp16"],
}


PATIENT_COLUMNS = (
    "ihs_number", "nik", "nik_ibu", "name", "gender", "birth_date", "deceased", "active", "last_updated",
)  # fmt: skip
_NIK_SYSTEM = "https://fhir.kemkes.go.id/id/nik"
_LOGIN = {
    "base_path": "/fhir-r4/v1",
    "grant_type_in_url": True,
    "client_id": "file:satusehat-client-id",
    "client_secret": "file:satusehat-client-secret",
}
FHIR = {
    **_LOGIN,
    "resource": "Patient",
    "columns": {
        "ihs_number": "identifier[system=https://fhir.kemkes.go.id/id/ihs-number].value",
        "nik": f"identifier[system={_NIK_SYSTEM}].value",
        "nik_ibu": "identifier[system=https://fhir.kemkes.go.id/id/nik-ibu].value",
        "name": "name[use=official].text",
        "gender": "gender",
        "birth_date": "birthDate",
        "deceased": "deceasedBoolean | deceasedDateTime.isPresent()",
        "active": "active",
        "last_updated": "meta.lastUpdated",
    },
    "lookup": {"nik": {"parameter": "identifier", "system": _NIK_SYSTEM}},
}
COVERAGE = {
    **_LOGIN,
    "resource": "Coverage",
    "columns": {
        "id": "id",
        "nik": f"beneficiary.identifier[system={_NIK_SYSTEM}].value"
        f" | beneficiary.resolve().identifier[system={_NIK_SYSTEM}].value",
        "ihs_number": "beneficiary.getReferenceKey(Patient)",
        "status": "status",
    },
    "lookup": {"nik": {"parameter": "beneficiary:identifier", "system": _NIK_SYSTEM}},
}


@dataclass
class Opener:
    """Opens sources of the practice agencies as the bus does, and closes them after the test."""

    agencies: PracticeAgencies
    opened: list[Source | Lookup]

    def sql(self, *, columns: tuple[str, ...] = PERSON_COLUMNS, **changes: object) -> Source:
        return self._keep(
            open_source(
                Binding("sql", "siak", {**SQL, **changes}),
                self.registered("siak"),
                self.secrets(),
                columns=columns,
            )
        )

    def rest(self, *, columns: tuple[str, ...] = TAX_COLUMNS, **changes: object) -> Source:
        return self._keep(
            open_source(
                Binding("rest", "kswp", {**REST, **changes}),
                self.registered("kswp"),
                self.secrets(),
                columns=columns,
            )
        )

    def lookup(self, *, columns: tuple[str, ...] = TAX_COLUMNS) -> Lookup:
        return self.ask("rest", "kswp", REST, columns=columns)

    def ask(
        self, kind: str, system: str, config: dict[str, object], *, columns: tuple[str, ...] = ()
    ) -> Lookup:
        lookup = open_lookup(
            Binding(kind, system, config), self.registered(system), self.secrets(), columns=columns
        )
        self.opened.append(lookup)
        return lookup

    def fhir(
        self,
        *,
        of: dict[str, object] = FHIR,
        columns: tuple[str, ...] = (),
        page_rows: int = 500,
        **changes: object,
    ) -> Source:
        return self._keep(
            open_source(
                Binding("fhir", "satusehat", {**of, "page_size": page_rows, **changes}),
                self.registered("satusehat"),
                self.secrets(),
                columns=columns,
            )
        )

    def registered(self, system: str) -> Registered:
        return Registered(system, self.agencies.endpoints[system], self.agencies.ca_pem)

    def secrets(self, **wrong: str) -> HandedOver:
        values = {name: value for each in self.agencies.secrets.values() for name, value in each.items()}
        return HandedOver({**values, **{name.replace("_", "-"): value for name, value in wrong.items()}})

    def _keep(self, source: Source) -> Source:
        self.opened.append(source)
        return source


@pytest.fixture(scope="session")
def serving(session_directory: Path) -> Iterator[PracticeAgencies]:
    agencies = start(session_directory / "practice-agencies", PEOPLE, 11, pause_every=0)
    yield agencies
    agencies.stop()
    agencies.registry.server.remove()


@pytest.fixture
def agencies(serving: PracticeAgencies) -> Iterator[PracticeAgencies]:
    """The agencies as they were filled; tests that change them mark it with `changes_the_source`."""
    yield serving
    serving.tax.faults.clear()
    serving.health.faults.clear()


@pytest.fixture
def changing(agencies: PracticeAgencies) -> Iterator[PracticeAgencies]:
    yield agencies
    agencies.refill()


@pytest.fixture
def opener(agencies: PracticeAgencies) -> Iterator[Opener]:
    opener = Opener(agencies, [])
    yield opener
    for source in opener.opened:
        source.close()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing call is repeated without pauses that only cost time here."""
    from foundation.http_policy import RetryPolicy

    monkeypatch.setattr(
        "connectors.web_service.RetryPolicy",
        lambda attempts=3, **_: RetryPolicy(attempts=attempts, first_wait=0.01, longest_wait=0.02, jitter=0),
    )


Reader = Callable[[], Source]
