"""How replies are made: JSON by orjson, with what the schema says documented beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from web.problems import MEDIA_TYPE

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem document; the one shape of every error.",
    "required": ["type", "title", "status", "detail", "remedy", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
        "rules": {"type": "array", "items": {"type": "string"}},
        "findings": {"type": "array", "items": {"type": "object"}},
        "decision_id": {"type": "string"},
        "promise": {"type": "string"},
        "retry_after": {"type": "number"},
    },
}


def json_reply(content: Mapping[str, Any], status: int = 200, **headers: str) -> Response:
    """A JSON reply; header names use _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(orjson.dumps(content, default=str), status, headers=named, media_type="application/json")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem replies of an operation, for its documentation."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": content} for status in statuses}


_DESCRIPTIONS = {
    400: "The request is not JSON, or not a token request",
    401: "The client is not authenticated",
    403: "Refused by the decision layer, or outside the token's scope",
    404: "There is no such thing for this client",
    409: "It was decided already",
    413: "The body is too large",
    422: "The request does not fit, or the applicant could not be confirmed",
    429: "Too many requests, or a quota is used up",
    503: "Not available at the moment",
}
EVERYWHERE = (401, 403, 413, 422, 429, 503)
"""Problems that every authenticated operation may answer with."""
