"""The only place that talks HTTP to other systems (and the only importer of httpx).

A call passes, in this order: the circuit breaker, the rate limit, the address policy, TLS that is always
verified, the timeouts and one deadline for everything, the body limit. What fails leaves as one of
:mod:`foundation.http_errors`; what may be repeated is repeated with jittered back-off.

Redirects are not followed, environment proxies are not used, and no URL query, header or body
reaches a log or an error.
"""

from __future__ import annotations

import json as jsonlib
import logging
import re
import threading
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import stamina

from foundation.errors import LintasError, RetryLater
from foundation.http_body import ACCEPTED_ENCODINGS, read_body
from foundation.http_credentials import (
    BasicCredentials,
    Credentials,
    HeaderCredentials,
    OAuth2ClientCredentials,
)
from foundation.http_errors import (
    AccessRefused,
    AddressRefused,
    AgencyFailing,
    AgencyTooSlow,
    AgencyUnreachable,
    BodyCut,
    BodyTooLarge,
    CircuitOpen,
    LoginRefused,
    NotFoundAtSource,
    QuotaSpent,
    RateLimited,
    RedirectRefused,
    RequestRefused,
    TlsRefused,
    UnexpectedContent,
)
from foundation.http_mapping import mapped, refusal, too_slow
from foundation.http_pacing import CircuitBreaker, Pacer, RateLimit
from foundation.http_policy import AddressPolicy, Limits, RetryPolicy, Timeouts, TlsPolicy
from foundation.http_transport import GuardedTransport, deadline_scope, present_deadline

__all__ = [
    "AccessRefused",
    "AddressPolicy",
    "AddressRefused",
    "AgencyFailing",
    "AgencyTooSlow",
    "AgencyUnreachable",
    "BasicCredentials",
    "BodyCut",
    "BodyTooLarge",
    "CircuitBreaker",
    "CircuitOpen",
    "Credentials",
    "HeaderCredentials",
    "HttpClient",
    "HttpResponse",
    "Limits",
    "LoginRefused",
    "NotFoundAtSource",
    "OAuth2ClientCredentials",
    "QuotaSpent",
    "RateLimit",
    "RateLimited",
    "RedirectRefused",
    "RequestRefused",
    "RetryPolicy",
    "Timeouts",
    "TlsPolicy",
    "TlsRefused",
    "UnexpectedContent",
]

# httpx logs whole URLs, and a URL of an agency's own API may hold an identifier.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

_SUCCESS = range(200, 300)
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_LONG_NUMBER = re.compile(r"\d{6,}")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete reply."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    endpoint: str = ""

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            UnexpectedContent: When it is something else, such as an HTML page.
            BodyCut: When it is JSON that ends too early.
        """
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise self._not_json(error) from None

    def _not_json(self, error: Exception) -> LintasError:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        begin = self.body.lstrip()[:1]
        facts: dict[str, Any] = {"endpoint": self.endpoint, "status": self.status, "content_type": kind}
        if begin in (b"{", b"[") and _ends_too_early(self.body, error):
            return BodyCut(
                f"The JSON from {self.endpoint} ends too early", remedy="The page is asked for again", **facts
            )
        found = "an HTML page" if begin == b"<" or "html" in kind else "something that is not JSON"
        return UnexpectedContent(
            f"{self.endpoint} answered {found} instead of JSON",
            why="often a login or error page of a proxy in between",
            remedy="Check the address, and ask the agency what stands in front of its system",
            **facts,
        )


class HttpClient:
    """Calls one system (or several with the same rules). Thread-safe; close it after use.

    Args:
        addresses: Which addresses may be called.
        system: Name of the called system, for errors.
        tls: Whom to trust and who we are.
        timeouts: How long a call may take.
        limits: What a reply may cost.
        retry: How often a call is repeated.
        rate: What rate was agreed.
        breaker: Shared circuit breaker (default: one for this client).
        credentials: What proves who we are.
    """

    def __init__(
        self,
        addresses: AddressPolicy,
        *,
        system: str = "the system",
        tls: TlsPolicy | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        rate: RateLimit | None = None,
        breaker: CircuitBreaker | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.addresses = addresses
        self.system = system
        self.timeouts = timeouts or Timeouts()
        self.limits = limits or Limits()
        self.retry = retry or RetryPolicy()
        self.credentials = credentials
        self._breaker = breaker or CircuitBreaker()
        self._pacer = Pacer(rate or RateLimit())
        self._client: httpx.Client | None = None
        self._tls = tls or TlsPolicy()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def get_json(self, url: str, params: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """GET a JSON document; options as in :meth:`request`."""
        return self.request_json("GET", url, params=params, **options)

    def request_json(self, method: str, url: str, **options: Any) -> Any:
        """Send a request whose reply must be JSON; a cut document counts as a failed attempt."""
        reply = self.request(method, url, as_json=True, **options)
        return reply.json()

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = _SUCCESS,
        idempotent: bool | None = None,
        deadline: float | None = None,
        anonymous: bool = False,
        as_json: bool = False,
    ) -> HttpResponse:
        """Send a request and return the complete reply.

        Args:
            method: HTTP method.
            url: Address, on the allow-list.
            params: Query parameters (never personal data).
            json: Body as JSON.
            form: Body as a form.
            content: Body as bytes.
            headers: Further headers.
            accept: Status codes that are answers; every other one is an error.
            idempotent: Whether a repetition is harmless (default: by the method).
            deadline: Seconds for everything, repetitions included (default: ``timeouts.total``).
            anonymous: Leave out the client's credentials.
            as_json: Check that the body is whole JSON within each attempt.

        Raises:
            LintasError: One of :mod:`foundation.http_errors`.
        """
        repeatable = method.upper() in _REPEATABLE if idempotent is None else idempotent
        request = _Request(
            method.upper(), url, params, json, form, content, dict(headers or {}), accept, anonymous, as_json
        )
        ends_at = time.monotonic() + (self.timeouts.total if deadline is None else deadline)
        ends_at = min(ends_at, present_deadline() or ends_at)  # a token is fetched within its caller's time

        failures: list[Exception] = []

        def back_off(error: Exception) -> bool | float:
            if isinstance(error, CircuitOpen) and failures:
                raise failures[
                    -1
                ] from None  # it says what is wrong; that the circuit is open follows from it
            failures.append(error)
            return self._pause(error, repeatable, ends_at)

        for attempt in stamina.retry_context(
            on=back_off,
            attempts=self.retry.attempts,
            timeout=None,
            wait_initial=self.retry.first_wait,
            wait_max=self.retry.longest_wait,
            wait_jitter=self.retry.jitter,
        ):
            with attempt:
                return self._attempt(request, ends_at)
        raise AssertionError("unreachable: stamina returns or raises")  # pragma: no cover

    def _pause(self, error: Exception, repeatable: bool, ends_at: float) -> bool | float:
        """Decide whether (and after which pause) a failed attempt is repeated."""
        if not isinstance(error, RetryLater) or isinstance(error, CircuitOpen | QuotaSpent):
            return False
        never_sent = bool(error.attributes.get("never_sent"))
        if not (repeatable or never_sent or isinstance(error, RateLimited)):
            return False
        pause = error.retry_after
        if pause is None:
            return time.monotonic() < ends_at
        return pause if pause <= self.retry.longest_pause and time.monotonic() + pause < ends_at else False

    def _attempt(self, request: _Request, ends_at: float) -> HttpResponse:
        with deadline_scope(ends_at):
            ours = self._our_headers(request)
        reply = self._ask(request, ours, ends_at)
        if reply.status == 401 and ours and self.credentials and self.credentials.renew(ours):
            with deadline_scope(ends_at):
                ours = self._our_headers(request)
            reply = self._ask(request, ours, ends_at)
        if reply.status not in request.accept:
            raise refusal(reply.status, reply.headers, reply.endpoint)
        if request.as_json:
            reply.json()
        return reply

    def _our_headers(self, request: _Request) -> dict[str, str]:
        """Return what proves who we are; fetching a token is a call of its own, guarded like any other."""
        return {} if request.anonymous or self.credentials is None else self.credentials.headers()

    def _ask(self, request: _Request, ours: Mapping[str, str], ends_at: float) -> HttpResponse:
        self._breaker.before_call(self.system)
        self._pacer.take(max(0.0, ends_at - time.monotonic()))
        try:
            reply = self._send(request, ours, ends_at)
        except (AgencyUnreachable, AgencyTooSlow):
            self._breaker.failed()
            raise
        if reply.status >= 500:
            self._breaker.failed()
        else:
            self._breaker.succeeded()
        return reply

    def _send(self, request: _Request, ours: Mapping[str, str], ends_at: float) -> HttpResponse:
        left = ends_at - time.monotonic()
        if left <= 0:
            raise too_slow(request.endpoint)
        timeout = httpx.Timeout(min(self.timeouts.read, left), connect=min(self.timeouts.connect, left))
        with mapped(request.endpoint), deadline_scope(ends_at):
            url = httpx.URL(request.url)
            port = url.port or (443 if url.scheme == "https" else 80)
            self.addresses.check(url.scheme, url.host, port)
            with self._open().stream(
                request.method,
                url,
                params=request.params,
                json=request.json,
                data=request.form,
                content=request.content,
                headers={**request.headers, **ours},
                timeout=timeout,
            ) as reply:
                limit = self.limits.body_bytes
                body = read_body(reply, request.endpoint, limit=limit, ends_at=ends_at)
                headers = {name.lower(): value for name, value in reply.headers.items()}
                return HttpResponse(reply.status_code, headers, body, request.endpoint)

    def _open(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                transport = GuardedTransport(self._tls.context(), self.addresses, self.limits.connections)
                self._client = httpx.Client(
                    transport=transport,
                    follow_redirects=False,
                    trust_env=False,
                    headers={
                        "User-Agent": "lintas",
                        "Accept": "application/json, */*;q=0.1",
                        "Accept-Encoding": ACCEPTED_ENCODINGS,
                    },
                )
            return self._client


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str = field(repr=False)
    params: Mapping[str, Any] | None = field(repr=False)
    json: Any = field(repr=False)
    form: Mapping[str, str] | None = field(repr=False)
    content: bytes | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    accept: Container[int]
    anonymous: bool
    as_json: bool

    @property
    def endpoint(self) -> str:
        """The address as errors may show it: no query, no long numbers."""
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL:
            return "an invalid address"
        port = f":{url.port}" if url.port else ""
        return f"{url.scheme}://{url.host}{port}{_LONG_NUMBER.sub('…', url.path)}"


def _ends_too_early(body: bytes, error: Exception) -> bool:
    """Whether a JSON document is cut: all that is wrong with it is that it stops."""
    if isinstance(error, UnicodeDecodeError):
        return error.end >= len(body)
    if not isinstance(error, jsonlib.JSONDecodeError):
        return False
    rest = error.doc[error.pos :].strip()
    in_text = error.msg.startswith("Unterminated string") or ("escape" in error.msg and len(rest) < 6)
    return in_text or any(literal.startswith(rest) for literal in ("true", "false", "null", "-"))
