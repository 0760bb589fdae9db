"""How far a walk over a log came, kept in a file, so that an interrupted walk goes on where it stopped.

Invariants:
- Only a clean walk is kept: what was wrong is met again by the walk that goes on.
- The file is believed only with its MAC, under a key that stays in the auditor's home; and only while the
  tree that was walked stands under a signed checkpoint of the log now.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.checking.damage import DamageKind
from audit.checking.tree_walk import Findings
from audit.errors import LogDamaged, ProgressFalse, ProofError
from audit.tree.merkle import Frontier, verify_consistency
from audit.tree.tiles import TILE_WIDTH, TileReader, consistency_proof
from foundation import clock
from foundation.errors import FixInstallation
from foundation.files import make_private_directory, read_private, write_once, write_private

__all__ = ["Begin", "KeptProgress", "Reached", "roots_digest", "take_up"]

_VERSION = 1


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Where the progress cannot be kept, that is said; a walk that cannot go on must not seem to."""
    try:
        yield
    except OSError as error:
        raise FixInstallation(
            f"The progress of the verification cannot be kept in {place}.",
            why=type(error).__name__,
            remedy="Let the folder be writable, or set LINTAS_HOME to one that is yours.",
        ) from None


class Begin(StrEnum):
    """Where a walk begins."""

    START = "at the start"
    INTERRUPTED = "where an interrupted walk stopped"
    LAST = "where the last walk stopped"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one walk came.

    Attributes:
        size: how many leaves it has walked, in full tiles.
        frontier: the tree's right edge there.
        roots: digest of the signed roots that were met up to there.
        sealed: how many sealed rows were compared.
        pruned: up to which index an entry said that the log was pruned.
        finished: whether the walk came to the log's end.
        at: when it was there.
    """

    size: int
    frontier: str
    roots: str
    sealed: int = 0
    pruned: int = 0
    finished: bool = False
    at: str = ""

    def tree(self) -> Frontier:
        """The tree up to there.

        Raises:
            ProofError: when the frontier does not fit the size.
        """
        return Frontier.from_bytes(self.size, bytes.fromhex(self.frontier))


class KeptProgress:
    """The file in which one auditor keeps how far they have walked one log.

    Args:
        file: where it is kept.
        key: what the file's MAC is made with.
        source: which log it is about, and where it was read.
        seconds: how often it is written at most.
    """

    def __init__(self, file: Path, key: bytes, source: str, seconds: float = 2.0) -> None:
        self.file = file
        self._key = key
        self._source = source
        self._seconds = seconds
        self._written = time.monotonic()

    @classmethod
    def within(cls, home: Path, source: str, file: Path | None = None) -> KeptProgress:
        """The progress that is kept in an auditor's home, or in a file of their own choice under its key."""
        with _told(home / "verified"):
            folder = make_private_directory(home / "verified")
            key_file = folder / "key"
            write_once(key_file, secrets.token_bytes(32))
            name = hashlib.sha256(source.encode()).hexdigest()[:16]
            return cls(file or folder / f"{name}.progress", read_private(key_file), source)

    def read(self) -> Reached | None:
        """How far the last walk came; None when nothing is kept.

        Raises:
            ProgressFalse: when the file was changed, or is about another log.
        """
        try:
            with _told(self.file):
                content = json.loads(self.file.read_bytes()) if self.file.exists() else None
            if content is None:
                return None
            given, body = content["mac"], content["progress"]
            if not hmac.compare_digest(str(given), self._mac(body)):
                raise ValueError
            return Reached(**body)
        except (ValueError, KeyError, TypeError):
            raise ProgressFalse(
                f"The file {self.file.name}, in which the progress is kept, is not as it was written.",
                why="It was changed, is about another log, or was written under another home.",
                remedy=f"Ask who could write to it, remove {self.file}, and verify again.",
            ) from None

    def keep(self, reached: Reached) -> None:
        """Keep how far the walk came, now and then, and when it is finished."""
        now = time.monotonic()
        if not reached.finished and now < self._written + self._seconds:
            return
        self._written = now
        body = {**asdict(reached), "at": clock.now().isoformat(timespec="seconds")}
        content = json.dumps({"progress": body, "mac": self._mac(body)}, indent=1)
        with _told(self.file):
            write_private(self.file, content.encode())

    def _mac(self, body: Mapping[str, Any]) -> str:
        bound = json.dumps([_VERSION, self._source, body], sort_keys=True)
        return hmac.new(self._key, bound.encode(), hashlib.sha256).hexdigest()


def take_up(
    kept: KeptProgress | None,
    begin: Begin,
    roots: dict[int, bytes],
    tiles: TileReader,
    findings: Findings,
    *,
    minimum: int = 0,
) -> Reached | None:
    """Where an earlier walk came to, if this one may begin there.

    Where it may not, the tree that was walked is one more root that this walk must meet.

    Args:
        kept: where progress is kept, if anywhere.
        begin: where the walk is to begin.
        roots: the signed roots; the one that was walked is added when it is not taken up.
        tiles: the log's tiles, which bring the proofs.
        findings: where a false file is noted.
        minimum: the first entry that was not pruned.
    """
    try:
        reached = kept.read() if kept is not None else None
        tree = reached.tree() if reached is not None else None
    except ProgressFalse as error:
        findings.report(0, DamageKind.PROGRESS_FALSE, f"{error.what} {error.remedy}")
        return None
    if reached is None or tree is None or not reached.size:
        return None
    wanted = begin is Begin.LAST or (begin is Begin.INTERRUPTED and not reached.finished)
    if wanted and reached.size >= minimum and _stands_under(reached, roots, tiles):
        return reached
    if roots.setdefault(tree.size, tree.root()) != tree.root():
        detail = f"the tree that was walked on {reached.at} had another root"
        findings.report(tree.size, DamageKind.HISTORY_REWRITTEN, detail)
    return None


def roots_digest(roots: Mapping[int, bytes], size: int) -> str:
    """What stands for all signed roots up to a size."""
    digest = hashlib.sha256()
    for each in sorted(roots):
        if each <= size:
            digest.update(each.to_bytes(8, "big") + roots[each])
    return digest.hexdigest()


def _stands_under(reached: Reached, roots: Mapping[int, bytes], tiles: TileReader) -> bool:
    """Whether the tree that was walked, and every signed root within it, go on to the newest signed root.

    The tiles only bring the proofs, which are verified.
    """
    newest = max(roots, default=0)
    if reached.size % TILE_WIDTH or not 0 < reached.size <= newest:
        return False
    try:
        _goes_on(reached.size, reached.tree().root(), newest, roots[newest], tiles)
        if roots_digest(roots, reached.size) != reached.roots:
            for size in roots:
                if 0 < size <= reached.size:
                    _goes_on(size, roots[size], newest, roots[newest], tiles)
    except (ProofError, LogDamaged, ValueError):
        return False
    return True


def _goes_on(size: int, root: bytes, newest: int, newest_root: bytes, tiles: TileReader) -> None:
    proof = consistency_proof(tiles, size, newest) if size < newest else []
    verify_consistency(size, newest, proof, root, newest_root)
