"""A psycopg connection whose `execute` costs little, for the paths that ask many small questions.

A cursor, its conversions and its waiting loops cost psycopg some 100 to 250 µs of CPU a statement. Here a
statement with parameters is prepared at its first use and sent by libpq straight away, with psycopg's own
dumpers and loaders; several statements may travel together. Everything else is psycopg as it always is.
"""

from __future__ import annotations

import re
import select
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any, Self

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from foundation.arrays import Array, as_array

__all__ = ["FastConnection", "Rows"]

_MOST_PREPARED = 250
"""Statements kept prepared by one connection; what comes later is planned each time."""
_MOST_BYTES_OF_A_STATEMENT = 32_768
_PLACEHOLDER = re.compile(rb"%(?:\((\w+)\)([sbt])|([sbt])|(%))")
_Prepared = tuple[bytes, tuple[int, ...]]
"""A statement and the types of its parameters, which together are prepared."""
_FINE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class Rows:
    """The result of a statement; reading it waits for the statement where it is still on its way."""

    __slots__ = ("_connection", "_position", "_result", "_rows")

    def __init__(self, connection: FastConnection, result: PGresult | None = None) -> None:
        self._connection = connection
        self._result = result
        self._rows: list[tuple[Any, ...]] | None = None
        self._position = 0

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that were not read yet."""
        rows, start = self._loaded(), self._position
        self._position = len(rows)
        return rows[start:] if start else rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, None after the last."""
        rows, position = self._loaded(), self._position
        if position >= len(rows):
            return None
        self._position = position + 1
        return rows[position]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    @property
    def statusmessage(self) -> str | None:
        """What the server says it did."""
        status = self._arrived().command_status
        return status.decode() if status else None

    @property
    def rowcount(self) -> int:
        """How many rows were read or changed."""
        result = self._arrived()
        return result.ntuples if result.nfields else (result.command_tuples or 0)

    def _arrived(self) -> PGresult:
        if self._result is None:
            self._connection.settle()
        if self._result is None:
            raise psycopg.OperationalError("the statement was not executed")
        return self._result

    def _loaded(self) -> list[tuple[Any, ...]]:
        if self._rows is None:
            self._rows = self._connection.load(self._arrived())
        return self._rows

    def _give(self, result: PGresult) -> None:
        self._result = result


@dataclass(slots=True)
class _Sent:
    """A message that is on its way: a statement (`rows`), or its preparation under a name (`prepares`)."""

    rows: Rows | None = None
    prepares: _Prepared | None = None


@dataclass(slots=True)
class _Memory:
    """What a connection keeps from statement to statement."""

    adapting: Any
    waiting: select.poll
    prepared: dict[_Prepared | None, bytes] = field(default_factory=dict)
    names: Iterator[int] = field(default_factory=count)
    sent: list[_Sent] = field(default_factory=list)


class FastConnection(psycopg.Connection[Any]):
    """A connection for one thread at a time; `together` lets statements travel in one go."""

    _memory: _Memory | None = None
    _is_together = False

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Open one; psycopg prepares nothing itself, as after a rollback it would drop ours, too."""
        return super().connect(conninfo, **{"prepare_threshold": None, **options})

    def execute(self, query: Any, params: Any = None, *, binary: bool = False, **options: Any) -> Any:
        """Execute a statement; what psycopg does better (templates, scripts, options) is left to it."""
        if options or not isinstance(query, str | bytes) or (params is None and not self._is_together):
            if self._is_together:
                raise psycopg.ProgrammingError("only plain statements travel together")
            return super().execute(query, params, binary=binary, **options)
        if not self.autocommit and self.pgconn.transaction_status == TransactionStatus.IDLE:
            return super().execute(query, params, binary=binary)  # which begins a transaction first
        statement, values = _bound(query, params)
        if self._is_together:
            return self._send(statement, values, Format(binary))
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")
        return self._execute(statement, values, Format(binary))

    def begin_together(self) -> None:
        """From now on statements are sent without waiting for their results."""
        self.pgconn.enter_pipeline_mode()
        self._is_together = True

    def end_together(self) -> None:
        """Wait for what is on its way, and go back to one statement at a time."""
        try:
            self.settle()
        finally:
            self._is_together = False
            if self.pgconn.pipeline_status is not PipelineStatus.OFF:
                self.pgconn.exit_pipeline_mode()

    @property
    def has_sent(self) -> bool:
        """Whether something is on its way."""
        return self._memory is not None and bool(self._memory.sent)

    def settle(self) -> None:
        """Wait for everything that is on its way.

        Raises:
            psycopg.Error: What went wrong first; nothing after it was executed.
        """
        memory = self._memory
        if memory is None or not memory.sent:
            return
        sent, memory.sent = memory.sent, []
        self.pgconn.pipeline_sync()
        self._flush(memory)
        failure = None
        for each in sent:
            result = self._received(memory)
            if failure is None and result.status not in _FINE:
                failure = result
            if failure is not None:  # the server skips what comes after a failure
                memory.prepared.pop(each.prepares, None)
            elif each.rows is not None:
                each.rows._give(result)
        while self._received(memory).status != ExecStatus.PIPELINE_SYNC:
            pass
        if failure is not None:
            raise self._error(failure)

    def _flush(self, memory: _Memory) -> None:
        """Hand everything to the server, taking in what it says meanwhile."""
        while self.pgconn.flush():
            memory.waiting.modify(self.pgconn.socket, select.POLLIN | select.POLLOUT)
            memory.waiting.poll()
            memory.waiting.modify(self.pgconn.socket, select.POLLIN)
            self.pgconn.consume_input()

    def _received(self, memory: _Memory) -> PGresult:
        """The next result; the interpreter is free for other threads while it is waited for."""
        while True:
            while self.pgconn.is_busy():
                memory.waiting.poll()
                self.pgconn.consume_input()
            if (result := self.pgconn.get_result()) is not None:
                return result
            if self.pgconn.status == ConnStatus.BAD:
                raise psycopg.OperationalError("the connection is lost")

    def load(self, result: PGresult) -> list[tuple[Any, ...]]:
        """The rows of a result, in Python's types."""
        if not result.ntuples:
            return []
        adapting = self._remembered().adapting
        adapting.set_pgresult(result)
        rows: list[tuple[Any, ...]] = adapting.load_rows(0, result.ntuples, tuple)
        return rows

    def _execute(self, statement: bytes, values: Sequence[Any], answer: Format) -> Rows:
        memory = self._remembered()
        dumped, types, formats = _dumped(memory.adapting, values)
        name = memory.prepared.get((statement, types))
        if name is None and _is_worth_keeping(memory, statement):
            name = b"f%d" % next(memory.names)
            self._checked(self.pgconn.prepare(name, statement, types))
            memory.prepared[statement, types] = name
        if name is None:
            result = self.pgconn.exec_params(statement, dumped, types, formats, answer)
        else:
            result = self.pgconn.exec_prepared(name, dumped, formats, answer)
        return Rows(self, self._checked(result))

    def _send(self, statement: bytes, values: Sequence[Any], answer: Format) -> Rows:
        memory = self._remembered()
        dumped, types, formats = _dumped(memory.adapting, values)
        name = memory.prepared.get((statement, types))
        if name is None and _is_worth_keeping(memory, statement):
            name = b"f%d" % next(memory.names)
            self.pgconn.send_prepare(name, statement, types)
            memory.sent.append(_Sent(prepares=(statement, types)))
            memory.prepared[statement, types] = name
        rows = Rows(self)
        if name is None:
            self.pgconn.send_query_params(statement, dumped, types, formats, answer)
        else:
            self.pgconn.send_query_prepared(name, dumped, formats, answer)
        memory.sent.append(_Sent(rows=rows))
        return rows

    def _checked(self, result: PGresult) -> PGresult:
        if result.status not in _FINE:
            raise self._error(result)
        return result

    def _error(self, result: PGresult) -> psycopg.Error:
        """What went wrong; a connection that was lost is told as psycopg tells it, whoever noticed it."""
        error = errors.error_from_result(result, encoding=self.info.encoding)
        # An error without a code is libpq's own, which may have failed to write before it calls a line dead.
        is_lost = error.sqlstate is None or self.pgconn.status == ConnStatus.BAD
        if is_lost and not isinstance(error, psycopg.OperationalError):
            return psycopg.OperationalError(str(error))
        return error

    def _remembered(self) -> _Memory:
        if self._memory is None:
            waiting = select.poll()
            waiting.register(self.pgconn.socket, select.POLLIN)
            self._memory = _Memory(Transformer(self), waiting)
        return self._memory


def _is_worth_keeping(memory: _Memory, statement: bytes) -> bool:
    return len(memory.prepared) < _MOST_PREPARED and len(statement) < _MOST_BYTES_OF_A_STATEMENT


def _dumped(
    adapting: Any, values: Sequence[Any]
) -> tuple[Sequence[Any] | None, tuple[int, ...], list[Format] | None]:
    """The parameters as libpq takes them, with their types and formats."""
    if not values:
        return None, (), None
    arrays = _arrays(values) if list in map(type, values) else None
    if not arrays:
        dumped = adapting.dump_sequence(values, [PyFormat.AUTO] * len(values))
        return dumped, tuple(adapting.types or ()), adapting.formats
    others = [None if place in arrays else value for place, value in enumerate(values)]
    dumped = list(adapting.dump_sequence(others, [PyFormat.AUTO] * len(others)))
    types, formats = list(adapting.types), list(adapting.formats)
    for place, array in arrays.items():
        dumped[place], types[place] = array.content, array.type
        formats[place] = Format.BINARY if array.is_raw else Format.TEXT
    return dumped, tuple(types), formats


def _arrays(values: Sequence[Any]) -> dict[int, Array]:
    """Those of the parameters that are arrays which we write ourselves, by their place."""
    lists = ((place, value) for place, value in enumerate(values) if type(value) is list)
    return {place: array for place, value in lists if (array := as_array(value)) is not None}


def _bound(query: str | bytes, params: Any) -> tuple[bytes, Sequence[Any]]:
    """The statement as the server takes it, and the values of its placeholders in order."""
    if params is None:
        return query if isinstance(query, bytes) else query.encode(), ()
    statement, names = _converted(query)
    if isinstance(params, Mapping):
        return statement, [params[name] for name in names]
    if len(params) != len(names):
        raise psycopg.ProgrammingError(
            f"the query has {len(names)} placeholders but {len(params)} parameters were passed"
        )
    return statement, list(params)


@lru_cache(maxsize=1024)
def _converted(query: str | bytes) -> tuple[bytes, tuple[str, ...]]:
    """`%(name)s` and `%s` as `$1`, `$2`, ...; a name that stands twice is one parameter."""
    places: dict[str, int] = {}

    def place(found: re.Match[bytes]) -> bytes:
        if found[4]:
            return b"%"
        if (found[2] or found[3]) != b"s":
            raise psycopg.ProgrammingError("only %s placeholders are known here")
        name = found[1].decode() if found[1] else str(len(places))
        return b"$%d" % places.setdefault(name, len(places) + 1)

    text = query if isinstance(query, bytes) else query.encode()
    return _PLACEHOLDER.sub(place, text), tuple(places)
