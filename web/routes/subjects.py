"""Who used my data: what the log knows about a person, for that person."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from audit.subject_view import Reader, SubjectExchange, exchanges_of
from verification.confirming import confirmed
from verification.journey import Asker
from web.applicants import applicant_of
from web.bodies import ExchangesBody
from web.platform import platform_of
from web.replies import EVERYWHERE, json_reply, problems
from web.tokens import Client

router = APIRouter(tags=["subjects"])
SCOPE = "subjects"
_PURPOSE = "subject-access"


@router.post(
    "/v1/subjects/exchanges",
    summary="Every exchange about a person, newest first; the look is logged too",
    response_class=Response,
    responses={
        200: {
            "description": "Entries of the log that carry this person's tag",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Exchanges"}}},
        },
        **problems(400, *EVERYWHERE),
    },
)
async def list_exchanges(request: Request, body: ExchangesBody) -> Response:
    """The number stands in the body, never in the URL; a second element must match."""
    platform = platform_of(request)
    context = platform.context
    applicant = applicant_of(body.applicant)

    def work(client: Client) -> list[SubjectExchange]:
        with context.session(Asker(client.system, client.agency)) as session:
            connection = session.connection
            subject = confirmed(session, applicant, _PURPOSE, _PURPOSE)
            reader = Reader(
                actor=client.system, reason=body.reason, consumer=client.agency, system=client.system
            )
            with connection.transaction():
                return exchanges_of(connection, subject.keys, reader, before=body.before, limit=body.limit)

    found = await platform.serve(request, SCOPE, work)
    following = found[-1].index if len(found) == body.limit else None
    return json_reply({"exchanges": [_shown(each) for each in found], "next_before": following})


_SHOWN = (
    "kind",
    "time",
    "provider",
    "consumer",
    "system",
    "actor",
    "purpose",
    "legal_basis",
    "datasets",
    "fields",
)
_ALSO = ("outcome", "rules", "decision", "agreements", "consent")


def _shown(exchange: SubjectExchange) -> dict[str, Any]:
    entry = exchange.entry
    return {
        "index": exchange.index,
        "entry_id": str(exchange.entry_id),
        "is_mine": exchange.tag_matches,
        **{name: entry.get(name) for name in (*_SHOWN, *_ALSO)},
        "service": entry.get("details", {}).get("service"),
    }
