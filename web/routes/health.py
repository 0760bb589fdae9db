"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from foundation.errors import LintasError
from web.platform import platform_of
from web.replies import json_reply

router = APIRouter(tags=["health"])
_JSON = {"content": {"application/json": {"schema": {"type": "object"}}}}


@router.get("/health/live", summary="The process lives", response_class=Response, responses={200: _JSON})
async def live() -> Response:
    """Always well, if it answers at all."""
    return json_reply({"status": "live"})


@router.get(
    "/health/ready",
    summary="The process can serve",
    response_class=Response,
    responses={200: _JSON, 503: {"description": "The database does not answer", **_JSON}},
)
async def ready(request: Request) -> Response:
    """Well, if the database answers."""
    platform = platform_of(request)

    def work() -> bool:
        try:
            with platform.context.connection() as connection:
                return connection.execute("SELECT 1").fetchone() is not None
        except LintasError:
            return False

    is_ready = await platform.in_thread(work)
    return json_reply({"status": "ready" if is_ready else "not_ready"}, 200 if is_ready else 503)
