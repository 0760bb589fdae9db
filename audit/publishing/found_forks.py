"""The forks that witnesses have reported, kept as a file beside the published checkpoint.

Invariant: the file is on disk before anything else is done about a fork, and while it names a witness
nothing is signed, whatever is restarted. A witness leaves it by cosigning this log's newest checkpoint, by
leaving the policy, or by an officer's word that stands in the log.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.errors import LogForked
from foundation import clock
from foundation.files import make_private_directory, remove_durably, write_private

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["UNREADABLE", "FoundForks"]

UNREADABLE = "unreadable"
"""Stands for the witness where the file cannot be read."""
_RECOVERY = (
    "Follow the page on witnesses: restore the newest copy of the database, and this ends once the witness"
    " cosigns it. If the witness is broken, take its line out of the policy, or say so with"
    " `lintas audit lift-fork`."
)


@dataclass(frozen=True, slots=True)
class FoundForks:
    """The file in which forks stand, by the witness's key: a name may be given anew."""

    file: Path

    @classmethod
    def of(cls, installation: Installation) -> FoundForks:
        """The file of one installation's log."""
        directory = make_private_directory(installation.settings.home / "log")
        return cls(directory / f"{installation.settings.database_name}.forks")

    def note(self, fork: LogForked) -> None:
        """Write down what a witness reported; it is on disk when this returns."""
        key = str(fork.attributes.get("witness_key", UNREADABLE))
        told = {
            "witness": str(fork.attributes.get("witness", key)),
            "what": fork.what,
            "why": fork.why,
            "found_at": clock.now().isoformat(timespec="seconds"),
        }
        self._write({**self.read(), key: told})

    def refuse(self) -> None:
        """Refuse to go on while a fork stands.

        Raises:
            LogForked: then, with the way to recover.
        """
        if not self.file.exists():
            return
        for key, told in self.read().items():
            raise LogForked(
                told["what"],
                why=f"{told['why']} Found at {told['found_at']}, and it stands until it is cleared up.",
                remedy=_RECOVERY,
                witness=told["witness"],
                witness_key=key,
            )

    def read(self) -> Mapping[str, Mapping[str, str]]:
        """What stands, by the witness's key; a file that cannot be read stands for a fork itself."""
        try:
            return _parse(self.file.read_bytes())
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            told = {
                "witness": UNREADABLE,
                "what": "The file that tells of a fork cannot be read.",
                "why": f"{self.file.name} is damaged.",
                "found_at": "a moment that is not known",
            }
            return {UNREADABLE: told}

    def lift(self, keys: Collection[str]) -> list[str]:
        """Let go of what the witnesses with these keys reported.

        Returns:
            Their names.
        """
        standing = self.read()
        left = {key: told for key, told in standing.items() if key not in keys}
        if len(left) < len(standing):
            self._write(left)
        return sorted(told["witness"] for key, told in standing.items() if key in keys)

    def _write(self, standing: Mapping[str, Mapping[str, str]]) -> None:
        if standing:
            write_private(self.file, json.dumps(standing, indent=1, sort_keys=True).encode(), 0o644)
        else:
            remove_durably(self.file)


def _parse(content: bytes) -> dict[str, dict[str, str]]:
    found = {
        str(key): {name: str(told[name]) for name in ("witness", "what", "why", "found_at")}
        for key, told in json.loads(content).items()
    }
    if not found:
        raise ValueError("an empty file says nothing, and is never written")
    return found
