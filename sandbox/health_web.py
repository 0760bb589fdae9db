"""The health office's web service: token endpoint, FHIR R4 searches, and the practice switches."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from foundation import clock
from foundation.collector import collection_paused
from sandbox.access_log import AccessLog
from sandbox.faults import FaultBoard, FaultKind
from sandbox.health_books import HealthBooks, Question, QuestionError
from sandbox.health_desk import TokenDesk
from sandbox.health_faults import FhirFault, distort, outcome
from sandbox.health_resources import WRITERS, Resource

BASE = "/fhir-r4/v1"
TOKEN_PATH = "/oauth2/v1/accesstoken"  # noqa: S105 - a path, not a secret
_MEDIA_TYPE = "application/fhir+json; fhirVersion=4.0"
_MAINTENANCE = "<!doctype html><html><body><h1>Sistem sedang dalam pemeliharaan</h1></body></html>"
_HUGE = 96 * 1024 * 1024
_SLOW_SECONDS = 30.0
_DATASET_NAMES = {"Patient": "patients", "Coverage": "coverage", "Immunization": "immunizations"}
_FAULTS: dict[str, FaultKind | FhirFault] = {kind.value: kind for kind in (*FaultKind, *FhirFault)}


def create_service(
    books: HealthBooks, desk: TokenDesk, faults: FaultBoard, practice_key: str, served: AccessLog
) -> FastAPI:
    """Make the web service."""
    counter = _Counter(books, desk, faults, practice_key, served)
    service = FastAPI(title="SATUSEHAT (practice)", docs_url=None, redoc_url=None, openapi_url=None)
    service.add_api_route(TOKEN_PATH, counter.token, methods=["POST"], response_model=None)
    service.add_api_route(f"{BASE}/metadata", counter.metadata, methods=["GET"], response_model=None)
    service.add_api_route(f"{BASE}/{{kind}}/_search", counter.search, methods=["POST"], response_model=None)
    service.add_api_route(f"{BASE}/{{kind}}", counter.listing, methods=["GET"], response_model=None)
    service.add_api_route("/practice/faults", counter.switch, methods=["POST"], response_model=None)
    service.add_api_route("/practice/change", counter.change, methods=["POST"], response_model=None)
    return service


class _Counter:
    """Where requests are answered."""

    def __init__(
        self, books: HealthBooks, desk: TokenDesk, faults: FaultBoard, practice_key: str, served: AccessLog
    ) -> None:
        self._served = served
        self._books = books
        self._desk = desk
        self._faults = faults
        self._practice_key = practice_key

    async def token(self, request: Request) -> Response:
        """Give a token for client credentials; the grant type stands in the address."""
        wait = self._desk.wait()
        if wait > 0:
            return _json({"fault": "too_many_requests"}, 429, {"Retry-After": str(int(wait) + 1)})
        form = parse_qs((await request.body()).decode(errors="replace"))
        if request.query_params.get("grant_type") != "client_credentials":
            return _json({"error": "unsupported_grant_type"}, 400)
        given = self._desk.give_token(form.get("client_id", [""])[0], form.get("client_secret", [""])[0])
        return _json(given) if given else _json({"error": "invalid_client"}, 401)

    async def metadata(self) -> Response:
        """Say what the server is."""
        version = "5.0.0" if self._faults.strikes(FhirFault.R5_SERVER) else "4.0.1"
        return _json(capability_statement(version))

    async def listing(self, request: Request, kind: str) -> Response:
        """Search by the address, page by page."""
        return await self._answer(request, kind, parse_qsl(request.url.query), paged=True)

    async def search(self, request: Request, kind: str) -> Response:
        """Search by the body, which no log of addresses sees; one page."""
        form = parse_qsl((await request.body()).decode(errors="replace"))
        return await self._answer(request, kind, form, paged=False)

    async def switch(self, request: Request) -> Response:
        """Throw a practice switch, or turn everything off with `null`."""
        if not self._is_practice(request):
            return _json({"error": "forbidden"}, 403)
        wanted = orjson.loads(await request.body())
        if wanted is None:
            self._faults.clear()
        else:
            kind = _FAULTS[wanted["kind"]]
            self._faults.switch_on(kind, page=wanted.get("page"), times=wanted.get("times"))
        return _json({})

    async def change(self, request: Request) -> Response:
        """Change what the books say of a person."""
        if not self._is_practice(request):
            return _json({"error": "forbidden"}, 403)
        wanted = orjson.loads(await request.body())
        changed = self._books.change(wanted["kind"], wanted["nik"], wanted["values"])
        return _json({"changed": changed})

    async def _answer(
        self, request: Request, kind: str, parameters: list[tuple[str, str]], *, paged: bool
    ) -> Response:
        try:
            question = Question.read(kind, parameters)
            refusal = await self._at_the_door(request, question.page)
            if refusal is not None:
                return refusal
            with collection_paused():
                bundle = self._bundle(request, question, paged=paged)
                operation = "list" if paged else "lookup"
                self._served.note(_DATASET_NAMES[question.kind], operation, len(bundle.get("entry", ())))
                return self._send(bundle, question.page)
        except QuestionError as error:
            return _json(outcome("error", str(error)), 400)

    def _bundle(self, request: Request, question: Question, *, paged: bool) -> Resource:
        if self._faults.strikes(FaultKind.SOMEONE_ELSE):
            question = Question(question.kind, (), 1)
        asked = question
        if self._faults.strikes(FhirFault.NEW_LINK_SAME_PAGE, question.page):
            asked = Question(question.kind, question.conditions, question.count)
        found, total = self._books.search(asked)
        here = f"{str(request.base_url).rstrip('/')}{BASE}/{question.kind}"
        write = WRITERS[question.kind]
        entries = [
            {"fullUrl": f"{here}/{resource['id']}", "resource": resource, "search": {"mode": "match"}}
            for resource in map(question.shown, map(write, found.iter_rows(named=True)))
        ]
        links = [("self", question.offset)] if paged else []
        truncated = self._faults.strikes(FaultKind.TRUNCATED, question.page)
        if question.offset + found.height < total and not truncated:
            links.append(("next", question.offset + question.count))
        bundle = {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": total,
            "link": [
                {"relation": relation, "url": f"{here}?{urlencode(question.at(offset) if paged else [])}"}
                for relation, offset in links
            ],
            "entry": entries,
        }
        return distort(bundle, self._faults, question.page, f"{here}?{urlencode(question.at(0))}")

    def _send(self, bundle: Resource, page: int) -> Response:
        faults = self._faults
        if faults.strikes(FhirFault.OUTCOME, page):
            return _json(outcome("error", "not-supported", "identifier 3576010101900001 is unknown"))
        if faults.strikes(FhirFault.PASSING_OUTCOME, page):
            return _json(outcome("error", "throttled"))
        if faults.strikes(FaultKind.HTML, page):
            return HTMLResponse(_MAINTENANCE)
        if faults.strikes(FaultKind.NOT_AN_OBJECT, page):
            return _json(bundle["entry"])
        if faults.strikes(FaultKind.HUGE, page):
            return StreamingResponse(_huge(), media_type=_MEDIA_TYPE)
        body = orjson.dumps(_without_empty(bundle))
        if faults.strikes(FaultKind.CUT, page):
            body = body[: len(body) * 2 // 3]
        return Response(body, media_type=_MEDIA_TYPE)

    async def _at_the_door(self, request: Request, page: int) -> Response | None:
        faults = self._faults
        if faults.strikes(FaultKind.EXPIRED_TOKENS, page):
            self._desk.expire_tokens()
        if not self._desk.knows(request.headers.get("authorization", "")):
            return _json(outcome("error", "login"), 401, {"WWW-Authenticate": "Bearer"})
        if faults.strikes(FaultKind.OUT_OF_ORDER, page):
            return _json(outcome("error", "forbidden"), 403)
        if faults.strikes(FaultKind.PAUSE, page):
            return _json(outcome("error", "throttled"), 429, {"Retry-After": "1"})
        if faults.strikes(FaultKind.STATUS_500, page):
            return _json(outcome("fatal", "exception"), 500)
        if faults.strikes(FaultKind.SLOW, page):
            await asyncio.sleep(_SLOW_SECONDS)
        return None

    def _is_practice(self, request: Request) -> bool:
        return hmac.compare_digest(request.headers.get("x-practice-key", ""), self._practice_key)


def capability_statement(version: str) -> Resource:
    """What the server says of itself."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": clock.now().date().isoformat(),
        "kind": "instance",
        "implementation": {"description": "Practice server of the health office"},
        "fhirVersion": version,
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "resource": [
                    {"type": kind, "interaction": [{"code": "search-type"}], "versioning": "versioned"}
                    for kind in WRITERS
                ],
            }
        ],
    }


def _without_empty(bundle: Resource) -> Resource:
    """FHIR has no empty lists."""
    return {name: value for name, value in bundle.items() if value not in ([], None)}


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type=_MEDIA_TYPE)


async def _huge() -> AsyncIterator[bytes]:
    yield b'{"resourceType": "Bundle", "entry": ["'
    for _ in range(_HUGE // 65_536):
        yield b"x" * 65_536
    yield b'"]}'
