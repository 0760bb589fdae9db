"""Reading the lines of a tlog-policy file, strictly: octets, names, keys, thresholds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from audit.checkpoints.notes import VerifierKey
from audit.checkpoints.signature_types import LOG_TYPES
from audit.errors import NoteInvalid, PolicyInvalid
from foundation.errors import Location

__all__ = ["Group", "Log", "Reading", "Witness", "read_policy"]

_MAXIMUM_BYTES = 1_000_000
_MAXIMUM_LINES = 1_000
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_SPACE = re.compile(r"[ \t]+")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,3}")
NONE = "none"


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is accepted; its key's name is its origin."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness under its name in this policy."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Some witnesses and groups, of which `threshold` suffice."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(slots=True)
class Reading:
    """What was read so far."""

    logs: list[Log] = field(default_factory=list)
    witnesses: dict[str, Witness] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    quorums: list[str] = field(default_factory=list)

    @property
    def quorum(self) -> str | None:
        """The quorum's name, or None for `none`."""
        return None if self.quorums[0] == NONE else self.quorums[0]

    def knows(self, name: str) -> bool:
        """Whether a witness or group has this name."""
        return name in self.witnesses or name in self.groups


class _Wrong(Exception):  # noqa: N818
    """What is wrong with a line; becomes a PolicyInvalid that names the line."""


def read_policy(content: bytes | str, file: str | None = None) -> Reading:
    """Read all lines.

    Raises:
        PolicyInvalid: naming the first line that is wrong.
    """
    # Octets beyond ASCII are opaque: they come back as they were, whatever they spell.
    try:
        data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise PolicyInvalid("The policy is not a text.", location=Location(file=file)) from error
    lines = data.split(b"\n")
    if len(data) > _MAXIMUM_BYTES or len(lines) > _MAXIMUM_LINES:
        raise PolicyInvalid("The policy is too large.", location=Location(file=file))
    reading = Reading()
    for number, line in enumerate(lines, start=1):
        try:
            _read_line(reading, line)
        except (_Wrong, NoteInvalid) as error:
            what = error.what if isinstance(error, NoteInvalid) else str(error)
            raise PolicyInvalid(
                what, remedy="See c2sp.org/tlog-policy.", location=Location(file=file, line=number)
            ) from None
    if len(reading.quorums) != 1:
        raise PolicyInvalid("A policy must have exactly one quorum line.", location=Location(file=file))
    return reading


def _read_line(reading: Reading, line: bytes) -> None:
    if _FORBIDDEN.search(line):
        raise _Wrong("The line has a control character.")
    text = line.decode("utf-8", "surrogateescape").strip(" \t")
    if not text or text.startswith("#"):
        return
    keyword, *words = _SPACE.split(text)
    reader = _READERS.get(keyword)
    if reader is None:
        raise _Wrong("The line begins with another word than log, witness, group or quorum.")
    reader(reading, words)


def _read_log(reading: Reading, words: list[str]) -> None:
    if len(words) not in (1, 2):
        raise _Wrong("A log line has a verifier key, and perhaps a URL.")
    key = VerifierKey.parse(words[0])
    if key.signature_type not in LOG_TYPES:
        raise _Wrong("The key of a log must be of type 0x01 or 0x06.")
    if any(key.public_key == each.key.public_key for each in reading.logs):
        raise _Wrong("Two log lines have the same public key.")
    reading.logs.append(Log(key, *words[1:]))


def _read_witness(reading: Reading, words: list[str]) -> None:
    if len(words) not in (2, 3):
        raise _Wrong("A witness line has a name, a verifier key, and perhaps a URL.")
    name = _new_name(reading, words[0])
    key = VerifierKey.parse(words[1])
    if not key.is_witness:
        raise _Wrong("The key of a witness must be of type 0x04 or 0x06.")
    if any(key.public_key == each.key.public_key for each in reading.witnesses.values()):
        raise _Wrong("Two witness lines have the same public key.")
    reading.witnesses[name] = Witness(name, key, *words[2:])


def _read_group(reading: Reading, words: list[str]) -> None:
    if len(words) < 3:
        raise _Wrong("A group line has a name, a threshold and at least one member.")
    name, members = _new_name(reading, words[0]), words[2:]
    for member in members:
        if not reading.knows(member):
            raise _Wrong("A member of the group is not defined on a line before it.")
        if member in reading.members:
            raise _Wrong("A name is listed as a member more than once.")
        reading.members.add(member)
    reading.groups[name] = Group(name, _threshold(words[1], len(members)), tuple(members))


def _read_quorum(reading: Reading, words: list[str]) -> None:
    if len(words) != 1:
        raise _Wrong("A quorum line has one name.")
    if words[0] != NONE and not reading.knows(words[0]):
        raise _Wrong("The quorum is not defined on a line before it.")
    if reading.quorums:
        raise _Wrong("A policy must have exactly one quorum line.")
    reading.quorums.append(words[0])


def _new_name(reading: Reading, name: str) -> str:
    if name == NONE:
        raise _Wrong("The name `none` is reserved.")
    if reading.knows(name):
        raise _Wrong("Two lines define the same name.")
    return name


def _threshold(text: str, members: int) -> int:
    if text in ("all", "any"):
        return members if text == "all" else 1
    if not _THRESHOLD.fullmatch(text) or int(text) > members:
        raise _Wrong("The threshold must be all, any, or a number from 1 to the number of members.")
    return int(text)


_READERS: Mapping[str, Callable[[Reading, list[str]], None]] = {
    "log": _read_log,
    "witness": _read_witness,
    "group": _read_group,
    "quorum": _read_quorum,
}
