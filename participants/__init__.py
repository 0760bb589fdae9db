"""WHO TAKES PART: agencies, systems, officers, roles, their keys and who vouches for them.

In: registrations by the operator's stewards, public keys made by the agencies themselves. Out: who an
id is, what an officer may do, and whether a signature was made by a key that was good at its time.

Nothing here writes to the log; who registers or rolls a key (``lintas``, ``web``) appends the entry.
"""

from participants.errors import (
    KeyConflict,
    KeyNotValid,
    NotASteward,
    NotYourAgency,
    ParticipantInvalid,
    ParticipantUnknown,
    SignatureWrong,
    UnknownKey,
)
from participants.keys import PublicKeyRecord
from participants.registry import Agency, Officer, System
from participants.roles import OfficerRole
from participants.stewards import Steward

__all__ = [
    "Agency",
    "KeyConflict",
    "KeyNotValid",
    "NotASteward",
    "NotYourAgency",
    "Officer",
    "OfficerRole",
    "ParticipantInvalid",
    "ParticipantUnknown",
    "PublicKeyRecord",
    "SignatureWrong",
    "Steward",
    "System",
    "UnknownKey",
]
