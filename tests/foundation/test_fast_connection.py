"""A connection whose statements cost little says what psycopg's own says."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.pq import TransactionStatus

from foundation import pipelines
from foundation.database import Role
from foundation.fast_connection import FastConnection
from foundation.installation import Installation


@pytest.fixture
def fast(installation: Installation) -> Iterator[FastConnection]:
    with FastConnection.connect(installation.database.conninfo(Role.API), autocommit=True) as opened:
        opened.execute("CREATE TEMPORARY TABLE t (n integer PRIMARY KEY)")
        yield opened


VALUES = {
    "text": "naïve ‹›",
    "empty": "",
    "small": 7,
    "large": 2**40,
    "flag": True,
    "bytes": b"\x00\xff",
    "uuid": UUID(int=5),
    "date": date(1985, 12, 17),
    "moment": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    "decimal": Decimal("1.50"),
    "texts": ["a", 'b"c', "d,e"],
    "blobs": [b"a", b"\x00"],
    "numbers": [1, 2**40],
}


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_as_through_psycopg(fast: FastConnection, name: str) -> None:
    query = "SELECT %(value)s, '100%%' WHERE 1 = %(one)s"
    given = {"value": VALUES[name], "one": 1}
    expected = psycopg.Connection.execute(fast, query, given).fetchall()
    for _ in range(3):
        assert fast.execute(query, given).fetchall() == expected
    with pipelines.together(fast):
        assert fast.execute(query, given).fetchall() == expected


def test_nothing_comes_back_as_nothing(fast: FastConnection) -> None:
    assert fast.execute("SELECT %s::text, %s::int[]", [None, []]).fetchone() == (None, [])


def test_rows_are_read_as_from_a_cursor(fast: FastConnection) -> None:
    numbers = "SELECT n FROM generate_series(1, %s) n"
    read = fast.execute(numbers, [3])
    assert (read.fetchone(), read.fetchall(), read.fetchone()) == ((1,), [(2,), (3,)], None)
    assert list(fast.execute(numbers, [2])) == [(1,), (2,)]
    assert fast.execute(numbers, [4]).rowcount == 4
    assert fast.execute("INSERT INTO t SELECT generate_series(1, %s)", [5]).rowcount == 5
    assert fast.execute("INSERT INTO t VALUES (%s)", [6]).statusmessage == "INSERT 0 1"


def test_errors_are_those_of_psycopg_and_leave_it_usable(fast: FastConnection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        fast.execute("SELECT * FROM nowhere WHERE n = %s", [1])
    with pytest.raises(psycopg.errors.DivisionByZero):
        fast.execute("SELECT 1 / %s", [0])
    with pytest.raises(psycopg.ProgrammingError, match="2 placeholders but 1"):
        fast.execute("SELECT %s, %s", [1])
    assert fast.execute("SELECT %s + 1", [1]).fetchone() == (2,)


def test_what_was_not_prepared_because_of_a_failure_before_it_is_prepared_again(fast: FastConnection) -> None:
    for attempt in (1, 2):
        with pytest.raises(psycopg.errors.DivisionByZero), pipelines.transaction(fast):  # noqa: PT012
            fast.execute("SELECT 1 / %s", [0])
            fast.execute("INSERT INTO t VALUES (%s)", [attempt])
        assert fast.info.transaction_status is TransactionStatus.IDLE
    with pipelines.transaction(fast):
        fast.execute("INSERT INTO t VALUES (%s)", [3])
    assert fast.execute("SELECT n FROM t WHERE n < %s", [9]).fetchall() == [(3,)]


def test_outside_autocommit_a_transaction_begins_as_ever(installation: Installation) -> None:
    with FastConnection.connect(installation.database.conninfo(Role.API)) as opened:
        opened.execute("SELECT %s", [1])
        assert opened.info.transaction_status is TransactionStatus.INTRANS
        opened.rollback()
        assert opened.info.transaction_status is TransactionStatus.IDLE


def test_many_statements_and_large_ones_travel_together(fast: FastConnection) -> None:
    large = "x" * 100_000
    with pipelines.together(fast):
        sent = [fast.execute("SELECT %s || %s", [large, str(n)]) for n in range(200)]
        assert [len(each.fetchall()[0][0]) for each in sent] == [100_000 + len(str(n)) for n in range(200)]


def test_templates_and_scripts_are_left_to_psycopg(fast: FastConnection) -> None:
    assert fast.execute(sql.SQL("SELECT {}").format(sql.Literal(3))).fetchone() == (3,)
    fast.execute("SELECT 1; SELECT 2")
    with pytest.raises(psycopg.ProgrammingError), pipelines.together(fast):
        fast.execute(sql.SQL("SELECT 1"))
    assert fast.execute("SELECT %s", [4]).fetchone() == (4,)


def test_other_threads_go_on_while_a_statement_is_waited_for(fast: FastConnection) -> None:
    ticks: list[Any] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.01):
            ticks.append(1)

    ticking = threading.Thread(target=tick)
    ticking.start()
    fast.execute("SELECT pg_sleep(%s)", [0.3])
    alone = len(ticks)
    with pipelines.together(fast):
        fast.execute("SELECT pg_sleep(%s)", [0.3]).fetchall()
    done.set()
    ticking.join()
    assert alone > 3
    assert len(ticks) - alone > 3


def test_a_closed_connection_says_so(installation: Installation) -> None:
    opened = FastConnection.connect(installation.database.conninfo(Role.API), autocommit=True)
    opened.execute("SELECT %s", [1])
    opened.close()
    with pytest.raises(psycopg.OperationalError):
        opened.execute("SELECT %s", [1])


def test_a_connection_cut_off_by_the_server_says_so(installation: Installation, fast: FastConnection) -> None:
    with pytest.raises(psycopg.OperationalError), pipelines.transaction(fast):  # noqa: PT012
        pid = fast.execute("SELECT pg_backend_pid()").fetchone()[0]
        with installation.database.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        fast.execute("SELECT %s", [1]).fetchall()


def test_what_was_prepared_outlives_a_rollback(fast: FastConnection) -> None:
    def with_a_cursor() -> None:
        with fast.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (%s) ON CONFLICT DO NOTHING", [1])

    fast.execute("SELECT %s::int", [1])
    for _ in range(10):  # so often that psycopg would prepare it
        with_a_cursor()
    fast.execute("BEGIN")
    fast.execute("ROLLBACK")
    with_a_cursor()  # at which psycopg would drop everything that is prepared
    assert fast.execute("SELECT %s::int", [2]).fetchall() == [(2,)]


@pytest.mark.parametrize("travels", [False, True])
def test_a_connection_that_is_lost_is_told_as_psycopg_tells_it(
    installation: Installation, travels: bool
) -> None:
    opened = FastConnection.connect(installation.database.conninfo(Role.API), autocommit=True)
    opened.execute("SELECT %s", [1])
    with socket.socket(fileno=os.dup(opened.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)
    with pytest.raises(psycopg.OperationalError), pipelines.together(opened) if travels else nullcontext():
        opened.execute("SELECT %s", [1]).fetchone()
    assert opened.broken
    opened.close()


def test_what_is_asked_for_in_binary_comes_in_binary(fast: FastConnection) -> None:
    values = [b"\x00\x01", 7, None]
    query = "SELECT %s::bytea, %s::bigint, %s::text"
    assert fast.execute(query, values, binary=True).fetchone() == tuple(values)
    with pipelines.together(fast):
        assert fast.execute(query, values, binary=True).fetchone() == tuple(values)
