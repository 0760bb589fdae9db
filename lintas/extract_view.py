"""Taking a part of the log out, and checking such a part, as the command line does it."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.database import Role
from lintas.access import opened
from lintas.output import console
from lintas.search_view import Look, hidden_keys, reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from foundation.installation import Installation

__all__ = ["CheckedExtract", "check", "take"]


@dataclass(frozen=True)
class CheckedExtract:
    """What the check of a folder found."""

    holds: bool
    lines: tuple[str, ...]


def take(look: Look, folder: Path, formats: Sequence[str]) -> dict[str, Any]:
    """Write what a search finds into a folder, with the keys by which it is checked and the two checkers."""
    from audit.search import LogFilter
    from audit.search.extract import extract

    wanted = LogFilter.from_dict(look.asked)
    with opened() as installation, _bar() as tell:
        hidden = hidden_keys(installation, look)
        key = installation.keyring.current("bus")
        with installation.database.connect(Role.AUDITOR, autocommit=True) as connection:
            report = extract(
                connection, folder, wanted, reader(look), key, hidden=hidden, formats=formats, progress=tell
            )
        _write_keys(installation, folder)
    return {
        "folder": report.directory,
        "entries": report.entries,
        "checkpoint_size": report.checkpoint_size,
        "minimum_index": report.minimum_index,
        "files": list(report.files),
        "check_with": f"python {folder}/check/lintas_extract.py {folder} --keys {folder}/check/keys"
        f" --bus-keys {folder}/check/bus.jwks",
    }


def check(folder: Path, keys: Path | None, bus_keys: Path | None) -> CheckedExtract:
    """Check a folder with keys from files, or with the ones of this installation."""
    from audit.verifier import lintas_extract, lintas_verify

    if keys is None or bus_keys is None:
        with opened() as installation:
            own = _write_keys(installation, installation.home / "tmp" / "extract-keys", with_checkers=False)
        keys, bus_keys = keys or own / "keys", bus_keys or own / "bus.jwks"
    try:
        known = lintas_extract.read_bus_keys(bus_keys)
        manifest = lintas_extract.verify_extract(folder, lintas_verify.read_keys(keys), known)
    except lintas_verify.Falsehood as error:
        return CheckedExtract(False, (f"FALSE: {error}",))
    except lintas_verify.Unchecked as error:
        return CheckedExtract(False, (f"NOT CHECKED: {error}",))
    return CheckedExtract(True, tuple(lintas_extract.told(manifest)))


def _write_keys(installation: "Installation", folder: Path, *, with_checkers: bool = True) -> Path:
    """The public keys, apart from what they check: who gets the folder should get them from elsewhere."""
    from audit.checkpoints.keys import log_verifier_keys
    from audit.verifier import lintas_extract, lintas_verify

    place = folder / "check" if with_checkers else folder
    place.mkdir(parents=True, exist_ok=True)
    ring = installation.keyring
    pairs = [ring.get("bus", version) for version in ring.versions("bus")]
    jwks = {"keys": [pair.public_jwk | {"kid": pair.kid} for pair in pairs]}
    (place / "keys").write_text(
        "".join(f"{key}\n" for key in log_verifier_keys(installation)), encoding="utf-8"
    )
    (place / "bus.jwks").write_text(json.dumps(jwks, indent=1), encoding="utf-8")
    for checker in (lintas_extract, lintas_verify) if with_checkers else ():
        shutil.copy(str(checker.__file__), place)
    return place


@contextmanager
def _bar() -> "Iterator[Callable[[int, int], None] | None]":
    """A bar on standard error, where somebody sees it."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=out, transient=True) as progress:
        task = progress.add_task("reading the log", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
