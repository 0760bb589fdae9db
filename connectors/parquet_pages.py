"""What the pages of a Parquet file say of themselves, read without unpacking any of them.

The footer's sizes are the writer's word and bind no decoder; the header before each page does. It stands in
Thrift's compact protocol (https://github.com/apache/parquet-format), of which this reads what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

__all__ = ["DELTA_BYTE_ARRAY", "PageHeader", "PagesUnreadableError", "page_headers"]

DELTA_BYTE_ARRAY = 7
"""The encoding that builds each value on the one before: few bytes may stand for any number of them."""

_SHORT, _LONGEST_HEADER = 4 * 1024, 1024 * 1024
_LARGEST_PAGE = 2**31 - 1
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)
_DEEPEST = 16


class PagesUnreadableError(ValueError):
    """A page has no header that could be read."""


@dataclass(frozen=True, slots=True)
class PageHeader:
    """A page: how large it is when unpacked, how many values it holds, how they are written."""

    unpacked: int
    packed: int
    values: int
    encoding: int | None


def page_headers(file: BinaryIO, start: int, length: int) -> Iterator[PageHeader]:
    """The headers of the pages of a column chunk, in their order.

    Args:
        file: The file; its position is changed.
        start: Where the chunk begins.
        length: How long it is.

    Raises:
        PagesUnreadableError: When something there is no header, or leads out of the chunk.
    """
    place, end = start, start + length
    while place < end:
        header, size = _header(file, place)
        after = place + size + header.packed
        if header.packed < 0 or not 0 <= header.unpacked <= _LARGEST_PAGE or after > end:
            raise PagesUnreadableError("a page leads out of its column")
        yield header
        place = after


def _header(file: BinaryIO, place: int) -> tuple[PageHeader, int]:
    for most in (_SHORT, _LONGEST_HEADER):
        file.seek(place)
        content = file.read(most)
        reading = _Compact(content)
        try:
            found = reading.struct()
        except IndexError:
            if len(content) == most:
                continue  # statistics may be long
            break
        about: Any = next((found[each] for each in (5, 7, 8) if isinstance(found.get(each), dict)), {})
        unpacked, packed, values = found.get(2), found.get(3), about.get(1, 0)
        if not (isinstance(unpacked, int) and isinstance(packed, int) and isinstance(values, int)):
            break
        return PageHeader(unpacked, packed, values, about.get(4 if 8 in found else 2)), reading.place
    raise PagesUnreadableError("a page has no header")


class _Compact:
    """Reads structs; what is not asked for is passed over. Too few bytes are an IndexError."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.place = 0

    def struct(self, depth: int = 0) -> dict[int, object]:
        found: dict[int, object] = {}
        number = 0
        while (first := self._byte()) != _STOP:
            number = number + (first >> 4) if first >> 4 else self._zigzag()
            found[number] = self._value(first & 0x0F, depth)
        return found

    def _value(self, kind: int, depth: int, *, in_list: bool = False) -> object:
        if kind in (_TRUE, _FALSE):
            return self._byte() == _TRUE if in_list else kind == _TRUE
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind in (_BYTE, _DOUBLE, _BINARY):
            self._skip(self._varint() if kind == _BINARY else 1 if kind == _BYTE else 8)
            return None
        if depth > _DEEPEST:
            raise PagesUnreadableError("a header is nested too deeply")
        if kind in (_LIST, _SET):
            first = self._byte()
            count = self._varint() if first >> 4 == 0x0F else first >> 4
            for _ in range(self._bounded(count)):
                self._value(first & 0x0F, depth + 1, in_list=True)
            return None
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise PagesUnreadableError("a header holds something that no page has")

    def _byte(self) -> int:
        self.place += 1
        return self._content[self.place - 1]

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self._content):
            raise IndexError

    def _bounded(self, count: int) -> int:
        if count > len(self._content):
            raise IndexError
        return count

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
            shift += 7
            if shift > 63:
                raise PagesUnreadableError("a number has no end")

    def _zigzag(self) -> int:
        found = self._varint()
        return (found >> 1) ^ -(found & 1)
