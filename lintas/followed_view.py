"""A log over HTTP, followed by somebody who keeps the last checkpoint they saw."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from lintas.key_files import verifier_keys

__all__ = ["follow"]


def follow(url: str, *, keys_file: Path, seen: Path, ca_file: Path) -> Mapping[str, Any]:
    """Fetch the newest checkpoint, prove that it goes on from the one kept, and keep it."""
    from audit.checking.followed import FollowedLog
    from audit.checking.log_files import PublishedTiles, ServedFiles

    log = FollowedLog.at(seen, verifier_keys(keys_file))
    before = log.seen()
    with closing(ServedFiles(url, ca_file)) as files:
        shown = log.observe(files.read("checkpoint").decode("utf-8", "replace"), PublishedTiles(files))
    return {
        "log": shown.origin,
        "entries": shown.size,
        "entries_seen_before": before.size if before else 0,
        "kept_in": seen,
        "proven": "it only appended since it was last seen" if before else "nothing yet: seen the first time",
    }
