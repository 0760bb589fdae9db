"""HTTP as uvicorn speaks it, with an end to how much and how long a request may be before it is one.

uvicorn's parser keeps every header that it is sent, and waits for the next one for ever; a caller that nobody
knows must not be able to fill the memory or the connections of the API with that.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["LONGEST_REQUEST_SECONDS", "MOST_HEAD_BYTES", "BoundedProtocol"]

MOST_HEAD_BYTES = 32 * 1024
"""What a request may say before its body; checked with every piece that arrives."""
LONGEST_REQUEST_SECONDS = 30.0
"""How long a request may take to arrive, head and body."""
_LINGER_SECONDS = 0.5


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request is too long in bytes (status 431) or in time."""

    longest_seconds = LONGEST_REQUEST_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_body = self._got_on = False
        self._unfinished = 0
        self._timer: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self.gone.set()
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request, unless its head has become too long."""
        if self.transport.is_closing():
            return
        self._got_on = self._in_body
        super().data_received(data)
        self._unfinished = 0 if self._got_on else self._unfinished + len(data)
        if self._unfinished > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._in_body = self._got_on = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """It is whole."""
        self._stop_waiting()
        self._in_body = False
        super().on_message_complete()

    def _refuse(self) -> None:
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )
        self.transport.close()
        self._wait(_LINGER_SECONDS)  # whoever goes on sending is cut off

    def _wait(self, seconds: float | None = None) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds or self.longest_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
