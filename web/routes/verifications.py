"""Questions and answers."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Request
from pydantic import StringConstraints
from starlette.responses import Response

from audit.errors import ReceiptNotReady
from audit.publishing.receipt import Receipt, receipt
from verification import answers
from verification.journey import Asker, GivenAnswer, Question
from verification.reading import read
from web.applicants import applicant_of
from web.bodies import VerificationBody
from web.headers import CheckedHeader
from web.platform import Platform, platform_of
from web.replies import EVERYWHERE, json_reply, problems
from web.tokens import Client

router = APIRouter(tags=["verifications"])
SCOPE = "verifications"
LONGEST_WAIT = 5

_PREFER = "`wait=N` waits up to N seconds (at most 5) for the receipt"
Prefer = Annotated[str | None, Header(description=_PREFER, max_length=200)]
_IDEMPOTENCY_KEY = CheckedHeader(
    "Idempotency-Key",
    StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$"),
    "The same key with the same request gives the same answer, logged as a new disclosure",
)
_PREFERRED = CheckedHeader("prefer", StringConstraints(max_length=200), _PREFER)

_ANSWER = {
    "description": "The signed answer, and the signed promise that its disclosure will stand in the log",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SignedAnswer"}}},
}


@router.post(
    "/v1/verifications",
    status_code=201,
    summary="Ask whether an applicant is eligible for a service",
    response_class=Response,
    responses={201: _ANSWER, 200: _ANSWER, **problems(400, 404, *EVERYWHERE)},
    openapi_extra={"parameters": [_IDEMPOTENCY_KEY.parameter, _PREFERRED.parameter]},
)
async def ask(request: Request, body: VerificationBody) -> Response:
    """Verify an application; the applicant must be confirmed by a second element."""
    platform = platform_of(request)
    key, prefer = _IDEMPOTENCY_KEY.of(request), _PREFERRED.of(request)
    given = await platform.answer(request, SCOPE, _question(body), key)
    return await _reply(platform, given, prefer)


@router.get(
    "/v1/verifications/{answer_id}",
    summary="Read an answer again: a new disclosure, decided and logged anew",
    response_class=Response,
    responses={200: _ANSWER, **problems(404, *EVERYWHERE)},
)
async def read_answer(request: Request, answer_id: UUID, prefer: Prefer = None) -> Response:
    """Read one of your own answers again."""
    platform = platform_of(request)
    given = await platform.serve(
        request, SCOPE, lambda client: read(platform.context, answer_id, _asker(client))
    )
    return await _reply(platform, given, prefer, status=200)


@router.get(
    "/v1/verifications/{answer_id}/receipt",
    summary="The proof that the answer's disclosure stands in the log",
    response_class=Response,
    responses={
        200: {
            "description": "A C2SP tlog-proof that carries the log entry; check it offline",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems(404, *EVERYWHERE),
    },
)
async def read_receipt(request: Request, answer_id: UUID, prefer: Prefer = None) -> Response:
    """Get the receipt; about a second after the answer it is there.

    `Lintas-Independent-Witnesses` says how many independent witnesses stand behind its checkpoint by now.
    """
    platform = platform_of(request)

    def entry_of(client: Client) -> UUID:
        with platform.context.connection() as connection:
            return answers.find(connection, answer_id, client.system).entry_id

    entry_id = await platform.serve(request, SCOPE, entry_of)
    found = await _receipt(platform, entry_id, prefer)
    if found is None:
        raise ReceiptNotReady(
            "The entry is committed, but not yet in a signed checkpoint",
            remedy="Ask again in a second, or send Prefer: wait=2",
            retry_after=1,
        )
    headers = {"Cache-Control": "private, no-store", "Lintas-Independent-Witnesses": str(found.witnesses)}
    return Response(str(found), media_type="text/plain", headers=headers)


def _question(body: VerificationBody) -> Question:
    return Question(
        service=body.service,
        applicant=applicant_of(body.applicant),
        claims=body.claims,
        purpose=body.purpose,
        case_number=body.case_number,
        officer=body.officer,
        request=orjson.dumps(body.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS),
    )


def _asker(client: Client) -> Asker:
    return Asker(system=client.system, agency=client.agency)


async def _reply(
    platform: Platform, given: GivenAnswer, prefer: str | None, status: int | None = None
) -> Response:
    content = {
        "answer": given.content,
        "jws": given.jws,
        "promise": given.promise,
        "receipt_url": f"/v1/verifications/{given.answer_id}/receipt",
        "receipt": None,
    }
    headers = {"Location": f"/v1/verifications/{given.answer_id}"}
    if _seconds(prefer):
        found = await _receipt(platform, given.entry_id, prefer)
        content["receipt"] = str(found) if found else None
        headers["Preference_Applied"] = f"wait={_seconds(prefer)}"
    return json_reply(content, status or (200 if given.is_replay else 201), **headers)


async def _receipt(platform: Platform, entry_id: UUID, prefer: str | None) -> Receipt | None:
    def attempt() -> Receipt | None:
        with platform.context.connection() as connection:
            try:
                return receipt(connection, entry_id)
            except ReceiptNotReady:
                return None

    return await platform.until(_seconds(prefer), attempt)


def _seconds(prefer: str | None) -> int:
    for preference in (prefer or "").split(","):
        name, _, value = preference.strip().partition("=")
        if name == "wait" and value.isascii() and value.isdigit() and len(value) < 4:
            return min(int(value), LONGEST_WAIT)
    return 0
