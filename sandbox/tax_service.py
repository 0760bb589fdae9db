"""The tax office's web service: token endpoint, collection, search, and the practice switches."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse

from sandbox.access_log import AccessLog
from sandbox.datasets import TABLE_OF, TAX_OFFICE
from sandbox.faults import FaultBoard, FaultKind
from sandbox.tax_books import STANDING, BooksPage, TaxBooks, make_cursor

_LONGEST_PAGE = 1_000
_MAINTENANCE = "<!doctype html><html><body><h1>Sistem sedang dalam pemeliharaan</h1></body></html>"
_HUGE = 96 * 1024 * 1024
_SLOW_SECONDS = 30.0
_DATASET_NAMES = {
    table: dataset.partition("/")[2]
    for dataset, table in TABLE_OF.items()
    if dataset.startswith(f"{TAX_OFFICE}/")
}


class Desk:
    """Who may come in, and how often."""

    def __init__(self, client_id: str, secret: str, *, token_seconds: int, pause_every: int) -> None:
        self._client_id = client_id
        self._secret = secret
        self._token_seconds = token_seconds
        self._pause_every = pause_every
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}
        self._calls = 0
        self._pausing = False

    def change_secret(self, secret: str) -> None:
        """Take another secret; every token ends."""
        with self._lock:
            self._secret = secret
            self._tokens.clear()

    def expire_tokens(self) -> None:
        """End every token."""
        with self._lock:
            self._tokens.clear()

    def give_token(self, client_id: str, secret: str) -> dict[str, Any] | None:
        """Give a token to the one client."""
        same = hmac.compare_digest(client_id.encode(), self._client_id.encode())
        if not (hmac.compare_digest(secret.encode(), self._secret.encode()) and same):
            return None
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = time.monotonic() + self._token_seconds
        return {"access_token": token, "token_type": "Bearer", "expires_in": self._token_seconds}

    def knows(self, authorization: str) -> bool:
        """Whether a bearer token is good now."""
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            return scheme.lower() == "bearer" and self._tokens.get(token, 0.0) > time.monotonic()

    def wants_pause(self) -> bool:
        """Whether this call is one too many: the third, and then every so many."""
        with self._lock:
            self._calls += 1
            return bool(self._pause_every) and self._calls % self._pause_every == 3 % self._pause_every


def create_service(
    shelf: Mapping[str, TaxBooks], desk: Desk, faults: FaultBoard, practice_key: str, served: AccessLog
) -> FastAPI:
    """Make the web service: a listing and a search of each book on the shelf."""
    counter = _Counter(shelf, desk, faults, practice_key)
    service = FastAPI(title="Tax office (practice)", docs_url=None, redoc_url=None, openapi_url=None)
    service.add_api_route("/oauth/token", counter.token, methods=["POST"], response_model=None)
    for books in shelf.values():
        window, path = _Window(books, desk, faults, served), books.collection.path
        service.add_api_route(path, window.listing, methods=["GET"], response_model=None)
        service.add_api_route(f"{path}/search", window.search, methods=["POST"], response_model=None)
    service.add_api_route("/practice/faults", counter.switch, methods=["POST"], response_model=None)
    service.add_api_route("/practice/standing", counter.standing, methods=["POST"], response_model=None)
    return service


class _Window:
    """Where one collection is given out."""

    def __init__(self, books: TaxBooks, desk: Desk, faults: FaultBoard, served: AccessLog) -> None:
        self._books = books
        self._desk = desk
        self._faults = faults
        self._served = served
        self._dataset = _DATASET_NAMES[books.collection.name]

    async def listing(
        self, request: Request, limit: int = 100, cursor: str | None = None, changed_since: str | None = None
    ) -> Response:
        """List the books, page by page."""
        try:
            since = _moment(changed_since) if changed_since else None
            page = self._books.page(cursor, max(1, min(limit, _LONGEST_PAGE)), since)
        except ValueError:
            return JSONResponse({"error": "invalid_request"}, 400)
        refusal = await _at_the_door(request, self._desk, self._faults, page.number)
        if refusal is None:
            self._served.note(self._dataset, "list", len(page.records))
        return refusal or _reply(page, self._faults)

    async def search(self, request: Request) -> Response:
        """Find the records of one number, which comes in the body."""
        refusal = await _at_the_door(request, self._desk, self._faults, None)
        if refusal:
            return refusal
        try:
            found = self._books.search(dict(json.loads(await request.body())))
        except (ValueError, TypeError):
            return JSONResponse({"error": "invalid_request"}, 400)
        if self._faults.strikes(FaultKind.SOMEONE_ELSE):
            found = self._books.page(None, 1, None).records
        self._served.note(self._dataset, "lookup", len(found))
        return JSONResponse({"data": found})


class _Counter:
    """Where tokens are given and practice switches are thrown."""

    def __init__(
        self, shelf: Mapping[str, TaxBooks], desk: Desk, faults: FaultBoard, practice_key: str
    ) -> None:
        self._shelf = shelf
        self._desk = desk
        self._faults = faults
        self._practice_key = practice_key

    async def token(self, request: Request) -> Response:
        """Give a token for client credentials."""
        form = parse_qs((await request.body()).decode(errors="replace"))
        client_id, secret = _client(request, form)
        if form.get("grant_type") != ["client_credentials"]:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        given = self._desk.give_token(client_id, secret)
        return JSONResponse(given) if given else JSONResponse({"error": "invalid_client"}, 401)

    async def switch(self, request: Request) -> Response:
        """Throw a practice switch, or turn everything off with `null`."""
        if not self._is_practice(request):
            return JSONResponse({"error": "forbidden"}, 403)
        wanted = json.loads(await request.body())
        if wanted is None:
            self._faults.clear()
        else:
            kind = FaultKind(wanted["kind"])
            self._faults.switch_on(kind, page=wanted.get("page"), times=wanted.get("times"))
        return JSONResponse({})

    async def standing(self, request: Request) -> Response:
        """Change a taxpayer's standing."""
        if not self._is_practice(request):
            return JSONResponse({"error": "forbidden"}, 403)
        wanted = json.loads(await request.body())
        self._shelf[STANDING.name].set_standing(str(wanted["npwp16"]), str(wanted["status"]))
        return JSONResponse({})

    def _is_practice(self, request: Request) -> bool:
        return hmac.compare_digest(request.headers.get("x-practice-key", ""), self._practice_key)


def _client(request: Request, form: dict[str, list[str]]) -> tuple[str, str]:
    """Name and secret, from the header (RFC 6749 §2.3.1) or from the form."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return unquote(name), unquote(secret)
    return form.get("client_id", [""])[0], form.get("client_secret", [""])[0]


async def _at_the_door(request: Request, desk: Desk, faults: FaultBoard, page: int | None) -> Response | None:
    if faults.strikes(FaultKind.EXPIRED_TOKENS, page):
        desk.expire_tokens()
    if not desk.knows(request.headers.get("authorization", "")):
        return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
    if faults.strikes(FaultKind.OUT_OF_ORDER, page):
        return JSONResponse({"error": "forbidden"}, 403)
    if faults.strikes(FaultKind.PAUSE, page) or desk.wants_pause():
        return JSONResponse({"error": "too_many_requests"}, 429, {"Retry-After": "1"})
    if faults.strikes(FaultKind.STATUS_500, page):
        return JSONResponse({"error": "internal"}, 500)
    if faults.strikes(FaultKind.SLOW, page):
        await asyncio.sleep(_SLOW_SECONDS)
    return None


def _reply(page: BooksPage, faults: FaultBoard) -> Response:
    if faults.strikes(FaultKind.HTML, page.number):
        return HTMLResponse(_MAINTENANCE)
    if faults.strikes(FaultKind.NOT_AN_OBJECT, page.number):
        return JSONResponse(page.records)
    if faults.strikes(FaultKind.HUGE, page.number):
        return StreamingResponse(_huge(), media_type="application/json")
    body = json.dumps(_body(page, faults), ensure_ascii=False).encode()
    if faults.strikes(FaultKind.CUT, page.number):
        return Response(body[: len(body) * 2 // 3], media_type="application/json")
    if faults.strikes(FaultKind.HANG_UP, page.number):
        headers = {"content-length": str(len(body))}
        return StreamingResponse(_broken(body), headers=headers, media_type="application/json")
    return Response(body, media_type="application/json")


def _body(page: BooksPage, faults: FaultBoard) -> dict[str, Any]:
    records, cursor = page.records, page.next_cursor
    if faults.strikes(FaultKind.GARBAGE, page.number):
        records = [dict.fromkeys(record, "\ufffd#N/A") for record in records]
    if faults.strikes(FaultKind.RENAMED_COLUMN, page.number):
        records = [
            {"status_wp" if name == "status_kswp" else name: value for name, value in record.items()}
            for record in records
        ]
    if faults.strikes(FaultKind.TRUNCATED, page.number):
        cursor = None
        records = records[: len(records) // 2]
    if faults.strikes(FaultKind.REPEATED_CURSOR, page.number):
        cursor = make_cursor(page.number * max(1, len(records)))
    if faults.strikes(FaultKind.CURSOR_LOOP, page.number):
        cursor = make_cursor(0)
    return {"data": records, "next_cursor": cursor, "total": page.total}


async def _huge() -> AsyncIterator[bytes]:
    yield b'{"data": ["'
    for _ in range(_HUGE // 65_536):
        yield b"x" * 65_536
    yield b'"]}'


async def _broken(body: bytes) -> AsyncIterator[bytes]:
    yield body[: len(body) // 2]
    await asyncio.sleep(0.05)
    raise ConnectionResetError("practice: the line is cut here")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
