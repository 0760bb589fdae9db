"""The HTTP API as one application: routes, error shape, documentation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from foundation.errors import LintasError
from web.documentation import SCHEMAS, page
from web.middleware import Guard
from web.platform import REQUESTS_PER_MINUTE, Platform
from web.problems import problem_of, problem_of_http, problem_of_validation
from web.routes import consents, health, log, notices, oauth, referrals, services, subjects, verifications

if TYPE_CHECKING:
    from foundation.installation import Installation

_AUTHENTICATED = (verifications, consents, referrals, subjects, notices)
_PUBLIC = (oauth, services, log, health)
_DESCRIPTION = (
    "Lintas answers whether an application meets the criteria of a public service, from the records of the "
    "agencies concerned: signed, with reasons, and provable by a public transparency log."
)


def create_app(installation: Installation, *, requests_per_minute: int = REQUESTS_PER_MINUTE) -> FastAPI:
    """The application of one installation; pools and keys open when it starts and close when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.platform = Platform.open(installation, requests_per_minute)
        try:
            yield
        finally:
            app.state.platform.close()

    app = FastAPI(
        title="Lintas",
        version="1.0.0",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    for module in (*_AUTHENTICATED, *_PUBLIC):
        app.include_router(module.router)
    _explain_errors(app)
    _document(app)
    app.add_middleware(Guard)
    return app


def _explain_errors(app: FastAPI) -> None:
    @app.exception_handler(LintasError)
    async def ours(request: Request, error: LintasError) -> Response:
        return problem_of(error).response(request)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return problem_of_validation(error).response(request)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        return problem_of_http(error).response(request)


def _document(app: FastAPI) -> None:
    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schema.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS)
            _require_tokens(schema)
            _use_problems_for_validation(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return Response(page(app.openapi()), media_type="text/html; charset=utf-8")


def _require_tokens(schema: dict[str, Any]) -> None:
    """Say which operations need an access token; the platform demands it, without the framework's detour."""
    scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWS"}
    schema["components"]["securitySchemes"] = {"accessToken": scheme}
    for module in _AUTHENTICATED:
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                for method in route.methods:
                    schema["paths"][route.path][method.lower()]["security"] = [{"accessToken": []}]


def _use_problems_for_validation(schema: dict[str, Any]) -> None:
    """FastAPI documents its own error shape; ours replaces it everywhere."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            replies = operation.get("responses", {})
            if "HTTPValidationError" in str(replies.get("422", {})):
                replies["422"] = {
                    "description": "The request does not fit the schema",
                    "content": {
                        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                    },
                }
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
