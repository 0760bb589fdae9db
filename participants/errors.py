"""What can be wrong with who takes part."""

from __future__ import annotations

from collections.abc import Iterable

from foundation.errors import FixInstallation, Refused

__all__ = [
    "KeyConflict",
    "KeyNotValid",
    "NotASteward",
    "NotYourAgency",
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


class NotASteward(Refused):
    """The person named is not registered as a steward."""

    code = "not-a-steward"

    def __init__(self, pseudonym: str) -> None:
        super().__init__(
            f"{pseudonym} is not the pseudonym of a registered steward",
            why="the log names who decided about people's records",
            remedy="use your own pseudonym; the operator registers officers and their roles",
        )


class NotYourAgency(Refused):
    """A steward wanted to act for an agency that they do not work for."""

    code = "not-your-agency"

    def __init__(self, pseudonym: str, agency: str, owners: Iterable[str]) -> None:
        theirs = sorted(owners)
        whose = " or ".join(theirs) or "the operator of the bus"
        super().__init__(
            f"{pseudonym} is a steward of {agency}; this is for a steward of {whose}",
            why="stewards act for their own agency's datasets, webhooks and agreements, and for no other",
            remedy=f"ask a steward of {whose}; an operator registers officers with `lintas officers add`",
            agency=agency,
            owners=theirs,
        )
