"""Transactions whose statements travel together, and pooled connections that are looked at, not asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey
from psycopg.pq import TransactionStatus

from foundation import pipelines
from foundation.database import Role
from foundation.fast_connection import FastConnection
from foundation.installation import Installation
from foundation.signatures import ALGORITHM, compact_jws


@pytest.fixture(params=[psycopg.Connection, FastConnection])
def connection(
    request: pytest.FixtureRequest, installation: Installation
) -> Iterator[psycopg.Connection[Any]]:
    with request.param.connect(installation.database.conninfo(Role.API), autocommit=True) as opened:
        opened.execute("CREATE TEMPORARY TABLE t (n integer PRIMARY KEY)")
        yield opened


def rows(connection: psycopg.Connection[Any]) -> list[int]:
    return [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n").fetchall()]


def test_what_ends_well_is_committed_as_one(connection: psycopg.Connection[Any]) -> None:
    with pipelines.transaction(connection) as transaction:
        connection.execute("INSERT INTO t VALUES (1)")
        transaction.settle()
        assert connection.info.transaction_status is TransactionStatus.INTRANS
        connection.execute("INSERT INTO t VALUES (2)")
    assert connection.info.transaction_status is TransactionStatus.IDLE
    assert rows(connection) == [1, 2]


def test_an_error_of_the_caller_undoes_everything(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(RuntimeError), pipelines.transaction(connection) as transaction:  # noqa: PT012
        connection.execute("INSERT INTO t VALUES (1)")
        transaction.settle()
        raise RuntimeError
    assert rows(connection) == []


def test_a_failed_statement_is_told_where_the_transaction_is_settled(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(psycopg.errors.UniqueViolation), pipelines.transaction(connection) as transaction:  # noqa: PT012
        connection.execute("INSERT INTO t VALUES (2)")
        connection.execute("INSERT INTO t VALUES (1)")
        transaction.settle()
        pytest.fail("the transaction was settled")
    assert rows(connection) == [1]


def test_a_failed_statement_that_nobody_waited_for_is_told_at_the_end(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(psycopg.errors.UniqueViolation), pipelines.transaction(connection):  # noqa: PT012
        connection.execute("INSERT INTO t VALUES (2)")
        connection.execute("INSERT INTO t VALUES (1)")
    assert connection.info.transaction_status is TransactionStatus.IDLE
    assert rows(connection) == [1]


def test_no_transaction_begins_inside_another(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction(), pytest.raises(ValueError, match="autocommit"):
        pipelines.transaction(connection).__enter__()


def test_a_pooled_connection_that_the_server_has_ended_is_not_handed_out(installation: Installation) -> None:
    with installation.database.pool(Role.API, min_size=1, max_size=1, autocommit=True) as pool:
        with pool.connection() as connection:
            ended = connection.info.backend_pid
        with installation.database.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [ended])
        with pool.connection() as connection:
            assert connection.execute("SELECT pg_backend_pid()").fetchone() != (ended,)


def test_a_signature_over_a_prepared_header_verifies_elsewhere(installation: Installation) -> None:
    pair = installation.keyring.ensure("bus", "ed25519")
    token = compact_jws(pair, "test+jws", b'{"a":1}')
    opened = jws.deserialize_compact(token, OKPKey.import_key(pair.public_jwk), algorithms=[ALGORITHM])
    assert opened.payload == b'{"a":1}'
    assert opened.headers() == {"alg": ALGORITHM, "kid": pair.kid, "typ": "test+jws"}
