"""What a portal is told of changes: its notices by cursor, and the address to which they are sent."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from verification import telling
from verification.journey import Asker
from verification.webhooks import Webhook
from web.bodies import WebhookBody
from web.errors import CursorInvalid
from web.platform import platform_of
from web.replies import EVERYWHERE, json_reply, problems
from web.tokens import Client

router = APIRouter(tags=["notices"])
SCOPE = "notices"
_LARGEST = 2**53 - 1
_NOTICES = {
    "description": "Events in their order; `next` is where to go on, now or later",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Notices"}}},
}
_WEBHOOK = {
    "description": "The webhook; `pending` until the operator approved its address",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Webhook"}}},
}
Cursor = Annotated[
    str | None, Query(max_length=20, pattern=r"^[A-Za-z0-9_-]+$", description="`next` of a page")
]


@router.get(
    "/v1/notices",
    summary="Notices of your system: answers that were verified again with another outcome",
    response_class=Response,
    responses={200: _NOTICES, **problems(*EVERYWHERE)},
)
async def list_notices(
    request: Request, cursor: Cursor = None, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> Response:
    """Read what a webhook would have been sent; nothing is missed between two pages."""
    platform = platform_of(request)
    after = _opened(cursor)

    def work(client: Client) -> tuple[list[dict[str, Any]], int]:
        return telling.read(platform.context, _asker(client), after, limit)

    found, last = await platform.serve(request, SCOPE, work)
    return json_reply({"notices": found, "next": str(last)})


@router.get(
    "/v1/webhook",
    summary="Where your system is told of changes",
    response_class=Response,
    responses={200: _WEBHOOK, **problems(404, *EVERYWHERE)},
)
async def read_webhook(request: Request) -> Response:
    """Address and standing of the webhook."""
    platform = platform_of(request)

    def work(client: Client) -> Webhook:
        return telling.webhook_of(platform.context, _asker(client))

    return json_reply(_shown(await platform.serve(request, SCOPE, work)))


@router.put(
    "/v1/webhook",
    summary="Register where your system wants to be told of changes",
    response_class=Response,
    responses={200: _WEBHOOK, **problems(400, *EVERYWHERE)},
)
async def register_webhook(request: Request, body: WebhookBody) -> Response:
    """An https address; used once the operator approved it, or at the system's registered endpoint."""
    platform = platform_of(request)

    def work(client: Client) -> Webhook:
        return telling.register_webhook(platform.context, _asker(client), body.url, body.ca_certificate_pem)

    return json_reply(_shown(await platform.serve(request, SCOPE, work)))


@router.delete(
    "/v1/webhook",
    status_code=204,
    summary="Forget the webhook; notices are kept for reading",
    response_class=Response,
    responses=problems(404, *EVERYWHERE),
)
async def remove_webhook(request: Request) -> Response:
    """Nothing is sent any more."""
    platform = platform_of(request)
    await platform.serve(
        request, SCOPE, lambda client: telling.remove_webhook(platform.context, _asker(client))
    )
    return Response(status_code=204)


def _asker(client: Client) -> Asker:
    return Asker(system=client.system, agency=client.agency)


def _shown(webhook: Webhook) -> dict[str, Any]:
    return {
        "url": webhook.url,
        "ca_pinned": webhook.ca_pem is not None,
        "status": webhook.status,
        "reason": webhook.reason,
        "changed_at": webhook.changed_at.isoformat(),
    }


def _opened(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit()) or int(cursor) > _LARGEST:
        raise CursorInvalid("The cursor is not one of ours", remedy="Start without a cursor")
    return int(cursor)
