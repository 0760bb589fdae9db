"""A NIK comes in a file, because a command line is seen by everybody on the machine."""

import sys
from pathlib import Path

__all__ = ["nik_in"]


def nik_in(file: Path) -> str:
    """The normalised NIK in the first line of a file; `-` is standard input."""
    from schemas.identifiers import Nik

    text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
    return Nik.parse((text.splitlines() or [""])[0].strip()).value
