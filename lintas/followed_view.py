"""A log over HTTP, followed by somebody who keeps the last checkpoint they saw."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from foundation.http import HttpClient

__all__ = ["follow"]


def follow(url: str, *, keys_file: Path, seen: Path, ca_file: Path) -> Mapping[str, Any]:
    """Fetch the newest checkpoint, prove that it goes on from the one kept, and keep it."""
    from audit.checking.followed import FollowedLog
    from audit.checkpoints.notes import VerifierKey
    from foundation.http import AddressPolicy, HttpClient, TlsPolicy

    lines = keys_file.read_text(encoding="utf-8").splitlines()
    keys = [VerifierKey.parse(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    base, address = url.rstrip("/"), urlsplit(url)
    log = FollowedLog.at(seen, keys)
    before = log.seen()
    client = HttpClient(
        AddressPolicy([f"{address.hostname}:{address.port or 443}"]),
        system="the log",
        tls=TlsPolicy(ca_file=ca_file),
    )
    try:
        note = client.request("GET", f"{base}/v1/log/checkpoint").text
        shown = log.observe(note, _HttpTiles(client, base))
    finally:
        client.close()
    return {
        "log": shown.origin,
        "entries": shown.size,
        "entries_seen_before": before.size if before else 0,
        "kept_in": seen,
        "proven": "it only appended since it was last seen" if before else "nothing yet: seen the first time",
    }


class _HttpTiles:
    """Tiles of a log over HTTP (C2SP tlog-tiles)."""

    def __init__(self, client: "HttpClient", base: str) -> None:
        self._client = client
        self._base = base

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """Exactly `width` hashes of a tile, joined."""
        from audit.errors import LogDamaged
        from audit.tree.tiles import TileAddress

        path = TileAddress(level, index, width).path()
        content = self._client.request("GET", f"{self._base}/v1/log/{path}").body
        if len(content) != width * 32:
            raise LogDamaged(f"The tile {path} does not hold {width} hashes.")
        return content
