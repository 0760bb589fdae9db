"""Access tokens, and the public keys with which everything the bus signs is checked."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.errors import TokenRequestInvalid
from web.platform import platform_of
from web.problems import PREFIX, request_id
from web.refusals import TOKENS
from web.replies import json_reply, problems
from web.tokens import ASSERTION_TYPE, SCOPES

router = APIRouter(tags=["authentication"])

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type", "client_assertion_type", "client_assertion"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_assertion_type": {"type": "string", "enum": [ASSERTION_TYPE]},
                        "client_assertion": {"type": "string", "description": "JWT of RFC 7523"},
                        "client_id": {"type": "string"},
                        "scope": {"type": "string", "description": f"Some of: {' '.join(SCOPES)}"},
                    },
                }
            }
        },
    }
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    status: {
        "description": "RFC 6749 section 5.2, with the members of a problem document",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status in (400, 401)
}
_TOKEN = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {"type": "string"},
        "expires_in": {"type": "integer"},
        "scope": {"type": "string"},
    },
}


@router.post(
    TOKENS,
    summary="Get an access token by private_key_jwt (RFC 7523)",
    response_class=Response,
    openapi_extra=_FORM,
    responses={
        200: {"description": "An access token", "content": {"application/json": {"schema": _TOKEN}}},
        **_REFUSED,
        **problems(413),
    },
)
async def issue_token(request: Request) -> Response:
    """Exchange a signed client assertion for an access token."""
    platform = platform_of(request)
    try:
        form = _form(request.headers.get("content-type", ""), await request.body())

        def work() -> dict[str, Any]:
            with platform.context.connection() as connection:
                return platform.tokens.issue(connection, form)

        return json_reply(await platform.in_thread(work), pragma="no-cache")
    except TokenRequestInvalid as refusal:
        platform.refusals.count(str(refusal.attributes["oauth_error"]), TOKENS)
        return _oauth_problem(request, refusal)


@router.get("/.well-known/jwks.json", summary="Public keys of the bus", response_class=Response)
async def public_keys(request: Request) -> Response:
    """Every version of the key that signs answers, promises and tokens (RFC 7517)."""
    keys = await platform_of(request).in_thread(platform_of(request).context.signer.public_keys)
    return json_reply({"keys": keys}, Cache_Control="public, max-age=300")


@router.get("/.well-known/oauth-authorization-server", summary="Metadata (RFC 8414)", response_class=Response)
async def metadata(request: Request) -> Response:
    """Where the token endpoint is, and what it takes."""
    tokens = platform_of(request).tokens
    document = {
        "issuer": tokens.issuer,
        "token_endpoint": tokens.token_url,
        "jwks_uri": f"{tokens.issuer}/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["Ed25519", "EdDSA"],
        "scopes_supported": list(SCOPES),
        "response_types_supported": [],
    }
    return json_reply(document, Cache_Control="public, max-age=300")


def _form(content_type: str, body: bytes) -> dict[str, str]:
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise _malformed("The body must be application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except (ValueError, UnicodeDecodeError):
        raise _malformed("The form cannot be read") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _malformed("A parameter stands in the form more than once")
    return form


def _malformed(what: str) -> TokenRequestInvalid:
    return TokenRequestInvalid(what, remedy="See RFC 6749 section 4.4", oauth_error="invalid_request")


def _oauth_problem(request: Request, refusal: TokenRequestInvalid) -> Response:
    """Our problem document with the members that RFC 6749 section 5.2 asks for."""
    error = str(refusal.attributes["oauth_error"])
    status = 401 if error == "invalid_client" else 400
    content = {
        "type": PREFIX + refusal.code,
        "title": "The token request is not valid",
        "status": status,
        "detail": refusal.what,
        "remedy": refusal.remedy,
        "request_id": request_id(request),
        "error": error,
        "error_description": refusal.what,
    }
    return json_reply(content, status)
