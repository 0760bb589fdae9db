"""The catalogue for everybody: what each service asks, and on which law."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from verification.catalogue import Service
from verification.service import Slug
from web.platform import platform_of
from web.replies import json_reply, problems

router = APIRouter(tags=["catalogue"])
_CACHED = "public, max-age=60"
_JSON: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}}
}


@router.get("/v1/services", summary="All services", response_class=Response, responses={**_JSON})
async def list_services(request: Request) -> Response:
    """Identifier, version and title of every service."""
    found = platform_of(request).context.catalogue.services.values()
    return json_reply({"services": [_line(service) for service in found]}, Cache_Control=_CACHED)


@router.get(
    "/v1/services/{identifier}",
    summary="One service with all 14 components of its standard",
    response_class=Response,
    responses={**_JSON, 304: {"description": "Not changed"}, **problems(404, 422)},
)
async def read_service(request: Request, identifier: Slug) -> Response:
    """The service as CPSV-AP and CCCEV name its parts, criteria and legal instruments included."""
    service = platform_of(request).context.catalogue.service(identifier)
    etag = f'"{service.digest[:32]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": _CACHED})
    content = service.definition.model_dump(mode="json", exclude_none=True)
    return json_reply(content, ETag=etag, Cache_Control=_CACHED)


def _line(service: Service) -> dict[str, Any]:
    definition = service.definition
    return {
        "identifier": service.identifier,
        "version": definition.version,
        "title": definition.title.model_dump(),
        "purpose": definition.purpose,
        "competent_authority": definition.hasCompetentAuthority,
    }
