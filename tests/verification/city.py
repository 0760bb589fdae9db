"""A small city for the tests of answering: participants, keys, signed agreements, people in the records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from consent.agreement import publish_revision, sign_by_both
from consent.record import ConsentNotice, ConsentQuestion, ConsentRevision, grant, withdraw
from consent.terms import AgreementRevision, AgreementTerms
from consent.vocabulary import Channel
from foundation import clock
from foundation.database import Role
from foundation.installation import Installation
from foundation.keyring import KeyPair, Keyring
from participants.keys import add_key
from participants.registry import (
    Agency,
    Officer,
    System,
    register_agency,
    register_officer,
    register_system,
)
from participants.roles import OfficerRole
from records.identity import Applicant
from records.tables import publish_contracts
from schemas.contracts import load_contracts
from schemas.identifiers import Nik
from verification.context import AnsweringContext
from verification.journey import Asker, Question
from verification.service import Slug

SERVICE: Slug = "bantuan-usaha-mikro"
PURPOSE = "aid-micro-business"
OFFICE = "diskopukm-mojokerto"
PORTAL = "palapa-mojo"
OFFICER = "officer-ukm-7"
ASKER = Asker(system=PORTAL, agency=OFFICE)
POLICE = Asker(system="skck-online", agency="polres-mojokerto")
SERVICE_MALL = Asker(system="mpp-digital", agency="mpp-mojokerto")
PROVIDERS = {
    "dukcapil-mojokerto": "siak",
    "kpp-mojokerto": "kswp",
    "dpmptsp-mojokerto": "oss-daerah",
    "dinkes-mojokerto": "satusehat",
}
CONSUMERS = {
    OFFICE: (PORTAL, PURPOSE, "consent"),
    POLICE.agency: (POLICE.system, "police-certificate", "public-task"),
    SERVICE_MALL.agency: (SERVICE_MALL.system, "child-identity-card", "public-task"),
}
AGENCIES = (*PROVIDERS, *CONSUMERS, "diskominfo-mojokerto")
AMOUNT = {"amount_requested": 3_000_000}


@dataclass(frozen=True)
class Citizen:
    nik: str
    name: str
    birth_date: dt.date
    family_card_number: str
    region: str = "35.76.02"
    died: dt.date | None = None
    standing: str | None = "valid"
    nib: str | None = None
    risk: str = "low"
    licensed: bool = False
    insurance: str | None = "active"
    mother_nik: str | None = None
    father_nik: str | None = None
    role: str = "head"
    birth_deed: str | None = None

    @property
    def applicant(self) -> Applicant:
        return Applicant(
            nik=Nik.parse(self.nik), name=self.name, birth_date=self.birth_date, family_card_number=None
        )

    @property
    def body(self) -> dict[str, Any]:
        return {"nik": self.nik, "name": self.name, "birth_date": self.birth_date.isoformat()}

    @property
    def claims(self) -> dict[str, Any]:
        return {**AMOUNT, "business_nib": self.nib or "9120001234567"}

    def question(self, **changes: Any) -> Question:
        given: dict[str, Any] = {"service": SERVICE, "applicant": self.applicant, "claims": self.claims}
        given |= changes
        given.setdefault(
            "request", repr(sorted((k, str(v)) for k, v in given.items())).encode() + self.nik.encode()
        )
        return Question(**given)


SITI = Citizen(
    "3576025505900003", "Siti Contoh", dt.date(1990, 5, 15), "3576020101100001", nib="9120001000011"
)
BUDI = Citizen(
    "3576021203850001", "Budi Contoh", dt.date(1985, 3, 12), "3576020101100002", standing="not_valid",
    nib="9120001000022",
)  # fmt: skip
AGUS = Citizen(
    "3576020101500002", "Agus Contoh", dt.date(1950, 1, 1), "3576020101100003", died=dt.date(2026, 1, 5),
    nib="9120001000033", licensed=True,
)  # fmt: skip
RINA = Citizen(
    "3576024107950004", "Rina Contoh", dt.date(1995, 7, 1), "3576020101100004", standing=None,
    nib="9120001000044", risk="high", insurance=None,
)  # fmt: skip
MAYA = Citizen(
    "3576025203880005", "Maya Contoh", dt.date(1988, 3, 12), "3576020101100005", insurance="cancelled"
)
TONO = Citizen(
    "3576021508180006", "Tono Contoh", dt.date(2018, 8, 15), "3576020101100005", mother_nik=MAYA.nik,
    role="child", birth_deed="3576-LU-20082018-0001", standing=None,
)  # fmt: skip
CLAIMS = SITI.claims
EVERYBODY = (SITI, BUDI, AGUS, RINA, MAYA, TONO)


@dataclass
class City:
    installation: Installation
    keys: dict[str, KeyPair]

    @contextmanager
    def connect(self, role: Role = Role.API, **options: Any) -> Iterator[psycopg.Connection[Any]]:
        with self.installation.database.connect(role, **options) as connection:
            yield connection

    def consent_of(
        self, context: AnsweringContext, citizen: Citizen, purpose: str = PURPOSE
    ) -> ConsentRevision:
        service = context.catalogue.service(SERVICE)
        keys = context.vault.handle_for("nik", citizen.nik)
        question = ConsentQuestion(
            OFFICE, purpose, service.fields, ConsentNotice.of_text("Setuju?", version="1")
        )
        with self.connect() as connection:
            return grant(connection, keys, question, channel=Channel.PORTAL)

    def withdraw(self, context: AnsweringContext, citizen: Citizen, consent: ConsentRevision) -> None:
        keys = context.vault.handle_for("nik", citizen.nik)
        with self.connect() as connection:
            withdraw(connection, keys, consent.consent_id, channel=Channel.PORTAL)

    def entries(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Everything appended so far, drained or not."""
        import orjson

        query = "SELECT entry FROM audit.outbox ORDER BY id"
        with self.connect(Role.SEQUENCER) as connection:
            waiting = [orjson.loads(row[0]) for row in connection.execute(query).fetchall()]
            drained = connection.execute("SELECT entry FROM audit.entries ORDER BY entry_index").fetchall()
        found = [orjson.loads(row[0]) for row in drained] + waiting
        return [entry for entry in found if kind is None or entry["kind"] == kind]

    def count(self, table: str) -> int:
        with self.connect(Role.MIGRATOR) as connection:
            row = connection.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split(".")))
            ).fetchone()
        return int(row[0]) if row else 0

    def execute(self, statement: str, *parameters: Any) -> None:
        with self.connect(Role.MIGRATOR) as connection:
            connection.execute(statement, parameters)  # type: ignore[call-overload]

    def live(self, citizen: Citizen) -> None:
        """Put a citizen into the records, as a sync would have."""
        person = {
            "nik": citizen.nik,
            "family_card_number": citizen.family_card_number,
            "name": citizen.name,
            "birth_date": citizen.birth_date,
            "sex": "female",
            "region_code": citizen.region,
            "marital_status": "never_married",
            "relationship_to_head": citizen.role,
            "mother_nik": citizen.mother_nik,
            "father_nik": citizen.father_nik,
        }
        self._insert("person_v1", "dukcapil-mojokerto/persons", citizen.nik, person)
        if citizen.died:
            self.dies(citizen, citizen.died)
        if citizen.standing:
            year = clock.now().year
            standing = {
                "npwp": citizen.nik,
                "nik": citizen.nik,
                "tax_year": year,
                "standing": citizen.standing,
                "issued_on": clock.now().date(),
            }
            self._insert("tax_standing_v1", "kpp-mojokerto/tax-standing", f"{citizen.nik}-{year}", standing)
        self._trades(citizen)
        self._is_insured(citizen)
        if citizen.role == "head":
            self._heads(citizen)
        if citizen.birth_deed:
            self._is_born(citizen)

    def _trades(self, citizen: Citizen) -> None:
        if citizen.nib is None:
            return
        business = {
            "nib": citizen.nib, "owner_nik": citizen.nik, "name": "Warung Contoh", "kind": "individual",
            "scale": "micro", "risk": citizen.risk, "status": "active", "issued_on": dt.date(2023, 1, 2),
        }  # fmt: skip
        self._insert("business_v1", "dpmptsp-mojokerto/businesses", citizen.nib, business)
        if citizen.licensed:
            permit = {
                "license_id": f"I-{citizen.nib}", "nib": citizen.nib, "owner_nik": citizen.nik,
                "kind": "license", "status": "approved", "status_at": clock.now(),
            }  # fmt: skip
            self._insert("license_v1", "dpmptsp-mojokerto/licenses", f"I-{citizen.nib}", permit)

    def _is_insured(self, citizen: Citizen) -> None:
        if citizen.insurance is None:
            return
        number = f"0001{citizen.nik[-9:]}"
        coverage = {
            "coverage_id": f"C{citizen.nik[-8:]}", "bpjs_number": number, "nik": citizen.nik,
            "status": citizen.insurance, "period_start": dt.date(2024, 1, 1), "updated_at": clock.now(),
        }  # fmt: skip
        self._insert("coverage_v1", "dinkes-mojokerto/coverage", f"C{citizen.nik[-8:]}", coverage)

    def _heads(self, citizen: Citizen) -> None:
        card = {
            "family_card_number": citizen.family_card_number, "head_nik": citizen.nik,
            "head_name": citizen.name, "region_code": citizen.region, "issued_on": dt.date(2020, 1, 2),
        }  # fmt: skip
        self._insert("family_v1", "dukcapil-mojokerto/families", citizen.family_card_number, card)

    def _is_born(self, citizen: Citizen) -> None:
        birth = {
            "deed_number": citizen.birth_deed, "event_number": 7, "nik": citizen.nik, "name": citizen.name,
            "birth_date": citizen.birth_date, "sex": "female", "mother_nik": citizen.mother_nik,
            "registered_on": citizen.birth_date,
        }  # fmt: skip
        self._insert("birth_v1", "dukcapil-mojokerto/births", str(citizen.birth_deed), birth)

    def overdue(self, *datasets: str) -> None:
        """As if the sources had not been read for a year."""
        self.execute(
            "UPDATE records.dataset_state SET source_time = source_time - interval '400 days'"
            " WHERE %s OR dataset_id = ANY(%s)",
            not datasets, list(datasets),
        )  # fmt: skip

    def dies(self, citizen: Citizen, day: dt.date) -> None:
        death = {
            "nik": citizen.nik, "death_date": day, "recorded_date": day, "event_number": 11,
            "deed_number": "3576-KM-05012026-0001",
        }  # fmt: skip
        self._insert("death_v1", "dukcapil-mojokerto/deaths", citizen.nik, death)

    def _insert(self, table: str, dataset: str, key: str, values: dict[str, Any]) -> None:
        row = {
            "record_id": uuid4().int >> 66,
            "agency": dataset.partition("/")[0],
            "dataset": dataset,
            "source_key": key,
            "valid_from": dt.date(2020, 1, 1),
            "recorded_from": clock.now(),
            "batch_id": uuid4(),
            "contract_version": "1.0.0",
            "content_hash": bytes(32),
            "leaf_salt": bytes(16),
            **values,
        }
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier("records", table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        with self.connect(Role.MIGRATOR) as connection:
            connection.execute(statement, list(row.values()))


def found_city(installation: Installation) -> City:
    """Register everybody, sign the agreements, put the contracts in force and fill the records."""
    keys = {
        name: Keyring.open(installation.home / "practice" / name, b"practice")
        for name in (*AGENCIES, *(system for system, _, _ in CONSUMERS.values()), OFFICER)
    }
    city = City(
        installation,
        {name: keyring.ensure("key") for name, keyring in keys.items()},
    )
    contracts = list(load_contracts(installation.settings.contracts))
    publish_contracts(installation, contracts)
    with city.connect(Role.STEWARD) as connection:
        _register(connection, city)
        _agree(connection, city, {contract.id: list(contract.fields) for contract in contracts})
    for contract in contracts:
        city.execute(
            "INSERT INTO records.dataset_state (dataset_id, cursor, source_time, batch_id, contract_version,"
            " open_records, published_at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            contract.id, clock.now(), clock.now(), uuid4(), contract.version, len(EVERYBODY), clock.now(),
        )  # fmt: skip
    for citizen in EVERYBODY:
        city.live(citizen)
    return city


def _register(connection: psycopg.Connection[Any], city: City) -> None:
    year_ago = clock.now() - dt.timedelta(days=365)
    for agency in AGENCIES:
        register_agency(connection, Agency(agency, agency.title()))
        _key(connection, city, "agency", agency, "agreement", year_ago)
    for agency, (portal, _, _) in CONSUMERS.items():
        register_system(connection, System(portal, agency, portal.title(), "portal"))
        _key(connection, city, "system", portal, "auth", year_ago)
    for agency, source in PROVIDERS.items():
        register_system(
            connection, System(source, agency, source.upper(), "source", f"https://{source}.example")
        )
    officer = Officer(OFFICER, OFFICE, OFFICER, frozenset({OfficerRole.DECIDING_OFFICER}))
    register_officer(connection, officer)
    _key(connection, city, "officer", OFFICER, "sign", year_ago)


def _key(connection: Any, city: City, kind: Any, owner: str, use: str, since: dt.datetime) -> None:
    add_key(
        connection,
        owner_kind=kind,
        owner_id=owner,
        use=use,
        public_jwk=city.keys[owner].public_jwk,
        valid_from=since,
    )


def _agree(connection: psycopg.Connection[Any], city: City, fields: dict[str, list[str]]) -> None:
    for consumer, (_, purpose, basis) in CONSUMERS.items():
        for provider in PROVIDERS:
            terms = AgreementTerms(
                agreement_id=f"pks-{provider}-{consumer}".replace("-mojokerto", ""),
                title="Verifikasi permohonan",
                paper_reference="PKS 1/2026",
                provider=provider,
                consumer=consumer,
                controller=consumer,
                processor="diskominfo-mojokerto",
                purposes=(purpose,),
                legal_basis=basis,
                legal_instrument="UU 27/2022 Pasal 20(2)",
                datasets={name: tuple(names) for name, names in fields.items() if name.startswith(provider)},
                verbs=("disclose",),
                modes=("verify",),
                valid_from=clock.now() - dt.timedelta(days=30),
                valid_until=clock.now() + dt.timedelta(days=365),
                quota_per_day=1_000_000,
                retention_days=30,
            )
            signed = sign_by_both(AgreementRevision(terms=terms), city.keys[provider], city.keys[consumer])
            publish_revision(connection, signed)
