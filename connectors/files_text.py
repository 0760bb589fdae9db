"""The text in a spooled file: unpacked, decoded as declared, as a stream of clean UTF-8.

What cannot be decoded becomes U+FFFD, which no rule of a contract accepts: the row is kept, in quarantine.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import BinaryIO

from connectors.errors import FileTooLarge, PageUnreadable
from connectors.files_folder import shown
from connectors.files_spool import Spool
from foundation.errors import Location

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_CHUNK = 1024 * 1024


class Unpacked(io.RawIOBase):
    """The bytes of a spooled file, unpacked when its name ends with `.gz`, and never more than allowed."""

    def __init__(self, spool: Spool, megabytes: int) -> None:
        """Begin at the beginning of the copy."""
        super().__init__()
        spool.file.seek(0)
        self._location = Location(file=shown(spool.name))
        self._left = megabytes * 1024 * 1024
        self._megabytes = megabytes
        packed = spool.name.casefold().endswith(".gz")
        self._source: BinaryIO = gzip.GzipFile(fileobj=spool.file) if packed else spool.file  # type: ignore[assignment]

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes; fewer only at the end.

        Raises:
            PageUnreadable: When what is packed is damaged.
            FileTooLarge: When it is more than allowed.
        """
        try:
            data = self._source.read(size if size >= 0 else self._left + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise PageUnreadable(
                "The packed file is damaged or cut off",
                remedy="Have the agency drop it again; nothing of this batch is published",
                location=self._location,
            ) from None
        self._left -= len(data)
        if self._left < 0:
            raise FileTooLarge(
                f"The file holds more than {self._megabytes} MB when it is unpacked",
                remedy="Make unpacked_megabytes larger in the contract, if the file is right",
                location=self._location,
            )
        return data


class CleanText(io.RawIOBase):
    """The text of a file as UTF-8, without a byte order mark."""

    def __init__(self, spool: Spool, encoding: str, megabytes: int) -> None:
        """Begin at the beginning.

        Raises:
            PageUnreadable: When the file says that it is written in another encoding.
        """
        super().__init__()
        self._source = Unpacked(spool, megabytes)
        self._decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode
        self._ended = False
        head = self._source.read(_CHUNK)
        if head.startswith(_UTF16):
            raise PageUnreadable(
                f"The file is written in UTF-16, and the contract says {encoding}",
                remedy="Have the agency export it as UTF-8 (in a spreadsheet: `CSV UTF-8`)",
                location=Location(file=shown(spool.name), rule="encoding"),
            )
        self._ready = self._clean(head.removeprefix(_BOM), last=len(head) < _CHUNK)

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes; fewer only at the end."""
        parts, have = [self._ready], len(self._ready)
        while not self._ended and (size < 0 or have < size):
            data = self._source.read(_CHUNK)
            parts.append(self._clean(data, last=len(data) < _CHUNK))
            have += len(parts[-1])
        whole = b"".join(parts)
        end = len(whole) if size < 0 else size
        self._ready = whole[end:]
        return whole[:end]

    def unread(self, data: bytes) -> None:
        """Put bytes back, to be read next."""
        self._ready = data + self._ready

    def _clean(self, data: bytes, *, last: bool) -> bytes:
        self._ended = last
        return self._decode(data, last).encode()
