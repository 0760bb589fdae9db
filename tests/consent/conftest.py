"""Practice agencies with keys of their own, whose agreements are really signed and published."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from audit.entry import RevisionReference
from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from consent.agreement import publish_revision, sign_by_both
from consent.record import ConsentNotice, ConsentQuestion, ConsentRevision, grant
from consent.terms import AgreementRevision, AgreementTerms
from consent.vocabulary import Channel
from foundation.database import Role
from foundation.installation import Installation
from foundation.keyring import KeyPair, Keyring
from participants.keys import add_key
from participants.registry import Agency, System, register_agency, register_system

from .facts import NOW, OFFICE, PERSONS, PURPOSE, REGISTRY, STANDING, TAX, terms


def new_subject() -> SubjectKeys:
    return SubjectKeys(SubjectHandle(uuid4()), os.urandom(32), os.urandom(32))


@dataclass(frozen=True)
class Practice:
    installation: Installation
    keys: dict[str, KeyPair]

    def connect(self, role: Role = Role.API, **options: Any) -> psycopg.Connection[Any]:
        return self.installation.database.connect(role, **options)

    def publish(self, agreed: AgreementTerms, after: AgreementRevision | None = None) -> AgreementRevision:
        revision = after.succeeded_by(agreed) if after else AgreementRevision(terms=agreed)
        with self.connect(Role.STEWARD) as connection:
            publish_revision(connection, self.signed(revision), at=NOW)
        return revision

    def signed(self, revision: AgreementRevision):
        return sign_by_both(revision, self.keys[revision.terms.provider], self.keys[revision.terms.consumer])

    def publish_both(self, **changes: Any) -> tuple[AgreementRevision, AgreementRevision]:
        return self.publish(terms(REGISTRY, **changes)), self.publish(terms(TAX, **changes))

    def consenting_subject(self, **changes: Any) -> tuple[SubjectKeys, ConsentRevision]:
        subject = new_subject()
        fields = {
            PERSONS: frozenset({"nik", "name", "birth_date"}),
            STANDING: frozenset({"npwp", "standing", "tax_year"}),
        }
        question = ConsentQuestion(OFFICE, PURPOSE, fields, ConsentNotice.of_text("Bolehkah?", version="1"))
        with self.connect() as connection:
            given = {"channel": Channel.PORTAL, "at": NOW} | changes
            return subject, grant(connection, subject, question, **given)


@pytest.fixture
def practice(installation, tmp_path) -> Practice:
    keys = {}
    with installation.database.connect(Role.STEWARD) as connection:
        for agency in (OFFICE, REGISTRY, TAX):
            register_agency(connection, Agency(agency, agency.title()))
            keys[agency] = Keyring.open(tmp_path / agency, b"practice").ensure("agreements")
            add_key(
                connection,
                owner_kind="agency",
                owner_id=agency,
                use="agreement",
                public_jwk=keys[agency].public_jwk,
                valid_from=NOW.replace(year=2025),
            )
        register_system(connection, System("palapa-mojo", OFFICE, "Palapa Mojo", "portal"))
    return Practice(installation, keys)


def reference_of(revision: AgreementRevision) -> RevisionReference:
    from consent.terms import payload_hash

    return RevisionReference(revision.terms.agreement_id, revision.revision, payload_hash(revision.payload()))
