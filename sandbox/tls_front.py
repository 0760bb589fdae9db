"""A TLS front for a PostgreSQL that speaks only on its unix socket.

The embedded server is built without OpenSSL. This front ends TLS for it, with direct negotiation (ALPN
``postgresql``, as libpq 17 and later speak it), so that clients can insist on ``sslmode=verify-full``.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

from sandbox.access_log import AccessLog
from sandbox.background import BackgroundLoop

_CHUNK = 256 * 1024
_ALPN = "postgresql"


class TlsFront:
    """Listens on a port of loopback and carries each connection to a unix socket."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        socket: Path,
        *,
        host: str = "127.0.0.1",
        served: AccessLog | None = None,
    ) -> None:
        self._served = served
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(certificate, key)
        self._context.set_alpn_protocols([_ALPN])
        self._socket = socket
        self._host = host
        self._loop = BackgroundLoop("civil-registry-tls")
        self._server: asyncio.Server | None = None
        self._port = 0
        self._links: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    def start(self, port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        self._loop.start()
        self._server = self._loop.run(
            asyncio.start_server(self._accept, self._host, port, ssl=self._context, limit=_CHUNK)
        )
        self._port = int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stop listening and cut every connection; the port stays known, to be taken again."""
        if self._server is not None:
            self._loop.run(self._shut())
            self._server = None
            self._loop.stop()

    def cut_connections(self) -> None:
        """Cut what is open, as a failing line does; new connections are welcome."""
        if self._server is not None:
            self._loop.run(self._cut())

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 5)

    async def _cut(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            if writer.get_extra_info("ssl_object").selected_alpn_protocol() == _ALPN:
                await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._served is not None:
            self._served.note("*", "session")
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._socket), limit=_CHUNK)
        try:
            ways = [
                asyncio.create_task(_pump(reader, inner_writer)),
                asyncio.create_task(_pump(inner_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            inner_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
