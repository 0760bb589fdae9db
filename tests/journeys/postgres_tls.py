"""TLS for the embedded PostgreSQL as PostgreSQL negotiates it, for clients that ask before they encrypt.

The embedded server is built without OpenSSL; the server of a deployment is not.
"""

import asyncio
import struct
from contextlib import suppress

from sandbox.tls_front import TlsFront

_SSL, _GSS = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)


class NegotiatedTlsFront(TlsFront):
    """Answers a request for TLS with `S`, and only then begins it; who does not ask is cut off."""

    def start(self, port: int = 0) -> None:
        self._loop.start()
        self._server = self._loop.run(asyncio.start_server(self._accept, self._host, port, limit=2**18))
        self._port = int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            while (asked := await reader.readexactly(8)) == _GSS:
                writer.write(b"N")
            if asked == _SSL:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(self._context)
                await self._carry(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            with suppress(RuntimeError):
                writer.transport.abort()
