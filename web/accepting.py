"""Connections are spread evenly over the processes that serve: whoever holds more lets the others go first.

The kernel wakes everybody who listens, and the quickest takes what waits: of sixteen connections of a portal
one of two processes then holds up to twelve, and their questions wait for each other. Here a process that
holds more than another looks away for a moment. What nobody takes meanwhile, it takes all the same, so a
process that is dead or busy holds up nobody for longer than `MOST_WAITING_SECONDS`.
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import select
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from foundation import telemetry

__all__ = ["MOST_WAITING_SECONDS", "TALLY_FILE", "EvenLoop", "Tally"]

TALLY_FILE = "LINTAS_API_TALLY_OF_WORKERS"
"""The variable that names the file of the tally to the processes; without it each serves as it can."""
MOST_WAITING_SECONDS = 0.02
"""How long a connection is left to the others at the most."""
_PAUSE_SECONDS = 0.002
_OUT_OF_FILES_SECONDS = 1.0
_PLACES, _COUNT_BYTES = 64, 8
_NOBODY = 2**62
_LEFT = 2**61
"""From here on a count says that nobody takes connections there, whatever is still counted off."""

log = telemetry.logger(__name__)


class Tally:
    """How many connections each process holds, in memory that all of them share.

    A process has a place as long as it lives: its lock ends with it, whatever ends it.

    Args:
        file: Made by `make`.

    Raises:
        OSError: The file cannot be read, or all its places are taken.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), 0)
        self._counts = memoryview(self._memory).cast("q")
        self._mine = self._take_place()
        self._counts[self._mine] = 0

    @staticmethod
    def make(file: Path) -> None:
        """Make the file of a tally, nobody having a place in it."""
        file.write_bytes(_NOBODY.to_bytes(_COUNT_BYTES, sys.byteorder) * _PLACES)

    @property
    def counts(self) -> list[int]:
        """What each process holds that takes connections."""
        return [count for count in self._counts if count < _LEFT]

    @property
    def another_has_fewer(self) -> bool:
        """Whether the next connection is another's."""
        return self._counts[self._mine] > min(self._counts)

    def add(self, number: int) -> None:
        """Count connections of this process that came, or went."""
        self._counts[self._mine] += number

    def leave(self) -> None:
        """This process takes no more: nobody is to wait for it."""
        self._counts[self._mine] = _NOBODY

    def close(self) -> None:
        """Give up the place and the memory; nothing may be counted any more."""
        self.leave()
        self._counts.release()
        self._memory.close()
        self._file.close()

    def _take_place(self) -> int:
        """The first place that is free; whoever died in another is counted no more."""
        free = [place for place in range(len(self._counts)) if self._lock(place)]
        if not free:
            raise OSError(f"all {len(self._counts)} places of the tally are taken")
        for place in free[1:]:
            self._counts[place] = _NOBODY
            fcntl.lockf(self._file, fcntl.LOCK_UN, _COUNT_BYTES, place * _COUNT_BYTES)
        return free[0]

    def _lock(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, _COUNT_BYTES, place * _COUNT_BYTES)
        except OSError:
            return False
        return True


class EvenLoop(uvloop.Loop):
    """uvloop, on which processes that share a socket and a tally take connections by turns."""

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """As uvloop does it, unless a tally was named and a socket given.

        There a protocol is to have `gone`, an `asyncio.Event`, and to set it when its connection is lost.
        """
        file, listening = os.environ.get(TALLY_FILE), options.get("sock")
        if file is None or listening is None:
            return await super().create_server(*arguments, **options)
        try:
            tally = Tally(Path(file))
        except OSError as error:
            log.warning("connections_taken_unevenly", error=type(error).__name__)
            return await super().create_server(*arguments, **options)
        listening.setblocking(False)
        listening.listen(options.get("backlog", 100))
        return _Acceptor(self, arguments[0], listening, options.get("ssl"), tally)


class _Acceptor:
    """Takes connections from a listening socket; it is what uvicorn needs of an `asyncio.Server`."""

    def __init__(
        self,
        loop: uvloop.Loop,
        protocol: Callable[[], Any],
        listening: socket.socket,
        tls: ssl.SSLContext | None,
        tally: Tally,
    ) -> None:
        self.sockets = (listening,)
        self._loop = loop
        self._protocol = protocol
        self._listening = listening
        self._tls = tls
        self._tally = tally
        self._connections: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Take no more; what was taken goes on."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._tally.leave()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for: uvicorn waits for its connections itself."""

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._look, 0.0)

    def _look(self, left_alone: float) -> None:
        """A connection waits, and was left to others for so many seconds."""
        if self._tally.another_has_fewer and left_alone < MOST_WAITING_SECONDS:
            self._look_away(_PAUSE_SECONDS, left_alone + _PAUSE_SECONDS)
            return
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass  # another took it, or the caller gave up
        except OSError as error:
            log.error("connections_not_taken", error=type(error).__name__, errno=error.errno)
            self._look_away(_OUT_OF_FILES_SECONDS, 0.0)
            return
        else:
            serving = self._loop.create_task(self._serve(connection))
            self._connections.add(serving)
            serving.add_done_callback(self._connections.discard)
        if self._pause is not None:
            self._watch()

    def _look_away(self, seconds: float, left_alone: float) -> None:
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(seconds, self._look_again, left_alone)

    def _look_again(self, left_alone: float) -> None:
        waiting = select.poll()
        waiting.register(self._listening, select.POLLIN)
        if waiting.poll(0):
            self._look(left_alone)
        else:
            self._watch()

    async def _serve(self, connection: socket.socket) -> None:
        """One connection from its handshake to its end."""
        connection.setblocking(False)
        self._tally.add(1)
        protocol = self._protocol()
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
            await protocol.gone.wait()
        except OSError:
            pass  # no handshake, or the caller left within it: uvloop's own servers are silent, too
        finally:
            self._tally.add(-1)
