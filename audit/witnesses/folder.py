"""What a witness keeps, in a folder of its own: signing keys, the logs it knows, what it saw last of each.

```
witness.json   address to listen on
keys           signing keys, one a line; private
logs           verifier keys of logs, one a line; a log's new key is a further line
seen/<hash>    the newest checkpoint that was cosigned for a log (SHA-256 of its origin), or `none`
evidence/      checkpoints that contradict what was seen: proof that a log misbehaved
```

Invariant: what was seen of a log never goes back, and never gets lost in silence. A log whose file under
`seen/` is gone is refused, because a witness that forgot would cosign a fork.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.checkpoints.checkpoint import Checkpoint
from audit.checkpoints.cosignatures import Cosigner
from audit.checkpoints.notes import VerifierKey, open_note
from audit.checkpoints.signature_types import LOG_TYPES
from audit.errors import NoteInvalid, WitnessUnfit
from audit.tree.merkle import EMPTY_ROOT
from foundation.errors import FixInstallation
from foundation.files import file_lock, make_private_directory, read_private, write_once, write_private

__all__ = ["WitnessFolder", "origin_hash"]

_NONE = b"none\n"
_LOCK_SECONDS = 10.0
_MOST_EVIDENCE = 100


@dataclass(frozen=True, slots=True)
class WitnessFolder:
    """The folder of one witness. Safe to use from several threads and processes."""

    path: Path

    @classmethod
    def make(
        cls,
        path: Path,
        cosigners: Sequence[Cosigner],
        *,
        host: str,
        port: int,
        tls_hosts: Sequence[str] = (),
    ) -> WitnessFolder:
        """Make a new witness.

        Args:
            path: the folder.
            cosigners: its signing keys.
            host: address to listen on.
            port: port to listen on.
            tls_hosts: names under which it is reached over TLS, with a certificate of its own authority.

        Raises:
            WitnessUnfit: when there is one in the folder already.
        """
        folder = cls(make_private_directory(path))
        make_private_directory(path / "seen")
        make_private_directory(path / "evidence")
        lines = "".join(f"{each}\n" for each in cosigners)
        if not write_once(path / "keys", lines.encode()):
            raise WitnessUnfit("There is a witness in this folder already.", remedy="Choose another folder.")
        described = {"host": host, "port": port, "tls_hosts": list(tls_hosts)}
        write_private(path / "witness.json", json.dumps(described).encode())
        write_once(path / "logs", b"# verifier keys of logs, one a line\n", 0o644)
        return folder

    def trust(self, key: VerifierKey) -> None:
        """Watch a log from its beginning, or add a new key of one that is watched.

        Raises:
            NoteInvalid: when it is not the key of a log.
        """
        if key.signature_type not in LOG_TYPES:
            raise NoteInvalid("This is not the verifier key of a log (type 0x01 or 0x06).")
        with file_lock(self.path / "logs.lock", _LOCK_SECONDS):
            known = self.logs()
            if key in known:
                return
            if all(key.name != each.name for each in known):
                write_once(self._seen(key.name), _NONE)
            text = (self.path / "logs").read_text(encoding="utf-8")
            write_private(self.path / "logs", f"{text.rstrip()}\n{key}\n".encode(), 0o644)

    def address(self) -> tuple[str, int]:
        """Host and port to listen on.

        Raises:
            WitnessUnfit: when the folder is not that of a witness.
        """
        found = self._described()
        return str(found["host"]), int(found["port"])

    def tls_hosts(self) -> list[str]:
        """Names under which the witness is reached over TLS; none when it speaks plainly, on loopback.

        Raises:
            WitnessUnfit: when the folder is not that of a witness.
        """
        return [str(each) for each in self._described().get("tls_hosts", [])]

    def _described(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.path / "witness.json").read_bytes())
            int(content["port"]), str(content["host"])
            return content
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WitnessUnfit(
                "This is not the folder of a witness.",
                why=type(error).__name__,
                remedy="Make one with `lintas witness init`.",
            ) from None

    def cosigners(self) -> list[Cosigner]:
        """The signing keys.

        Raises:
            WitnessUnfit: when they cannot be read.
        """
        try:
            lines = read_private(self.path / "keys").decode("ascii").split()
            found = [Cosigner.parse(line) for line in lines]
        except (NoteInvalid, UnicodeDecodeError, FixInstallation) as error:
            raise WitnessUnfit(
                "The signing keys of the witness cannot be read.",
                why=type(error).__name__,
                remedy="Put the file `keys` back, or make a new witness with `lintas witness init`.",
            ) from None
        if not found:
            raise WitnessUnfit("The witness has no signing key.", remedy="Make a new witness.")
        return found

    def logs(self) -> list[VerifierKey]:
        """The verifier keys of the logs that are watched.

        Raises:
            WitnessUnfit: when a line is not one.
        """
        try:
            lines = (self.path / "logs").read_text(encoding="utf-8").split("\n")
            texts = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
            return [VerifierKey.parse(text) for text in texts]
        except (OSError, NoteInvalid, UnicodeDecodeError) as error:
            raise WitnessUnfit(
                "The list of logs cannot be read.",
                why=type(error).__name__,
                remedy="Write one verifier key a line into the file `logs`.",
            ) from None

    @contextmanager
    def holding(self, origin: str) -> Iterator[None]:
        """Let nobody else look at or change what was seen of a log meanwhile."""
        with file_lock(self._seen(origin).with_suffix(".lock"), _LOCK_SECONDS):
            yield

    def seen(self, origin: str) -> tuple[Checkpoint, str | None]:
        """The newest checkpoint that was cosigned, and the note; the empty log when there is none yet.

        Raises:
            WitnessUnfit: when that is lost or was changed.
        """
        try:
            content = self._seen(origin).read_bytes()
            if content == _NONE:
                return Checkpoint(origin, 0, EMPTY_ROOT), None
            opened = open_note(content, [each.key for each in self.cosigners()])
            checkpoint = Checkpoint.parse(opened.text)
            if checkpoint.origin != origin:
                raise NoteInvalid("The checkpoint is one of another log.")
        except (OSError, NoteInvalid) as error:
            raise WitnessUnfit(
                "What this witness had seen of the log is lost or damaged.",
                why=type(error).__name__,
                remedy="Make a new witness with a new key; this one can no longer tell a fork.",
            ) from None
        return checkpoint, content.decode()

    def remember(self, origin: str, note: str) -> None:
        """Keep the newest cosigned checkpoint, on the disk before this returns."""
        write_private(self._seen(origin), note.encode())

    def keep_evidence(self, checkpoint: Checkpoint, note: str) -> None:
        """Keep a signed checkpoint that contradicts what was seen."""
        folder = self.path / "evidence"
        name = f"{origin_hash(checkpoint.origin)[:16]}.{checkpoint.size}.{checkpoint.root.hex()[:16]}.note"
        if sum(1 for _ in folder.iterdir()) < _MOST_EVIDENCE:
            write_once(folder / name, note.encode())

    def _seen(self, origin: str) -> Path:
        return self.path / "seen" / origin_hash(origin)


def origin_hash(origin: str) -> str:
    """Under which name a log is kept and asked for."""
    return hashlib.sha256(origin.encode()).hexdigest()
