"""Files of verifier keys that somebody gives to a command: one key a line, and comments."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.checkpoints.notes import VerifierKey
    from foundation.errors import LintasError

__all__ = ["keys_in", "read_text", "verifier_keys"]


def verifier_keys(file: Path) -> "list[VerifierKey]":
    """The keys of a file.

    Raises:
        LogFileMissing: when it cannot be read, or holds anything else, or nothing.
    """
    return keys_in(read_text(file), f"The file {file}")


def keys_in(text: str, where: str) -> "list[VerifierKey]":
    """The keys of a text.

    Raises:
        LogFileMissing: when it holds anything else, or nothing.
    """
    from audit.checkpoints.notes import VerifierKey
    from audit.errors import NoteInvalid

    lines = [line.strip() for line in text.splitlines()]
    try:
        keys = [VerifierKey.parse(line) for line in lines if line and not line.startswith("#")]
    except NoteInvalid as error:
        raise _no_keys(where, error.what) from None
    if not keys:
        raise _no_keys(where, "")
    return keys


def read_text(file: Path) -> str:
    """A file that was given for a check.

    Raises:
        LogFileMissing: when it cannot be read.
    """
    from audit.errors import LogFileMissing

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LogFileMissing(
            f"The file {file} cannot be read.", why=type(error).__name__, remedy="Name another one."
        ) from None


def _no_keys(where: str, why: str) -> "LintasError":
    from audit.errors import LogFileMissing

    return LogFileMissing(
        f"{where} holds something else than verifier keys.",
        why=why,
        remedy="Give the keys of the log, one a line, as `lintas audit export` or /v1/log/keys show them.",
    )
