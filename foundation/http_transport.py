"""The wire: connections go to checked addresses only, and every read and write knows the deadline."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from foundation.http_policy import AddressPolicy

__all__ = ["GuardedTransport", "deadline_scope", "present_deadline"]

_DEADLINE: ContextVar[float | None] = ContextVar("lintas_http_deadline", default=None)


@contextmanager
def deadline_scope(ends_at: float) -> Iterator[None]:
    """Let every read and write in the block end by a moment of the monotonic clock."""
    token = _DEADLINE.set(ends_at)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def present_deadline() -> float | None:
    """The moment by which the block that runs now must end; None outside of any."""
    return _DEADLINE.get()


class GuardedTransport(httpx.HTTPTransport):
    """httpx's transport over a pool whose connections pass an :class:`AddressPolicy`."""

    def __init__(self, context: ssl.SSLContext, addresses: AddressPolicy, connections: int) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30.0,
            network_backend=_GuardedBackend(addresses),
        )


class _GuardedBackend(httpcore.NetworkBackend):
    def __init__(self, addresses: AddressPolicy) -> None:
        self._addresses = addresses
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception | None = None
        for address in self._addresses.resolve(host, port):
            try:
                stream = self._backend.connect_tcp(
                    address, port, _remaining(timeout), local_address, socket_options
                )
                return _DeadlineStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _DeadlineStream(httpcore.NetworkStream):
    """A stream that a peer cannot keep alive beyond the deadline by sending a byte now and then."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _remaining(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _remaining(timeout: float | None) -> float | None:
    ends_at = _DEADLINE.get()
    if ends_at is None:
        return timeout
    left = ends_at - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("deadline")
    return left if timeout is None else min(timeout, left)
