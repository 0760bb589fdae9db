"""Where a published log is read: a folder of exported files, or a server (both in C2SP tlog-tiles).

Nothing that is read here is believed; sizes are bounded before anything is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from audit.errors import LogDamaged, LogFileMissing
from audit.tree.merkle import HASH_SIZE
from audit.tree.tiles import TILE_WIDTH, TileAddress
from foundation.http import (
    AddressPolicy,
    BodyTooLarge,
    HttpClient,
    Limits,
    NotFoundAtSource,
    TlsPolicy,
)

__all__ = ["FolderFiles", "LogFiles", "PublishedTiles", "ServedFiles"]

_LARGEST_BUNDLE = TILE_WIDTH * (65_535 + 2)
_AT_ONCE = 8
_OUR_PREFIX = "/v1/log"


class LogFiles(Protocol):
    """The files of one log."""

    @property
    def name(self) -> str:
        """Where they are, for people and for the progress that is kept."""
        ...

    @property
    def has_entries(self) -> bool:
        """Whether entries can be read, or only hashes."""
        ...

    def read(self, path: str) -> bytes:
        """Content of a file.

        Raises:
            LogFileMissing: when it is not there.
            LogDamaged: when it is larger than any such file.
        """
        ...

    def read_all(self, paths: Sequence[str]) -> list[bytes | None]:
        """Content of several files; None for one that is not there."""
        ...

    def history(self) -> list[tuple[str, bytes]]:
        """Earlier checkpoints, with their names."""
        ...


class FolderFiles:
    """What `lintas audit export` has written.

    Raises:
        LogFileMissing: when the folder holds no checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"the folder {folder}"
        self.has_entries = (folder / "tile" / "entries").is_dir()

    def read(self, path: str) -> bytes:
        """Content of a file."""
        try:
            with (self._folder / path).open("rb") as file:
                content = file.read(_LARGEST_BUNDLE + 1)
        except OSError as error:
            raise LogFileMissing(
                f"The file {path} cannot be read from {self.name}.",
                why=type(error).__name__,
                remedy="Export the log again, or copy the folder again.",
                path=path,
            ) from None
        return _bounded(path, content)

    def read_all(self, paths: Sequence[str]) -> list[bytes | None]:
        """Content of several files."""
        return [self.read(path) if (self._folder / path).exists() else None for path in paths]

    def history(self) -> list[tuple[str, bytes]]:
        """The folder `checkpoints`."""
        folder = self._folder / "checkpoints"
        names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
        return [(name, self.read(f"checkpoints/{name}")) for name in names]


class ServedFiles:
    """A log over HTTPS; what a server cannot or will not show now is an error of the way, not of the log.

    Args:
        url: where its `checkpoint` is, without that word; for a bus its address is enough.
        ca_file: authority of its certificate (default: the system's authorities).
        token_file: file with the access token for entry bundles, read anew when the token has run out;
            without one only hashes are read.
    """

    def __init__(self, url: str, ca_file: Path | None = None, token_file: Path | None = None) -> None:
        address = urlsplit(url)
        path = address.path.rstrip("/") or _OUR_PREFIX
        port = address.port or (80 if address.scheme == "http" else 443)
        self.name = f"{address.scheme}://{address.netloc}{path}"
        self.has_entries = token_file is not None
        self._http = HttpClient(
            AddressPolicy([f"{address.hostname}:{port}"]),
            system="the log",
            tls=TlsPolicy(ca_file=ca_file),
            limits=Limits(body_bytes=_LARGEST_BUNDLE, connections=_AT_ONCE),
            credentials=_TokenFile(token_file) if token_file is not None else None,
        )
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="log")

    def close(self) -> None:
        """Close all connections."""
        self._pool.shutdown(cancel_futures=True)
        self._http.close()

    def read(self, path: str) -> bytes:
        """Content of a file; other failures leave as :mod:`foundation.http_errors`."""
        try:
            content = self._http.request("GET", f"{self.name}/{path}").body
        except NotFoundAtSource:
            raise LogFileMissing(
                f"{self.name} does not show {path}.",
                why="It was asked for because the signed checkpoint says that it is there.",
                remedy="Try again later; a log that goes on hiding its tiles proves nothing.",
                path=path,
            ) from None
        except BodyTooLarge:
            content = bytes(_LARGEST_BUNDLE + 1)
        return _bounded(path, content)

    def read_all(self, paths: Sequence[str]) -> list[bytes | None]:
        """Content of several files, some at once; one that is missing is an error here."""
        return list(self._pool.map(self.read, paths))

    def history(self) -> list[tuple[str, bytes]]:
        """A server shows its newest checkpoint only."""
        return []


class _TokenFile:
    """An access token in a file that somebody renews while a long walk goes on."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def headers(self) -> dict[str, str]:
        """The token that stands in the file now."""
        try:
            token = self._file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LogFileMissing(
                "The file with the access token cannot be read.",
                why=type(error).__name__,
                remedy="Write an access token with the scope `log` into it.",
            ) from None
        return {"Authorization": f"Bearer {token}"}

    def renew(self, refused: dict[str, str]) -> bool:
        """Whether there is another token by now."""
        return self.headers() != refused


class PublishedTiles:
    """The tiles of published files, for proofs."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files

    def hashes(self, level: int, index: int, width: int) -> bytes:
        """Exactly `width` hashes of a tile.

        Raises:
            LogDamaged: when the tile has another length.
        """
        path = TileAddress(level, index, width).path()
        content = self._files.read(path)
        if len(content) != width * HASH_SIZE:
            raise LogDamaged(f"The tile {path} does not hold {width} hashes.", path=path)
        return content


def _bounded(path: str, content: bytes) -> bytes:
    largest = _LARGEST_BUNDLE if path.startswith("tile/entries/") else 1_000_000
    if len(content) > largest:
        raise LogDamaged(f"The file {path} is larger than any such file can be.", path=path)
    return content
