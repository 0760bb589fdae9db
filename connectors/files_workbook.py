"""A workbook (XLSX) looked at before it is read: its real size, its sheets, its odd cells.

The reader (calamine) unpacks what it is given, makes room for every cell between the first and the last, and
gives an error (`#DIV/0!`) or a formula that was never calculated as an empty cell. Nothing of that may pass
unseen.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from posixpath import join, normpath
from typing import BinaryIO
from xml.etree import ElementTree

from connectors.errors import ConfigurationInvalid, FileTooLarge, PageUnreadable
from foundation.errors import Location

_MEGABYTE = 1024 * 1024
_CHUNK = 1024 * 1024
_MOST_PARTS = 10_000
_LARGEST_INDEX = 4 * _MEGABYTE
_BYTES_A_CELL = 32
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"

_CELL_BEGINS = b"<c "
# No pattern looks beyond the next tag, so that tags that never end cost no more than their length.
_ERROR = re.compile(rb'<c r="([A-Z]{1,3})([0-9]{1,7})"[^<>]*\bt="e"')
_NEVER_CALCULATED = re.compile(
    rb'<c r="([A-Z]{1,3})([0-9]{1,7})"[^<>]*>\s*<f(?:\s[^<>]*)?(?:/>|>[^<]*</f>)\s*</c>'
)
_ROW = re.compile(rb'<row [^<>]*?\br="([0-9]{1,7})"')
_COLUMN = re.compile(rb' r="([A-Z]{1,3})[0-9]')
_FAR_ROW = re.compile(rb' r="[A-Z]{1,3}([0-9]{6,7})"')
_ODD = re.compile(rb"<c [^>]{0,40}\br='|<[a-z]+:c ")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet as the workbook's index names it."""

    name: str
    part: str
    visible: bool


@dataclass(slots=True)
class Survey:
    """What a sheet holds beside plain values.

    Attributes:
        rows: The last row, as a person counts.
        columns: The last column.
        odd: Cells, by row and column counted from 0, that show a value which is none; and why.
    """

    rows: int = 0
    columns: int = 0
    odd: dict[tuple[int, int], str] = field(default_factory=dict)
    _letters: bytes = b""
    _beyond: re.Pattern[bytes] = _COLUMN

    def look(self, text: bytes) -> None:
        """Look at a piece that begins and ends between two cells."""
        self.rows = max(self.rows, max(map(int, _ROW.findall(text)), default=0))
        if self._beyond.search(text):
            widest = max(set(_COLUMN.findall(text)) | {self._letters}, key=_number)
            self._letters, self.columns, self._beyond = widest, _number(widest), _beyond(widest)
        if self.rows < 100_000 and _FAR_ROW.search(text):
            self.rows = max(self.rows, *map(int, _FAR_ROW.findall(text)))
        if b't="e"' in text:
            self._note(_ERROR, text, "error in a formula")
        if b"<f" in text:
            self._note(_NEVER_CALCULATED, text, "formula never calculated")

    def _note(self, pattern: re.Pattern[bytes], text: bytes, why: str) -> None:
        for letters, row in pattern.findall(text):
            self.odd[(int(row) - 1, _number(letters) - 1)] = why


class Workbook:
    """The parts of a workbook, each unpacked no further than allowed."""

    def __init__(self, file: BinaryIO, location: Location, megabytes: int) -> None:
        """Read the list of parts.

        Raises:
            PageUnreadable: When it is no workbook.
            FileTooLarge: When it would unpack to more than allowed.
        """
        self._file = file
        self._location = location
        self._megabytes = megabytes
        try:
            with zipfile.ZipFile(file) as archive:
                parts = archive.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            raise self._unreadable("It is no XLSX file, or it is protected by a password") from None
        self._parts = {part.filename: part for part in parts}
        known = {_recognised(part.filename) for part in parts}
        if len(known) != len(parts) or len(parts) > _MOST_PARTS:
            raise self._unreadable("It holds a part twice, or parts without end")
        if sum(part.file_size for part in parts) > megabytes * _MEGABYTE:
            raise self._too_large()
        self.sheets = self._sheets()

    def choose(self, name: str | None) -> Sheet:
        """The sheet to read: the one named, or the only visible one.

        Raises:
            PageUnreadable: When it is not there.
            ConfigurationInvalid: When none is named and there are several.
        """
        visible = [sheet.name for sheet in self.sheets if sheet.visible]
        meant = (name or next(iter(visible), "")).casefold()  # spreadsheets do not tell cases apart either
        chosen = [sheet for sheet in self.sheets if sheet.name.casefold() == meant]
        if name is None and len(visible) > 1:
            raise ConfigurationInvalid(
                [f"sheet: the workbook shows several, name one of {', '.join(visible)}"]
            )
        if not chosen:
            raise PageUnreadable(
                f"The workbook has no sheet {name}" if name else "The workbook shows no sheet",
                why=f"It shows {', '.join(visible) or 'none'}",
                remedy="Name one of them under `sheet` in the contract, or ask the agency",
                location=self._location,
            )
        return chosen[0]

    def survey(self, sheet: Sheet) -> Survey:
        """Look at every part that reading the sheet unpacks, and at the sheet's odd cells.

        Raises:
            FileTooLarge: When a part holds more than it says, or the sheet has room for too many cells.
            PageUnreadable: When the sheet is written in a way that no spreadsheet program writes.
        """
        for name, part in self._parts.items():
            if not _recognised(name).startswith("xl/worksheets/"):
                for _ in self._unpacked(part):
                    pass
        found = Survey()
        rest = b""
        for chunk in self._unpacked(self._part(sheet.part)):
            text = rest + chunk
            end = text.rfind(_CELL_BEGINS)
            rest, text = (text[end:], text[:end]) if end > 0 else (text, b"")
            if len(rest) > 8 * _CHUNK:
                raise self._unreadable("A cell never ends")
            self._look(found, text)
        self._look(found, rest)
        if found.rows * found.columns * _BYTES_A_CELL > self._megabytes * _MEGABYTE:
            raise self._too_large()
        return found

    def _look(self, found: Survey, text: bytes) -> None:
        if _ODD.search(text):
            raise self._unreadable("The sheet is written as no spreadsheet program writes it")
        found.look(text)

    def _sheets(self) -> tuple[Sheet, ...]:
        targets = {
            link.get("Id"): normpath(join("xl", str(link.get("Target")))).lstrip("/")
            for link in self._index("xl/_rels/workbook.xml.rels")
            if str(link.get("Type")).endswith("/worksheet")
        }
        found = self._index("xl/workbook.xml").findall(f"{_MAIN}sheets/{_MAIN}sheet")
        return tuple(
            Sheet(str(each.get("name")), targets[each.get(_LINK)], each.get("state", "visible") == "visible")
            for each in found
            if each.get(_LINK) in targets
        )

    def _index(self, name: str) -> ElementTree.Element:
        part = self._part(name)
        text = b"".join(self._unpacked(part)) if part.file_size <= _LARGEST_INDEX else b"<!DOCTYPE"
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise self._unreadable("Its index is none")
        try:
            return ElementTree.fromstring(text)  # noqa: S314 - small, and without entities of its own
        except ElementTree.ParseError:
            raise self._unreadable("Its index is damaged") from None

    def _part(self, name: str) -> zipfile.ZipInfo:
        if name not in self._parts:
            raise self._unreadable("A part of it is missing")
        return self._parts[name]

    def _unpacked(self, part: zipfile.ZipInfo) -> Iterator[bytes]:
        """Unpack a part, and believe neither its size nor its end."""
        self._file.seek(part.header_offset)
        header = self._file.read(30)
        if len(header) < 30 or part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._unreadable("A part of it is damaged")
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        self._file.seek(part.header_offset + 30 + lengths)
        left, total = part.compress_size, 0
        inflate = None if part.compress_type == zipfile.ZIP_STORED else zlib.decompressobj(-15)
        while left:
            data = self._file.read(min(left, _CHUNK // 4))
            if not data:
                raise self._unreadable("A part of it is cut off")
            left -= len(data)
            for piece in self._inflated(inflate, data):
                total += len(piece)
                if total > part.file_size:
                    raise self._too_large()
                yield piece

    def _inflated(self, inflate: zlib._Decompress | None, data: bytes) -> Iterator[bytes]:
        if inflate is None:
            yield data
            return
        try:
            while data:
                yield inflate.decompress(data, _CHUNK)
                data = inflate.unconsumed_tail
        except zlib.error:
            raise self._unreadable("A part of it is damaged") from None

    def _unreadable(self, why: str) -> PageUnreadable:
        return PageUnreadable(
            "The file is no workbook that can be read",
            why=why,
            remedy="Have the agency save it anew as XLSX, without a password",
            location=self._location,
        )

    def _too_large(self) -> FileTooLarge:
        return FileTooLarge(
            f"The workbook holds more than {self._megabytes} MB when it is unpacked",
            remedy="If the file is right, make unpacked_megabytes larger in the contract; have empty cells"
            " far from the data removed",
            location=self._location,
        )


def _recognised(name: str) -> str:
    """The name by which the reader may find a part: it tells neither cases nor slashes apart."""
    return normpath(name.replace("\\", "/")).lstrip("/").casefold()


def _number(letters: bytes) -> int:
    """A column's letters as its number, from 1."""
    found = 0
    for letter in letters:
        found = found * 26 + letter - 64
    return found


def _beyond(letters: bytes) -> re.Pattern[bytes]:
    """What finds a column further to the right."""
    if len(letters) != 1 or letters == b"Z":
        return _COLUMN if len(letters) > 1 else re.compile(rb' r="[A-Z]{2,3}[0-9]')
    return re.compile(rb' r="(?:[' + bytes([letters[0] + 1]) + rb"-Z]|[A-Z]{2,3})[0-9]")
