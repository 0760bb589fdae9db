"""What one API process holds open, and the way every authenticated request takes through it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import Request

from foundation import clock
from verification.answering_together import answer_together
from verification.asked import Asked, asked
from verification.context import AnsweringContext
from verification.journey import Asker, GivenAnswer, Question
from web.clients import client_system
from web.errors import ClientUnauthenticated, RateLimited
from web.gathering import Gatherer
from web.limits import RateLimiter
from web.refusals import RefusalTally
from web.tokens import Client, TokenService

if TYPE_CHECKING:
    from foundation.installation import Installation

THREADS = 12
"""Requests worked on at once by one process; below the size of its connection pool."""

REQUESTS_PER_MINUTE = 60_000
_MOST_TOKENS_REMEMBERED = 10_000

_DECIDED = frozenset({"verifications"})
"""Scopes whose every operation is decided on; the decision looks at who takes part."""

Result = TypeVar("Result")


class Platform:
    """The open context of one process, with its token service and limits."""

    def __init__(self, context: AnsweringContext, issuer: str, requests_per_minute: int) -> None:
        self.context = context
        self.tokens = TokenService(context.signer, issuer)
        self.limiter = RateLimiter(context.side_pool.connection, requests_per_minute)
        self.refusals = RefusalTally(context.side_pool.connection)
        self.threads = CapacityLimiter(THREADS)
        self.gatherer = Gatherer(partial(answer_together, context))
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._closing = ExitStack()
        self._closing.callback(context.close)
        self._closing.callback(self.gatherer.close)
        self._closing.callback(self.refusals.close)

    @classmethod
    def open(cls, installation: Installation, requests_per_minute: int = REQUESTS_PER_MINUTE) -> Self:
        """Open pools and keys; begin to write refusals."""
        platform = cls(AnsweringContext.open(installation), issuer_of(installation), requests_per_minute)
        try:
            platform.context.warm_up()
        except BaseException:
            platform.context.close()
            raise
        platform.refusals.start()
        return platform

    def close(self) -> None:
        """Write what is left, give leases back, close connections."""
        self._closing.close()

    async def answer(
        self, request: Request, scope: str, question: Question, idempotency_key: str | None
    ) -> GivenAnswer:
        """Authenticate, count, and answer a question together with those that wait as well.

        Raises:
            ClientUnauthenticated, ScopeInsufficient, RateLimited: As `serve`.
        """
        client = self._admitted(request, scope)

        def prepare() -> Asked:
            self._count(request, client)
            return asked(self.context, question, Asker(client.system, client.agency), idempotency_key)

        ending = await self.gatherer.ask(prepare)
        if isinstance(ending, GivenAnswer):
            return ending
        if isinstance(ending, Exception):
            raise ending
        return await self.in_thread(ending)

    async def serve(self, request: Request, scope: str, work: Callable[[Client], Result]) -> Result:
        """Authenticate, count, and do the work in a thread.

        Raises:
            ClientUnauthenticated: When the access token is missing, not ours, or too old.
            ScopeInsufficient: When it does not cover the scope.
            RateLimited: When the client asks too often.
        """
        client = self._admitted(request, scope)

        def counted() -> Result:
            self._count(request, client)
            if scope not in _DECIDED:
                self._require_standing(client)
            return work(client)

        return await self.in_thread(counted)

    def _admitted(self, request: Request, scope: str) -> Client:
        """The client, if its token covers the scope."""
        client = self._authenticate(request)
        client.require(scope)
        request.scope["lintas.client"] = client.system
        return client

    def _count(self, request: Request, client: Client) -> None:
        """Count a request of a client; the database may be asked."""
        allowance = self.limiter.take(client.system)
        request.scope["lintas.headers"] = allowance.headers()
        if not allowance.allowed:
            raise RateLimited(
                "The client asks more often than it may",
                remedy=f"Wait {allowance.reset} seconds",
                retry_after=allowance.reset,
            )

    def _require_standing(self, client: Client) -> None:
        """Refuse who was suspended since the token was issued, where no decision would."""
        with self.context.connection() as connection:
            system = client_system(connection, client.system)
        if system is None or system.agency_id != client.agency:
            raise ClientUnauthenticated(
                "The client does not take part any more", remedy="Ask the operator why it was suspended"
            )

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Do blocking work without holding up other requests."""
        return await anyio.to_thread.run_sync(work, limiter=self.threads)

    def _authenticate(self, request: Request) -> Client:
        try:
            return self._client_of(request.headers.get("authorization", ""))
        except ClientUnauthenticated as refusal:
            route = request.scope.get("route")
            self.refusals.count(refusal.code, getattr(route, "path", "none"))
            raise

    def _client_of(self, header: str) -> Client:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise ClientUnauthenticated(
                "The access token is missing", remedy="Ask /oauth/token for one and send it as Bearer token"
            )
        known = self._clients.get(token)
        if known is None:
            known = self._clients[token] = self.tokens.check(token)
            if len(self._clients) > _MOST_TOKENS_REMEMBERED:
                self._clients.popitem(last=False)
        if known.expires <= clock.now().timestamp():
            self._clients.pop(token, None)
            raise ClientUnauthenticated(
                "The access token is too old", remedy="Ask /oauth/token for a new one"
            )
        return known

    async def until(self, seconds: float, attempt: Callable[[], Result | None]) -> Result | None:
        """Try again every tenth of a second, holding neither thread nor connection in between."""
        deadline = time.monotonic() + seconds
        while (found := await self.in_thread(attempt)) is None and time.monotonic() < deadline:
            await anyio.sleep(0.1)
        return found


def issuer_of(installation: Installation) -> str:
    """The URL under which clients know this API."""
    settings = installation.settings
    return settings.api_public_url or f"https://{settings.api_host}:{settings.api_port}"


def platform_of(request: Request) -> Platform:
    """The platform that serves a request."""
    found: Platform = request.app.state.platform
    return found
