"""The transparency log (C2SP tlog-tiles): checkpoint and tiles for everybody, entries for auditors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from psycopg import Connection
from starlette.responses import Response

from audit import retention
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.notes import VerifierKey
from audit.entry import EntryDraft, EntryKind
from audit.errors import LogDamaged, ProofError
from audit.log import append
from audit.publishing.export import entry_bundle
from audit.tree.tiles import DatabaseTiles, TileAddress
from foundation import clock
from participants.roles import OfficerRole
from web.errors import LogPartUnknown, ScopeInsufficient
from web.platform import platform_of
from web.replies import EVERYWHERE, problems
from web.tokens import Client

router = APIRouter(tags=["log"])

SCOPE = "log"
_AUDITS = """
SELECT FROM participants.officer o JOIN participants.officer_role r USING (officer_id)
 WHERE o.agency_id = %(agency)s AND r.role = %(role)s AND r.valid_from <= %(at)s
   AND (r.valid_to IS NULL OR %(at)s < r.valid_to)
 LIMIT 1
"""
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
    "/v1/log/minimum-index",
    summary="The first entry that was not pruned",
    response_class=Response,
    responses={**_TEXT},
)
async def minimum_index(request: Request) -> Response:
    """One number; entries below it are gone, their hashes stay."""
    platform = platform_of(request)

    def work() -> int:
        with platform.context.connection() as connection:
            return retention.minimum_index(connection)

    text = f"{await platform.in_thread(work)}\n"
    return Response(text, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-cache"})


@router.get(
    "/v1/log/tile/entries/{path:path}",
    summary="A bundle of entries, for auditors",
    response_class=Response,
    responses={**_BYTES, **problems(404, *EVERYWHERE)},
)
async def entries(request: Request, path: str) -> Response:
    """Up to 256 entries, each with its length before it (two bytes); reading them is itself an entry.

    Only for systems of an agency that has an auditor, whose access token covers the scope `log`.
    """
    platform = platform_of(request)
    address = _address(f"entries/{path}")

    def work(client: Client) -> bytes:
        with platform.context.connection() as connection, connection.transaction():
            _require_auditor(connection, client)
            try:
                found = entry_bundle(connection, address)
            except LogDamaged:
                raise _nothing("There is no such bundle, or it was pruned") from None
            append(connection, _read_by(client, address))
            return found

    found = await platform.serve(request, SCOPE, work)
    headers = {"Cache-Control": "private, no-store"}
    return Response(found, media_type="application/octet-stream", headers=headers)


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
    try:
        return TileAddress.parse(f"tile/{path}")
    except ProofError:
        raise _nothing("This is not the path of a tile") from None


def _require_auditor(connection: Connection[Any], client: Client) -> None:
    values = {"agency": client.agency, "role": OfficerRole.AUDITOR, "at": clock.now()}
    if connection.execute(_AUDITS, values).fetchone() is None:
        raise ScopeInsufficient(
            "Entries are read by systems of agencies that have an auditor",
            remedy="Let the operator register your auditor; receipts prove single entries to everybody",
        )


def _read_by(client: Client, address: TileAddress) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.AUDIT_EXPORTED,
        actor=client.system,
        consumer=client.agency,
        system=client.system,
        details={"view": address.path(), "entries": address.width, "reason": "tlog-tiles"},
    )


def _nothing(what: str) -> LogPartUnknown:
    return LogPartUnknown(what, remedy="Read /v1/log/checkpoint for the size of the log")
