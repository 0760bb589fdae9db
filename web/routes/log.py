"""The transparency log for everybody (C2SP tlog-tiles): checkpoint and tiles, without authentication."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.notes import VerifierKey
from audit.errors import LogDamaged, ProofError
from audit.tree.tiles import DatabaseTiles, TileAddress
from web.errors import LogPartUnknown
from web.platform import platform_of
from web.replies import problems

router = APIRouter(tags=["log"])

_FOREVER = "public, max-age=31536000, immutable"
_LATEST = """
WITH newest AS (
    SELECT tree_size, note, signed_at FROM audit.checkpoints ORDER BY tree_size DESC LIMIT 1
), witnessed AS (
    SELECT note, gathered_at FROM audit.cosigned_checkpoints WHERE quorum_met ORDER BY tree_size DESC LIMIT 1
)
SELECT CASE WHEN n.signed_at - w.gathered_at < interval '10 seconds' THEN w.note
            ELSE coalesce(o.note, n.note) END
  FROM newest n LEFT JOIN witnessed w ON true LEFT JOIN audit.cosigned_checkpoints o USING (tree_size)
"""
_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/v1/log/checkpoint",
    summary="The newest signed checkpoint",
    response_class=Response,
    responses={**_TEXT, **problems(404)},
)
async def checkpoint(request: Request) -> Response:
    """A signed note (C2SP tlog-checkpoint); it changes at most once a second.

    The newest that a quorum of witnesses has cosigned; where that is more than ten seconds old, the newest.
    """
    platform = platform_of(request)

    def work() -> str:
        with platform.context.connection() as connection:
            row = connection.execute(_LATEST).fetchone()
        if row is None:
            raise _nothing("The log has no checkpoint yet")
        return str(row[0])

    note = await platform.in_thread(work)
    return Response(note, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-cache"})


@router.get(
    "/v1/log/tile/{path:path}",
    summary="A tile of the tree",
    response_class=Response,
    responses={**_BYTES, **problems(404)},
)
async def tile(request: Request, path: str) -> Response:
    """Hashes of a level, 256 to a full tile; a tile never changes once it is there."""
    platform = platform_of(request)
    address = _address(path)

    def work() -> bytes:
        with platform.context.connection() as connection:
            try:
                return DatabaseTiles(connection).hashes(address.level or 0, address.index, address.width)
            except LogDamaged:
                raise _nothing("There is no such tile yet") from None

    found = await platform.in_thread(work)
    return Response(found, media_type="application/octet-stream", headers={"Cache-Control": _FOREVER})


@router.get("/v1/log/keys", summary="Verifier keys of the log", response_class=Response, responses={**_TEXT})
async def keys(request: Request) -> Response:
    """Every key that ever signed checkpoints of this log, one verifier key a line, newest first."""
    platform = platform_of(request)

    def work() -> list[VerifierKey]:
        return log_verifier_keys(platform.context.installation)

    lines = "".join(f"{key}\n" for key in await platform.in_thread(work))
    return Response(lines, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "max-age=300"})


def _address(path: str) -> TileAddress:
    """Where a tile stands. Entries are not public: who was party to an exchange has its receipt."""
    try:
        address = TileAddress.parse(f"tile/{path}")
    except ProofError:
        raise _nothing("This is not the path of a tile") from None
    if address.level is None:
        raise _nothing("Entries are not public")
    return address


def _nothing(what: str) -> LogPartUnknown:
    return LogPartUnknown(what, remedy="Read /v1/log/checkpoint for the size of the log")
