"""Referrals for the office that owns them: list, read, stop the clock, decide."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from foundation import clock
from verification import attending
from verification.deciding import decide
from verification.journey import Asker
from verification.referrals import Referral
from web.bodies import ClockBody, DecisionBody
from web.errors import CursorInvalid
from web.platform import platform_of
from web.replies import EVERYWHERE, json_reply, problems
from web.tokens import Client

router = APIRouter(tags=["referrals"])
SCOPE = "referrals"
_REFERRAL = {
    "description": "The referral as it stands now",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Referral"}}},
}
_REFERRALS = {
    "description": "Undecided referrals, the most urgent first",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Referrals"}}},
}
Cursor = Annotated[
    str | None, Query(max_length=200, pattern=r"^[A-Za-z0-9_-]+$", description="`next` of a page")
]


@router.get(
    "/v1/referrals",
    summary="Undecided referrals of your office",
    response_class=Response,
    responses={200: _REFERRALS, **problems(*EVERYWHERE)},
)
async def list_referrals(
    request: Request, cursor: Cursor = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Response:
    """Page through what waits for a decision."""
    platform = platform_of(request)
    after = _opened(cursor)

    def work(client: Client) -> list[Referral]:
        return attending.list_open(platform.context, _asker(client), after=after, limit=limit)

    found = await platform.serve(request, SCOPE, work)
    following = _cursor(found[-1]) if len(found) == limit else None
    return json_reply({"referrals": [_shown(each) for each in found], "next": following})


@router.get(
    "/v1/referrals/{referral_id}",
    summary="One referral",
    response_class=Response,
    responses={200: _REFERRAL, **problems(404, *EVERYWHERE)},
)
async def read_referral(request: Request, referral_id: UUID) -> Response:
    """Read a referral that your office owns."""
    platform = platform_of(request)

    def work(client: Client) -> Referral:
        return attending.read(platform.context, _asker(client), referral_id)

    return json_reply(_shown(await platform.serve(request, SCOPE, work)))


@router.post(
    "/v1/referrals/{referral_id}/decision",
    summary="End a referral with an officer's signed, reasoned decision",
    response_class=Response,
    responses={200: _REFERRAL, **problems(400, 404, 409, *EVERYWHERE)},
)
async def decide_referral(request: Request, referral_id: UUID, body: DecisionBody) -> Response:
    """The officer signs with their own key; the reasons are kept sealed."""
    platform = platform_of(request)

    def work(client: Client) -> Referral:
        return decide(platform.context, referral_id, client.agency, body.signed)[0]

    return json_reply(_shown(await platform.serve(request, SCOPE, work)))


@router.post(
    "/v1/referrals/{referral_id}/clock",
    summary="Stop or resume the clock of a referral",
    response_class=Response,
    responses={200: _REFERRAL, **problems(400, 404, 409, *EVERYWHERE)},
)
async def move_clock(request: Request, referral_id: UUID, body: ClockBody) -> Response:
    """While the clock is stopped, working days do not count."""
    platform = platform_of(request)

    def work(client: Client) -> Referral:
        return attending.move_clock(
            platform.context,
            _asker(client),
            referral_id,
            body.event,
            reason=body.reason,
            officer=body.officer,
        )

    return json_reply(_shown(await platform.serve(request, SCOPE, work)))


def _asker(client: Client) -> Asker:
    return Asker(system=client.system, agency=client.agency)


def _shown(referral: Referral) -> dict[str, Any]:
    return {
        "referral_id": str(referral.referral_id),
        "answer_id": str(referral.answer_id),
        "owner": referral.owner,
        "consumer": referral.consumer,
        "service": referral.service,
        "criteria": list(referral.criteria),
        "state": str(referral.state),
        "opened_at": referral.opened_at.isoformat(),
        "due_at": referral.due_at.isoformat(),
        "stopped_at": referral.stopped_at.isoformat() if referral.stopped_at else None,
        "decided_at": referral.decided_at.isoformat() if referral.decided_at else None,
        "verdict": referral.verdict,
        "overdue": referral.is_overdue(clock.now()),
    }


def _cursor(last: Referral) -> str:
    place = orjson.dumps([last.due_at.isoformat(), str(last.referral_id)])
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode()


def _opened(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    try:
        due_at, referral_id = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        moment = datetime.fromisoformat(due_at)
        if moment.tzinfo is None:
            raise ValueError
        return moment, UUID(referral_id)
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise CursorInvalid("The cursor is not one of ours", remedy="Start without a cursor") from None
