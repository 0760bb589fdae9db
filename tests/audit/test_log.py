"""Appending, sequencing, receipts: the ordinary path."""

import uuid

import pytest

from audit import EntryDraft, EntryKind, append, append_many
from audit.checkpoints.keys import log_verifier_keys
from audit.errors import LogDamaged, ReceiptNotReady, UnknownEntry
from audit.publishing.receipt import receipt, sign_promise, verify_promise, verify_receipt
from audit.publishing.sequencer import Sequencer
from audit.subjects.vault import Vault
from foundation.database import Role


def draft(**changes):
    values = {"kind": EntryKind.AUDIT_VIEWED, "actor": "test", "details": {"view": "test"}} | changes
    return EntryDraft(**values)


def test_an_entry_becomes_a_receipt_that_proves_it_offline(installation):
    with installation.database.connect(Role.API) as connection:
        promise = append(connection, draft())
    with installation.database.connect(Role.API, autocommit=True) as connection:
        with pytest.raises(ReceiptNotReady):
            receipt(connection, promise.entry_id)
        with Sequencer(installation) as sequencer:
            assert sequencer.drain_once() == 1
        text = str(receipt(connection, promise.entry_id))
        with pytest.raises(UnknownEntry):
            receipt(connection, uuid.uuid4())
    proven = verify_receipt(text, log_verifier_keys(installation))
    assert (proven.index, proven.tree_size, proven.witnesses) == (0, 1, 0)
    assert proven.entry["id"] == str(promise.entry_id)


def test_an_entry_rolled_back_with_its_transaction_never_enters_the_log(installation):
    with installation.database.connect(Role.API) as connection:
        append(connection, draft())
        connection.rollback()
    with Sequencer(installation) as sequencer:
        assert sequencer.settle() == 0


def test_many_entries_fill_tiles_across_drains(installation):
    keys = log_verifier_keys(installation)
    promises = []
    with Sequencer(installation, drain_limit=300) as sequencer:
        for count in (1, 255, 256, 700, 3):
            with installation.database.connect(Role.INGEST) as connection:
                promises += append_many(connection, [draft() for _ in range(count)])
            assert sequencer.settle() == count
    with installation.database.connect(Role.AUDITOR, autocommit=True) as connection:
        for index in (0, 1, 255, 256, 511, 512, 1211, 1214):
            proven = verify_receipt(str(receipt(connection, promises[index].entry_id)), keys)
            assert proven.index == index


def test_an_entry_that_somebody_put_behind_the_tree_stops_the_log_by_name(installation):
    with installation.database.connect(Role.API) as connection:
        append(connection, draft())
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute(
            "INSERT INTO audit.entries (entry_index, entry_id, kind, occurred_at, entry)"
            " VALUES (0, gen_random_uuid(), 'audit.viewed', now(), '{}')"
        )
    with Sequencer(installation) as sequencer, pytest.raises(LogDamaged, match="past the sequencer"):
        sequencer.settle()
    with installation.database.connect(Role.MIGRATOR) as connection:
        assert connection.execute("SELECT count(*) FROM audit.outbox").fetchone() == (1,)


def test_a_promise_is_signed_and_names_the_leaf(installation):
    key = installation.keyring.current("bus")
    with installation.database.connect(Role.API) as connection:
        promise = append(connection, draft())
    token = sign_promise(promise, key, installation.settings.log_origin)
    read = verify_promise(token, [key.public_jwk])
    assert (read.entry_id, read.leaf_hash) == (promise.entry_id, promise.leaf_hash)


def test_a_subjects_content_is_sealed_beside_the_log(installation, canary):
    with Vault(installation) as vault, installation.database.connect(Role.API) as connection:
        keys = vault.handle_for("nik", canary.nik)
        append(
            connection,
            draft(
                kind=EntryKind.EXCHANGE_REFUSED,
                outcome="denied",
                subject=keys,
                details={},
                sealed={"nik": canary.nik, "name": canary.name},
            ),
        )
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    with installation.database.connect(Role.AUDITOR) as connection:
        entry = bytes(connection.execute("SELECT entry FROM audit.entries").fetchone()[0])
        blob = bytes(connection.execute("SELECT blob FROM audit.sealed").fetchone()[0])
    assert not canary.found_in(entry.decode())
    assert canary.nik.encode() not in blob
