"""The closed word lists of agreements, consents and decisions."""

from enum import StrEnum


class Verb(StrEnum):
    """What happens to the data: it comes into the bus, or it goes out to a consumer."""

    COLLECT = "collect"
    DISCLOSE = "disclose"


class Mode(StrEnum):
    """How much is told: yes or no with reasons that carry no values, or the values themselves."""

    VERIFY = "verify"
    READ = "read"


class LegalBasis(StrEnum):
    """The six legal bases of UU 27/2022 Art. 20(2)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal-obligation"
    VITAL_INTEREST = "vital-interest"
    PUBLIC_TASK = "public-task"
    LEGITIMATE_INTEREST = "legitimate-interest"


class Outcome(StrEnum):
    """The two ends of a decision."""

    ALLOW = "allow"
    DENY = "deny"


class ConsentState(StrEnum):
    """Where a consent stands after its latest revision (ISO/IEC TS 27560 event states)."""

    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Giver(StrEnum):
    """Who spoke for the subject."""

    SUBJECT = "subject"
    GUARDIAN = "guardian"
    ASSISTING_OFFICER = "assisting-officer"


class GuardianGround(StrEnum):
    """Why somebody else may speak for the subject (UU 27/2022 Art. 25 and 26)."""

    CHILD = "child"
    GUARDIANSHIP = "guardianship"


class Channel(StrEnum):
    """Where the subject was asked."""

    PORTAL = "portal"
    COUNTER = "counter"
    PAPER = "paper"
    TELEPHONE = "telephone"
