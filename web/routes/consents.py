"""A person's consent: given, refused and taken back through a portal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from audit.subjects.subject_keys import SubjectHandle, SubjectKeys
from consent.record import ConsentQuestion, grant, history, refuse, withdraw
from consent.revision import ConsentNotice, ConsentRevision, GivenBy
from consent.vocabulary import Channel
from foundation.errors import Refused
from verification.confirming import confirmed
from verification.exchange import log_undecided
from verification.journey import Asker
from web.applicants import applicant_of
from web.bodies import ConsentBody, WithdrawalBody
from web.errors import ConsentUnknown
from web.platform import platform_of
from web.replies import EVERYWHERE, json_reply, problems
from web.tokens import Client

router = APIRouter(tags=["consents"])
SCOPE = "consents"
_CONSENT = {
    "description": "The consent as it stands now",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Consent"}}},
}


@router.post(
    "/v1/consents",
    status_code=201,
    summary="Record a person's yes or no",
    response_class=Response,
    responses={201: _CONSENT, **problems(400, 404, *EVERYWHERE)},
)
async def record_consent(request: Request, body: ConsentBody) -> Response:
    """Consent to the fields that a service looks at, given to the agency of this client."""
    platform = platform_of(request)
    context = platform.context
    applicant = applicant_of(body.applicant)

    def work(client: Client) -> ConsentRevision:
        service = context.catalogue.service(body.service)
        purpose = body.purpose or service.definition.purpose
        with context.session(Asker(client.system, client.agency)) as session:
            connection = session.connection
            subject = confirmed(session, applicant, purpose, service.identifier)
            notice = ConsentNotice(**body.notice.model_dump())
            question = ConsentQuestion(client.agency, purpose, service.fields, notice)
            try:
                with connection.transaction():
                    return _recorded(connection, subject.keys, question, body)
            except Refused as refusal:  # that a person was confirmed does not go unlogged
                log_undecided(session, purpose, service.identifier, refusal, subject.keys)
                raise

    revision = await platform.serve(request, SCOPE, work)
    return json_reply(_shown(revision), 201, Location=f"/v1/consents/{revision.consent_id}")


@router.get(
    "/v1/consents/{consent_id}",
    summary="A consent as it stands",
    response_class=Response,
    responses={200: _CONSENT, **problems(404, *EVERYWHERE)},
)
async def read_consent(request: Request, consent_id: UUID) -> Response:
    """Read a consent that was given to the agency of this client."""
    platform = platform_of(request)

    def work(client: Client) -> ConsentRevision:
        with platform.context.connection() as connection:
            return _latest(connection, consent_id, client)

    return json_reply(_shown(await platform.serve(request, SCOPE, work)))


@router.post(
    "/v1/consents/{consent_id}/withdrawal",
    summary="Take a consent back at once",
    response_class=Response,
    responses={200: _CONSENT, **problems(400, 404, *EVERYWHERE)},
)
async def withdraw_consent(request: Request, consent_id: UUID, body: WithdrawalBody) -> Response:
    """Withdraw; exchanges that were decided but not committed are refused."""
    platform = platform_of(request)
    context = platform.context

    def work(client: Client) -> ConsentRevision:
        with context.connection() as connection:
            before = _latest(connection, consent_id, client)
            keys = context.vault.keys_of(SubjectHandle(before.subject))
            if keys is None:
                raise _unknown()
            with connection.transaction():
                return withdraw(
                    connection,
                    keys,
                    consent_id,
                    channel=Channel(body.channel),
                    given_by=_given_by(body.officer),
                )

    return json_reply(_shown(await platform.serve(request, SCOPE, work)))


def _recorded(
    connection: Any, subject: SubjectKeys, question: ConsentQuestion, body: ConsentBody
) -> ConsentRevision:
    channel, given_by = Channel(body.channel), _given_by(body.officer)
    if body.state == "refused":
        return refuse(connection, subject, question, channel=channel, given_by=given_by)
    until = body.valid_until
    return grant(connection, subject, question, channel=channel, given_by=given_by, valid_until=until)


def _latest(connection: Any, consent_id: UUID, client: Client) -> ConsentRevision:
    chain = history(connection, consent_id)
    if not chain or chain[-1].consumer != client.agency:
        raise _unknown()
    return chain[-1]


def _unknown() -> ConsentUnknown:
    return ConsentUnknown(
        "There is no such consent", remedy="Use the consent_id from the reply to your request"
    )


def _given_by(officer: str | None) -> GivenBy:
    return GivenBy() if officer is None else GivenBy.with_officer(officer)


def _shown(revision: ConsentRevision) -> dict[str, Any]:
    return {
        "consent_id": str(revision.consent_id),
        "revision": revision.revision,
        "revision_hash": revision.hash,
        "state": str(revision.state),
        "consumer": revision.consumer,
        "purpose": revision.purpose,
        "fields": {dataset: list(names) for dataset, names in revision.fields.items()},
        "valid_from": revision.valid_from.isoformat(),
        "valid_until": revision.valid_until.isoformat() if revision.valid_until else None,
    }
