"""One shape for every error that leaves the API: RFC 9457 problem documents.

Every problem has `type`, `title`, `status`, `detail`, `remedy` and `request_id`; it may have `errors` (field
and problem), `rules`, `findings`, `decision_id`, `promise` and `retry_after`. None carries a value that was
sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from foundation.errors import FixContract, IntegrityBroken, LintasError, Refused, RetryLater
from web.bodies import BODY_FIELDS

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:lintas:problem:"


@dataclass(frozen=True)
class Problem:
    """A problem before it becomes a reply."""

    code: str
    status: int
    title: str
    detail: str = ""
    remedy: str = ""
    errors: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        """The document."""
        document: dict[str, Any] = {
            "type": PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "remedy": self.remedy,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = [dict(error) for error in self.errors]
        return document | dict(self.extra)

    def response(self, request: Request) -> Response:
        """The reply."""
        return Response(
            orjson.dumps(self.body(request_id(request)), default=str),
            self.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


def request_id(request: Request) -> str:
    """The id under which the access log knows this request."""
    found: str = request.scope.get("lintas.request_id", "")
    return found


@dataclass(frozen=True)
class _Told:
    """What is told about a kind of error: its status and its title."""

    status: int
    title: str


TOLD: dict[str, _Told] = {
    "exchange-denied": _Told(403, "The exchange was denied"),
    "consent-changed": _Told(403, "The consent changed before the exchange was committed"),
    "agreement-changed": _Told(403, "The agreement changed before the exchange was committed"),
    "quota-exhausted": _Told(429, "The agreed number of exchanges is used up"),
    "consent-not-possible": _Told(422, "The consent cannot be recorded like this"),
    "subject-not-matched": _Told(422, "The applicant could not be confirmed"),
    "too-many-attempts": _Told(429, "Too many attempts to confirm an applicant"),
    "service-unknown": _Told(404, "There is no such service"),
    "applicant-invalid": _Told(422, "The applicant is not described correctly"),
    "claims-invalid": _Told(422, "The claims are not what the service asks for"),
    "answer-unknown": _Told(404, "There is no such answer"),
    "idempotency-conflict": _Told(422, "The Idempotency-Key was used for another request"),
    "receipt-not-ready": _Told(404, "The receipt is not ready yet"),
    "unknown-entry": _Told(404, "There is no such entry"),
    "referral-unknown": _Told(404, "There is no such referral"),
    "referral-closed": _Told(409, "The referral was decided already"),
    "referral-not-yours": _Told(403, "The referral belongs to another office"),
    "officer-signature-invalid": _Told(422, "The officer's signature does not cover this decision"),
    "officer-unknown": _Told(422, "The named officer is not registered"),
    "webhook-invalid": _Told(422, "The webhook cannot be used"),
    "webhook-unknown": _Told(404, "The system has no webhook"),
    "consent-unknown": _Told(404, "There is no such consent"),
    "log-part-unknown": _Told(404, "There is nothing at this place of the log"),
    "client-unauthenticated": _Told(401, "The client is not authenticated"),
    "scope-insufficient": _Told(403, "The access token does not cover this"),
    "cursor-invalid": _Told(422, "The cursor is not one of ours"),
    "rate-limited": _Told(429, "Too many requests"),
    "quorum-missing": _Told(503, "The log has too few witnesses, so no exchange is made"),
    "log-behind": _Told(503, "The log does not keep up, so no exchange is made"),
}
"""Errors whose text may be shown as it is; others are told by their branch only."""


def problem_of(error: LintasError) -> Problem:
    """Translate one of our own errors."""
    told = TOLD.get(error.code)
    if told is None:
        return _by_branch(error)
    kept = ("rules", "decision_id", "promise", "findings", "retry_after")
    return Problem(
        code=error.code,
        status=told.status,
        title=told.title,
        detail=". ".join(part.rstrip(".") for part in (error.what, error.why) if part) + ".",
        remedy=error.remedy,
        errors=error.attributes.get("errors", ()),
        extra={name: error.attributes[name] for name in kept if name in error.attributes},
        headers=_retry_header(error),
    )


def _by_branch(error: LintasError) -> Problem:
    if isinstance(error, RetryLater):
        headers = {"Retry-After": str(int(error.retry_after or 1))}
        return Problem(
            "retry-later", 503, "Not available at the moment", remedy="Try again.", headers=headers
        )
    if isinstance(error, FixContract):
        return Problem("invalid", 422, "What was sent cannot be used", remedy="Correct the request.")
    if isinstance(error, Refused):
        return Problem("refused", 403, "Refused", remedy="See the documentation of this operation.")
    if isinstance(error, IntegrityBroken):
        return Problem("integrity-broken", 500, "Stored data contradicts itself", remedy="Tell the operator.")
    return internal_error()


def _retry_header(error: LintasError) -> dict[str, str]:
    pause = error.attributes.get("retry_after")
    return {} if pause is None else {"Retry-After": str(max(1, int(pause)))}


def internal_error() -> Problem:
    """What is told when something broke: nothing about what."""
    return Problem(
        "internal-error",
        500,
        "Something went wrong on our side",
        remedy="Try again with the same Idempotency-Key; tell the operator the request_id if it lasts.",
    )


_HTTP_TITLES = {404: "There is nothing here", 405: "The method is not allowed here"}


def problem_of_http(error: HTTPException) -> Problem:
    """Translate an error of the framework (unknown path, wrong method)."""
    title = _HTTP_TITLES.get(error.status_code, "The request cannot be served")
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "request-failed")
    return Problem(code, error.status_code, title, remedy="See /docs.", headers=headers)


_TOLD_MESSAGES = {"missing", "extra_forbidden", "string_type", "int_type", "json_invalid", "uuid_parsing"}


def problem_of_validation(error: RequestValidationError) -> Problem:
    """Translate a body, query or header that does not fit: names of fields and rules, never values."""
    told = {
        (
            _place(each["loc"]),
            each["msg"] if each["type"] in _TOLD_MESSAGES else each["type"].replace("_", " "),
        )
        for each in error.errors()[:50]
    }
    found = [{"field": field, "problem": problem} for field, problem in sorted(told)]
    malformed = any(each["type"] == "json_invalid" for each in error.errors())
    if malformed:
        found = [{"field": "body", "problem": "is not JSON"}]
    return Problem(
        "request-invalid",
        400 if malformed else 422,
        "The request does not fit the schema",
        remedy="See /docs for the schema of this operation.",
        errors=found,
    )


def _rule(found: Mapping[str, Any]) -> str:
    kind = str(found["type"])
    return str(found["msg"]) if kind in _TOLD_MESSAGES else kind.replace("_", " ")


def _place(path: Sequence[Any]) -> str:
    """Where it stands, up to the first name that the client chose: such a name may hold anything."""
    kept = [str(path[0])]
    for part in path[1:]:
        if kept[0] == "body" and not isinstance(part, int) and part not in BODY_FIELDS:
            return ".".join([*kept, "*"])
        kept.append(str(part))
    return ".".join(kept)
