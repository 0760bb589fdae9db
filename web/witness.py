"""A witness over HTTP (C2SP tlog-witness): `POST /add-checkpoint`, and what it saw last for everybody.

| request | answer |
|---|---|
| `POST /add-checkpoint` | 200 with cosignatures; 400, 403, 404, 409, 422 as tlog-witness says; 413, 503 |
| `GET /checkpoint/<SHA-256 of the origin, hex>` | the newest checkpoint that was cosigned |
| `GET /health` | 200 |

It needs no database and no settings of the bus: only its own folder.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import WitnessUnfit
from audit.witnesses.folder import WitnessFolder
from audit.witnesses.witness import MAXIMUM_REQUEST_BYTES, Reply, Witness
from foundation.tls import LocalAuthority

if TYPE_CHECKING:
    from uvicorn import Config

__all__ = ["WitnessApp", "configured", "serve"]

_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_MOST_AT_ONCE = 64


class _TooLarge(Exception):  # noqa: N818
    """The body is longer than any request of the protocol."""


class WitnessApp:
    """The ASGI application of one witness."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def __call__(self, scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        reply = await self._reply(scope["method"], scope["path"], receive)
        body = reply.body.encode()
        headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _reply(self, method: str, path: str, receive: _Receive) -> Reply:
        if path == "/add-checkpoint":
            return await self._add(receive) if method == "POST" else Reply(405, "Use POST.\n")
        if method not in ("GET", "HEAD"):
            return Reply(405 if path == "/health" else 404, "There is nothing to write here.\n")
        if path == "/health":
            return Reply(200, "well\n")
        if path.startswith("/checkpoint/"):
            try:
                return await asyncio.to_thread(self._witness.newest, path.removeprefix("/checkpoint/"))
            except WitnessUnfit:
                return Reply(503, "The witness cannot answer now.\n")
        return Reply(404, "There is nothing here.\n")

    async def _add(self, receive: _Receive) -> Reply:
        try:
            body = await _body(receive)
        except _TooLarge:
            return Reply(413, "The request is too large.\n")
        return await asyncio.to_thread(self._witness.add_checkpoint, body)


def serve(path: Path) -> None:
    """Serve the witness of a folder until a signal ends it.

    Raises:
        WitnessUnfit: when the folder cannot be used, or it would be reached from afar without TLS.
    """
    import uvicorn

    uvicorn.Server(configured(WitnessFolder(path))).run()


def configured(folder: WitnessFolder) -> Config:
    """The uvicorn configuration of a witness; TLS where the folder `tls` has an authority.

    Raises:
        WitnessUnfit: when the folder cannot be used, or it would be reached from afar without TLS.
    """
    import uvicorn

    from web.protocol import BoundedProtocol

    host, port = folder.address()
    names = folder.tls_hosts()
    if not names and host not in _LOOPBACK:
        raise WitnessUnfit(
            f"The witness would listen on {host} without TLS.",
            remedy="Make it with --tls-host NAME, or let it listen on 127.0.0.1 behind a proxy.",
        )
    certificate, key = _certificate(folder, names) if names else (None, None)
    logging.getLogger("uvicorn.access").disabled = True
    return uvicorn.Config(
        WitnessApp(Witness(folder)),
        host=host,
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        timeout_keep_alive=60,
        timeout_graceful_shutdown=5,
        limit_concurrency=_MOST_AT_ONCE,
        h11_max_incomplete_event_size=16 * 1024,
    )


def _certificate(folder: WitnessFolder, names: list[str]) -> tuple[Path, Path]:
    """Renewed at a start, a month before it ends; it also covers loopback, where health is asked."""
    hosts = sorted({*names, "localhost", "127.0.0.1"})
    return LocalAuthority(folder.path / "tls").issue("witness", hosts)


async def _body(receive: _Receive) -> bytes:
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the caller is gone; nobody reads the answer
        part = message.get("body", b"")
        length += len(part)
        if length > MAXIMUM_REQUEST_BYTES:
            raise _TooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
