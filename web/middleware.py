"""What every request passes: an id, a size limit, security headers, and an access log without personal data.

The access log knows the route by its template (`/v1/verifications/{answer_id}`), never the path that was
sent, so that whatever somebody writes into a URL is not kept.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation import telemetry
from foundation.errors import LintasError
from web.problems import Problem, internal_error, problem_of

log = telemetry.logger(__name__)

MOST_BODY_BYTES = 64 * 1024

_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"interest-cohort=()"),
]
_STRICT_CONTENT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_PAGE_CONTENT = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
)


class _TooLarge(BaseException):
    """The body went over the limit while it was read; the framework turns any Exception here into a 400."""


class Guard:
    """The outermost layer of the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["lintas.request_id"] = secrets.token_hex(8)
        started = time.perf_counter()
        reply = _Reply(scope, send)
        try:
            await self._serve(scope, receive, reply)
        finally:
            _write_access_log(scope, reply, time.perf_counter() - started)

    async def _serve(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        if _declared_length(scope) > MOST_BODY_BYTES:
            await _refuse(_too_large(), scope, receive, reply)
            return
        try:
            await self._app(scope, _Limited(receive), reply)
        except _TooLarge:
            await _refuse(_too_large(), scope, receive, reply)
        except LintasError as error:
            await _refuse(problem_of(error), scope, receive, reply)
        except Exception as error:
            log.error("request_failed", request_id=scope["lintas.request_id"], error=type(error).__name__)
            await _refuse(internal_error(), scope, receive, reply)


class _Limited:
    """Receives a body up to the limit, whatever length was declared."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > MOST_BODY_BYTES:
            raise _TooLarge
        return message


class _Reply:
    """Adds the headers that every reply has, and remembers the status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(message)
        await self._send(message)

    def _add_headers(self, message: MutableMapping[str, Any]) -> None:
        headers = list(message.get("headers", []))
        present = {name.lower() for name, _ in headers}
        html = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
        headers += [*_SECURITY_HEADERS, _PAGE_CONTENT if html else _STRICT_CONTENT]
        headers.append((b"x-request-id", self._scope["lintas.request_id"].encode()))
        if b"cache-control" not in present:
            headers.append((b"cache-control", b"no-store"))
        headers += self._scope.get("lintas.headers", [])
        message["headers"] = headers


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else MOST_BODY_BYTES + 1
    return 0


def _too_large() -> Problem:
    return Problem(
        "body-too-large",
        413,
        "The body is too large",
        remedy=f"Send at most {MOST_BODY_BYTES // 1024} KiB.",
        headers={"Connection": "close"},
    )


async def _refuse(problem: Problem, scope: Scope, receive: Receive, reply: _Reply) -> None:
    if reply.status:  # the reply has begun: nothing else can be said any more
        return
    await problem.response(Request(scope))(scope, receive, reply)


def _write_access_log(scope: Scope, reply: _Reply, seconds: float) -> None:
    """One line a request, of facts of our own: a template, a registered client, numbers."""
    route = scope.get("route")
    telemetry.write_line(
        "web.access",
        "request",
        request_id=scope["lintas.request_id"],
        method=scope["method"] if scope["method"] in _METHODS else "other",
        route=getattr(route, "path", None) or "none",
        status=reply.status,
        milliseconds=round(seconds * 1000, 1),
        client=scope.get("lintas.client"),
    )


_METHODS = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}
