"""Reading a reply's body, unpacked only as far as it may be large.

A kilobyte of gzip can stand for a megabyte, and gzip in gzip for a gigabyte: what is unpacked is limited
while it is unpacked, and only one layer is.
"""

from __future__ import annotations

import time
import zlib
from typing import Protocol

import httpx

from foundation.errors import LintasError
from foundation.http_errors import BodyCut, BodyTooLarge
from foundation.http_mapping import too_slow, undecodable

__all__ = ["ACCEPTED_ENCODINGS", "read_body"]

ACCEPTED_ENCODINGS = "gzip, deflate"


def read_body(reply: httpx.Response, endpoint: str, *, limit: int, ends_at: float) -> bytes:
    """Read a streamed reply to its end.

    Raises:
        BodyTooLarge: When it is larger than the limit, packed or unpacked.
        UnexpectedContent: When it is packed in a way that was not asked for, or not rightly packed.
        BodyCut: When the packed body ends too early.
        AgencyTooSlow: When the deadline passes.
    """
    unpacking, body, received = _unpacking(reply, endpoint), bytearray(), 0
    for chunk in reply.iter_raw():
        received += len(chunk)
        try:
            body += unpacking.take(chunk, limit + 1 - len(body))
        except zlib.error:
            raise undecodable(endpoint) from None
        if max(received, len(body)) > limit:
            raise _too_large(endpoint, limit)
        if time.monotonic() > ends_at:
            raise too_slow(endpoint)
    if received and not unpacking.complete:
        raise BodyCut(
            f"The packed reply of {endpoint} ends too early",
            remedy="Try again; if it stays, ask the agency about its network or proxy",
            endpoint=endpoint,
        )
    return bytes(body)


class _Unpacking(Protocol):
    @property
    def complete(self) -> bool: ...

    def take(self, chunk: bytes, most: int) -> bytes: ...


class _Plain:
    complete = True

    def take(self, chunk: bytes, most: int) -> bytes:  # noqa: ARG002 - the caller counts
        return chunk


class _Packed:
    def __init__(self, window: int) -> None:
        self._window = window
        self._inflater = zlib.decompressobj(window)
        self._begun = False

    @property
    def complete(self) -> bool:
        return self._inflater.eof

    def take(self, chunk: bytes, most: int) -> bytes:
        if self._inflater.eof:
            raise zlib.error("something follows the end")
        begun, self._begun = self._begun, True
        try:
            unpacked = self._inflater.decompress(chunk, most)
        except zlib.error:
            if begun or self._window != zlib.MAX_WBITS:
                raise
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)  # "deflate" bare, as some send it
            unpacked = self._inflater.decompress(chunk, most)
        if self._inflater.unused_data:
            raise zlib.error("something follows the end")
        return unpacked


def _unpacking(reply: httpx.Response, endpoint: str) -> _Unpacking:
    encoding = reply.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return _Plain()
    if encoding in ("gzip", "x-gzip"):
        return _Packed(zlib.MAX_WBITS | 16)
    if encoding == "deflate":
        return _Packed(zlib.MAX_WBITS)
    raise undecodable(endpoint)


def _too_large(endpoint: str, limit: int) -> LintasError:
    return BodyTooLarge(
        f"The reply of {endpoint} is larger than {limit} bytes",
        remedy="Ask for smaller pages",
        endpoint=endpoint,
        limit=limit,
    )
