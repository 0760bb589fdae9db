"""Where a practice portal is told of changes: a real HTTPS server that believes nothing it has not verified.

It knows the bus by its public keys only. A delivery that is not signed by one of them over exactly this body
and address is refused; one that was seen before is taken again and counted once; one that overtook an earlier
one of its application is noted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)
from joserfc.jwk import OKPKey

from foundation.tls import LocalAuthority
from sandbox.web_server import WebServer

HOST = "localhost"
PATH = "/hooks/lintas"
CONTENT_TYPE = "application/cloudevents+json"
SIGNATURE_TAG = "lintas-webhook"
MUST_BE_SIGNED = ("@method", "@target-uri", "content-type", "content-digest")
_LONGEST_BODY = 64 * 1024


@dataclass(frozen=True)
class ReceivedNotice:
    """A notice that was verified, as the portal keeps it."""

    event: Mapping[str, Any] = field(repr=False)
    received_at: float

    @property
    def event_id(self) -> str:
        """What repeated deliveries have in common."""
        return str(self.event["id"])

    @property
    def data(self) -> Mapping[str, Any]:
        """What it says."""
        found: Mapping[str, Any] = self.event["data"]
        return found


@dataclass(frozen=True)
class _Request:
    url: str
    headers: Mapping[str, str]
    method: str


class WebhookReceiver:
    """Receives notices for one portal.

    Args:
        authority: Issues its certificate.
        bus_keys: Gives the bus's public keys, as JWK; asked again when a key is not known.
        name: Name of the certificate.
    """

    def __init__(
        self,
        authority: LocalAuthority,
        bus_keys: Callable[[], Sequence[Mapping[str, Any]]],
        name: str = "portal-webhook",
    ) -> None:
        self.authority = authority
        self.notices: list[ReceivedNotice] = []
        self.deliveries: list[str] = []
        self.refused: list[str] = []
        self.overtaken: list[str] = []
        self.answers: deque[int | tuple[int, Mapping[str, str]]] = deque()
        """Statuses to answer with, one delivery each, before anything is taken again; for practice."""
        self.failing_at: set[str] = set()
        """Applications at which this portal fails (500); for practice."""
        self._bus_keys = bus_keys
        self._public_keys: dict[str, Any] = {}
        self._last: dict[str, int] = {}
        self._seen: set[str] = set()
        self._changed = threading.Condition()
        certificate, key = authority.issue(name, [HOST, "127.0.0.1"])

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await self._serve(scope, receive, send)

        self._server = WebServer(application, certificate, key)

    @property
    def url(self) -> str:
        """The address to register."""
        return f"https://{HOST}:{self._server.port}{PATH}"

    def start(self, port: int = 0) -> None:
        """Listen; at the same port as before when it did so before."""
        self._server.start(port)

    def stop(self) -> None:
        """Be unreachable; what was received is kept."""
        self._server.stop()

    def wait_for(self, count: int, timeout: float = 10.0) -> list[ReceivedNotice]:
        """Wait until so many different notices have come.

        Raises:
            TimeoutError: When they have not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.notices) >= count, timeout):
                raise TimeoutError(f"{len(self.notices)} of {count} notices came")
            return list(self.notices)

    async def _serve(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":  # the sender is gone, and with it the rest of the body
                return
            body += message.get("body", b"")
            if not message.get("more_body") or len(body) > _LONGEST_BODY:
                break
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        status, further = self._take(scope["method"], scope["path"], headers, body)
        named = [(name.encode(), value.encode()) for name, value in further.items()]
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": b""})

    def _take(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str]]:
        problem = self._problem(method, path, headers, body)
        with self._changed:
            if problem is not None:
                self.refused.append(problem)
                return 400, {}
            event = orjson.loads(body)
            self.deliveries.append(str(event["id"]))
            if self.answers:
                told = self.answers.popleft()
                return told if isinstance(told, tuple) else (told, {})
            if event["data"]["application"] in self.failing_at:
                return 500, {}
            self._note(event)
            self._changed.notify_all()
        return 204, {}

    def _note(self, event: Mapping[str, Any]) -> None:
        if event["id"] in self._seen:
            return
        self._seen.add(event["id"])
        line, number = str(event["data"]["application"] or event["data"]["origin"]), event["data"]["number"]
        if number < self._last.get(line, 0):
            self.overtaken.append(event["id"])
        self._last[line] = max(number, self._last.get(line, 0))
        self.notices.append(ReceivedNotice(event, time.time()))

    def _problem(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> str | None:
        if (method, path) != ("POST", PATH):
            return "another address"
        if headers.get("content-type") != CONTENT_TYPE:
            return "another content type"
        if not self._is_signed(_Request(self.url, headers, method), body):
            return "no valid signature of the bus"
        try:
            event = orjson.loads(body)
            is_event = event["specversion"] == "1.0" and event["id"] and event["data"]["number"] > 0
        except (orjson.JSONDecodeError, KeyError, TypeError):
            is_event = False
        return None if is_event else "no event"

    def _is_signed(self, request: _Request, body: bytes) -> bool:
        for _ in range(2):
            keys = MappingKeyResolver(public_keys=self._public_keys, private_keys={})
            verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=keys)
            try:
                verifier.verify(
                    request,
                    max_age=timedelta(minutes=5),
                    expect_tag=SIGNATURE_TAG,
                    require_components=MUST_BE_SIGNED,
                    body=body,
                )
                return True
            except HTTPMessageSignaturesException:
                known = {str(key["kid"]): OKPKey.import_key(dict(key)).public_key for key in self._bus_keys()}
                if known.keys() == self._public_keys.keys():
                    return False
                self._public_keys = known  # a key may have been rolled
        return False
