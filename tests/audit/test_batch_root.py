"""The root over a batch's changed rows is the RFC 6962 root, and opens for one record."""

import hashlib
import os

import pytest
from psycopg import sql

from audit.errors import EntryRefused, ProofError
from audit.tree import batch_root as module
from audit.tree.batch_root import batch_root, prove_record, record_leaf
from audit.tree.merkle import EMPTY_ROOT, root_of
from foundation.database import Role

ROWS = sql.SQL("SELECT leaf_key, leaf_salt, content_hash FROM changed WHERE batch = %s")


@pytest.fixture
def connection(installation):
    with installation.database.connect(Role.INGEST) as connection:
        connection.execute(
            "CREATE TEMP TABLE changed (batch int, leaf_key bigint, leaf_salt bytea, content_hash bytea)"
        )
        yield connection


def fill(connection, batch, count):
    rows = [(key, os.urandom(16), hashlib.sha256(str(key).encode()).digest()) for key in range(count)]
    with connection.cursor() as cursor, cursor.copy("COPY changed FROM STDIN") as copy:
        for row in reversed(rows):
            copy.write_row((batch, *row))
    return rows


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 100, 257])
@pytest.mark.parametrize("bits", [2, 16])
def test_the_root_made_by_postgresql_is_the_rfc_6962_root(connection, count, bits, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BITS", bits)
    rows = fill(connection, 1, count)
    found = batch_root(connection, ROWS, [1])
    assert found.leaves == count
    assert found.root == root_of(record_leaf(salt, content) for _, salt, content in rows)
    for key in {0, count // 2, count - 1}:
        proof = prove_record(connection, ROWS, [1], key)
        proof.verify(rows[key][1], rows[key][2], found.root)
        with pytest.raises(ProofError):
            proof.verify(os.urandom(16), rows[key][2], found.root)


def test_an_empty_batch_has_the_empty_root(connection):
    assert batch_root(connection, ROWS, [9]) == module.BatchRoot(EMPTY_ROOT, 0)
    with pytest.raises(ProofError):
        prove_record(connection, ROWS, [9], 1)


@pytest.mark.parametrize("salt", [None, b"short", b"x" * 17])
def test_a_row_without_a_proper_salt_is_refused(connection, salt):
    connection.execute("INSERT INTO changed VALUES (1, 1, %s, %s)", (salt, bytes(32)))
    with pytest.raises(EntryRefused):
        batch_root(connection, ROWS, [1])
