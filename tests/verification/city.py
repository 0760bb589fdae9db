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
AGENCIES = ("dukcapil-mojokerto", "kpp-mojokerto", OFFICE, "diskominfo-mojokerto")
CLAIMS = {"amount_requested": 3_000_000}


@dataclass(frozen=True)
class Citizen:
    nik: str
    name: str
    birth_date: dt.date
    family_card_number: str
    region: str = "35.76.02"
    died: dt.date | None = None
    standing: str | None = "valid"

    @property
    def applicant(self) -> Applicant:
        return Applicant(
            nik=Nik.parse(self.nik), name=self.name, birth_date=self.birth_date, family_card_number=None
        )

    @property
    def body(self) -> dict[str, Any]:
        return {"nik": self.nik, "name": self.name, "birth_date": self.birth_date.isoformat()}

    def question(self, **changes: Any) -> Question:
        given: dict[str, Any] = {"service": SERVICE, "applicant": self.applicant, "claims": CLAIMS}
        given |= changes
        given.setdefault(
            "request", repr(sorted((k, str(v)) for k, v in given.items())).encode() + self.nik.encode()
        )
        return Question(**given)


SITI = Citizen("3576025505900003", "Siti Contoh", dt.date(1990, 5, 15), "3576020101100001")
BUDI = Citizen(
    "3576021203850001", "Budi Contoh", dt.date(1985, 3, 12), "3576020101100002", standing="not_valid"
)
AGUS = Citizen(
    "3576020101500002", "Agus Contoh", dt.date(1950, 1, 1), "3576020101100003", died=dt.date(2026, 1, 5)
)
RINA = Citizen("3576024107950004", "Rina Contoh", dt.date(1995, 7, 1), "3576020101100004", standing=None)
EVERYBODY = (SITI, BUDI, AGUS, RINA)


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

    def dies(self, citizen: Citizen, day: dt.date) -> None:
        death = {"nik": citizen.nik, "death_date": day, "recorded_date": day}
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
        for name in (*AGENCIES, PORTAL, OFFICER)
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
    register_system(connection, System(PORTAL, OFFICE, "Palapa Mojo", "portal"))
    _key(connection, city, "system", PORTAL, "auth", year_ago)
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
    for provider in ("dukcapil-mojokerto", "kpp-mojokerto"):
        terms = AgreementTerms(
            agreement_id=f"pks-{provider}-ukm",
            title="Verifikasi bantuan usaha mikro",
            paper_reference="PKS 1/2026",
            provider=provider,
            consumer=OFFICE,
            controller=OFFICE,
            processor="diskominfo-mojokerto",
            purposes=(PURPOSE,),
            legal_basis="consent",
            legal_instrument="UU 27/2022 Pasal 20(2)(a)",
            datasets={name: tuple(names) for name, names in fields.items() if name.startswith(provider)},
            verbs=("disclose",),
            modes=("verify",),
            valid_from=clock.now() - dt.timedelta(days=30),
            valid_until=clock.now() + dt.timedelta(days=365),
            quota_per_day=1_000_000,
            retention_days=30,
        )
        revision = AgreementRevision(terms=terms)
        signed = sign_by_both(revision, city.keys[provider], city.keys[OFFICE])
        publish_revision(connection, signed)
