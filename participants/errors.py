"""What can be wrong with who takes part."""

from __future__ import annotations

from foundation.errors import FixInstallation, Refused

__all__ = [
    "KeyConflict",
    "KeyNotValid",
    "ParticipantInvalid",
    "ParticipantUnknown",
    "SignatureWrong",
    "UnknownKey",
]


class ParticipantUnknown(Refused):
    """Nobody of that id takes part."""


class ParticipantInvalid(FixInstallation):
    """A registration contradicts what is registered already."""


class UnknownKey(Refused):
    """No participant has a key of that id."""


class KeyNotValid(Refused):
    """A signature was made when its key was not valid yet, or not any more."""


class SignatureWrong(Refused):
    """A signature does not belong to its key and payload."""


class KeyConflict(FixInstallation):
    """A key cannot be added or ended as asked."""
