"""Whom a breach concerns: by window, credential, agency and data, also where an entry names datasets only."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from audit import EntryDraft, EntryKind, append
from audit.breach import BreachQuestion, affected_by
from audit.errors import FilterInvalid
from audit.publishing.sequencer import Sequencer
from audit.subjects.vault import Vault
from foundation.database import Role
from foundation.keyring import Keyring
from participants.keys import add_key
from participants.registry import Agency, Officer, System, register_agency, register_officer, register_system

PERSONS, TAX = "dukcapil/persons", "kpp/tax"
T = datetime(2026, 3, 1, tzinfo=UTC)


def answered(subject, day, *, consumer="ukm", system="portal", actor=None, fields=(f"{PERSONS}:name",)):
    return EntryDraft(
        kind=EntryKind.EXCHANGE_ANSWERED, occurred_at=T + timedelta(days=day), consumer=consumer,
        system=system, actor=actor, purpose="aid", decision_id=uuid4(), outcome="verified", fields=fields,
        subject=subject,
    )  # fmt: skip


@pytest.fixture
def log(installation, canary, tmp_path):
    """Answers about two persons, a view of quarantined rows, and a sync; with a portal's key."""
    key = Keyring.open(tmp_path / "keys").ensure("portal", "ed25519")
    with installation.database.connect(Role.STEWARD) as connection:
        for agency in ("ukm", "dinsos", "dukcapil", "kpp"):
            register_agency(connection, Agency(agency, agency))
        register_system(connection, System("portal", "ukm", "Portal", "portal"))
        register_officer(connection, Officer("siti", "dinsos", "officer-7"))
        add_key(
            connection, owner_kind="system", owner_id="portal", use="sign", public_jwk=key.public_jwk,
            valid_from=T + timedelta(days=1), valid_to=T + timedelta(days=3),
        )  # fmt: skip
    with Vault(installation) as vault, installation.database.connect(Role.STEWARD) as connection:
        first, second = vault.handles_for("nik", [canary.nik, "3576024107850001"])
        append(connection, answered(first, 2))
        append(connection, answered(second, 5, fields=(f"{TAX}:standing",)))
        append(connection, answered(second, 6, consumer="dinsos", system="desk", actor="officer-7"))
        common = {"provider": "dukcapil", "datasets": (PERSONS,)}
        kind, at = EntryKind.SYNC_COMPLETED, T + timedelta(days=7)
        batch = {"contract": PERSONS, "published": 1_200}
        append(connection, EntryDraft(kind=kind, occurred_at=at, batch=batch, **common))
        viewed, at = EntryKind.QUARANTINE_VIEWED, T + timedelta(days=8)
        append(connection, EntryDraft(kind=viewed, occurred_at=at, actor="officer-7", datasets=(PERSONS,)))
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    return installation, key.kid


def asked(log, **question):
    with log[0].database.connect(Role.AUDITOR) as connection:
        return affected_by(connection, BreachQuestion(**question))


def days(breach):
    return (breach.first[8:10], breach.last[8:10], len(breach.entries)) if breach.first else None


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (PERSONS, {"exchange.answered": 2, "sync.completed": 1, "quarantine.viewed": 1}),
        (f"{PERSONS}:name", {"exchange.answered": 2, "sync.completed": 1, "quarantine.viewed": 1}),
        (f"{PERSONS}:religion", {"sync.completed": 1, "quarantine.viewed": 1}),
        (TAX, {"exchange.answered": 1}),
        ("dukcapil/births", {}),
    ],
)
def test_an_entry_that_names_only_datasets_is_found_by_any_of_their_fields(log, wanted, kinds):
    found = asked(log, datasets=(wanted,))
    assert dict(found.kinds) == kinds
    if "sync.completed" in kinds:
        assert found.fields[PERSONS] == 2
        assert found.batch_records == {PERSONS: 1_200}
        assert len(found.subjects) == (2 if "exchange.answered" in kinds else 0)


def test_an_agency_is_concerned_by_what_it_gave_though_only_a_dataset_says_so(log):
    assert days(asked(log, agency="dukcapil")) == ("03", "09", 4)
    assert days(asked(log, agency="kpp")) == ("06", "06", 1)
    assert days(asked(log, agency="dinsos")) == ("07", "07", 1)
    assert asked(log, agency="nobody").entries == []


def test_an_officer_is_concerned_by_what_they_were_shown(log):
    found = asked(log, officer="officer-7")
    assert dict(found.kinds) == {"exchange.answered": 1, "quarantine.viewed": 1}
    assert asked(log, officer="officer-8").entries == []


def test_a_key_stands_for_its_owner_while_it_was_valid(log):
    assert days(asked(log, key=log[1])) == ("03", "03", 1)
    assert len(asked(log, system="portal").entries) == 2
    with pytest.raises(FilterInvalid, match="No such key"):
        asked(log, key="nobodys")


def test_filters_hold_together_and_a_window_includes_its_ends(log):
    assert asked(log, key=log[1], datasets=(TAX,)).entries == []
    assert len(asked(log, agency="dukcapil", officer="officer-7").entries) == 2
    assert len(asked(log, since=T + timedelta(days=5), until=T + timedelta(days=7)).entries) == 3
