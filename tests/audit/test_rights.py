"""Who may do what to the log, held by the database itself; promises; public names."""

import importlib
import pkgutil

import psycopg
import pytest

import audit
from audit import EntryDraft, EntryKind, append
from audit.errors import NoteInvalid
from audit.publishing.receipt import sign_promise, verify_promise
from audit.publishing.sequencer import Sequencer
from foundation.database import DatabaseName, Role
from foundation.errors import LintasError

WRITERS = [Role.INGEST, Role.API, Role.STEWARD, Role.AUDITOR]
FORBIDDEN = [
    "UPDATE audit.entries SET kind = 'x'",
    "DELETE FROM audit.entries",
    "TRUNCATE audit.entries",
    "INSERT INTO audit.entries VALUES (0, gen_random_uuid(), 'x', now(), null, null, null, null, 'xx')",
    "DELETE FROM audit.outbox",
    "UPDATE audit.outbox SET kind = 'x'",
    "UPDATE audit.sealed SET blob = ''",
    "DELETE FROM audit.subject_index",
    "UPDATE audit.tiles SET hashes = hashes",
    "UPDATE audit.log_state SET tree_size = 0",
    "DELETE FROM audit.checkpoints",
]


@pytest.fixture
def written(installation):
    with installation.database.connect(Role.API) as connection:
        promise = append(connection, EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test"))
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    return installation, promise


@pytest.mark.parametrize("role", WRITERS)
def test_those_who_write_entries_can_change_none(written, role):
    for statement in FORBIDDEN:
        with written[0].database.connect(role) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()
    with written[0].database.connect(role) as connection:
        append(connection, EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test"))


def test_a_sync_cannot_read_the_log_or_the_vault(written):
    with written[0].database.connect(Role.INGEST) as connection:
        for table in ("entries", "sealed", "subject_index", "outbox"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM audit.{table}")
            connection.rollback()
    for role in (Role.INGEST, Role.SEQUENCER, Role.AUDITOR):
        with pytest.raises(LintasError):
            written[0].database.connect(role, DatabaseName.VAULT)


def test_the_sequencer_can_add_but_neither_change_nor_remove_entries(written):
    for statement in (
        "UPDATE audit.entries SET kind = 'x'",
        "DELETE FROM audit.entries",
        "DELETE FROM audit.checkpoints",
        "UPDATE audit.checkpoints SET note = ''",
        "SELECT * FROM audit.sealed",
    ):
        with written[0].database.connect(Role.SEQUENCER) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


def test_a_mangled_promise_is_refused(written):
    installation, promise = written
    key = installation.keyring.current("bus")
    token = sign_promise(promise, key, installation.settings.log_origin)
    assert verify_promise(token, [key.public_jwk]).entry_id == promise.entry_id
    head, payload, signature = token.split(".")
    stranger = installation.keyring.ensure("stranger", "ed25519")
    for mangled in (
        "",
        "a.b.c",
        f"{head}.{payload}",
        f"{head}.{payload}.{signature[::-1]}",
        f"{head}.{payload[::-1]}.{signature}",
        f"{payload}.{payload}.{signature}",
    ):
        with pytest.raises(NoteInvalid):
            verify_promise(mangled, [key.public_jwk])
    with pytest.raises(NoteInvalid):
        verify_promise(token, [stranger.public_jwk])
    with pytest.raises(NoteInvalid):
        verify_promise(token, [{**stranger.public_jwk, "kid": key.kid}])


MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(audit.__path__, "audit.")
    if not module.ispkg and "migrations" not in module.name and ".verifier." not in module.name
)


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in module.__all__:
        assert hasattr(module, public)


def test_the_public_names_of_the_room_exist():
    assert len(MODULES) > 40
    assert set(audit.__all__) <= set(dir(audit))
