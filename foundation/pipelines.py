"""Transactions whose statements travel together, for the paths where every round trip counts.

In a pipeline a statement is on its way as soon as it is executed, and only reading a result waits. The
server works through them in order, each with a snapshot of its own, so nothing changes but the waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from foundation.database_errors import DatabaseFailed
from foundation.fast_connection import FastConnection

__all__ = ["Transaction", "together", "transaction"]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction whose statements are on their way."""

    connection: psycopg.Connection[Any]
    pipeline: psycopg.Pipeline | None

    def settle(self) -> None:
        """Wait until everything sent so far was done, or raise what went wrong."""
        if isinstance(self.connection, FastConnection):
            self.connection.settle()
        elif self.pipeline and self.connection.info.transaction_status is TransactionStatus.ACTIVE:
            self.pipeline.sync()


@contextmanager
def transaction(connection: psycopg.Connection[Any]) -> Iterator[Transaction]:
    """One transaction in one pipeline: BEGIN goes with the first statements, COMMIT with the last.

    A failed statement is told where a result is read, where the transaction is settled, or at its end.

    Args:
        connection: In autocommit, and in no transaction.

    Raises:
        DatabaseFailed: When the server rolled back what was to be committed.
    """
    if not connection.autocommit or connection.info.transaction_status is not TransactionStatus.IDLE:
        raise ValueError("a transaction begins here only in autocommit, and not inside another one")
    try:
        with together(connection) as pipeline:
            connection.execute("BEGIN")
            yield Transaction(connection, pipeline)
            ended = connection.execute("COMMIT")
    except BaseException:
        with suppress(psycopg.Error):  # the connection may be gone; then the server rolls back by itself
            connection.rollback()
        raise
    if ended.statusmessage != "COMMIT":
        raise DatabaseFailed("The transaction was rolled back", remedy="Try again")


@contextmanager
def together(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Pipeline | None]:
    """Statements in the block are sent at once; each is waited for where its result is read."""
    if not isinstance(connection, FastConnection):
        with connection.pipeline() as pipeline:
            yield pipeline
        return
    connection.begin_together()
    try:
        yield None
    except BaseException:
        with suppress(psycopg.Error):  # what the block raised is told, not what came of it
            connection.end_together()
        raise
    connection.end_together()
