"""Whom a verifier trusts (C2SP tlog-policy): logs, witnesses, groups k-of-n, and the quorum.

```
log <vkey> [<url>]
witness <name> <vkey> [<url>]
group <name> all|any|<k> <name>...
quorum <name>|none
```

Whether the quorum is met is decided exactly as tlog-policy says. How many *independent* witnesses stand
behind a checkpoint is counted more strictly, so that nobody counts twice: witnesses whose key names begin
with the same host, and witnesses that stand together in one group below the quorum, are one
administration; those of the log's own host are not independent of it at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audit.checkpoints.checkpoint import open_checkpoint
from audit.checkpoints.notes import SignedNote, VerifierKey
from audit.checkpoints.policy_file import Group, Log, Reading, Witness, read_policy
from audit.checkpoints.tree_head import Checkpoint
from audit.errors import NoteInvalid, PolicyInvalid

__all__ = ["Group", "Log", "Policy", "Standing", "Witness"]

_MIXED = "Put the witnesses of one administration into a group of their own (`group NAME any ...`)."


@dataclass(frozen=True, slots=True)
class Standing:
    """Who stands behind one checkpoint."""

    checkpoint: Checkpoint
    cosigned_by: tuple[str, ...]
    """Names of the policy's witnesses with a true cosignature."""
    independent: int
    """How many administrations, other than the log's own, they belong to."""
    quorum_met: bool

    def __str__(self) -> str:
        met = "the quorum is met" if self.quorum_met else "the quorum is NOT met"
        return f"{self.independent} independent witnesses, {met}"


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy file, read."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str | None
    """Name of a witness or group; None for `quorum none`."""

    @classmethod
    def parse(cls, content: bytes | str, file: str | None = None) -> Policy:
        """Read a policy strictly, and exactly as tlog-policy defines it.

        Raises:
            PolicyInvalid: naming the first line that is wrong.
        """
        read: Reading = read_policy(content, file)
        return cls(tuple(read.logs), tuple(read.witnesses.values()), tuple(read.groups.values()), read.quorum)

    @classmethod
    def load(cls, file: Path) -> Policy:
        """Read a policy file, and refuse one in which an administration could count twice for the quorum.

        Names that are no UTF-8, which tlog-policy allows, are told as people and databases can take them.

        Raises:
            PolicyInvalid: when it cannot be read, is malformed, or mixes administrations in a group.
        """
        try:
            policy = cls.parse(file.read_bytes(), file.name)._in_text()
        except OSError as error:
            raise PolicyInvalid(
                f"The policy file {file.name} cannot be read.",
                why=type(error).__name__,
                remedy="Check LINTAS_LOG_POLICY.",
            ) from None
        policy.refuse_mixed_groups()
        return policy

    def refuse_mixed_groups(self) -> None:
        """Refuse a group in which two members belong to one administration, and others do not.

        Raises:
            PolicyInvalid: naming the group.
        """
        hosts: dict[str, set[str]] = {each.name: {_host(each.key.name)} for each in self.witnesses}
        for group in self.groups:
            members = [hosts[name] for name in group.members]
            together = set().union(*members)
            hosts[group.name] = together
            if len(together) > 1 and sum(map(len, members)) > len(together):
                raise PolicyInvalid(
                    f"In the group {group.name}, one administration could count twice.", remedy=_MIXED
                )

    def _in_text(self) -> Policy:
        """The same policy with its names as text."""
        names = [*(each.name for each in self.witnesses), *(each.name for each in self.groups)]
        told = {name: _told(name) for name in names}
        if len(set(told.values())) < len(told):
            raise PolicyInvalid("Two names differ in octets alone that are no text.", remedy="Write UTF-8.")
        return replace(
            self,
            witnesses=tuple(replace(each, name=told[each.name]) for each in self.witnesses),
            groups=tuple(
                replace(each, name=told[each.name], members=tuple(told[name] for name in each.members))
                for each in self.groups
            ),
            quorum=told.get(self.quorum) if self.quorum is not None else None,
        )

    @property
    def witness_keys(self) -> list[VerifierKey]:
        """The keys of all witnesses."""
        return [each.key for each in self.witnesses]

    def log_keys(self, further: Iterable[VerifierKey] = ()) -> list[VerifierKey]:
        """The keys of all logs; where the policy names none, the further ones."""
        return [each.key for each in self.logs] or list(further)

    def evaluate(self, note: str | bytes, log_keys: Sequence[VerifierKey] = ()) -> Standing:
        """Verify a cosigned checkpoint, and say who stands behind it.

        Args:
            note: the checkpoint with its cosignatures.
            log_keys: keys of the log, used only when the policy names no log.

        Raises:
            NoteInvalid: when the note is mangled, no log of this policy signed it, or a signature by a
                known key is false.
        """
        logs = self.log_keys(log_keys)
        if not logs:
            raise NoteInvalid("No key of the log is known.", remedy="Add a `log` line to the policy.")
        checkpoint = open_checkpoint(note, logs, self.witness_keys)
        present = {(line.name, line.key_id) for line in SignedNote.parse(note).signatures}
        cosigned = {w.name for w in self.witnesses if (w.key.name, w.key.key_id) in present}
        return Standing(
            checkpoint=checkpoint,
            cosigned_by=tuple(each.name for each in self.witnesses if each.name in cosigned),
            independent=self._independent(cosigned, checkpoint.origin, logs),
            quorum_met=self.is_met_by(cosigned),
        )

    def is_met_by(self, witnesses: Iterable[str]) -> bool:
        """Whether these witnesses, by their names in the policy, make a quorum."""
        satisfied = set(witnesses)
        for group in self.groups:  # members stand on lines before their group
            if sum(name in satisfied for name in group.members) >= group.threshold:
                satisfied.add(group.name)
        return self.quorum is None or self.quorum in satisfied

    def _independent(self, cosigned: set[str], origin: str, logs: Sequence[VerifierKey]) -> int:
        own_keys = {key.public_key for key in logs}
        administrations = self._administrations()
        counted = {
            administrations[each.name]
            for each in self.witnesses
            if each.name in cosigned and each.key.public_key not in own_keys
        }
        own = {administrations[w.name] for w in self.witnesses if _host(w.key.name) == _host(origin)}
        return len(counted - own)

    def _administrations(self) -> Mapping[str, str]:
        """For each witness, the witness that stands for its administration."""
        first_of: dict[str, str] = {}
        below = {name for group in self.groups for name in group.members}
        standing: dict[str, str] = {each.name: each.name for each in self.witnesses}

        def join(names: Iterable[str]) -> None:
            for one, other in zip(names, list(names)[1:], strict=False):
                old, new = standing[other], standing[one]
                standing.update({name: new for name, stands in standing.items() if stands == old})

        for witness in self.witnesses:
            first = first_of.setdefault(_host(witness.key.name), witness.name)
            join([first, witness.name])
        inside: dict[str, list[str]] = {each.name: [each.name] for each in self.witnesses}
        for group in self.groups:
            inside[group.name] = [name for member in group.members for name in inside[member]]
            if group.name in below:
                join(inside[group.name])
        return standing


def _told(name: str) -> str:
    """A name as it was read from octets, with those that are no UTF-8 spelled out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


_HOST = re.compile(r"[^/]*")


def _host(name: str) -> str:
    """The part of a key name that says whose it is: `kpk.go.id` of `kpk.go.id/witness`."""
    match = _HOST.match(name)
    return (match[0] if match else name).lower()
